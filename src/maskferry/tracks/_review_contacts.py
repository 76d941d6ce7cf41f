"""Where objects have touched and are apart again, by the boxes of their masks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskferry.masks._rle_batch import boxes_of_rles
from maskferry.tracks._tracks import Tracks

__all__ = ["Parting", "partings"]

AFTER_CONTACT = 3
"""Frames after two objects have parted, on which it is asked who is who."""

FIRST_REACH = 64
"""Frames before a range that are read first; twice as many each time that this is not enough."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parting:
    """Two objects have touched, and are apart again.

    Attributes:
        frame: on which both are seen, some frames after they have parted.
        pair: their ids, ascending.
        before: the frame before they touched.
    """

    frame: int
    pair: Pair
    before: int


def partings(tracks: Tracks, object_ids: Collection[int], start: int, stop: int | None) -> list[Parting]:
    """Partings of some objects, from any others, on frames from ``start``, before ``stop``.

    What came before ``start`` is read only as far back as it takes to know of each pair whether it was in contact.
    """
    wanted = set(object_ids)
    if start == 0:
        return _find(_sights(tracks, 0, stop, wanted))
    inside, earlier = list(_sights(tracks, start, stop, wanted)), list[_Sight]()
    finished = [frame for frame in tracks if frame < start]
    begin, reach = start, FIRST_REACH
    while begin > 0 and (begin == start or _is_open(tracks, earlier, inside, begin, wanted)):
        end, begin = begin, finished[-reach] if reach < len(finished) else 0
        earlier = [*_sights(tracks, begin, end, wanted), *earlier]
        reach *= 2
    return [parting for parting in _find([*earlier, *inside]) if parting.frame >= start]


@dataclass(frozen=True, slots=True, eq=False)
class _Sight:
    """What a frame shows.

    Attributes:
        frame: index.
        visible: ids of the objects that are seen, ascending, int64 (V,).
        touching: pairs of them that touch, of which one at least is wanted.
    """

    frame: int
    visible: NDArray[np.int64]
    touching: set[Pair]


def _sights(tracks: Tracks, start: int, stop: int | None, wanted: set[int]) -> Iterator[_Sight]:
    for found in tracks.frames(start, stop):
        masks = found.masks
        boxes = boxes_of_rles([row.rle.counts for row in masks], masks.size_hw)
        is_seen = boxes[:, 2] > 0
        visible = np.array(masks.object_ids, dtype=np.int64)[is_seen]
        near = _touching(visible, boxes[is_seen])
        yield _Sight(masks.frame, visible, {pair for pair in near if not wanted.isdisjoint(pair)})


def _touching(ids: NDArray[np.int64], boxes_xyxy: NDArray[np.int64]) -> set[Pair]:
    """Pairs of ids, ascending, whose boxes come within a pixel of one another."""
    x1, y1, x2, y2 = boxes_xyxy.T
    near = (x1[:, None] <= x2) & (x1 <= x2[:, None]) & (y1[:, None] <= y2) & (y1 <= y2[:, None])
    first, second = np.nonzero(np.triu(near, 1))
    return set(zip(ids[first].tolist(), ids[second].tolist(), strict=True))


def _find(sights: Iterable[_Sight]) -> list[Parting]:
    """Partings, by frames that follow one another."""
    found: list[Parting] = []
    met: dict[Pair, int] = {}  # the frame before they touched
    apart: dict[Pair, int] = {}  # frames since
    before: tuple[int, set[int]] = -1, set()
    for sight in sights:
        visible = set(sight.visible.tolist())
        for pair in sight.touching:
            if pair not in met and before[1].issuperset(pair):
                met[pair] = before[0]
            apart[pair] = 0
        for pair in [p for p in met if p not in sight.touching and visible.issuperset(p)]:
            apart[pair] += 1
            if apart[pair] == AFTER_CONTACT:
                found.append(Parting(sight.frame, pair, met.pop(pair)))
        before = sight.frame, visible
    return found


def _is_open(tracks: Tracks, earlier: Sequence[_Sight], inside: Sequence[_Sight], begin: int, wanted: set[int]) -> bool:
    """Whether a pair may part inside of a range that may have met before ``begin``.

    It cannot where, in between, both were seen apart long enough; where they are never seen apart inside; or where one
    of them was not there before.
    """
    ids = np.unique(np.concatenate([np.zeros(0, np.int64), *(sight.visible for sight in inside)]))
    open_pairs = (_most_apart(inside, ids) > 0) & (_most_apart(earlier, ids) < AFTER_CONTACT)
    is_wanted = np.isin(ids, list(wanted))
    first, second = np.nonzero(np.triu(open_pairs & (is_wanted[:, None] | is_wanted), 1))
    is_old = {int(i): _was_seen(tracks, int(i), begin) for i in np.unique([ids[first], ids[second]])}
    return any(is_old[int(a)] and is_old[int(b)] for a, b in zip(ids[first], ids[second], strict=True))


def _most_apart(sights: Sequence[_Sight], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The most frames on which two objects were both seen without touching in between, (N, N)."""
    place = {int(i): k for k, i in enumerate(ids)}
    now, most = np.zeros((ids.size, ids.size), np.int64), np.zeros((ids.size, ids.size), np.int64)
    for sight in sights:
        places = np.flatnonzero(np.isin(ids, sight.visible))
        now[np.ix_(places, places)] += 1
        for a, b in sight.touching:
            if a in place and b in place:
                now[place[a], place[b]] = now[place[b], place[a]] = 0
        np.maximum(most, now, out=most)
    return most


def _was_seen(tracks: Tracks, object_id: int, before: int) -> bool:
    """Whether an object was seen before a frame."""
    for frame, row in tracks.timeline(object_id):
        if frame >= before:
            return False
        if row.rle.area:
            return True
    return False
