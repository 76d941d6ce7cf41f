"""What an editor with a screen needs of edits: conflicts noticed, masks given without a video, prices with pins."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import contents, square_mask
from maskferry import MaskTracker, Rle, Tracks
from maskferry.data import FrameInfo
from maskferry.errors import InputError, OutdatedError
from maskferry.tracks import FrameRange, editing

COUNT, HEIGHT, WIDTH = 40, 24, 32
VIDEO = np.zeros((COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)


def block(x, size=6):
    return square_mask((HEIGHT, WIDTH), x, 4, size)


def rle(x):
    return Rle.encode(block(x))


def steps(tracker):
    seen = []
    tracker.propagate(callback=seen.append)
    return len(seen)


@pytest.fixture
def tracker(tmp_path):
    """Two objects, tracked over all frames, given on the first, in a file."""
    with MaskTracker(VIDEO, engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])
        tracker.propagate()
        yield tracker


# --- conflicts ------------------------------------------------------------------------------------------------------


def test_what_somebody_else_edited_is_not_overwritten(tracker):
    tracks = tracker.tracks
    seen = tracks.revision
    with Tracks.open(tracks.path) as other:
        editing.rename(other, 1, "car")
    before = contents(tracks)
    with pytest.raises(OutdatedError, match="object 1 changed since") as caught, editing.based_on(tracks, seen, [1, 2]):
        editing.swap(tracks, 1, 2, 10)
    assert (caught.value.objects, caught.value.revision) == ((1,), tracks.revision)
    assert contents(tracks) == before
    with editing.based_on(tracks, seen, [2]):  # another object
        editing.rename(tracks, 2, "bus")
    with editing.based_on(tracks, caught.value.revision, [1]):  # looked at again
        editing.rename(tracks, 1, "tram")
    assert tracks.labels == {1: "tram", 2: "bus"}


def test_undo_is_refused_after_any_edit_of_others(tracker):
    tracks = tracker.tracks
    seen = tracks.revision
    editing.rename(tracks, 1, "car")
    with pytest.raises(OutdatedError), editing.based_on(tracks, seen):
        editing.undo(tracks)
    assert tracks.labels == {1: "car"}
    with editing.based_on(tracks, tracks.revision):
        editing.undo(tracks)
    assert tracks.labels == {}


def test_what_a_run_tracks_is_a_conflict_on_the_named_mask_alone(tracker):
    tracks = tracker.tracks
    editing.give(tracks, 1, 20, rle(20))
    seen = tracks.revision
    tracker.propagate()
    with editing.based_on(tracks, seen, [1], [(1, 20)]):  # given masks are not tracked
        editing.rename(tracks, 1, "car")
    with pytest.raises(OutdatedError), editing.based_on(tracks, seen, [2], [(1, 30)]):
        editing.rename(tracks, 2, "bus")


def test_a_revision_of_another_file_is_refused(tracker):
    with (
        pytest.raises(OutdatedError),
        editing.based_on(tracker.tracks, tracker.tracks.revision + 1, [1]),
    ):
        editing.rename(tracker.tracks, 1, "car")


def test_a_block_that_fails_leaves_nothing(tracker):
    tracks = tracker.tracks
    before = tracks.revision, tracks.labels
    with pytest.raises(InputError), editing.based_on(tracks, tracks.revision, [1]):
        editing.rename(tracks, 1, "car")
        editing.pin(tracks, 1, 0)
    assert (tracks.revision, tracks.labels) == before


# --- masks ----------------------------------------------------------------------------------------------------------


def test_a_mask_is_given_as_the_tracker_gives_it(tracker, tmp_path):
    with MaskTracker(VIDEO, engine="hold", tracks=tmp_path / "other.sqlite") as other:
        other.add_masks_prompt([block(0), block(10)], [1, 2])
        other.propagate()
        other.add_mask_prompt(block(20), 1, 20)
        other.add_mask_prompt(block(5), None, 30, label="new")
        other.propagate()
        wanted = contents(other.tracks)
    tracks = tracker.tracks
    assert editing.give(tracks, 1, 20, rle(20)) == 1
    assert editing.give(tracks, None, 30, rle(5), label="new") == 100
    assert tracks.labels == {100: "new"}
    tracker.propagate()
    assert contents(tracks) == wanted
    editing.undo(tracks)
    editing.undo(tracks)
    assert all(np.array_equal(tracks[i].stack(), [block(0), block(10)]) for i in range(COUNT))


def test_several_masks_are_one_edit(tracker):
    tracks = tracker.tracks
    before = contents(tracks)
    editing.give_all(tracks, 20, {1: rle(20), 7: rle(5)}, labels={7: "new"})
    assert tracks.object_ids == (1, 2, 7)
    with pytest.raises(InputError):
        editing.give_all(tracks, 21, {1: rle(20), 2: Rle.empty((HEIGHT, WIDTH))})
    editing.undo(tracks)
    assert contents(tracks) == before


def test_the_first_mask_of_all():
    with MaskTracker(VIDEO, engine="hold") as tracker:
        with pytest.raises(InputError, match="no run has come to frame 3"):
            editing.give(tracker.tracks, None, 3, rle(0))
        editing.give(tracker.tracks, None, 3, rle(0), info=tracker.source.frame_info(3))
        tracker.propagate()
        assert len(tracker.tracks) == COUNT


@pytest.mark.parametrize(
    ("mask", "frame", "object_id", "options"),
    [
        (Rle.empty((HEIGHT, WIDTH)), 3, 1, {}),
        (Rle.encode(np.ones((5, 5), bool)), 3, 1, {}),
        (Rle((HEIGHT, WIDTH), b"01"), 3, 1, {}),
        (Rle.encode(block(0)), COUNT, 1, {}),
        (Rle.encode(block(0)), 3, 0, {}),
        (Rle.encode(block(0)), 3, 1, {"label": 5}),
        (Rle.encode(block(0)), 3, 1, {"info": FrameInfo(4, None, "4")}),
    ],
)
def test_masks_that_cannot_be_given(tracker, mask, frame, object_id, options):
    before = tracker.tracks.revision
    with pytest.raises(InputError):
        editing.give(tracker.tracks, object_id, frame, mask, **options)
    assert tracker.tracks.revision == before


# --- what there is, and what it costs -------------------------------------------------------------------------------


def test_what_objects_are_prompted_with(tracker):
    tracks = tracker.tracks
    editing.pin(tracks, 1, 12)
    editing.absent(tracks, 2, 5, 8)
    assert editing.prompts(tracks) == {1: ([0], [12], []), 2: ([0], [8], [(5, 8)])}
    editing.remove(tracks, 2)
    assert set(editing.prompts(tracks)) == {1}


def test_how_to_go_on_with_a_run():
    with MaskTracker(VIDEO, engine="hold") as tracker:
        assert editing.last_run(tracker.tracks) == ("both", FrameRange(0, COUNT, 1), None)
        tracker.add_mask_prompt(block(0), 1)
        tracker.propagate(direction="forward", stop=30, stride=2)
        assert editing.last_run(tracker.tracks) == ("forward", FrameRange(0, 30, 2), "hold")


@pytest.mark.parametrize("pins", [[], [10], [30], [10, 30]])
def test_a_preview_with_pins_is_what_the_run_does(tracker, pins):
    tracks = tracker.tracks
    wanted = [(1, frame) for frame in pins]
    before = tracks.revision
    shown = editing.preview(tracks, [(1, 20)], wanted)
    assert tracks.revision == before
    for object_id, frame in wanted:
        editing.pin(tracks, object_id, frame)
    editing.give(tracks, 1, 20, rle(20))
    assert steps(tracker) == shown.steps
    assert editing.preview(tracks, [], [(2, 9)]).steps == 0
    with pytest.raises(InputError, match="has no mask on frame"):
        editing.preview(tracks, [(3, 20)], [(3, 10)])


def test_how_far_a_stopped_run_has_come(tracker):
    editing.give(tracker.tracks, 1, 20, rle(20))
    whole = editing.preview(tracker.tracks)
    seen = []
    tracker.propagate(callback=seen.append, cancelled=lambda: len(seen) >= 5)
    shown = editing.preview(tracker.tracks)
    assert (whole.done, shown.done) == (0, 5)
    assert shown.steps + shown.done == whole.steps
    assert steps(tracker) == shown.steps


def test_what_would_be_done_again(tracker):
    tracks = tracker.tracks
    assert editing.next_redo(tracks) is None
    editing.rename(tracks, 1, "car")
    editing.undo(tracks)
    assert editing.next_redo(tracks) == "rename 1"
