"""Small tests of the exported graphs, on random weights: ``pytest training/test_export.py``."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto

sys.path.insert(0, str(Path(__file__).parent))

from export import _Reader, average, export
from network import KEY, VALUE, Features, Memory, MemoryNetwork, cell_places
from quantise import CAMERA_SIDE
from shipped import read_shipped

pytestmark = pytest.mark.filterwarnings(  # torch's exporter warns of itself
    "ignore::DeprecationWarning", "ignore:Constant folding:UserWarning"
)


@pytest.fixture(scope="module")
def network() -> MemoryNetwork:
    torch.manual_seed(0)
    return MemoryNetwork().eval()


@torch.no_grad()
def test_the_exported_reader_reads_the_same(network: MemoryNetwork) -> None:
    h, w, given = 6, 9, 54
    key = torch.randn(1, KEY, h, w)
    memory = Memory(torch.randn(1, KEY, 130), torch.randn(1, VALUE, 130))
    last = Memory(torch.randn(1, KEY, h * w), torch.randn(1, VALUE, h * w))
    places = cell_places(Features(key, key, key, key, key))
    told = key, memory, given, last, places + 7, places + 0.4
    assert torch.allclose(_Reader(network.reader)(*told), network.reader(*told), atol=1e-4)


def picture_of(h: int, w: int, seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (h // 8, w // 8, 3), dtype=np.uint8)
    return coarse.repeat(8, 0).repeat(8, 1)


def seen_by(folder: Path, picture: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(folder / "encoder.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"picture": picture})


@torch.no_grad()
def test_the_exported_encoder_sees_the_same(network: MemoryNetwork, tmp_path: Path) -> None:
    export(network, tmp_path)
    picture = picture_of(64, 96, 0)
    wanted = network.encoder(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    for a, b in zip(seen_by(tmp_path, picture), wanted, strict=True):
        assert np.allclose(a, b.numpy(), atol=5e-3 * float(b.abs().max()))


@torch.no_grad()
def test_with_8_bits_it_sees_nearly_the_same(network: MemoryNetwork, tmp_path: Path) -> None:
    export(network, tmp_path, [picture_of(CAMERA_SIDE, CAMERA_SIDE, seed) for seed in range(2)])
    picture = picture_of(96, 64, 5)
    wanted = network.encoder(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    for a, b in zip(seen_by(tmp_path, picture), wanted, strict=True):
        assert np.corrcoef(a.ravel(), b.numpy().ravel())[0, 1] > 0.97
    integers = [i for i in onnx.load(tmp_path / "decoder.onnx").graph.initializer if i.data_type == TensorProto.INT8]
    assert integers


@torch.no_grad()
def test_nothing_remembered_is_so_unlike_that_it_becomes_denormal(network: MemoryNetwork, tmp_path: Path) -> None:
    export(network, tmp_path)
    graph = onnx.load(tmp_path / "decoder.onnx").graph
    made_by = {name: node for node in graph.node for name in node.output}
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    assert len(softmaxes) == 2
    assert all(made_by[node.input[0]].op_type == "Max" for node in softmaxes)


@torch.no_grad()
def test_what_is_shipped_can_be_trained_on(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = MemoryNetwork().eval()
    for parameter in network.parameters():  # those that begin as zeros are kept once in a file
        parameter += 0.01 * torch.randn_like(parameter)
    export(network, tmp_path, [picture_of(CAMERA_SIDE, CAMERA_SIDE, seed) for seed in range(2)])
    wanted, found = network.state_dict(), read_shipped(tmp_path)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, atol=0.02 * float(value.abs().max()) + 1e-6), name
    MemoryNetwork().load_state_dict(found)


def test_an_incomplete_export_is_refused(network: MemoryNetwork, tmp_path: Path) -> None:
    export(network, tmp_path)
    (tmp_path / "decoder.onnx").write_bytes((tmp_path / "encoder.onnx").read_bytes())
    with pytest.raises(KeyError, match="no weights"):
        read_shipped(tmp_path)


def test_the_mean_of_several() -> None:
    one, two = ({"weight": torch.tensor([1.0, value])} for value in (2.0, 4.0))
    assert average([one, two])["weight"].tolist() == [1.0, 3.0]
