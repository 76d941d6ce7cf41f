"""Compiled stages of sam3.1, several devices, and the choice of attention kernels."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import torch.nn.functional as F  # noqa: N812
from torch.nn.attention import SDPBackend

import multiplex_models
from apart import Apart
from maskferry.data import MaskPrompt, PointPrompt, VideoInfo
from maskferry.engines._sam import stage_compiler
from maskferry.engines._sam.multiplex import attention_kernels
from maskferry.engines._sam.multiplex.compiling import CompiledMultiplexStages
from maskferry.engines._sam.multiplex.stage_types import MemoryBatch, Stages
from maskferry.engines._sam.stage_compiler import PLAIN_FRAMES
from maskferry.errors import EngineError
from sam_scene import picture

VIDEO = VideoInfo(96, 64, frame_count=60)
STEADY = 16


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return multiplex_models.save(tmp_path_factory.mktemp("sam31") / "sam3.1_multiplex.pt")


@pytest.fixture
def make(checkpoint):
    """A fresh engine."""
    return lambda **options: multiplex_models.TinyEngine(checkpoint=checkpoint, **({"device": "cpu"} | options))


def given(index: int, *object_ids: int) -> list[MaskPrompt]:
    mask = np.zeros((64, 96), dtype=np.bool_)
    mask[10:40, 5:30] = True
    return [MaskPrompt(index, i, np.roll(mask, 12 * i + index, axis=1)) for i in object_ids]


def with_stages(engine, compiled: CompiledMultiplexStages, **others):
    """The same engine, whose sessions use these stages."""
    model = engine._models[0]
    parts = {name: getattr(model, name) for name in model.__slots__}
    engine._models = [type(model)(**parts | {"track": compiled.track} | others)]
    return engine


# --- compiled stages ----------------------------------------------------------------------------------------------


def test_whole_stages_are_traced_and_give_the_same(make, caplog):
    """``fullgraph=True`` everywhere; the tracing backend runs without a compiler."""
    engine = make()
    compiled = CompiledMultiplexStages(engine._models[0].network, at_once=True, backend="eager")
    plain, fast = make().open(VIDEO), with_stages(engine, compiled).open(VIDEO)
    with caplog.at_level(logging.INFO):
        for index in range(STEADY + 4):
            prompts = given(index, *range(1, 19)) if not index else []
            a, b = plain.step(picture(index), prompts), fast.step(picture(index), prompts)
            assert bool(compiled._stages) == (index >= STEADY)
            assert [row.rle for row in a] == [row.rle for row in b]
            assert a.scores == pytest.approx(b.scores, rel=1e-4)
    for stage in ("memory attention", "mask decoder", "memory encoder"):
        assert caplog.text.count(f"{stage}: compiled and tested") == 1
    assert list(compiled._stages) == [(2, 7)]


def test_the_encoder_is_traced(make, caplog):
    network = make()._models[0].network
    compiled = CompiledMultiplexStages(network, at_once=True, backend="eager")
    pixels = torch.randn(2, 3, network.image_size, network.image_size)
    with torch.inference_mode(), caplog.at_level(logging.INFO):
        for _ in range(5):
            found = compiled.encode(pixels)
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(found, network.encode(pixels), strict=True))
    assert "encoder: compiled and tested" in caplog.text


def test_shapes_that_last_are_compiled_and_no_others(make):
    """One prompt frame, or as many as are read; those between pass."""
    engine = make(isolate=False)
    compiled = CompiledMultiplexStages(engine._models[0].network, at_once=True, backend="eager")
    session = with_stages(engine, compiled).open(VIDEO)
    for index in range(44):
        session.step(picture(index), given(index, 1) if index in (0, 18, 20, 22, 24) else [])
    assert list(compiled._stages) == [(1, 7), (1, 10)]


@pytest.mark.parametrize("fault", ["nan", "far", "error"])
def test_a_stage_that_is_not_as_good_stays_plain(make, monkeypatch, caplog, fault):
    def poor(plain, **options):
        def run(*inputs):
            if fault == "error":
                raise RuntimeError("no compiler here")
            out = plain(*inputs)
            spoil = (lambda t: t * float("nan")) if fault == "nan" else (lambda t: t * 1.01)
            return spoil(out) if isinstance(out, torch.Tensor) else type(out)(*(spoil(t) for t in out))

        return run

    monkeypatch.setattr(torch, "compile", poor)
    engine = make()
    compiled = CompiledMultiplexStages(engine._models[0].network, at_once=True)
    plain, fast = make().open(VIDEO), with_stages(engine, compiled).open(VIDEO)
    with caplog.at_level(logging.WARNING):
        for index in range(STEADY + 2):
            prompts = given(index, 1, 2) if not index else []
            assert plain.step(picture(index), prompts) == fast.step(picture(index), prompts)
    assert caplog.text.count("stays") == 3
    assert ("no compiler here" in caplog.text) == (fault == "error")


class FakeGraph:
    """As a CUDA graph: what it was captured with is all that it sees."""

    made: ClassVar[Counter[int]] = Counter()

    def __init__(self, function, inputs) -> None:
        self.held = [t.clone() for t in inputs]
        self.function = function
        self.made[len(inputs)] += 1

    def __call__(self, *inputs):
        for held, new in zip(self.held, inputs, strict=True):
            held.copy_(new)
        return [t.clone() for t in self.function(*self.held)]


def test_a_replayed_step_is_the_step(make, monkeypatch):
    monkeypatch.setattr(stage_compiler, "CudaGraph", FakeGraph)
    engine = make()
    network = engine._models[0].network
    compiled = CompiledMultiplexStages(network, at_once=True)

    def track(features, batch):
        if not batch.steady:
            return network.track(features, batch)
        compiled._stages["key"] = network.stages
        return compiled._replay_step("key", features, batch)

    plain, fast = make().open(VIDEO), with_stages(engine, compiled, track=track).open(VIDEO)
    FakeGraph.made.clear()
    for index in range(STEADY + 5):
        prompts = given(index, 1, 2) if not index else []
        assert plain.step(picture(index), prompts) == fast.step(picture(index), prompts)
    assert sum(FakeGraph.made.values()) == 1


def test_auto_waits_and_never_compiles_on_the_cpu(make):
    network = make()._models[0].network
    assert CompiledMultiplexStages(network, at_once=False)._plain_frames_left == PLAIN_FRAMES
    assert make()._models[0].encode.__func__ is type(network).encode
    assert make(compile=True)._models[0].encode.__func__ is CompiledMultiplexStages.encode


def test_memories_keep_their_layout_whatever_a_compiler_gives(make):
    """Another layout would be compiled for anew, frame after frame, until torch gives up."""
    engine, seen = make(), []
    network = engine._models[0].network

    def encode_predicted(*inputs):
        return tuple(t.transpose(-1, -2).contiguous().transpose(-1, -2) for t in network.encode_predicted(*inputs))

    stages = Stages(network.attend_to_memory, network.decode_candidates, encode_predicted)

    def track(features, batch):
        seen.append({t.stride() for t in (*batch.keys, *batch.values)})
        return network.track(features, batch, stages)

    session = with_stages(engine, CompiledMultiplexStages(network, at_once=False), track=track).open(VIDEO)
    for index in range(4):
        session.step(picture(index), given(index, 1, 2) if not index else [])
    assert seen == [seen[0]] * 3
    assert len(seen[0]) == 1


# --- attention kernels --------------------------------------------------------------------------------------------


def batch(buckets: int, *, steady: bool) -> MemoryBatch:
    keys = [torch.zeros(buckets, 2, 8, 4, 8)] * 7
    none = torch.zeros(buckets, 0)
    return MemoryBatch(keys, keys, none, none, none, torch.ones(buckets, 16, dtype=torch.bool), steady)


def test_the_fastest_kernel_comes_first(monkeypatch):
    times = {
        SDPBackend.CUDNN_ATTENTION: float("inf"),
        SDPBackend.FLASH_ATTENTION: 2.0,
        SDPBackend.EFFICIENT_ATTENTION: 1.0,
    }
    timed, orders = [], []
    monkeypatch.setattr(attention_kernels, "_load_own_kernel", lambda: None)
    monkeypatch.setattr(
        attention_kernels, "_milliseconds", lambda kernel, query, keys: timed.append(keys.shape) or times[kernel]
    )
    monkeypatch.setattr(attention_kernels, "sdpa_kernel", lambda order, set_priority: orders.append(order))
    kernels = attention_kernels.AttentionKernels()
    for count, steady in ((2, False), (2, True), (2, True), (3, True)):
        kernels.fastest_first(batch(count, steady=steady))
    by_preference, *fastest = orders
    assert by_preference[0] is SDPBackend.CUDNN_ATTENTION
    assert all(order[0] is SDPBackend.EFFICIENT_ATTENTION for order in fastest)
    assert all(order[-2:] == [SDPBackend.CUDNN_ATTENTION, SDPBackend.MATH] for order in fastest)
    assert timed == [(2, 8, 28, 8)] * 3 + [(3, 8, 28, 8)] * 3  # once for each number of buckets


def random_batch() -> MemoryBatch:
    generator = torch.Generator().manual_seed(0)
    keys = [torch.randn(2, 2, 8, 4, 8, generator=generator).bfloat16()] * 7
    none = torch.zeros(2, 0)
    return MemoryBatch(keys, keys, none, none, none, torch.ones(2, 16, dtype=torch.bool), steady=True)


@pytest.mark.parametrize(
    ("own_ms", "error", "taken"), [(0.5, 0.001, True), (3.0, 0.001, False), (0.5, 0.1, False), (0.5, math.nan, False)]
)
def test_the_own_kernel_is_taken_where_it_is_right_and_fastest(monkeypatch, own_ms, error, taken):
    calls = []

    def own(query, key, value):
        calls.append(query.dtype)
        return F.scaled_dot_product_attention(query, key, value) * (1 + error)

    times = {"short heads": own_ms}
    monkeypatch.setattr(attention_kernels, "_load_own_kernel", lambda: own)
    monkeypatch.setattr(attention_kernels, "_milliseconds", lambda kernel, query, keys: times.get(kernel, 1.0))
    query = random_batch().keys[0][:, 0]
    with attention_kernels.AttentionKernels().fastest_first(random_batch()):
        calls.clear()
        found = attention_kernels.attend_to_tokens(query, query, query)
        exact = attention_kernels.attend_to_tokens(*[query.float()] * 3)
    assert calls == [torch.bfloat16] * taken  # what is compared in float32 is torch's
    assert torch.allclose(found.float(), exact, atol=0.02)
    calls.clear()
    attention_kernels.attend_to_tokens(query, query, query)
    assert not calls


def test_an_own_kernel_that_does_not_compile_is_left_alone(monkeypatch, caplog):
    def own(query, key, value):
        raise ValueError("no compiler here")

    monkeypatch.setattr(attention_kernels, "_load_own_kernel", lambda: own)
    monkeypatch.setattr(attention_kernels, "_milliseconds", lambda kernel, query, keys: 1.0)
    assert attention_kernels.kernel_times(random_batch())["short heads"] == math.inf
    assert "no compiler here" in caplog.text


OWN_KERNEL = """
import torch
import torch.nn.functional as F
from maskferry.engines._sam.multiplex.short_heads_kernel import attend_short_heads

generator = torch.Generator().manual_seed(0)
for count, key_count in ((100, 517), (64, 64), (3, 128), (5, 7)):
    query = 3 * torch.randn(2, 3, count, 32, generator=generator)
    key = torch.randn(2, 3, key_count, 32, generator=generator)
    value = torch.randn(2, key_count, 3, 32, generator=generator).transpose(1, 2)
    found = attend_short_heads(query, key, value)
    assert torch.allclose(found, F.scaled_dot_product_attention(query, key, value), atol=1e-5)
    assert found.transpose(1, 2).is_contiguous()
torch.library.opcheck(attend_short_heads, (query, key, value), test_utils=("test_schema", "test_faketensor"))
"""


def test_the_own_kernel_computes_attention():
    """By Triton's interpreter, where Triton is: it comes with torch for CUDA alone."""
    pytest.importorskip("triton")
    subprocess.run([sys.executable, "-c", OWN_KERNEL], env={**os.environ, "TRITON_INTERPRET": "1"}, check=True)


# --- several devices ----------------------------------------------------------------------------------------------

FIRST = given(0, *range(1, 36))
PROMPTS = {
    0: FIRST,
    3: given(3, 2, 40),
    5: [PointPrompt(5, 41, np.array([[20.0, 20.0]]), np.array([1])), *given(5, 30)],
}
LAST = 9


def walk(session, frames=range(LAST)) -> list:
    rows = []
    for i in frames:
        rows.append(session.step(picture(i), PROMPTS.get(i, ())))
        if i == 4:
            session.drop(7)
            session.reprompt(picture(i), given(i, 9, 50))
    return rows


def same(ones, others) -> None:
    """Equal to the rounding of float64."""
    for one, other in zip(ones, others, strict=True):
        assert one.object_ids == other.object_ids
        for a, b in zip(one, other, strict=True):
            assert (a.rle, a.state, a.fidelity) == (b.rle, b.state, b.fidelity)
            assert a.score == pytest.approx(b.score, abs=1e-9)


@pytest.fixture(scope="module")
def alone(checkpoint):
    engine = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu", precision="float64")
    return walk(engine.open(VIDEO))


@pytest.mark.parametrize("count", [2, 3])
def test_several_devices_answer_as_one(make, alone, count):
    session = make(device=["cpu"] * count, precision="float64").open(VIDEO)
    rows = [session.step(picture(0), FIRST)]
    load = Counter(group.home for group in session._bank.groups for _ in group.buckets)
    assert sorted(load.values()) == ([1, 2] if count == 2 else [1, 1, 1])
    same(rows + walk(session, range(1, LAST)), alone)


def test_twins_stay_on_the_device_of_their_group(make):
    session = make(device=["cpu", "cpu"]).open(VIDEO)
    session.step(picture(0), FIRST)
    homes = {i: place.group.home for i, place in session._bank.places().items()}
    session.step(picture(1), given(1, 1, 18, 35))
    assert {i: place.group.home for i, place in session._bank.places().items()} == homes
    assert {homes[1], homes[18]} == {0, 1}


def tensors_of(model) -> list:
    """Everything that a loaded model computes with."""
    modules = [*model.network.modules()]
    constants = [v for m in modules for v in vars(m).values() if isinstance(v, torch.Tensor | tuple)]
    flat = [t for v in constants for t in (v if isinstance(v, tuple) else (v,)) if isinstance(t, torch.Tensor)]
    return [*model.network.parameters(), *model.network.buffers(), *flat]


def test_no_operation_mixes_two_devices(make):
    """Which on the CPU alone would not be noticed."""
    engine = make(device=["cpu", "cpu"])
    session = engine.open(VIDEO)
    with Apart([tensors_of(model) for model in engine._models]) as watch:
        walk(session)
        watch.homes[engine._models[0].network.top_position] = 1
        with pytest.raises(AssertionError, match=r"devices \[0, 1\]"):
            session.step(picture(LAST))
    assert min(watch.operations[0], watch.operations[1]) > 1000


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2), (3, 2)])
def test_a_snapshot_goes_on_on_any_number_of_devices(make, alone, before, after):
    session = make(device=["cpu"] * before, precision="float64").open(VIDEO)
    first = walk(session, range(6))
    resumed = make(device=["cpu"] * after, precision="float64").open(VIDEO, session.snapshot())
    if before == after:
        assert [g.home for g in resumed._bank.groups] == [g.home for g in session._bank.groups]
    same(first + walk(resumed, range(6, LAST)), alone)


def test_devices_are_told_their_work_before_any_is_asked(make, monkeypatch):
    order = []
    session = make(device=["cpu", "cpu"]).open(VIDEO)
    session.step(picture(0), FIRST)
    for tracker in session._trackers:
        track = tracker.track
        monkeypatch.setattr(tracker, "track", lambda *a, track=track: order.append("track") or track(*a))
    rows = session.__class__.__module__ + ".predicted_rows"
    monkeypatch.setattr(rows, lambda *a: order.append("rows") or {})
    session.step(picture(1))
    assert order == ["track", "track", "rows", "rows"]


def test_a_group_on_a_device_that_is_not_there_is_refused(make):
    session = make(device=["cpu", "cpu"]).open(VIDEO)
    session.step(picture(0), FIRST)
    data = session.snapshot().replace(b'"home": 1', b'"home": 5')
    with pytest.raises(EngineError, match="a group on device 5 of 2"):
        make(device=["cpu", "cpu"]).open(VIDEO, data)
