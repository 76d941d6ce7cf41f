"""EdgeTAM's own backbone: the same numbers as timm's, and a checkpoint that names timm's, loaded without timm."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
transformers = pytest.importorskip("transformers", reason="the SAM engines need transformers")

from safetensors.torch import load_file, save_file

import sam_models
from maskferry import MaskTracker
from maskferry.engines._sam.repvit import RepVit, edgetam_without_timm
from maskferry.engines.registry import load_engine
from maskferry.errors import EngineError, MissingExtraError

TIMMS = [
    ((1, 48, 16, 16), -0.09296781528022609, 0.22858027305817843, -0.18686034434031543),
    ((1, 96, 8, 8), 0.053982933929603884, 0.5873205591834112, 0.6013814476180122),
    ((1, 192, 4, 4), 0.9097921699607117, 13.1090038263306, -1.2689869708748764),
    ((1, 384, 2, 2), -0.04176074363934982, 2.4990704285860414, -1.531028535803854),
]
"""Shape, mean, deviation and one value of each map that timm 1.0.31's ``repvit_m1`` gives with `fill` and `waves`."""


def fill(model: Any) -> None:
    """Weights that are the same everywhere."""
    with torch.no_grad():
        for number, (name, value) in enumerate(sorted(model.state_dict().items())):
            if value.dtype.is_floating_point:
                wave = waves(value.shape, 0.7 + 0.01 * number)
                scale = max(1, value[0].numel()) ** -0.5 if value.ndim == 4 else 0.3
                value.copy_(wave * scale + (1 if name.endswith(("bn.weight", "running_var")) else 0))


def waves(shape: tuple[int, ...], step: float = 0.37) -> Any:
    count = int(torch.Size(shape).numel())
    return torch.sin(torch.arange(count, dtype=torch.float64) * step).view(shape)


def test_the_numbers_are_timms():
    model = RepVit().double().eval()
    fill(model)
    with torch.no_grad():
        maps = model(waves((1, 3, 64, 64)))
    assert sum(p.numel() for p in model.parameters()) == 4_713_712  # as timm's
    found = [(tuple(m.shape), float(m.mean()), float(m.std()), float(m[0, 5, 1, 1])) for m in maps]
    for one, wanted in zip(found, TIMMS, strict=True):
        assert one[0] == wanted[0]
        assert one[1:] == pytest.approx(wanted[1:], rel=1e-9)


def test_the_same_as_timm_where_it_is_installed():
    pytest.importorskip("torchvision", reason="timm cannot be imported without it")
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("repvit_m1", features_only=True, out_indices=[0, 1, 2, 3], num_classes=0).double().eval()
    ours = RepVit().double().eval()
    fill(theirs)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        pairs = zip(ours(waves((2, 3, 96, 96))), theirs(waves((2, 3, 96, 96))), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-9) for a, b in pairs)


def write_checkpoint(folder: Path, architecture: str = "repvit_m1.dist_in1k") -> Path:
    """A small EdgeTAM as its authors' checkpoint is: timm's backbone in the config, RepViT's weights in the file."""
    parts = sam_models.edgetam_parts()
    vision = parts["vision_config"] | {
        "model_type": "edgetam_vision_model",
        "backbone_channel_list": [384, 192, 96, 48],
        "backbone_config": {
            "model_type": "timm_wrapper",
            "architecture": architecture,
            "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
        },
    }
    config = json.loads(json.dumps(parts | {"model_type": "edgetam_video", "vision_config": vision}))
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    found = edgetam_without_timm(folder)
    if found is not None:
        model = found[0](found[1])
        sam_models.randomise(model)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "model.safetensors")
    else:
        save_file({"x": torch.zeros(1)}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("edgetam") / "weights")


@pytest.fixture(scope="module")
def engine(folder):
    return load_engine("edgetam", checkpoint=folder, device="cpu")


def test_it_tracks(engine):
    video = np.random.default_rng(0).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
    mask = np.zeros((64, 96), dtype=np.bool_)
    mask[10:40, 10:50] = True
    with MaskTracker(video, engine=engine) as tracker:
        tracker.add_masks_prompt([mask, ~mask], [1, 2])
        tracks = tracker.propagate()
        assert [tracks[i].object_ids for i in range(4)] == [(1, 2)] * 4
        assert np.array_equal(tracks[0].mask(1), mask)
        assert any(row.rle.area for i in range(1, 4) for row in tracks[i])


def test_every_weight_of_the_checkpoint_is_used(engine, folder):
    backbone = engine._models[0].network.model.vision_encoder.backbone
    prefix = "vision_encoder.backbone."
    saved = {k.removeprefix(prefix): v for k, v in load_file(folder / "model.safetensors").items() if prefix in k}
    assert backbone.state_dict().keys() == saved.keys()
    assert all(torch.equal(v, saved[k]) for k, v in backbone.state_dict().items())
    assert "timm_model.stages_3.blocks.1.channel_mixer.conv2.bn.running_var" in saved


def test_the_encoder_is_traced_whole(engine):
    network = engine._models[0].network
    pixels = waves((1, 3, 128, 128)).float()
    with torch.inference_mode():
        traced = torch.compile(network.encode, fullgraph=True, dynamic=False, backend="eager")(pixels)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(traced, network.encode(pixels), strict=True))


def test_a_backbone_that_is_not_whole_is_refused(folder, tmp_path):
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "config.json").write_bytes((folder / "config.json").read_bytes())
    weights = load_file(folder / "model.safetensors")
    missing = "vision_encoder.backbone.timm_model.stages_1.blocks.0.se.fc1.weight"
    save_file({k: v for k, v in weights.items() if k != missing}, tmp_path / "torn" / "model.safetensors")
    with pytest.raises(EngineError, match="lacks 1 weights of a EdgeTamVideoModel"):
        load_engine("edgetam", checkpoint=tmp_path / "torn")


@pytest.mark.skipif(importlib.util.find_spec("timm") is not None, reason="timm is installed")
def test_another_backbone_of_timm_needs_timm(tmp_path):
    folder = write_checkpoint(tmp_path / "other", "repvit_m1_1.dist_450e_in1k")
    with pytest.raises(MissingExtraError, match=r"needs a package that is not installed: .*timm") as caught:
        load_engine("edgetam", checkpoint=folder)
    assert "\n" not in str(caught.value)
