"""Many run-length masks measured at once: areas, centroids and boxes, as `Rle` and `centroid_of_rle_xy` give them.

For thousands of small masks the cost of one call each is most of the work. Here the strings of many masks are decoded
as one, a limited number of bytes at a time, so that what is worked on stays in the cache of the processor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskferry.rle import Rle

__all__ = ["boxes_of_rles", "measure_rles"]

Ints = NDArray[np.int64]

BYTES_AT_ONCE = 1 << 16
MOST_DIGITS = 8
"""Of a run: no mask is larger, and sums of such numbers fit into 64 bits."""

LAST_DIGIT = np.concatenate([np.arange(16), np.arange(-16, 0), np.zeros(32, np.int64)])
"""What a character stands for that ends a number: its highest bit is the sign."""


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """The runs of some masks, of which each has at least one.

    Attributes:
        starts: pixels in column-major order at which runs of the objects start, int64 (R,).
        stops: pixels at which they end, exclusive, int64 (R,).
        first: number of each mask's first run, int64 (N,).
        height: of the masks.
    """

    starts: Ints
    stops: Ints
    first: Ints
    height: int


def measure_rles(counts: Sequence[bytes], size_hw: tuple[int, int]) -> tuple[Ints, NDArray[np.float64]]:
    """Areas and centroids of N masks of one size.

    Args:
        counts: COCO's compressed run lengths of each, as in `Rle.counts`.
        size_hw: (height, width) of all.

    Returns:
        Areas in pixels, int64 (N,), and mean positions of the objects' pixels, float64 (N, 2), NaN where a mask is
        empty: exactly what `Rle.area` and `centroid_of_rle_xy` give of each.

    Raises:
        InputError: counts that `Rle` does not read either.
    """
    areas, centroids = np.zeros(len(counts), dtype=np.int64), np.full((len(counts), 2), np.nan)
    for rows, runs in _runs_of(counts, size_hw):
        areas[rows], centroids[rows] = _measure(runs)
    return areas, centroids


def boxes_of_rles(counts: Sequence[bytes], size_hw: tuple[int, int]) -> Ints:
    """Bounding boxes of N masks of one size; arguments and errors as of `measure_rles`.

    Returns:
        In pixels, x2 and y2 exclusive, int64 (N, 4): what `Rle.box_xyxy` gives of each; zeros where a mask is empty.
    """
    boxes = np.zeros((len(counts), 4), dtype=np.int64)
    for rows, runs in _runs_of(counts, size_hw):
        boxes[rows] = _boxes(runs)
    return boxes


def _runs_of(counts: Sequence[bytes], size_hw: tuple[int, int]) -> Iterator[tuple[Ints, _Runs]]:
    """Numbers of some masks and their runs, piece by piece."""
    for rows in _pieces(counts):
        part = [counts[i] for i in rows]
        try:
            yield rows, _decode(part, size_hw)
        except _OddError:
            yield rows, _decode_one_by_one(part, size_hw)


class _OddError(Exception):
    """Some counts are damaged, or do not fill their frame."""


def _pieces(counts: Sequence[bytes]) -> Iterator[Ints]:
    """Numbers of the counts, as many at a time as have some ten thousand bytes."""
    if counts:
        lengths = np.fromiter(map(len, counts), dtype=np.int64, count=len(counts))
        number = np.cumsum(lengths) // BYTES_AT_ONCE
        yield from np.split(np.arange(len(counts)), np.flatnonzero(np.diff(number)) + 1)


def _decode(counts: Sequence[bytes], size_hw: tuple[int, int]) -> _Runs:
    """Read the runs of counts.

    Background and object alternate, so that pairs of them are the rows of a table; a mask with an odd number of runs
    gets an empty one of its object at its end.
    """
    if not all(counts):
        raise _OddError
    values, number = _read_values(counts)
    pairs = (number + 1) // 2
    first = np.cumsum(pairs) - pairs
    shift = 2 * first - (np.cumsum(number) - number)
    table = np.zeros((int(pairs.sum()), 2), dtype=np.int64)
    table.ravel()[np.arange(values.size) + np.repeat(shift, number)] = values
    # From its third run on, a run is written as its difference to the run two before it; but the second background run
    # to nothing: the first one is not part of the sum.
    lead = table[first, 0]
    table[first, 0] = 0
    sums = np.cumsum(table, axis=0)
    sums -= np.repeat(sums[first] - table[first], pairs, axis=0)
    sums[first, 0] = lead
    last = first + pairs - 1
    sums[last[number % 2 == 1], 1] = 0
    stops = np.cumsum(sums[:, 0] + sums[:, 1])
    before = np.concatenate(([0], stops[last[:-1]]))
    totals = stops[last] - before
    if sums.min() < 0 or (totals != size_hw[0] * size_hw[1]).any():
        raise _OddError
    stops -= np.repeat(before, pairs)
    return _Runs(stops - sums[:, 1], stops, first, size_hw[0])


def _read_values(counts: Sequence[bytes]) -> tuple[Ints, Ints]:
    """The numbers that all strings hold, one after the other, and how many each string holds."""
    code = np.frombuffer(b"".join(counts), dtype=np.uint8) - np.uint8(48)
    if code.max() > 63:
        raise _OddError
    stop = np.cumsum(np.fromiter(map(len, counts), dtype=np.int64, count=len(counts)))
    is_end = code < 32
    if not is_end[stop - 1].all():
        raise _OddError
    ends = np.flatnonzero(is_end)
    values = LAST_DIGIT[code[ends]]
    longer, at = np.arange(ends.size), ends  # numbers of values, and where their digits are that were read last
    for _ in range(MOST_DIGITS):
        goes_on = np.flatnonzero(code[at - 1] >= 32)  # before the first character comes the last one, which is an end
        if not goes_on.size:
            break
        longer, at = longer[goes_on], at[goes_on] - 1
        values[longer] = (values[longer] << 5) + (code[at] & 31)
    else:
        raise _OddError
    return values, np.diff(np.searchsorted(ends, stop), prepend=0)


def _decode_one_by_one(counts: Sequence[bytes], size_hw: tuple[int, int]) -> _Runs:
    """`_decode` by `Rle`, which says what is wrong with the counts, or reads them all the same."""
    starts, stops = [], []
    for text in counts:
        runs = Rle(size_hw, text).runs
        edges = np.cumsum(np.append(runs, 0) if runs.size % 2 else runs)
        starts.append(edges[::2])
        stops.append(edges[1::2])
    size = np.array([part.size for part in starts])
    return _Runs(np.concatenate(starts), np.concatenate(stops), np.cumsum(size) - size, size_hw[0])


def _measure(runs: _Runs) -> tuple[Ints, NDArray[np.float64]]:
    """Areas (N,) and centroids (N, 2)."""
    starts, stops, height = runs.starts, runs.stops, runs.height
    lengths = stops - starts
    areas = np.add.reduceat(lengths, runs.first)
    sum_x = np.add.reduceat(_columns_before(stops, height) - _columns_before(starts, height), runs.first)
    sum_positions = np.add.reduceat((starts + stops - 1) * lengths // 2, runs.first)
    sums = np.stack([sum_x, sum_positions - height * sum_x], axis=1)
    filled = areas != 0
    centroids = np.full((areas.size, 2), np.nan)
    centroids[filled] = sums[filled] / areas[filled, None]
    return areas, centroids


def _columns_before(position: Ints, height: int) -> Ints:
    """The sum of x over all pixels before a position in column-major order."""
    x = position // height
    y = position - x * height
    return height * (x * (x - 1) // 2) + y * x


def _boxes(runs: _Runs) -> Ints:
    """Boxes (N, 4)."""
    height, nowhere = runs.height, np.iinfo(np.int64).max
    has_pixels = runs.stops > runs.starts
    last = runs.stops - 1
    left, right = runs.starts // height, last // height
    goes_on = left != right  # in the next column: it touches both borders
    top = np.where(goes_on, 0, runs.starts - left * height)
    bottom = np.where(goes_on, height - 1, last - right * height)
    low = np.where(has_pixels, [left, top], nowhere)
    high = np.where(has_pixels, [right, bottom], -1)
    corners = np.minimum.reduceat(low, runs.first, axis=1), np.maximum.reduceat(high, runs.first, axis=1) + 1
    boxes = np.concatenate(corners).T
    boxes[boxes[:, 2] == 0] = 0
    return boxes
