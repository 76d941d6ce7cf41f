"""Edits of tracks: ids change, pixels don't; prompts follow; everything can be undone."""

from __future__ import annotations

import numpy as np
import pytest

from helpers import contents, square_mask
from maskferry import MaskTracker, State, Tracks
from maskferry.errors import InputError, UnknownObjectError
from maskferry.tracks import editing
from maskferry.tracks._journal import Journal

COUNT, HEIGHT, WIDTH = 30, 24, 32


def block(x, y=4, size=6):
    return square_mask((HEIGHT, WIDTH), x, y, size)


@pytest.fixture
def tracker():
    video = np.zeros((COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with MaskTracker(video, engine="hold") as tracker:
        tracker.add_mask_prompt(block(0), 1, label="car")
        tracker.add_mask_prompt(block(10), 2, 5)
        tracker.propagate()
        yield tracker


def nothing_left_to_do(tracker):
    seen = []
    tracker.propagate(callback=seen.append)
    return not seen


def test_rename_and_undo(tracker):
    tracks = tracker.tracks
    editing.rename(tracks, 2, "bus")
    assert tracks.labels == {1: "car", 2: "bus"}
    assert editing.undo(tracks) == "rename 2"
    assert tracks.labels == {1: "car"}
    assert editing.undo(tracks) is None


def test_swap_from_a_frame_on(tracker):
    tracks = tracker.tracks
    before = contents(tracks)
    editing.swap(tracks, 1, 2, 12)
    assert np.array_equal(tracks[11].stack(), np.stack([block(0), block(10)]))
    assert np.array_equal(tracks[12].stack(), np.stack([block(10), block(0)]))
    assert nothing_left_to_do(tracker)
    assert np.array_equal(tracks[29].stack(), np.stack([block(10), block(0)]))
    assert editing.undo(tracks) == "swap 1 and 2 from 12"
    assert contents(tracks) == before
    assert nothing_left_to_do(tracker)


def test_a_correction_after_a_swap_stays_on_its_side(tracker):
    tracks = tracker.tracks
    editing.swap(tracks, 1, 2, 12)
    tracker.add_mask_prompt(block(20), 1, 20)
    tracker.propagate()
    assert np.array_equal(tracks[25].mask(1), block(20))
    assert np.array_equal(tracks[11].mask(1), block(0))
    assert np.array_equal(tracks[25].mask(2), block(0))


def test_split_makes_a_new_object(tracker):
    tracks = tracker.tracks
    before = contents(tracks)
    fresh = editing.split(tracks, 1, 10)
    assert fresh == 100
    assert tracks.labels == {1: "car", 100: "car"}
    assert tracks[9].object_ids == (1, 2)
    assert tracks[10].object_ids == (2, 100)
    assert nothing_left_to_do(tracker)
    assert tracks[29].object_ids == (2, 100)
    editing.undo(tracks)
    assert contents(tracks) == before
    assert tracks.object_ids == (1, 2)


def test_merge_keeps_the_masks_of_the_first(tracker):
    tracks = tracker.tracks
    fresh = editing.split(tracks, 1, 10)
    after_split = contents(tracks)
    editing.merge(tracks, 1, fresh)
    assert tracks.object_ids == (1, 2)
    assert all(np.array_equal(tracks[i].mask(1), block(0)) for i in range(COUNT))
    assert nothing_left_to_do(tracker)
    editing.merge(tracks, 1, 2)
    assert all(np.array_equal(tracks[i].stack(), [block(0)]) for i in range(COUNT))
    editing.undo(tracks)
    editing.undo(tracks)
    assert contents(tracks) == after_split


def test_merge_fills_what_was_lost(tracker):
    tracks = tracker.tracks
    Journal(tracks).frames.mark_lost(1, 10, COUNT)
    editing.merge(tracks, 1, 2)
    assert tracks[9][1].state is not State.LOST
    assert np.array_equal(tracks[15].mask(1), block(10))


def test_remove_and_undo(tracker, tmp_path):
    tracks = tracker.tracks
    before = contents(tracks)
    editing.remove(tracks, 1)
    assert tracks.object_ids == (2,)
    assert all(row.object_id == 2 for f in tracks.frames() for row in f.masks)
    editing.undo(tracks)
    assert contents(tracks) == before
    assert nothing_left_to_do(tracker)


def test_edits_outlive_the_process(tmp_path):
    video = np.zeros((COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
    with MaskTracker(video, engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_masks_prompt([block(0), block(10)], [1, 2])
        before = contents(tracker.propagate())
        editing.swap(tracker.tracks, 1, 2, 12)
    with Tracks.open(tmp_path / "t.sqlite") as tracks:
        assert contents(tracks) != before
        assert editing.undo(tracks) == "swap 1 and 2 from 12"
        assert contents(tracks) == before


def test_bad_edits_change_nothing(tracker):
    tracks = tracker.tracks
    before = contents(tracks)
    for edit in (
        lambda: editing.rename(tracks, 9, "x"),
        lambda: editing.remove(tracks, 9),
        lambda: editing.merge(tracks, 1, 9),
        lambda: editing.split(tracks, 9, 3),
        lambda: editing.swap(tracks, 9, 1, 3),
    ):
        with pytest.raises(UnknownObjectError, match="id 9"):
            edit()
    for edit in (
        lambda: editing.merge(tracks, 1, 1),
        lambda: editing.swap(tracks, 2, 2, 3),
        lambda: editing.split(tracks, 1, 99),
        lambda: editing.swap(tracks, 1, 2, 99),
    ):
        with pytest.raises(InputError):
            edit()
    assert contents(tracks) == before
    assert editing.undo(tracks) is None
