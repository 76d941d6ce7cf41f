"""Masks measured many at once, against the same masks one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskferry import Rle
from maskferry.errors import InputError
from maskferry.masks import _rle_batch
from maskferry.masks._regions import centroid_of_rle_xy
from maskferry.masks._rle_batch import boxes_of_rles, measure_rles

SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@st.composite
def masks_of_one_size(draw):
    size_hw = draw(SIZES)
    total = size_hw[0] * size_hw[1]
    bits = st.lists(st.integers(0, (1 << total) - 1) | st.sampled_from([0, (1 << total) - 1]), max_size=8)
    flat = [[number >> k & 1 for k in range(total)] for number in draw(bits)]
    return size_hw, [Rle.encode(np.array(row, dtype=bool).reshape(size_hw)) for row in flat]


def check_equal(size_hw, rles):
    counts = [rle.counts for rle in rles]
    areas, centroids = measure_rles(counts, size_hw)
    boxes = boxes_of_rles(counts, size_hw)
    assert areas.tolist() == [rle.area for rle in rles]
    for found, rle in zip(centroids.tolist(), rles, strict=True):
        assert (tuple(found) if found[0] == found[0] else None) == centroid_of_rle_xy(rle)
    assert [tuple(box) if any(box) else None for box in boxes.tolist()] == [rle.box_xyxy for rle in rles]


@given(masks_of_one_size())
def test_small_masks_of_any_shape(found):
    check_equal(*found)


@given(masks_of_one_size())
@settings(max_examples=20)
def test_pieces_of_any_length_give_the_same(found):
    before, _rle_batch.BYTES_AT_ONCE = _rle_batch.BYTES_AT_ONCE, 7
    try:
        check_equal(*found)
    finally:
        _rle_batch.BYTES_AT_ONCE = before


@given(SIZES, st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=5))
def test_runs_of_other_programs_with_empty_ones(size_hw, parts):
    total = size_hw[0] * size_hw[1]
    rles = []
    for part in parts:
        runs = [min(run, max(0, total - sum(part[:k]))) for k, run in enumerate(part)]
        rles.append(Rle.from_runs(np.array([*runs, total - sum(runs)], dtype=np.int64), size_hw))
    check_equal(size_hw, rles)


@pytest.mark.parametrize("size_hw", [(720, 1280), (2160, 3840), (10000, 13000)])
def test_large_frames(size_hw):
    rng = np.random.default_rng(2)
    rles = [Rle.empty(size_hw), Rle.from_runs(np.array([0, size_hw[0] * size_hw[1]]), size_hw)]
    for _ in range(20):
        crop = rng.random((60, 70)) < rng.random()
        corner = int(rng.integers(0, size_hw[1] - 70)), int(rng.integers(0, size_hw[0] - 60))
        rles.append(Rle.encode_crop(crop, corner, size_hw))
    check_equal(size_hw, rles)


def test_no_masks_at_all():
    areas, centroids = measure_rles([], (3, 4))
    assert (areas.shape, centroids.shape, boxes_of_rles([], (3, 4)).shape) == ((0,), (0, 2), (0, 4))


DAMAGED = [b"\x7f", b"0 1", b"P", b"12P", b"PPPPPPPPPPPPPPPPPPPP0", b"ooooooooooo0", b"\xff", b"\x00"]
STRANGE = [b"", b"0", b"1", b"99", b"9O3", b"00000", b"O9"]
"""Counts that `Rle` reads, though they do not fill a frame."""


@given(st.lists(st.sampled_from(DAMAGED + STRANGE) | st.binary(max_size=6), min_size=1, max_size=4))
def test_damaged_counts_raise_what_one_of_them_raises_alone(counts):
    good = Rle.encode(np.eye(4, dtype=bool)).counts
    counts = [good, *counts, good]
    errors = []
    for text in counts:
        try:
            Rle((4, 4), text).area  # noqa: B018
        except InputError as err:
            errors.append(str(err))
    if errors:
        for measure in (measure_rles, boxes_of_rles):
            with pytest.raises(InputError) as raised:
                measure(counts, (4, 4))
            assert str(raised.value) == errors[0]
    else:
        assert measure_rles(counts, (4, 4))[0].tolist() == [Rle((4, 4), text).area for text in counts]
