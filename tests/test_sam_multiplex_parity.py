"""The engine sam3.1 against two other implementations: what they answer is recorded, with the scripts that did it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import multiplex_models
from maskferry.data import Frame, VideoInfo
from maskferry.engines._sam.multiplex.network import enlarge
from maskferry.engines._sam.multiplex.stage_types import FrameFeatures
from maskferry.engines._sam.preprocessing import normalise
from maskferry.engines._sam.prompting import Prompts
from multiplex_scenarios import POINTS, SCENARIOS, SIDE, Recorder, Scenario, mask, picture, weights

FIXTURES = Path(__file__).parent / "fixtures"
EXACT, SINGLE = 1e-9, 1e-4
"""What may differ: the rounding of float64, and that of float32 after twenty frames."""


@pytest.fixture(scope="module")
def recorded():
    return dict(np.load(FIXTURES / "multiplex_float64.npz"))


@pytest.fixture(scope="module")
def played(make):
    """The engine's answers to each scenario, in float64."""
    return lru_cache(lambda name: play(make(SCENARIOS[name]), SCENARIOS[name]))


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """An engine for a scenario."""
    folder = tmp_path_factory.mktemp("parity")

    def engine(scenario: Scenario, precision: str = "float64"):
        path = folder / f"{scenario.in_sight}.pt"
        if not path.exists():
            multiplex_models.save(path, weights(scenario))
        return multiplex_models.TinyEngine(checkpoint=path, device="cpu", precision=precision, isolate=scenario.isolate)

    return engine


def play(engine, scenario: Scenario) -> Recorder:
    """The engine's answers; prompts go in where they are sorted, as they are refused when empty."""
    session = engine.open(VideoInfo(SIDE, SIDE, frame_count=len(scenario.frames)))
    recorder = Recorder(scenario)
    for step, index in enumerate(scenario.frames):
        for i in scenario.drops.get(step, ()):
            session.drop(i)
        given = {i: mask(seed) for i, seed in sorted(scenario.prompts.get(step, {}).items())}
        session.step_into(picture(index), Prompts(masks=given))
        for group, states in session._states.items():
            for i, row, slot in group.live():
                if i not in given:
                    found = states.found
                    parts = (found.logits, found.presence, found.pointer)
                    recorder.note_object(step, i, *(part[row, slot].double() for part in parts))
        for group in session._bank.groups:
            for row, bucket in enumerate(group.buckets):
                if live := [i for i, _ in bucket.live()]:
                    recorder.note_memory(step, live, (group.prompted | group.recent)[step].memory[row].double())
    return recorder


def largest_difference(ours, theirs) -> float:
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    return float(np.nanmax(np.abs(ours - theirs)))


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_in_float64(played, recorded, name):
    """Forward and in reverse; an empty mask, objects added, removed, corrected, out of sight; evicted memories."""
    recorder = played(name)
    assert largest_difference(recorder.objects, recorded[f"{name}/objects"]) < EXACT
    assert largest_difference(recorder.memories, recorded[f"{name}/memories"]) < EXACT
    presence = recorder.objects[:, :, 12]
    assert (presence > 0).any()
    assert (presence < 0).any()


@pytest.mark.parametrize("name", ["three", "three reverse", "twenty", "twenty reverse"])
def test_as_mlx_vlm(played, name):
    """Which computes in float32, in reverse by its own rules."""
    theirs = np.load(FIXTURES / "multiplex_mlx.npz")
    assert largest_difference(played(name).objects, theirs[f"{name}/objects"]) < SINGLE
    assert largest_difference(played(name).memories, theirs[f"{name}/memories"]) < SINGLE


def features_of(network, frame: Frame) -> FrameFeatures:
    image = torch.from_numpy(frame.image).permute(2, 0, 1)[None].float()
    pixels = normalise(image, ((0.5,) * 3, (0.5,) * 3), network.dtype)
    return FrameFeatures(*network.encode(pixels))


@pytest.mark.parametrize("name", sorted(POINTS))
@pytest.mark.parametrize("what", ["new", "corrected"])
def test_points_in_float64(make, recorded, name, what):
    network = make(SCENARIOS["three"])._models[0].network
    before = torch.from_numpy(np.random.RandomState(8).standard_normal((1, 1, 24, 24)) * 3)
    xy, labels = POINTS[name]
    with torch.inference_mode():
        features = network.prompt_features(features_of(network, picture(0)))
        places = torch.tensor(xy, dtype=torch.float64)
        found = network.take_points(features, places, torch.tensor(labels), before if what == "corrected" else None)
    parts = [found.logits.flatten(), found.presence.flatten(), found.pointer.flatten(), found.quality.flatten()]
    assert largest_difference(torch.cat(parts).numpy(), recorded[f"points/{name}/{what}"]) < EXACT


def test_a_mask_that_is_enlarged_needs_no_antialiasing():
    masks = torch.rand(2, 3, 63, 63, dtype=torch.float64)
    wanted = torch.nn.functional.interpolate(masks, (72, 72), mode="bilinear", antialias=True)
    assert torch.allclose(enlarge(masks, 72), wanted, rtol=0, atol=1e-12)


def test_stages_are_near_in_half_precision(make):
    """bfloat16 against float32 on the same inputs; random mask decoders amplify any difference 200 times."""
    scenario = SCENARIOS["three"]
    exact, half = (make(scenario, precision)._models[0].network for precision in ("float32", "bfloat16"))
    random = np.random.RandomState(3)

    def noise(*shape):
        return torch.from_numpy(random.standard_normal(shape).astype(np.float32))

    def near(stage, *inputs):
        ours = getattr(half, stage)(*(t.bfloat16() if t.is_floating_point() else t for t in inputs))
        wanted = getattr(exact, stage)(*(t.bfloat16().float() if t.is_floating_point() else t for t in inputs))
        for one, other in zip(*([t] if isinstance(t, torch.Tensor) else t for t in (ours, wanted)), strict=True):
            assert one.isfinite().all()
            assert (one.float() - other).square().mean() < 0.01**2 * other.square().mean()

    valid = torch.arange(32).reshape(2, 16) % 3 > 0
    top = noise(1, 36, 64)
    keys_values = [noise(2, 2, 8, 36, 8) for _ in range(4)]
    with torch.inference_mode():
        near("encode", noise(2, 3, 84, 84))
        near("attend_to_memory", top, noise(1, 2, 8, 36, 8), noise(2, 48, 64), noise(1, 3).abs(), *keys_values)
        near("encode_predicted", top, noise(2, 16, 24, 24), noise(2, 16), valid)
