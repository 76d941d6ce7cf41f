"""Compiled stages: what is compiled, how it is tested, and that nothing changes that should not."""

from __future__ import annotations

import logging

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import sam_models
from maskferry.data import Frame, FrameInfo, MaskPrompt, VideoInfo
from maskferry.engines._sam import SamEngine
from maskferry.engines._sam.compiling import CompiledStages, padded_size
from maskferry.engines._sam.stage_checks import agrees
from maskferry.engines._sam.stage_compiler import PLAIN_ENCODER_CALLS, PLAIN_FRAMES

VIDEO = VideoInfo(96, 64)
STEADY = {"sam3": 7, "sam2.1-tiny": 16, "edgetam": 16}
"""The step from which on shapes are fixed; with memory selection, pointers are padded from the first step on."""


@pytest.fixture(scope="module", params=sorted(sam_models.SIZES))
def engine(request, tmp_path_factory):
    folder = sam_models.save(request.param, tmp_path_factory.mktemp(request.param))
    return SamEngine(request.param, checkpoint=folder, device="cpu")


def step(session, index: int, objects: int):
    image = np.random.default_rng(index).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    mask = np.zeros((64, 96), dtype=np.bool_)
    mask[10:40, 5:30] = True
    prompts = [MaskPrompt(0, i, np.roll(mask, 12 * i, axis=1)) for i in range(1, objects + 1)] if not index else []
    return session.step(Frame(FrameInfo(index, None, str(index)), image), prompts)


def track_with(engine, monkeypatch, compiled: CompiledStages) -> None:
    """Make the sessions of an engine use these stages."""
    model = engine._models[0]
    replaced = type(model)(**{n: getattr(model, n) for n in model.__slots__} | {"track": compiled.track})
    monkeypatch.setattr(engine, "_models", [replaced])


def test_sizes_are_few():
    assert [padded_size(n) for n in (1, 3, 7, 21, 50, 64, 100)] == [1, 3, 8, 24, 52, 64, 100]


def test_whole_stages_are_traced_and_give_the_same(engine, monkeypatch, caplog):
    """``fullgraph=True`` everywhere; the tracing backend runs without a compiler. Seven objects are padded to eight."""
    plain = engine.open(VIDEO)
    compiled = CompiledStages(engine._models[0].network, at_once=True, backend="eager")
    track_with(engine, monkeypatch, compiled)
    fast = engine.open(VIDEO)
    with caplog.at_level(logging.INFO):
        for index in range(STEADY[engine.name] + 4):
            a, b = step(plain, index, 7), step(fast, index, 7)
            assert bool(compiled._stages) == (index >= STEADY[engine.name])
            assert [row.rle for row in a] == [row.rle for row in b]
            assert a.scores == pytest.approx(b.scores, rel=1e-4)
    for stage in ("memory attention", "mask decoder", "memory encoder"):
        assert f"{stage}: compiled and tested" in caplog.text
    assert len(compiled._stages) == 1


def test_the_encoder_is_traced(engine, caplog):
    network = engine._models[0].network
    compiled = CompiledStages(network, at_once=True, backend="eager")
    pixels = torch.randn(2, 3, network.image_size, network.image_size)
    with torch.inference_mode(), caplog.at_level(logging.INFO):
        for _ in range(PLAIN_ENCODER_CALLS):
            compiled.encode(pixels)
        assert not compiled._encoders
        pairs = zip(compiled.encode(pixels), network.encode(pixels), strict=True)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in pairs)
    assert "encoder: compiled and tested" in caplog.text


@pytest.mark.parametrize("fault", ["nan", "far", "error"])
def test_a_stage_that_is_not_as_good_stays_plain(engine, monkeypatch, caplog, fault):
    def poor(plain, **options):
        def run(*inputs):
            if fault == "error":
                raise RuntimeError("no compiler here")
            out = plain(*inputs)
            spoil = (lambda t: t * float("nan")) if fault == "nan" else (lambda t: t * 1.01)
            return spoil(out) if isinstance(out, torch.Tensor) else tuple(spoil(t) for t in out)

        return run

    monkeypatch.setattr(torch, "compile", poor)
    plain = engine.open(VIDEO)
    compiled = CompiledStages(engine._models[0].network, at_once=True)
    track_with(engine, monkeypatch, compiled)
    fast = engine.open(VIDEO)
    with caplog.at_level(logging.WARNING):
        for index in range(STEADY[engine.name] + 3):
            a, b = step(plain, index, 2), step(fast, index, 2)
            assert [row.rle for row in a] == [row.rle for row in b]
    assert caplog.text.count("stays") == 3
    assert ("no compiler here" in caplog.text) == (fault == "error")


def test_what_agrees():
    exact = torch.randn(1000)
    plain = exact + 1e-2 * torch.randn(1000)
    assert agrees(plain, exact + 1e-2 * torch.randn(1000), exact)
    assert not agrees(plain, exact + 2e-2 * torch.randn(1000), exact)
    assert not agrees(plain, torch.where(exact > 2, float("inf"), exact), exact)


def test_of_few_numbers_chance_is_allowed_for():
    exact = torch.tensor([1.0, -2.0, 3.0, 2.0])
    plain = exact + 0.01
    assert agrees(plain, exact - 0.02, exact)
    assert not agrees(plain, exact + 0.04, exact)
    many = exact.repeat(1000)
    assert not agrees(many + 0.01, many - 0.02, many)


def test_what_is_right_to_the_last_bit_agrees():
    exact = torch.linspace(1, 2, 4096)
    half = exact.bfloat16()
    assert agrees(exact, half, exact)
    assert not agrees(exact, half.float(), exact)


def test_auto_waits_and_never_compiles_on_the_cpu(engine):
    compiled = CompiledStages(engine._models[0].network, at_once=False)
    assert compiled._plain_frames_left == PLAIN_FRAMES
    assert engine._models[0].encode.__func__ is type(engine._models[0].network).encode


def test_auto_waits_for_frames_not_for_batches(engine, monkeypatch):
    compiled = CompiledStages(engine._models[0].network, at_once=False, backend="eager")
    track_with(engine, monkeypatch, compiled)
    session = engine.open(VIDEO)
    session._batches.size = 1  # three objects, three batches a frame
    for index in range(STEADY[engine.name] + 4):
        step(session, index, 3)
    assert compiled._plain_frames_left == PLAIN_FRAMES - 4


@pytest.mark.slow
def test_compiled_for_the_cpu(tmp_path, monkeypatch, caplog):
    """With the real compiler, where the machine has one, in bfloat16."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    folder = sam_models.save("sam3", tmp_path / "sam3")
    engine = SamEngine("sam3", checkpoint=folder, device="cpu", precision="bfloat16", compile=True)
    session = engine.open(VIDEO)
    with caplog.at_level(logging.INFO):
        rows = [step(session, index, 2) for index in range(STEADY[engine.name] + 4)]
    assert all(0 <= row.score <= 1 for row in rows[-1])
    assert "compiled and tested" in caplog.text or "does not work here" in caplog.text
