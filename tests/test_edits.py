"""Edits on finished and unfinished runs: they keep rows, cause no work, and are undone and done again to the byte."""

from __future__ import annotations

import numpy as np
import pytest

from any_prompt_engine import AnyPromptEngine
from helpers import contents, square_mask
from maskferry import MaskTracker, State, Tracks
from maskferry.errors import InputError, UnknownObjectError
from maskferry.tracks import FrameRange, Pending, editing
from maskferry.tracks._journal import Journal
from maskferry.tracks._spans import Prompted

COUNT, HEIGHT, WIDTH = 40, 24, 32
VIDEO = np.zeros((COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)


def block(x, y=4, size=6):
    return square_mask((HEIGHT, WIDTH), x, y, size)


def session(path=None, **options):
    return MaskTracker(VIDEO, engine="hold", tracks=path, **options)


@pytest.fixture
def tracker():
    """Two objects, tracked over all frames, given on the first."""
    with session() as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])
        tracker.propagate()
        yield tracker


def steps(tracker, **options):
    seen = []
    tracker.propagate(callback=seen.append, **options)
    return len(seen)


def stop_after(tracker, count, **options):
    seen = []
    tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) >= count, **options)


def everything(tracks):
    """All that an edit may change."""
    journal = Journal(tracks)
    prompts = {
        (frame, i): (journal.prompts.is_pin(frame, i), journal.prompts.get(frame, i).mask.tobytes())
        for i, own in journal.prompts.prompt_frames().items()
        for frame in own
    }
    return contents(tracks), tracks.labels, tracks.object_ids, prompts, journal.prompts.absences(), tracks.pending


EDITS = {
    "rename": lambda t: editing.rename(t, 1, "car"),
    "remove": lambda t: editing.remove(t, 2),
    "merge": lambda t: editing.merge(t, 1, 2),
    "split": lambda t: editing.split(t, 2, 8),
    "swap": lambda t: editing.swap(t, 1, 2, 8),
    "pin": lambda t: editing.pin(t, 1, 8),
    "absent": lambda t: editing.absent(t, 1, 8, 10),
}
IDS = {name: EDITS[name] for name in ("rename", "merge", "split", "swap", "pin")}


# --- no work --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("direction", ["both", "forward", "backward"])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_of_a_finished_run_causes_no_work(edit, direction, seed):
    with session() as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], seed)
        tracker.propagate(direction=direction)
        if direction == "backward" and edit not in ("rename", "remove", "merge"):
            return  # there is no mask behind the seed
        EDITS[edit](tracker.tracks)
        before = everything(tracker.tracks)
        assert tracker.tracks.pending == []
        assert steps(tracker, direction=direction) == 0
        assert everything(tracker.tracks) == before


def test_an_edit_takes_no_frames_for_tracked_that_were_not():
    with session() as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], 20)
        tracker.propagate(direction="forward")
        fresh = editing.split(tracker.tracks, 2, 30)
        assert steps(tracker, direction="forward") == 0
        assert steps(tracker, direction="both") == 21
        assert tracker.tracks[0].object_ids == (1, 2)
        assert tracker.tracks[35].object_ids == (1, fresh)


def test_an_edit_changes_ids_and_no_other_value(tracker):
    before = {frame: tracker.tracks[frame] for frame in tracker.tracks}
    editing.swap(tracker.tracks, 1, 2, 20)
    for frame, masks in before.items():
        now = tracker.tracks[frame]
        first, second = (1, 2) if frame < 20 else (2, 1)
        for i, other in ((1, first), (2, second)):
            assert (now[i].rle, now[i].score, now[i].state) == (
                masks[other].rle,
                masks[other].score,
                masks[other].state,
            )


# --- unfinished runs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [10, 25])
@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_run_goes_on_for_all_that_is_left(edit, seed, at, tmp_path):
    with session(tmp_path / "t.sqlite") as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], seed)
        stop_after(tracker, at)
        EDITS[edit](tracker.tracks)
        before = {frame: tracker.tracks[frame] for frame in tracker.tracks}
        assert tracker.tracks.pending
    with session(tmp_path / "t.sqlite", resume=True) as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], seed)  # the same script again
        tracks = tracker.propagate()
        assert tracks.finished
        assert len(tracks) == COUNT
        for frame, masks in before.items():
            for row in masks:
                assert tracks[frame][row.object_id] == row
        last = {"remove": (1,), "merge": (1,), "split": (1, 100)}.get(edit, (1, 2))
        if edit == "absent" and at == 10 and seed == 0:  # the run had not come behind the absence
            last = (2,)
        assert tracks[COUNT - 1].object_ids == last
        if edit == "swap":
            assert np.array_equal(tracks[COUNT - 1].stack(), [block(10), block(0)])
        if edit == "split":
            assert [tracks[f].object_ids for f in (seed, 7, 8, COUNT - 1)] == [(1, 2), (1, 2), (1, 100), (1, 100)]


@pytest.mark.parametrize("edit", IDS)
def test_an_edit_of_an_unfinished_run_is_undone_and_the_run_is_the_same(edit, tmp_path):
    with session() as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], 5)
        whole = contents(tracker.propagate())
    with session() as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2], 5)
        stop_after(tracker, 15)
        before = contents(tracker.tracks)
        EDITS[edit](tracker.tracks)
        stop_after(tracker, 8)
        assert editing.undo(tracker.tracks)
        assert set(map(repr, before)) <= set(map(repr, contents(tracker.tracks)))
        assert contents(tracker.propagate()) == whole


# --- undo and redo --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edit", EDITS)
def test_undo_and_redo_restore_every_row(edit, tracker):
    tracks = tracker.tracks
    before = everything(tracks)
    EDITS[edit](tracks)
    after = everything(tracks)
    assert after != before
    for _ in range(2):
        assert editing.undo(tracks)
        assert everything(tracks) == before
        assert editing.redo(tracks)
        assert everything(tracks) == after
    assert steps(tracker) == 0


def test_a_correction_is_an_edit_and_what_was_tracked_after_it_goes_with_it(tracker):
    tracks = tracker.tracks
    editing.rename(tracks, 1, "car")
    before = everything(tracks)
    tracker.add_mask_prompt(block(20), 1, 20)
    pending = everything(tracks)
    tracker.propagate()
    after = everything(tracks)
    assert editing.history(tracks) == ["rename 1", "correct 1 on frame 20"]
    assert editing.undo(tracks) == "correct 1 on frame 20"
    assert everything(tracks) == before != pending
    assert steps(tracker) == 0
    assert editing.redo(tracks) == "correct 1 on frame 20"
    assert everything(tracks) == after
    assert steps(tracker) == 0
    assert (editing.undo(tracks), editing.undo(tracks)) == ("correct 1 on frame 20", "rename 1")
    assert editing.undo(tracks) is None
    assert tracks.labels == {}


def test_corrections_of_two_objects_are_undone_one_by_one(tracker):
    tracks = tracker.tracks
    first = everything(tracks)
    tracker.add_mask_prompt(block(20), 1, 20)
    tracker.add_mask_prompt(block(3), 2, 30)
    tracker.propagate()
    editing.undo(tracks)
    assert np.array_equal(tracks[25].mask(1), block(20))
    assert np.array_equal(tracks[35].mask(2), block(10))
    assert steps(tracker) == 0
    editing.undo(tracks)
    assert everything(tracks) == first


def test_a_new_object_is_undone_with_all_that_was_tracked_of_it(tracker):
    tracks = tracker.tracks
    before = everything(tracks)
    fresh = tracker.add_mask_prompt(block(20), frame_idx=10, label="late")
    tracker.propagate()
    after = everything(tracks)
    assert tracker.undo() == f"add {fresh} on frame 10"
    assert everything(tracks) == before
    assert tracker.redo() == f"add {fresh} on frame 10"
    assert everything(tracks) == after
    tracker.undo()
    assert tracker.add_mask_prompt(block(3)) == fresh + 1  # ids are never given twice


def test_a_replaced_mask_comes_back(tracker):
    before = everything(tracker.tracks)
    tracker.add_mask_prompt(block(20), 1, 0, replace=True)
    tracker.propagate()
    assert np.array_equal(tracker.tracks[30].mask(1), block(20))
    tracker.undo()
    assert everything(tracker.tracks) == before


def test_a_prompt_is_taken_back(tracker):
    tracks = tracker.tracks
    before = contents(tracks)
    tracker.add_mask_prompt(block(20), 1, 20)
    tracker.propagate()
    tracker.remove_prompt(1, 20)
    assert tracks[20][1].state is State.TRACKED
    assert tracks.pending == [Pending(1, 0, COUNT)]
    tracker.propagate()
    assert contents(tracks) == before
    tracker.undo()
    assert np.array_equal(tracks[25].mask(1), block(20))
    assert steps(tracker) == 0
    with pytest.raises(InputError, match="no prompt on frame 3"):
        tracker.remove_prompt(1, 3)
    with pytest.raises(InputError, match="no other prompt than that on frame 0"):
        tracker.remove_prompt(2, 0)


def test_what_is_given_before_the_first_run_is_undone_until_it_begins():
    with session() as tracker:
        tracker.add_mask_prompt(block(0), 1)
        tracker.add_mask_prompt(block(10), 2)
        assert tracker.undo() == "add 2 on frame 0"
        assert tracker.tracks.object_ids == (1,)
        tracker.propagate()
        assert tracker.undo() is None


def test_undo_and_redo_across_processes(tmp_path):
    path = tmp_path / "t.sqlite"
    with session(path) as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])
        before = contents(tracker.propagate())
        tracker.add_mask_prompt(block(20), 1, 20)
        after = contents(tracker.propagate())
    with Tracks.open(path) as tracks:
        assert editing.undo(tracks)
        assert contents(tracks) == before
    with Tracks.open(path) as tracks:
        assert tracks.finished
        assert editing.redo(tracks)
        assert contents(tracks) == after


def test_a_new_edit_ends_what_can_be_done_again(tracker):
    editing.rename(tracker.tracks, 1, "car")
    editing.undo(tracker.tracks)
    editing.rename(tracker.tracks, 2, "bus")
    assert editing.redo(tracker.tracks) is None


def test_the_oldest_edits_are_forgotten(tracker, monkeypatch):
    monkeypatch.setattr("maskferry.tracks._edit_store.KEPT_EDITS", 3)
    for i in range(5):
        editing.rename(tracker.tracks, 1, f"car {i}")
    assert editing.history(tracker.tracks) == ["rename 1"] * 3
    assert [editing.undo(tracker.tracks) for _ in range(4)] == [*["rename 1"] * 3, None]
    assert tracker.tracks.labels == {1: "car 1"}


def test_reset_forgets_edits_too(tracker):
    editing.rename(tracker.tracks, 1, "car")
    tracker.reset()
    assert editing.undo(tracker.tracks) is None
    assert tracker.tracks.object_ids == ()


def test_ids_are_never_given_twice(tracker):
    tracks = tracker.tracks
    assert editing.split(tracks, 1, 10) == 100
    editing.undo(tracks)
    assert tracker.add_mask_prompt(block(20)) == 101


# --- pins, absences, preview ----------------------------------------------------------------------------------------


def test_a_pin_ends_what_a_correction_recomputes(tracker):
    tracks = tracker.tracks
    editing.pin(tracks, 1, 10)
    editing.pin(tracks, 1, 30)
    assert steps(tracker) == 0
    shown = editing.preview(tracks, [(1, 20)])
    tracker.add_mask_prompt(block(20), 1, 20)
    done = steps(tracker)
    assert (done, shown.steps) == (40, 40)
    assert {(s.start, s.stop) for s in shown.spans} == {(10, 20), (20, 30), (11, 21), (21, 31)}
    assert np.array_equal(tracks[10].mask(1), block(0))
    assert np.array_equal(tracks[20].mask(1), block(20))
    assert np.array_equal(tracks[30].mask(1), block(0))
    assert tracks[10][1].state is State.TRACKED
    with pytest.raises(InputError, match="has no pin on frame 20"):
        editing.unpin(tracks, 1, 20)
    before = contents(tracks)
    editing.unpin(tracks, 1, 30)
    assert contents(tracks) == before
    assert steps(tracker) == 0


@pytest.mark.parametrize("given", [[], [(1, 60)], [(1, 60), (2, 30)], [(7, 3)]])
def test_a_preview_writes_nothing_and_is_what_the_run_does(given):
    video = np.zeros((120, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])
        tracker.propagate()
        before = everything(tracker.tracks)
        shown = editing.preview(tracker.tracks, given)
        assert everything(tracker.tracks) == before
        for i, frame in given:
            tracker.add_mask_prompt(block(20), i, frame)
        assert steps(tracker) == shown.steps
        assert bool(shown.spans) == bool(given)


def test_a_preview_where_nothing_is_left_and_where_a_run_was_stopped(tracker):
    tracker.add_mask_prompt(block(20), 1, 20)
    tracker.propagate()
    assert editing.preview(tracker.tracks) == editing.Preview((), 0)
    with session() as stopped:
        stopped.add_masks_prompt([block(0), block(10)], [1, 2])
        stop_after(stopped, 10, stride=3)
        shown = editing.preview(stopped.tracks)
        assert {(span.start, span.stop) for span in shown.spans} == {(28, COUNT)}
        assert steps(stopped, stride=3) == shown.steps == 4


def test_an_object_that_is_not_there(tracker):
    tracks = tracker.tracks
    tracker.add_mask_prompt(block(20), 1, 30)
    tracker.propagate()
    editing.absent(tracks, 1, 10, 15)
    assert steps(tracker) == 0
    states = [row.state for _, row in tracks.timeline(1)]
    assert states[10:15] == [State.LOST] * 5
    assert states[15] is State.RETURNED
    assert all(not tracks[f].mask(1).any() for f in range(10, 15))
    tracker.add_mask_prompt(block(3), 1, 20)  # acts on its own side alone
    tracker.propagate()
    assert np.array_equal(tracks[9].mask(1), tracks[8].mask(1))
    assert np.array_equal(tracks[20].mask(1), block(3))
    assert [row.state for _, row in tracks.timeline(1)][10:15] == [State.LOST] * 5
    tracker.add_mask_prompt(block(5), 1, 12)  # it was there after all
    tracker.propagate()
    assert np.array_equal(tracks[12].mask(1), block(5))
    assert [row.state for _, row in tracks.timeline(1)][10:15].count(State.LOST) == 4


@pytest.mark.parametrize("start, stop", [(5, 5), (5, 4), (-1, 3), (0, COUNT + 1), (0, 3), (2.5, 4)])
def test_an_absence_that_cannot_be(start, stop, tracker):
    before = everything(tracker.tracks)
    with pytest.raises(InputError):
        editing.absent(tracker.tracks, 1, start, stop)
    assert everything(tracker.tracks) == before


# --- a run that is corrected, and stopped half-way ------------------------------------------------------------------


def test_what_is_not_recomputed_yet_is_said(tracker):
    assert tracker.tracks.pending == []
    tracker.add_mask_prompt(block(20), 1, 20)
    assert tracker.tracks.pending == [Pending(1, 0, COUNT)]
    assert not tracker.tracks.finished
    stop_after(tracker, 5)
    assert not tracker.tracks.finished
    tracker.propagate()
    assert tracker.tracks.pending == []


@pytest.mark.parametrize("given", [20, 31, 45, 60, 61, 100])
def test_a_mask_given_while_a_pass_runs_is_kept(given):
    video = np.zeros((120, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])

        def correct(progress):
            if (progress.frame == 30 and not tracker.tracks.get(given, ())) or progress.frame == 30:
                tracker.add_mask_prompt(block(20), 1, given, replace=True)

        tracks = tracker.propagate(callback=correct)
        assert tracks[given][1].state is State.GIVEN
        assert np.array_equal(tracks[given].mask(1), block(20))
        assert len(tracks) == 120
        assert tracks.pending
        tracker.propagate()
        assert np.array_equal(tracks[given].mask(1), block(20))
        assert np.array_equal(tracks[119].mask(1), block(20))
        assert np.array_equal(tracks[119].mask(2), block(10))
        assert tracks.finished


@pytest.mark.parametrize("edit", EDITS)
def test_edits_while_a_pass_runs(edit):
    with session() as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])

        def change(progress):
            if progress.frame == 20:
                EDITS[edit](tracker.tracks)

        tracker.propagate(callback=change)
        tracks = tracker.propagate()
        assert tracks.finished
        assert len(tracks) == COUNT
        assert {row.object_id for f in tracks.frames() for row in f.masks} == set(tracks.object_ids)
        if edit == "swap":
            assert np.array_equal(tracks[COUNT - 1].stack(), [block(10), block(0)])


# --- bad edits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: editing.pin(t, 1, 0),
        lambda t: editing.pin(t, 1, 99),
        lambda t: editing.unpin(t, 1, 0),
        lambda t: editing.unpin(t, 1, 3),
        lambda t: editing.rename(t, 1, 3),
        lambda t: editing.swap(t, 1, 2, "x"),
        lambda t: editing.split(t, 1, None),
        lambda t: editing.preview(t, [(1, 99)]),
    ],
)
def test_bad_edits_change_nothing(edit, tracker):
    before = everything(tracker.tracks)
    with pytest.raises(InputError):
        edit(tracker.tracks)
    assert everything(tracker.tracks) == before
    assert editing.history(tracker.tracks) == []


@pytest.mark.parametrize("name", ["pin", "unpin", "remove_prompt"])
def test_edits_of_unknown_objects(name, tracker):
    with pytest.raises(UnknownObjectError, match="id 9"):
        getattr(editing, name)(tracker.tracks, 9, 3)


def test_every_span_ends_at_an_absence():
    prompted, frames = Prompted({1: [5, 30]}, {1: [(10, 15)]}), FrameRange(0, COUNT)
    forward = {s.reach(frames, backward=False) for s in prompted.spans(1, frames, backward=False)}
    backward = {s.reach(frames, backward=True) for s in prompted.spans(1, frames, backward=True)}
    assert forward == {(5, 10), (30, COUNT)}
    assert backward == {(0, 6), (15, 31)}


def test_a_prompt_that_was_taken_back_can_be_given_again_after_the_run_was_resumed(tmp_path):
    path, engine = tmp_path / "tracks.sqlite", AnyPromptEngine()
    with MaskTracker(VIDEO, engine=engine, tracks=path) as tracker:
        for frame in (0, 20):
            tracker.add_point_prompts([[5, 5]], [1], 1, frame)
        tracker.propagate()
        tracker.remove_prompt(1, 20)
    for replace, seeds in ((False, [0]), (True, [0, 20])):  # a script gives again what it gave; a person gives anew
        with MaskTracker(VIDEO, engine=engine, tracks=path, resume=True) as tracker:
            tracker.add_point_prompts([[5, 5]], [1], 1, 20, replace=replace)
            assert editing.prompts(tracker.tracks)[1].seeds == seeds
