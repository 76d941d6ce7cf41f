"""Small tests of the exported graphs, on random weights: ``pytest training/test_export.py``."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))

from export import _Reader, export
from network import KEY, VALUE, Features, Memory, MemoryNetwork, cell_places


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


@torch.no_grad()
def test_the_exported_encoder_sees_the_same(network: MemoryNetwork, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    export(network, tmp_path)
    picture = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx", providers=["CPUExecutionProvider"])
    seen = session.run(None, {"picture": picture})
    wanted = network.encoder(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    for a, b in zip(seen, wanted, strict=True):
        assert np.allclose(a, b.numpy(), atol=5e-3 * float(b.abs().max()))
