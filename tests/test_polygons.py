"""Outlines of masks: exact both ways, holes and parts included, and refused where they are absurd."""

from __future__ import annotations

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
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


def outlines_of(mask) -> list[np.ndarray]:
    return [r for part in parts_of(mask) for r in (part.outer, *part.holes)]


@given(masks)
@settings(max_examples=300)
def test_filling_the_outlines_gives_back_the_mask(mask):
    parts = parts_of(mask)
    outlines = outlines_of(mask)
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
    outline = join(outlines_of(ring))
    rles = reference.frPyObjects([outline.ravel().tolist()], *SIZE_HW)
    np.testing.assert_array_equal(reference.decode(rles)[:, :, 0].astype(bool), ring)


def test_parts_and_holes_are_told_apart():
    parts = parts_of(ring)
    assert [len(part.holes) for part in parts] == [0, 1, 0]
    touching = np.eye(3, dtype=bool)
    assert len(parts_of(touching)) == 3
    assert parts_of(np.zeros((4, 4), bool)) == []


def signed_area(polygon) -> float:
    """Above 0 where it goes round clockwise on the screen."""
    x, y = polygon.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def windings(polygon, size_hw) -> np.ndarray:
    """How many times a polygon goes round the middle of each pixel, int (H, W), by rays to the left."""
    count = np.zeros(size_hw, dtype=int)
    y, x = np.mgrid[: size_hw[0], : size_hw[1]] + 0.5
    for start, stop in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        (x1, y1), (x2, y2) = sorted((start, stop), key=lambda corner: corner[1])  # alike there and back
        if y1 != y2:
            left = x1 + (y - y1) * (x2 - x1) / (y2 - y1) < x
            count += np.where(left & (y1 <= y) & (y < y2), 1 if stop[1] > start[1] else -1, 0)
    return np.abs(count)


def check_rings(mask) -> None:
    """What every program may rely on, whatever rule it fills by."""
    parts = parts_of(mask)
    outlines = outlines_of(mask)
    for part in parts:
        assert signed_area(part.outer) > 0
        assert all(signed_area(hole) < 0 for hole in part.holes)
    for outline in outlines:
        corners = [tuple(c) for c in outline.tolist()]
        assert len(set(corners)) == len(corners)
        assert corners[0] == min(corners, key=lambda c: c[::-1])
        assert ((outline != np.roll(outline, -1, axis=0)).sum(axis=1) == 1).all()  # along the edges of pixels
    if not outlines:
        return
    joined = join(outlines)
    assert signed_area(joined) == sum(map(signed_area, outlines)) == mask.sum()
    np.testing.assert_array_equal(windings(joined, mask.shape), mask)  # once around, or not at all: any rule will do
    large = np.zeros([8 * side for side in mask.shape], dtype=np.uint8)
    cv2.fillPoly(large, [(8 * outline).astype(np.int32) for outline in outlines], 1)
    np.testing.assert_array_equal(large[4::8, 4::8], mask)
    for part in parts:
        check_with_pillow(part, mask.shape)


def check_with_pillow(part, size_hw) -> None:
    """Pillow fills outlines one by one: holes are drawn over what is around them."""
    image = PIL.Image.new("L", (8 * size_hw[1], 8 * size_hw[0]))
    draw = PIL.ImageDraw.Draw(image)
    for outline, value in ((part.outer, 1), *((hole, 0) for hole in part.holes)):
        draw.polygon([(8 * x, 8 * y) for x, y in outline.tolist()], fill=value)
    filled = rasterize(join([part.outer, *part.holes]), size_hw).decode()
    np.testing.assert_array_equal(np.asarray(image)[4::8, 4::8], filled)


@given(masks)
@settings(max_examples=200)
def test_every_rule_fills_them_alike(mask):
    check_rings(mask)


def picture(*rows: str) -> np.ndarray:
    """A mask, drawn with X."""
    return np.array([[c == "X" for c in row] for row in rows])


@pytest.mark.parametrize(
    ("mask", "holes"),
    [
        pytest.param(ring, [0, 1, 0], id="island in a hole"),
        pytest.param(picture("XXXXX", "X.X.X", "XXXXX"), [2], id="two holes of a pixel"),
        pytest.param(picture("XXXX", "X.XX", "XX.X", "XXXX"), [2], id="holes that touch at a corner"),
        pytest.param(picture("XXX", "X.X", "XX."), [1], id="a hole that touches the outside"),
        pytest.param(picture("XXX.", "X.X.", "XX.X"), [1, 0], id="a hole, the outside and another part at a corner"),
        pytest.param(picture("XXXXX", "X...X", "X.X.X", "X..XX", "XXXXX"), [1, 0], id="an island at the hole's corner"),
        pytest.param(picture(".XX.", "X..X", "X..X", ".XX."), [0, 0, 0, 0], id="a ring of touching parts"),
        pytest.param(~picture("...", ".X.", "..."), [1], id="a frame along the border"),
    ],
)
def test_holes_turn_the_other_way(mask, holes):
    assert [len(part.holes) for part in parts_of(mask)] == holes
    check_rings(mask)
    check_rings(np.pad(mask, 2))
    np.testing.assert_array_equal(rasterize(join(outlines_of(mask)), mask.shape).decode(), mask)


def test_absurd_polygons_are_refused():
    with pytest.raises(InputError, match="points"):
        rasterize(np.zeros((MOST_POINTS + 1, 2)), SIZE_HW)
    zigzag = [v for i in range(60_000) for v in (0 if i % 2 else 60, i % 24)]
    with pytest.raises(InputError, match=r"t\.json: a\[3\]\[0\]: .*outline"):
        read_segmentation([zigzag], SIZE_HW, "t.json: a[3]")
    with pytest.raises(InputError, match=r"t\.json: a\[3\]: expected 10000 polygons"):
        read_segmentation([[1, 1, 5, 1, 5, 5]] * 10_001, SIZE_HW, "t.json: a[3]")
