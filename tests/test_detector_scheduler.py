"""When the detector runs, what its runs change, and that a resumed run decides as one that was never stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest

from maskferry.association import AssociationOptions
from maskferry.association._associator import Associator
from maskferry.association._scheduler import DetectorScheduler
from maskferry.association._types import FrameContext
from maskferry.data import Frame, FrameInfo, FrameMasks, ObjectMask, State
from maskferry.detections import Detections
from maskferry.rle import Rle

SIZE = HEIGHT, WIDTH = 40, 60
NEVER = 10**6

SAVED_BEFORE = (  # what the first version wrote into tracks files
    '{"job": 2, "at": 17, "turn": 1, "view": [[2, 3], "ADJklsj6"], "lost": [101], "first": [100, 102], "memory": '
    '{"100": ["AACAPwAAAAA=", true, 2, 0, null], "101": ["AAAAAAAAgD8=", true, 1, 0, 15], '
    '"102": ["mpkZP83MTD8=", false, 0, 1, null]}}'
)


def block(x, y, size=10):
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + size, x : x + size] = True
    return mask


HERE, THERE = block(5, 5), block(40, 20)


def frame(index, background=90):
    image = np.full((*SIZE, 3), background, dtype=np.uint8)
    image[HERE], image[THERE] = (220, 30, 30), (30, 30, 220)
    return Frame(FrameInfo(index, None, str(index)), image)


def tracked(index, state=State.TRACKED, **masks):
    """What an engine says: masks by "i" and id; None for a lost one."""
    rows = []
    for name, mask in masks.items():
        rle = Rle.empty(SIZE) if mask is None else Rle.encode(mask)
        rows.append(ObjectMask(int(name[1:]), rle, 0.9, State.LOST if mask is None else state))
    return FrameMasks(index, SIZE, tuple(rows))


def context(masks, is_last=False):
    return FrameContext(masks, (), lambda object_id, before: (before - 1, Rle.encode(HERE)), {1, 2}, is_last)


def make(found=lambda index: (), **options):
    """A scheduler in a pass, whose detector finds ``found(frame index)``, and the list of its runs."""
    runs = []

    def detect(frame, session):
        runs.append(frame.index)
        return Detections(list(found(frame.index)))

    scheduler = DetectorScheduler(detect, Associator(AssociationOptions(**options)))
    scheduler.begin_pass(0)
    return scheduler, runs


def go(scheduler, frames, *, masks=lambda index: tracked(index, i1=HERE), last=NEVER):
    """Show frames to a scheduler and run the detector where it is due: what the runs changed."""
    updates = []
    for index in frames:
        scheduler.observe(frame(index), masks(index))
        if scheduler.is_due(frame(index), is_last=index == last):
            updates.append((index, scheduler.update(frame(index), context(masks(index), index == last))))
    return updates


# --- when it is due -------------------------------------------------------------------------------------------------


def test_the_first_frame_and_every_nth():
    scheduler, runs = make(every=4)
    go(scheduler, range(10))
    assert runs == [0, 4, 8]


def test_with_a_stride_the_first_frame_of_each_interval():
    scheduler, runs = make(every=4)
    go(scheduler, range(1, 20, 3))
    assert runs == [1, 4, 10, 13, 16]


@pytest.mark.parametrize(("on_loss", "expected"), [(True, [0, 5]), (False, [0])])
def test_where_an_object_has_just_been_lost(on_loss, expected):
    scheduler, runs = make(every=NEVER, on_loss=on_loss)
    go(scheduler, range(9), masks=lambda t: tracked(t, i1=HERE if t < 5 else None))
    assert runs == expected


def test_not_where_a_tentative_object_is_lost():
    scheduler, runs = make(every=NEVER)
    scheduler.begin_with([1])
    go(scheduler, range(9), masks=lambda t: tracked(t, i1=HERE if t < 5 else None))
    assert runs == [0]


@pytest.mark.parametrize(("new_area", "due"), [(0.3, True), (None, False), (1.0, False)])
def test_where_much_of_the_picture_is_new(new_area, due):
    scheduler, _ = make(every=NEVER, new_area=new_area)
    go(scheduler, [0])
    after_cut = frame(1, background=200)
    scheduler.observe(after_cut, tracked(1, i1=HERE))
    assert scheduler.is_due(after_cut, is_last=False) is due


def test_on_the_last_frame_while_an_object_is_tentative():
    for found, expected in (((HERE, THERE), [0, 5]), ((HERE,), [0])):
        scheduler, runs = make(lambda index, found=found: found, every=NEVER)
        go(scheduler, range(6), last=5)
        assert runs == expected


# --- what its runs change -------------------------------------------------------------------------------------------


def test_low_scores_and_empty_masks_are_left_out():
    scheduler = DetectorScheduler(
        lambda frame, session: Detections(
            [HERE, THERE, np.zeros(SIZE, bool), block(0, 0)], [0.4, None, 0.9, 0.5], list("abcd")
        ),
        Associator(AssociationOptions(min_score=0.5)),
    )
    assert [label for _, label in scheduler.beginnings(frame(0), [])] == ["b", "d"]


def test_objects_that_the_detector_began_with_go_unless_a_detection_confirms_them():
    scheduler, _ = make(lambda index: [THERE] if index else [HERE, THERE], every=4)
    scheduler.begin_with([1, 2])
    given = {"i1": HERE, "i2": THERE}
    masks = lambda t: tracked(t, State.TRACKED if t else State.GIVEN, **given)  # noqa: E731
    updates = dict(go(scheduler, range(5), masks=masks))
    assert updates[0].removed == ()
    assert scheduler.associator.tentative == [1]
    assert scheduler.end_pass({1, 2}) == [1]


def test_objects_of_the_caller_are_confirmed_from_the_start():
    scheduler, _ = make(every=4)
    go(scheduler, range(5))
    assert scheduler.associator.tentative == []
    assert scheduler.end_pass({1}) == []


# --- suspend and resume ---------------------------------------------------------------------------------------------


def scene(index):
    """Object 1 is lost on frame 7, and found again in a wrong place on frame 9."""
    return tracked(index, i1=HERE if index < 7 else None if index < 9 else THERE)


def found(index):
    return [HERE] if index < 7 else [block(6, 5), block(25, 28, 8)]


def summary(updates):
    return [
        (index, [(p.object_id, p.mask.tobytes()) for p in update.prompts], update.removed, dict(update.lost_since))
        for index, update in updates
    ]


@pytest.mark.parametrize("stop", range(1, 20))
def test_a_resumed_run_decides_the_same(stop):
    options = {"every": 5, "patience": 0, "confirm": 2}
    whole, whole_runs = make(found, **options)
    expected = summary(go(whole, range(20), masks=scene, last=19))
    assert len(expected) > 4

    first, first_runs = make(found, **options)
    updates = go(first, range(stop), masks=scene, last=19)
    second, second_runs = make(found, **options)
    second.restore(first.save())
    second.begin_pass(0)
    assert second.last_frame == stop - 1
    updates += go(second, range(stop, 20), masks=scene, last=19)
    assert summary(updates) == expected
    assert first_runs + second_runs == whole_runs
    assert second.save() == whole.save()


def test_begin_is_a_no_op_for_the_pass_that_was_stopped_only():
    scheduler, _ = make(every=5)
    go(scheduler, range(8), masks=scene)
    before = scheduler.save()
    scheduler.begin_pass(0)
    assert scheduler.save() == before

    scheduler.begin_pass(1)
    state = json.loads(scheduler.save())
    assert (state["job"], state["at"], state["turn"], state["view"]) == (1, -1, None, None)
    assert state["lost"] == []
    assert list(state["memory"]) == ["1"]  # objects are still known
    assert scheduler.is_due(frame(0), is_last=False)


def test_what_earlier_versions_saved_is_read_and_written_alike():
    scheduler, _ = make(every=10, new_area=None)
    scheduler.restore(SAVED_BEFORE)
    assert scheduler.job == 2
    assert scheduler.last_frame == 17
    assert scheduler.associator.tentative == [102]
    assert json.loads(scheduler.save()) == json.loads(SAVED_BEFORE)
    scheduler.begin_pass(2)
    assert [scheduler.is_due(frame(index), is_last=False) for index in (18, 19, 20)] == [False, False, True]


def test_a_scheduler_that_never_ran_is_saved_too():
    saved = DetectorScheduler(lambda frame: Detections([])).save()
    scheduler, _ = make()
    scheduler.restore(saved)
    assert json.loads(scheduler.save()) == json.loads(saved)
    assert scheduler.job is None


def test_the_state_of_an_associator_is_plain_json():
    scheduler, _ = make(lambda index: (HERE, THERE), every=2)
    go(scheduler, range(4))
    state = scheduler.associator.state()
    assert json.loads(json.dumps(state)) == state
    other = Associator()
    other.restore(state)
    assert other.state() == state
    assert other.tentative == scheduler.associator.tentative
