"""Which objects a pass has to find: spans that begin and end, suspended objects, resuming."""

from __future__ import annotations

from maskferry.data import FrameMasks, ObjectMask, State
from maskferry.rle import Rle
from maskferry.run._active_objects import ActiveObjects
from maskferry.tracks._jobs import FrameRange, Job, Span

SIZE_HW = (4, 6)
FORWARD = Job(False, FrameRange(0, 20), (Span(1, 0, 5), Span(2, 3, None), Span(1, 5, None)))
BACKWARD = Job(True, FrameRange(0, 20), (Span(1, 9, 4), Span(2, 6, None)))


def test_spans_begin_on_their_seed_and_end_before_the_next_one():
    active = ActiveObjects(FORWARD, [])
    seen = {}
    for frame in range(8):
        active.enter(frame)
        seen[frame] = dict(active.spans)
    assert list(seen[2]) == [1]
    assert set(seen[4]) == {1, 2}
    assert seen[4][1] == Span(1, 0, 5)
    assert seen[5][1] == Span(1, 5, None)


def test_a_backward_pass_ends_after_the_earlier_seed():
    active = ActiveObjects(BACKWARD, [])
    seen = {}
    for frame in range(9, 1, -1):
        active.enter(frame)
        seen[frame] = set(active.spans)
    assert seen[9] == {1}
    assert seen[5] == {1, 2}
    assert seen[4] == {2}


def test_entering_returns_the_spans_that_begin():
    active = ActiveObjects(FORWARD, [])
    assert active.enter(0) == [Span(1, 0, 5)]
    assert active.enter(1) == []
    assert active.enter(3) == [Span(2, 3, None)]


def test_a_resumed_pass_knows_what_a_whole_one_knows():
    whole = ActiveObjects(FORWARD, [])
    for frame in range(5):
        whole.enter(frame)
    resumed = ActiveObjects(FORWARD, range(5))
    assert resumed.spans == whole.spans
    assert resumed.followed == whole.followed


def test_a_suspended_object_is_not_followed_but_keeps_a_row():
    active = ActiveObjects(FORWARD, range(4), suspended=[1])
    assert active.followed == {2}
    row = ObjectMask(2, Rle.empty(SIZE_HW), 0.5, State.TRACKED)
    masks = active.with_suspended(FrameMasks(4, SIZE_HW, (row,)))
    assert masks.object_ids == (1, 2)
    assert masks[1] == ObjectMask(1, Rle.empty(SIZE_HW), 0.0, State.LOST)
    assert masks[2] is row


def test_a_row_that_the_session_gave_of_a_suspended_object_is_replaced():
    active = ActiveObjects(FORWARD, range(4), suspended=[1])
    stale = ObjectMask(1, Rle.empty(SIZE_HW), 0.9, State.TRACKED)
    masks = active.with_suspended(FrameMasks(4, SIZE_HW, (stale,)))
    assert masks[1].state is State.LOST


def test_a_new_span_ends_the_suspension():
    active = ActiveObjects(FORWARD, range(4), suspended=[1, 2])
    active.begin([Span(1, 4, None)])
    assert active.followed == {1}
    assert active.enter(5) == [Span(1, 5, None)]
    assert active.followed == {1}


def test_passing_by_a_finished_frame_keeps_what_was_suspended_since():
    active = ActiveObjects(FORWARD, [], suspended=[1])
    active.pass_by(0)
    assert active.followed == set()


def test_without_suspended_objects_masks_are_returned_as_they_are():
    active = ActiveObjects(FORWARD, range(4))
    masks = FrameMasks(4, SIZE_HW)
    assert active.with_suspended(masks) is masks
