"""The engine sam3.1 as a caller sees it: the contract, prompts, isolation, snapshots, bounds, several devices."""

from __future__ import annotations

import logging
from contextlib import contextmanager

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

import multiplex_models
from maskferry import MaskTracker
from maskferry.data import BoxPrompt, Frame, FrameInfo, MaskPrompt, PointPrompt, State, VideoInfo
from maskferry.engines._sam import SessionHooks
from maskferry.engines._sam.multiplex import snapshot
from maskferry.engines.registry import load_engine
from maskferry.errors import EngineError, InputError
from maskferry.testing import EngineContract
from sam_scene import HEIGHT, WIDTH, given, picture

VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=80)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return multiplex_models.save(tmp_path_factory.mktemp("sam31") / "sam3.1_multiplex.safetensors")


@pytest.fixture(scope="module")
def engine(checkpoint):
    return multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu")


@pytest.fixture(scope="module")
def shared(checkpoint):
    """Without isolation."""
    return multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu", isolate=False)


@pytest.fixture(scope="module")
def half(checkpoint):
    return multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu", precision="bfloat16")


class TestIsolated(EngineContract):
    @pytest.fixture
    def engine(self, engine):
        return multiplex_models.twin(engine)


class TestShared(EngineContract):
    @pytest.fixture
    def engine(self, shared):
        return multiplex_models.twin(shared)


class TestHalfPrecision(EngineContract):
    @pytest.fixture
    def engine(self, half):
        return multiplex_models.twin(half)


class TestTwoDevices(EngineContract):
    @pytest.fixture
    def engine(self, checkpoint):
        return multiplex_models.TinyEngine(checkpoint=checkpoint, device=["cpu", "cpu"])


def click(index: int, object_id: int) -> PointPrompt:
    return PointPrompt(index, object_id, np.array([[20.0, 20.0], [70.0, 30.0]]), np.array([1, 0]))


def walk(session, frames=range(9), prompts=None, change=lambda session, index: None) -> list:
    rows = []
    for i in frames:
        rows.append(session.step(picture(i), (prompts or {}).get(i, ())))
        change(session, i)
    return rows


def told(rows, object_ids) -> list:
    """What is said of some objects, to the byte."""
    return [
        [(row.object_id, row.rle, row.state, row.score) for row in masks if row.object_id in object_ids]
        for masks in rows
    ]


# --- isolation ----------------------------------------------------------------------------------------------------

FIRST = {0: given(0, *range(1, 21))}
"""Twenty objects: a full bucket, and one with four."""


@pytest.fixture(scope="module")
def quiet(engine):
    return walk(engine.open(VIDEO), prompts=FIRST)


def _drop(*object_ids):
    def change(session, index):
        if index == 3:
            for i in object_ids:
                session.drop(i)

    return change


@pytest.mark.parametrize(
    ("prompts", "change", "touched"),
    [
        ({4: given(4, 2)}, None, {2}),
        ({4: [click(4, 2)]}, None, {2}),
        ({4: given(4, 1, 18), 6: given(6, 1, 2)}, None, {1, 2, 18}),
        ({4: given(4, 30), 5: given(5, 31, 32)}, None, {30, 31, 32}),
        ({4: [click(4, 30), BoxPrompt(4, 31, (60, 20, 90, 50))]}, None, {30, 31}),
        ({}, _drop(2), {2}),
        ({}, _drop(17, 18, 19, 20), {17, 18, 19, 20}),
        ({5: given(5, 2)}, _drop(2), {2}),
        ({4: given(4, 2, 40), 6: [click(6, 3), *given(6, 2, 40)]}, _drop(5), {2, 3, 5, 40}),
    ],
    ids=["mask", "points", "twice", "add", "add points", "drop", "drop a bucket", "drop and add", "all"],
)
def test_nothing_that_is_said_of_others_changes_a_byte(engine, quiet, prompts, change, touched):
    rows = walk(engine.open(VIDEO), prompts=FIRST | prompts, change=change or (lambda session, index: None))
    others = set(range(1, 21)) - touched
    assert told(rows, others) == told(quiet, others)
    assert told(rows[7:], touched) != told(quiet[7:], touched)


def test_masks_that_come_after_the_step_change_no_other(engine, quiet):
    def reprompt(session, index):
        if index == 4:
            session.reprompt(picture(index), given(index, 2, 50))
        if index == 6:
            session.reprompt(picture(index), given(index, 2, 3, 50))

    rows = walk(engine.open(VIDEO), prompts=FIRST, change=reprompt)
    others = set(range(1, 21)) - {2, 3}
    assert told(rows, others) == told(quiet, others)
    assert told(rows[5:], {2}) != told(quiet[5:], {2})
    assert rows[5].object_ids == (*range(1, 21), 50)


def test_a_mask_after_the_step_is_as_one_with_the_frame(engine):
    """For an object of its own bucket, and for a new one; to the byte."""
    with_frame, after = engine.open(VIDEO), engine.open(VIDEO)
    for i in range(6):
        prompts = given(i, 1) if i == 0 else given(i, 1, 2) if i == 3 else []
        one = with_frame.step(picture(i), prompts)
        two = after.step(picture(i), prompts if i == 0 else [])
        if i == 3:
            after.reprompt(picture(i), prompts)
        else:
            assert one == two


def test_masks_after_the_step_belong_to_the_frame_that_was_stepped(engine):
    session = engine.open(VIDEO)
    with pytest.raises(InputError, match="stepped last, which is none"):
        session.reprompt(picture(0), given(0, 1))
    session.step(picture(0), given(0, 1))
    with pytest.raises(InputError, match=r"frame 1: .* stepped last, which is 0"):
        session.reprompt(picture(1), given(1, 1))


def test_without_isolation_mates_notice(shared, quiet):
    assert told(walk(shared.open(VIDEO), prompts=FIRST), set(range(1, 21))) == told(quiet, set(range(1, 21)))
    for prompts, change in (({4: given(4, 2)}, lambda *_: None), ({4: given(4, 30)}, lambda *_: None), ({}, _drop(2))):
        rows = walk(shared.open(VIDEO), prompts=FIRST | prompts, change=change)
        assert told(rows[6:], {1}) != told(quiet[6:], {1})


def test_alone_in_their_buckets_objects_do_not_depend_on_others(checkpoint):
    """But for rounding, which in float64 changes no mask."""
    engine = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu", capacity=1, precision="float64")
    together = walk(engine.open(VIDEO), range(5), {0: given(0, 1, 2, 3)})
    for i in (1, 2, 3):
        alone = walk(engine.open(VIDEO), range(5), {0: given(0, i)})
        assert [row.rle for masks in together for row in masks if row.object_id == i] == [m[i].rle for m in alone]


def test_how_many_buckets_there_are(engine, shared):
    def buckets(session) -> list[int]:
        return [len(group.buckets) for group in session._bank.groups]

    session = engine.open(VIDEO)
    session.step(picture(0), FIRST[0])
    assert buckets(session) == [2]
    session.step(picture(1), given(1, 1, 2, 18))  # of two buckets: a twin of both
    assert buckets(session) == [2, 2]
    session.step(picture(2), given(2, 60))
    assert buckets(session) == [2, 2, 1]
    session.step(picture(3), given(3, 60))  # nobody is with it
    assert buckets(session) == [2, 2, 1]
    session.step(picture(4), given(4, 1, 2, 18))  # all that are reported of the twin
    assert buckets(session) == [2, 2, 1]
    for i in (1, 2, 18):
        session.drop(i)
    assert buckets(session) == [2, 1]
    session = shared.open(VIDEO)
    session.step(picture(0), FIRST[0])
    for i in range(12):  # the free slots of the second bucket
        session.step(picture(1 + i), given(1 + i, 30 + i))
    assert buckets(session) == [2]
    session.step(picture(13), given(13, 50))
    assert buckets(session) == [2, 1]
    session.drop(30)
    session.step(picture(14), given(14, 30))  # its old slot is not used again
    assert buckets(session) == [2, 1]
    assert session._bank.places()[30].group is session._bank.groups[1]


# --- prompts and rows ---------------------------------------------------------------------------------------------


def test_a_faithful_mask_is_not_complained_about_and_a_thin_one_is(engine, caplog):
    session = engine.open(VIDEO)
    with caplog.at_level(logging.WARNING):
        rows = session.step(picture(0), given(0, 1))
        assert 0.95 < rows[1].fidelity <= 1
        assert rows[1].fidelity == session.fidelity[1]
        assert session.step(picture(1))[1].fidelity is None
        assert not caplog.records
    large = VideoInfo(1920, 1080)
    session = engine.open(large)
    mask = np.zeros(large.size_hw, dtype=np.bool_)
    mask[500:503, 900:903] = True
    blank = Frame(FrameInfo(0, None, "0"), np.zeros((*large.size_hw, 3), np.uint8))
    with caplog.at_level(logging.WARNING):
        rows = session.step(blank, [MaskPrompt(0, 5, mask)])
    assert np.array_equal(rows.mask(5), mask)
    assert 0 < rows[5].fidelity < 0.8
    assert "object 5: of the given mask the model sees a version with IoU" in caplog.text


def test_points_and_boxes_begin_and_correct(engine):
    session = engine.open(VIDEO)
    first = session.step(picture(0), [click(0, 1), BoxPrompt(0, 2, (60, 20, 90, 50))])
    assert first.object_ids == (1, 2)
    assert all(row.state is not State.GIVEN for row in first)
    assert first[1].rle != first[2].rle
    plain, corrected = (walk(engine.open(VIDEO), prompts={0: [click(0, 1)]} | p) for p in ({}, {4: [click(4, 1)]}))
    assert plain[3] == corrected[3]
    assert plain[4] != corrected[4]
    assert plain[8] != corrected[8]


def test_states(engine, checkpoint, tmp_path):
    unseen = multiplex_models.save(tmp_path / "m.pt", multiplex_models.weights(in_sight=-30))
    blind = multiplex_models.TinyEngine(checkpoint=unseen, device="cpu").open(VIDEO)
    blind.step(picture(0), given(0, 1))
    row = blind.step(picture(1))[1]
    assert (row.state, row.score, row.rle.area) == (State.LOST, 0.0, 0)
    session = engine.open(VIDEO)
    session.step(picture(0), given(0, 1))
    session._bank.objects[1].lost = True
    assert session.step(picture(1))[1].state is State.RETURNED


def test_bad_input_is_refused_and_the_session_goes_on(engine):
    session = engine.open(VIDEO)
    mask = given(0, 1)[0].mask
    for frame, prompts, message in (
        (Frame(FrameInfo(0, None, "0"), np.zeros((10, 10, 3), np.uint8)), [], "expected RGB uint8"),
        (picture(0), [MaskPrompt(0, 1, np.zeros_like(mask))], "not empty"),
        (picture(0), [MaskPrompt(0, 1, mask), BoxPrompt(0, 1, (1, 1, 5, 5))], "not both"),
    ):
        with pytest.raises(InputError, match=message):
            session.step(frame, prompts)
    assert session.step(picture(0), [MaskPrompt(0, 1, mask)]).object_ids == (1,)


def test_hooks_time_the_stages_and_change_masks_but_not_memories(engine):
    entered = []

    @contextmanager
    def timer(stage):
        entered.append(stage)
        yield

    hooked = multiplex_models.twin(engine)
    hooked.hooks = SessionHooks(timer=timer, change_logits=lambda logits: torch.ones_like(logits))
    plain, session = engine.open(VIDEO), hooked.open(VIDEO)
    for i in range(3):
        prompts = given(0, 1) if not i else []
        rows, plain_rows = session.step(picture(i), prompts), plain.step(picture(i), prompts)
    assert rows.mask(1).all()
    assert not plain_rows.mask(1).all()
    assert rows.scores == plain_rows.scores
    assert entered == ["encode", "track", "prompts", "masks"] * 3


# --- passes -------------------------------------------------------------------------------------------------------


def test_looking_ahead_changes_nothing(engine, quiet):
    session = engine.open(VIDEO)
    session.look_ahead([picture(i) for i in range(3)])
    assert session.ahead == 1
    assert walk(session, range(4), FIRST) == quiet[:4]


def test_batches_give_the_same_as_one_batch(checkpoint, quiet):
    """But for rounding."""
    small = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu", max_batch=16)
    rows = walk(small.open(VIDEO), prompts=FIRST)
    areas = [[row.rle.area for masks in run for row in masks] for run in (rows, quiet)]
    assert np.allclose(*areas, atol=3)


def test_memory_does_not_grow_with_the_video(engine):
    """Not with frames, and not with corrections."""
    session = engine.open(VideoInfo(WIDTH, HEIGHT))
    sizes = []
    for i in range(70):
        session.step(picture(i % 10), given(i, 1) if i % 3 == 0 and i else given(0, 1, 2) if not i else [])
        sizes.append(len(session.snapshot()))
    assert max(sizes[50:]) <= max(sizes[20:50]) + 64  # a step has one digit more
    kept, twin = session._bank.groups
    assert (len(kept.prompted), len(kept.recent)) == (1, 15)
    assert sum(entry.memory is not None for entry in kept.recent.values()) == 6
    entries = [*twin.prompted.values(), *twin.recent.values()]
    assert sum(entry.keys is not None for entry in entries) <= 10
    assert all((entry.keys is None) == (entry.memory is None) == (entry.top is None) for entry in entries)


EVENTS = {0: given(0, 1, 2, 3), 2: [click(2, 9)], 4: given(4, 2, 5), 8: given(8, 9)}


def _changes(session, index):
    if index == 3:
        session.drop(3)
    if index == 6:
        session.reprompt(picture(index), given(index, 1, 6))


@pytest.mark.parametrize("kind", ["engine", "shared"])
def test_a_resumed_session_goes_on_to_the_byte(kind, request):
    engine = request.getfixturevalue(kind)
    whole, parts = engine.open(VIDEO), engine.open(VIDEO)
    for i in range(22):
        assert whole.step(picture(i), EVENTS.get(i, ())) == parts.step(picture(i), EVENTS.get(i, ()))
        for session in (whole, parts):
            _changes(session, i)
        if i in {3, 6, 20}:
            parts = engine.open(VIDEO, parts.snapshot())
    assert parts.snapshot() == whole.snapshot()
    assert any(slot.use.value == "ghost" for g in whole._bank.groups for b in g.buckets for slot in b.slots) == (
        kind == "engine"
    )


def test_a_snapshot_that_does_not_fit_is_refused(engine, shared, monkeypatch):
    session = engine.open(VIDEO)
    session.step(picture(0), given(0, 1))
    data = session.snapshot()
    for other, video, message in (
        (shared, VIDEO, "buckets 'isolate=True, capacity=16', this session 'isolate=False"),
        (engine, VideoInfo(WIDTH + 1, HEIGHT, frame_count=80), "size"),
    ):
        with pytest.raises(EngineError, match=message):
            other.open(video, data)
    for broken in (
        b"",
        b"rubbish",
        data[:-5],
        data.replace(b'"home": 0', b'"home": 7'),
        data.replace(b"live", b"gone"),
    ):
        with pytest.raises(EngineError, match="not a complete snapshot"):
            engine.open(VIDEO, broken)
    with pytest.raises(EngineError, match="objects and slots do not agree"):
        engine.open(VIDEO, data.replace(b'"id": 1', b'"id": 2'))
    monkeypatch.setattr(snapshot, "MAX_BYTES", 1000)
    assert session.snapshot() is None


def test_out_of_memory_halves_the_batch_and_says_at_last_what_can_be_done(checkpoint, monkeypatch, caplog):
    engine = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu")
    network = engine._models[0].network
    session, select_best = engine.open(VIDEO), network.select_best
    session.step(picture(0), FIRST[0])

    def small(found):
        if len(found.quality) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return select_best(found)

    monkeypatch.setattr(network, "select_best", small)
    limit = 1
    assert len(session.step(picture(1))) == 20
    assert "continuing with 1 buckets at a time" in caplog.text
    limit = 0
    with pytest.raises(EngineError, match="ran out of memory on frame 2, one bucket at a time"):
        session.step(picture(2))


def test_a_closed_engine_opens_nothing(checkpoint):
    engine = multiplex_models.TinyEngine(checkpoint=checkpoint, device="cpu")
    session = engine.open(VIDEO)
    session.step(picture(0), given(0, 1))
    for _ in range(2):
        session.close()
        engine.close()
    assert session._bank.groups == []
    with pytest.raises(EngineError, match="is closed"):
        engine.open(VIDEO)


def test_a_tracker_runs_both_ways_and_corrects(engine):
    video = np.stack([picture(i).image for i in range(8)])
    left, right = (p.mask for p in given(3, 1, 2))
    tracker = MaskTracker(video, engine=engine)
    tracker.add_masks_prompt([left, right], [1, 2], 3)
    tracker.propagate()
    before = [tracker.tracks[i] for i in range(8)]
    assert np.array_equal(before[3].mask(1), left)
    tracker.add_mask_prompt(right, obj_id=1, frame_idx=5)
    tracker.propagate()
    after = [tracker.tracks[i] for i in range(8)]
    assert np.array_equal(after[5].mask(1), right)
    assert [rows[2] for rows in after] == [rows[2] for rows in before]
    assert after[6:] != before[6:]
    tracker.close()


def test_the_name_loads_it(checkpoint, monkeypatch):
    monkeypatch.setattr("maskferry.engines._sam.MultiplexEngine.architecture", multiplex_models.TINY)
    engine = load_engine("sam3.1", checkpoint=checkpoint, device="cpu", isolate=False)
    assert (engine.name, engine._options.isolate) == ("sam3.1", False)
    engine.close()
