"""Moments that only the pictures show: an object's colours change at once, or two objects have changed places.

Where two objects touch follows from their boxes. So it is known before a picture is decoded on which frames the colours
of which objects are needed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskferry.data import FrameMasks, Image, ObjectMask, Source, State
from maskferry.masks._appearance import appearance, similarity
from maskferry.masks._rle_batch import boxes_of_rles
from maskferry.tracks._review_lanes import Lane
from maskferry.tracks._review_rules import Moment
from maskferry.tracks._tracks import Tracks

__all__ = ["Parting", "partings", "picture_moments"]

APPEARANCE_JUMP = 0.75
"""Similarity of the appearance on one frame and the next, below which the colours have changed."""

AFTER_CONTACT = 3
"""Frames after two objects have parted, on which it is asked who is who."""

SWAP_MARGIN = 0.15
"""How much more alike the exchanged identities must be, summed over both."""

FRAMES_AT_ONCE = 256

Pair = tuple[int, int]
Look = NDArray[np.float32]
"""See `appearance`."""


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

    What came before ``start`` is read from the beginning: a contact may have lasted long.
    """
    contacts, found = _Contacts(set(object_ids)), []
    for frame in tracks.frames(0, stop):
        found += [parting for parting in contacts.take(frame.masks) if parting.frame >= start]
    return found


class _Contacts:
    """Pairs of objects that touch, of which one at least is wanted; and when they part."""

    def __init__(self, wanted: set[int]) -> None:
        self._wanted = wanted
        self._met: dict[Pair, int] = {}
        self._apart: dict[Pair, int] = {}
        self._before: tuple[int, set[int]] = -1, set()  # the frame before, and who was seen on it

    def take(self, masks: FrameMasks) -> Iterator[Parting]:
        """Take in a frame; the pairs that have parted."""
        boxes = boxes_of_rles([row.rle.counts for row in masks], masks.size_hw)
        is_seen = boxes[:, 2] > 0
        ids = np.array(masks.object_ids, dtype=np.int64)[is_seen]
        visible = set(ids.tolist())
        touching = {pair for pair in _touching(ids, boxes[is_seen]) if not self._wanted.isdisjoint(pair)}
        for pair in touching:
            if pair not in self._met and self._before[1].issuperset(pair):
                self._met[pair] = self._before[0]
            self._apart[pair] = 0
        for pair in [p for p in self._met if p not in touching and visible.issuperset(p)]:
            self._apart[pair] += 1
            if self._apart[pair] == AFTER_CONTACT:
                yield Parting(masks.frame, pair, self._met[pair])
                del self._met[pair], self._apart[pair]
        self._before = masks.frame, visible


def _touching(ids: NDArray[np.int64], boxes_xyxy: NDArray[np.int64]) -> set[Pair]:
    """Pairs of ids, ascending, whose boxes come within a pixel of one another."""
    x1, y1, x2, y2 = boxes_xyxy.T
    near = (x1[:, None] <= x2) & (x1 <= x2[:, None]) & (y1[:, None] <= y2) & (y1 <= y2[:, None])
    first, second = np.nonzero(np.triu(near, 1))
    return set(zip(ids[first].tolist(), ids[second].tolist(), strict=True))


def picture_moments(
    tracks: Tracks, source: Source, lanes: Mapping[int, Lane], before: Mapping[int, int], parted: Collection[Parting]
) -> Iterator[Moment]:
    """Decode the pictures that are needed, each once, by ascending frame, and compare colours.

    Args:
        tracks: what is reviewed.
        source: its video.
        lanes: {object id: its rows in the range that is reviewed}.
        before: {object id: the last frame before the range on which it was seen}, where there is one.
        parted: of these objects and any others.
    """
    eyes = _Eyes(before, parted)
    in_range = [lane.frames[lane.seen].tolist() for lane in lanes.values()]
    needed = sorted({*eyes.extra, *itertools.chain.from_iterable(in_range)})
    first = min((frames[0] for frames in in_range if frames), default=0)
    for picture, masks in zip(source.frames(needed), _masks_on(tracks, needed), strict=False):
        wanted = {row.object_id for row in masks if row.object_id in lanes} if masks.frame >= first else set()
        yield from (m for m in eyes.take(picture.image, masks, wanted) if m.object_id in lanes)


def _masks_on(tracks: Tracks, frames: Sequence[int]) -> Iterator[FrameMasks]:
    """The masks on some frames, ascending. Close ones are read together."""
    for piece in itertools.groupby(frames, key=lambda frame: frame // FRAMES_AT_ONCE):
        wanted = set(piece[1])
        for frame in tracks.frames(min(wanted), max(wanted) + 1):
            if frame.info.index in wanted:
                yield frame.masks


class _Eyes:
    """How objects have looked, as far as it is still needed.

    Attributes:
        extra: {frame: objects that are looked at there, whatever the range}.
    """

    def __init__(self, before: Mapping[int, int], parted: Collection[Parting]) -> None:
        self._before = before
        self._last: dict[int, Look] = {}
        self._met: dict[Parting, tuple[Look, Look]] = {}
        self._meetings, self._partings = defaultdict(list), defaultdict(list)
        self.extra: dict[int, set[int]] = defaultdict(set)
        for object_id, frame in before.items():
            self.extra[frame].add(object_id)
        for parting in parted:
            self._meetings[parting.before].append(parting)
            self._partings[parting.frame].append(parting)
            self.extra[parting.before].update(parting.pair)
            self.extra[parting.frame].update(parting.pair)

    def take(self, image: Image, masks: FrameMasks, wanted: set[int]) -> Iterator[Moment]:
        """Look at a frame: at the objects whose colours are compared with those before, and at the extra ones."""
        frame = masks.frame
        seen = {i: appearance(image, masks[i].rle) for i in wanted | self.extra.get(frame, set())}
        for i in sorted(wanted):
            if seen[i].any():
                yield from self._compare(frame, masks[i], seen[i])
        for parting in self._partings.pop(frame, ()):
            yield from self._judge(parting, seen)
        for parting in self._meetings.pop(frame, ()):
            first, second = parting.pair
            self._met[parting] = seen[first], seen[second]
        self._last.update({i: seen[i] for i, before in self._before.items() if before == frame})

    def _compare(self, frame: int, row: ObjectMask, seen: Look) -> Iterator[Moment]:
        last = self._last.get(row.object_id)
        self._last[row.object_id] = seen
        if last is not None and row.state is not State.GIVEN:
            alike = similarity(last, seen)
            if alike < APPEARANCE_JUMP:
                yield Moment(frame, row.object_id, "looks", 1 + APPEARANCE_JUMP - alike)

    def _judge(self, parting: Parting, seen: Mapping[int, Look]) -> Iterator[Moment]:
        a, b = parting.pair
        a_before, b_before = self._met.pop(parting)
        stayed = float(a_before @ seen[a] + b_before @ seen[b])
        changed = float(a_before @ seen[b] + b_before @ seen[a])
        if changed > stayed + SWAP_MARGIN:
            yield Moment(parting.frame, a, "swap", 1 + changed - stayed, b)
            yield Moment(parting.frame, b, "swap", 1 + changed - stayed, a)
