"""Masks <-> polygons. Outlines run along the edges of pixels, so that filling them gives back the mask, to the pixel.

A polygon is float64 (K, 2), pixels, not closed; (0, 0) is the upper left corner of the first pixel, (0.5, 0.5) its
middle, as in COCO. What is set lies to the right of every outline: parts go round clockwise on the screen, holes
counter-clockwise, so that the even-odd rule, the non-zero rule and sums of signed areas all agree.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import foreign
from maskferry.data import Mask
from maskferry.errors import InputError
from maskferry.masks._regions import box_xyxy
from maskferry.rle import Rle

__all__ = ["MOST_POINTS", "Part", "Polygon", "join", "parts_of", "rasterize"]

Polygon = NDArray[np.float64]
"""(K, 2), (x, y) in pixels, not closed."""

MOST_POINTS = 1_000_000
"""Points of one polygon; more cannot be meant."""

_LONGEST = 10_000_000  # fifths of a pixel along one polygon
_FARTHEST = 2**40  # pixels from the corner of the picture
_PIECE = 500_000  # of them are walked at a time


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One connected part of a mask; pixels that touch only at a corner are not connected.

    Attributes:
        outer: its outline, clockwise on the screen.
        holes: outlines of what it leaves out, counter-clockwise.

    Every outline starts at its first corner in reading order and passes no corner twice: a hole that touches the
    outside, or another hole, at a corner has one of its own. Together they are a valid polygon as OGC defines it.
    """

    outer: Polygon
    holes: tuple[Polygon, ...] = ()


@foreign("masks.parts_of")
def parts_of(mask: Mask) -> list[Part]:
    """Trace a mask, bool (H, W): its connected parts from top to bottom, with their holes.

    >>> mask = np.zeros((4, 5), dtype=bool); mask[1:3, 1:4] = True
    >>> [part.outer.tolist() for part in parts_of(mask)]
    [[[1.0, 1.0], [4.0, 1.0], [4.0, 3.0], [1.0, 3.0]]]
    """
    box = box_xyxy(mask)
    if box is None:
        return []
    x1, y1, x2, y2 = box
    crop = np.ascontiguousarray(mask[y1:y2, x1:x2])
    part_of = np.asarray(cv2.connectedComponents(crop.view(np.uint8), connectivity=4)[1])
    outers: dict[int, Polygon] = {}
    holes: dict[int, list[Polygon]] = {}
    for ring in _trace(crop):
        (x, y), (_, then) = ring[:2].tolist()
        points = ring.astype(np.float64) + np.array((x1, y1))
        if then == y:  # to the right: the part lies below
            outers[int(part_of[y, x])] = points
        else:  # down, along a hole: the part lies above
            holes.setdefault(int(part_of[y - 1, x]), []).append(points)
    return [Part(outer, tuple(holes.get(key, ()))) for key, outer in outers.items()]


@foreign("masks.join")
def join(rings: Sequence[Polygon]) -> Polygon:
    """Make one polygon of several outlines (parts, holes), for formats that hold no more than one.

    They are strung together by lines of no width, there and back. Filled by the even-odd rule (COCO's tools, OpenCV) or
    by the non-zero rule (browsers, Qt), the result is what all of them are together, to the pixel; for the latter,
    parts and holes must turn as those of `parts_of` do.
    """
    if len(rings) == 1:
        return rings[0]
    way_back = [ring[:1] for ring in rings[-2::-1]]
    return np.concatenate([np.concatenate((ring, ring[:1])) for ring in rings] + way_back)


@foreign("masks.rasterize")
def rasterize(polygon_xy: Polygon, size_hw: tuple[int, int]) -> Rle:
    """Fill a polygon just as pycocotools does (``rleFrPoly`` in ``common/maskApi.c``).

    Args:
        polygon_xy: float (K, 2), pixels, not closed; the middle of the first pixel is (0.5, 0.5).
        size_hw: of the mask; what is outside is cut off.

    Raises:
        InputError: more points than `MOST_POINTS`, or an outline so long that it cannot be meant.
    """
    height, width = size_hw
    if len(polygon_xy) > MOST_POINTS:
        raise InputError(f"a polygon of {len(polygon_xy)} points: expected {MOST_POINTS} at most")
    if not (np.abs(polygon_xy) < _FARTHEST).all():
        raise InputError("a polygon with points that are not finite, or far outside of any picture")
    scale = 5
    corners = (scale * polygon_xy + 0.5).astype(np.int64)
    crossings = [_crossings(x, y, scale, size_hw) for x, y in _walk(corners)]
    edges = np.sort(np.concatenate(crossings or [np.zeros(0, dtype=np.int64)]))
    positions, times = np.unique(edges, return_counts=True)
    positions = positions[(times % 2 == 1) & (positions < height * width)]  # two crossings at one place undo each other
    return Rle.from_runs(np.diff(positions, prepend=0, append=height * width), size_hw)


def _crossings(x: NDArray[np.int64], y: NDArray[np.int64], scale: int, size_hw: tuple[int, int]) -> NDArray[np.int64]:
    """Where a stretch of an outline crosses the middles of columns, as pixels in the order of columns."""
    height, width = size_hw
    step = np.flatnonzero(x[1:] != x[:-1])
    column = (np.minimum(x[step], x[step + 1]) + 0.5) / scale - 0.5
    row = np.ceil(np.clip((np.minimum(y[step], y[step + 1]) + 0.5) / scale - 0.5, 0, height))
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    places: NDArray[np.int64] = column[kept].astype(np.int64) * height + row[kept].astype(np.int64)
    return places


def _walk(corners: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every grid point along the closed polygon, x and y, piece by piece; each begins where the one before ended."""
    start, stop = corners, np.roll(corners, -1, axis=0)
    far = np.cumsum(np.abs(stop - start).max(axis=1) + 1)
    if far.size and int(far[-1]) > _LONGEST + far.size:
        raise InputError(f"a polygon with an outline of {int(far[-1]) // 5} pixels: that cannot be meant")
    cuts = np.flatnonzero(np.diff(far // _PIECE, prepend=0)) + 1
    before: tuple[NDArray[np.int64], NDArray[np.int64]] = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for a, b in itertools.pairwise([0, *cuts.tolist(), len(corners)]):
        if a == b:
            continue
        x, y = _walk_edges(start[a:b], stop[a:b])
        yield np.append(before[0], x), np.append(before[1], y)
        before = x[-1:], y[-1:]


def _walk_edges(start: NDArray[np.int64], stop: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every grid point along some edges, x and y."""
    delta = np.abs(stop - start)
    flat = delta[:, 0] >= delta[:, 1]  # x is the axis that is stepped along
    flip = np.where(flat, start[:, 0] > stop[:, 0], start[:, 1] > stop[:, 1])
    low, high = np.where(flip[:, None], stop, start), np.where(flip[:, None], start, stop)
    steps = delta.max(axis=1)
    along = np.where(flat, high[:, 0] - low[:, 0], high[:, 1] - low[:, 1])
    rise = np.where(flat, high[:, 1] - low[:, 1], high[:, 0] - low[:, 0])
    slope = np.divide(rise, along, out=np.zeros(len(along)), where=along != 0)
    lengths = steps + 1
    edge = np.repeat(np.arange(len(start)), lengths)
    t = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    t = np.where(flip[edge], steps[edge] - t, t)
    main, across = np.where(flat, low[:, 0], low[:, 1])[edge] + t, np.where(flat, low[:, 1], low[:, 0])[edge]
    side = (across + slope[edge] * t + 0.5).astype(np.int64)
    return np.where(flat[edge], main, side), np.where(flat[edge], side, main)


def _trace(mask: Mask) -> list[NDArray[np.int64]]:
    """The outlines of a mask along the edges of its pixels, each once around, starting at its first corner in reading
    order, with what is set on the right."""
    corners = _corners(mask)
    x, y, second = corners.T
    sideways = _partners(np.lexsort((second >> 1, x, y)))
    up_down = _partners(np.lexsort((second & 1, y, x)))
    below = np.pad(mask, ((0, 1), (0, 1)))[y, x].tolist()
    rings, unseen = [], np.ones(len(corners), dtype=np.bool_).tolist()
    for first in np.lexsort((x, y)).tolist():
        if not unseen[first]:
            continue
        ring, at = [], first
        while unseen[at]:
            other = sideways[at]
            ring += [at, other]
            unseen[at] = unseen[other] = False
            at = up_down[other]
        places = corners[ring, :2] if below[first] else corners[[first, *ring[:0:-1]], :2]
        rings += _split(places)
    return rings


def _split(ring: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """An outline as outlines that pass no corner twice."""
    corners = [(x, y) for x, y in ring.tolist()]
    if len(corners) < 8 or len(set(corners)) == len(corners):
        return [ring]
    rings, path, place = [], list[tuple[int, int]](), dict[tuple[int, int], int]()
    for corner in corners:
        if corner in place:  # since then, once around
            start = place[corner]
            rings.append(path[start:])
            for passed in path[start:]:
                del place[passed]
            del path[start:]
        place[corner] = len(path)
        path.append(corner)
    return [np.array(_from_first(loop)) for loop in (path, *rings)]


def _from_first(loop: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """A closed line, starting at its first corner in reading order."""
    start = min(range(len(loop)), key=lambda i: loop[i][::-1])
    return loop[start:] + loop[:start]


def _corners(mask: Mask) -> NDArray[np.int64]:
    """Where outlines turn: (x, y, order) of each corner; where two pixels touch at a corner, it is there twice.

    Bit 1 of ``order`` puts such a pair in order along its row, bit 0 along its column, so that each of them belongs to
    one of the two pixels.
    """
    m = np.pad(mask, 1)
    a, b, c, d = m[:-1, :-1], m[:-1, 1:], m[1:, :-1], m[1:, 1:]
    single = a ^ b ^ c ^ d
    double = (a == d) & (b == c) & (a != b)
    ys, xs = np.nonzero(single)
    plain = np.stack((xs, ys, np.zeros_like(xs)), axis=1)
    ys, xs = np.nonzero(double)
    falling = a[ys, xs]  # upper left and lower right are set
    left = np.stack((xs, ys, np.where(falling, 0b00, 0b01)), axis=1)
    right = np.stack((xs, ys, np.where(falling, 0b11, 0b10)), axis=1)
    return np.concatenate((plain, left, right)).astype(np.int64)


def _partners(order: NDArray[np.intp]) -> list[int]:
    """The other end of each corner's edge: along a row or column, corners pair up, the first with the second, ..."""
    partner = np.empty_like(order)
    partner[order[0::2]], partner[order[1::2]] = order[1::2], order[0::2]
    found: list[int] = partner.tolist()
    return found
