"""Moments that only the pictures show: an object's colours change at once, or two objects have changed places.

Where two objects touch follows from their boxes (`_review_contacts`). So it is known before a picture is decoded on
which frames the colours of which objects are needed.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from maskferry.data import FrameMasks, Image, ObjectMask, Source, State
from maskferry.masks._appearance import appearance, similarity
from maskferry.tracks._review_contacts import Parting
from maskferry.tracks._review_lanes import Lane
from maskferry.tracks._review_rules import Moment
from maskferry.tracks._tracks import Tracks

__all__ = ["picture_moments"]

APPEARANCE_JUMP = 0.75
"""Similarity of the appearance on one frame and the next, below which the colours have changed."""

SWAP_MARGIN = 0.15
"""How much more alike the exchanged identities must be, summed over both."""

FRAMES_AT_ONCE = 256

Look = NDArray[np.float32]
"""See `appearance`."""


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
