"""The values that cross module boundaries: what they refuse, and what they give back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maskferry.data import Frame, FrameInfo, FrameMasks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.rle import Rle

MASK = np.eye(3, 4, dtype=bool)


def row(object_id, mask=MASK, score=0.5):
    return ObjectMask(object_id, Rle.encode(mask), score, State.TRACKED)


def test_rows_are_found_by_id():
    masks = FrameMasks(5, (3, 4), (row(2), row(7, ~MASK, 0.25)))
    assert masks.object_ids == (2, 7)
    assert [r.object_id for r in masks] == [2, 7]
    assert len(masks) == 2
    assert 7 in masks
    assert 1 not in masks
    assert masks[7].score == 0.25
    assert np.array_equal(masks.mask(7), ~MASK)
    with pytest.raises(KeyError):
        masks[1]


@pytest.mark.parametrize("ids", [(2, 1), (3, 3)])
def test_ids_ascend_each_once(ids):
    with pytest.raises(InputError, match=r"frame 9: object ids must ascend, each once, got \(\d, \d\)"):
        FrameMasks(9, (3, 4), tuple(row(i) for i in ids))


def test_arrays():
    masks = FrameMasks(0, (3, 4), (row(1), row(2, ~MASK, 1.0)))
    assert masks.stack().dtype == np.bool_
    assert np.array_equal(masks.stack(), np.stack([MASK, ~MASK]))
    assert masks.scores.dtype == np.float32
    assert masks.scores.tolist() == [0.5, 1.0]


def test_a_frame_without_objects_has_a_shape():
    masks = FrameMasks(0, (3, 4))
    assert masks.stack().shape == (0, 3, 4)
    assert masks.scores.shape == (0,)
    assert not len(masks)


def test_values_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        row(1).score = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        FrameMasks(0, (3, 4)).frame = 1


def test_sizes_and_indices():
    assert VideoInfo(width=640, height=480).size_hw == (480, 640)
    frame = Frame(FrameInfo(4, 0.16, "000004"), np.zeros((3, 4, 3), dtype=np.uint8))
    assert frame.index == 4


def test_states_are_written_as_words():
    assert [str(s) for s in State] == ["given", "tracked", "occluded", "lost", "returned"]
    assert State("lost") is State.LOST
