"""Outlines of masks: exact both ways, holes and parts included, and refused where they are absurd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as reference

from format_samples import SIZE_HW, disk
from maskferry.errors import InputError
from maskferry.formats._coco import read_segmentation
from maskferry.masks._polygons import MOST_POINTS, join, parts_of, rasterize

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda s: arrays(np.bool_, s))
ring = disk((15, 12), 9) & ~disk((15, 12), 5) | disk((15, 12), 2) | disk((30, 4), 2)


@given(masks)
@settings(max_examples=300)
def test_filling_the_outlines_gives_back_the_mask(mask):
    parts = parts_of(mask)
    outlines = [r for part in parts for r in (part.outer, *part.holes)]
    assert bool(outlines) == mask.any()
    if outlines:
        np.testing.assert_array_equal(rasterize(join(outlines), mask.shape).decode(), mask)
    together = np.zeros_like(mask)
    for part in parts:
        alone = rasterize(join([part.outer, *part.holes]), mask.shape).decode()
        assert not (together & alone).any()
        together |= alone
    np.testing.assert_array_equal(together, mask)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_reference_fills_them_alike():
    outline = join([r for part in parts_of(ring) for r in (part.outer, *part.holes)])
    rles = reference.frPyObjects([outline.ravel().tolist()], *SIZE_HW)
    np.testing.assert_array_equal(reference.decode(rles)[:, :, 0].astype(bool), ring)


def test_parts_and_holes_are_told_apart():
    parts = parts_of(ring)
    assert [len(part.holes) for part in parts] == [0, 1, 0]
    touching = np.eye(3, dtype=bool)
    assert len(parts_of(touching)) == 3
    assert parts_of(np.zeros((4, 4), bool)) == []


def test_absurd_polygons_are_refused():
    with pytest.raises(InputError, match="points"):
        rasterize(np.zeros((MOST_POINTS + 1, 2)), SIZE_HW)
    zigzag = [v for i in range(60_000) for v in (0 if i % 2 else 60, i % 24)]
    with pytest.raises(InputError, match=r"t\.json: a\[3\]\[0\]: .*outline"):
        read_segmentation([zigzag], SIZE_HW, "t.json: a[3]")
    with pytest.raises(InputError, match=r"t\.json: a\[3\]: expected 10000 polygons"):
        read_segmentation([[1, 1, 5, 1, 5, 5]] * 10_001, SIZE_HW, "t.json: a[3]")
