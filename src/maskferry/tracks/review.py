"""Where tracks are likely to be wrong: for each object what was seen of it, what jumped, and with whom it may have
been confused."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from maskferry.data import FrameMasks, Image, ObjectMask, Source, State
from maskferry.masks._appearance import appearance, similarity
from maskferry.masks._regions import centroid_of_rle_xy
from maskferry.tracks._tracks import Tracks

__all__ = ["Moment", "ObjectSummary", "summarize", "worst_moments"]

Kind = Literal["swap", "looks", "area", "place", "lost"]

AREA_JUMP = 1.6
"""Ratio of areas from one frame to the next."""

PLACE_JUMP = 0.5, 5.0
"""A step is a jump beyond this part of the object's size, and beyond this many of its usual steps."""

APPEARANCE_JUMP = 0.75
"""Similarity of the appearance on one frame and the next, below which the colours have changed."""

AFTER_CONTACT = 3
"""Frames after two objects have parted, on which it is asked who is who."""

SWAP_MARGIN = 0.15
"""How much more alike the exchanged identities must be, summed over both."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame on which something may be wrong.

    Attributes:
        frame: index.
        object_id: the object.
        kind: "swap" (it may have changed places with ``other``), "looks" (its colours changed), "area" (it grew or
            shrank), "place" (it leapt), "lost" (the first frame without it).
        severity: for the order: above 1, the larger the worse; comparable within a kind.
        other: the other object of a swap.
    """

    frame: int
    object_id: int
    kind: Kind
    severity: float
    other: int | None = None

    def __str__(self) -> str:
        """For people."""
        what = {
            "swap": f"may have changed places with {self.other}",
            "looks": "colours change",
            "area": f"area changes {self.severity * AREA_JUMP:.1f} times",
            "place": "leaps",
            "lost": "is lost",
        }[self.kind]
        return f"frame {self.frame}: object {self.object_id} {what}"


@dataclass(slots=True)
class ObjectSummary:
    """What is known of one object over the whole video.

    Attributes:
        object_id: the object.
        label: its name, if it has one.
        frames: on which it has a row.
        seen: on which it has a mask.
        given: on which the caller gave its mask.
        occluded: on which a good part of it is hidden.
        lost_spans: (first, last) frame of each stretch without a mask.
        mean_score: over the frames on which it is seen.
        fidelity: the lowest of its given masks (see `ObjectMask`); None where the engine does not say.
        moments: in the order of frames.
    """

    object_id: int
    label: str | None
    frames: int = 0
    seen: int = 0
    given: int = 0
    occluded: int = 0
    lost_spans: list[tuple[int, int]] = field(default_factory=list)
    mean_score: float = 0.0
    fidelity: float | None = None
    moments: list[Moment] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def summarize(tracks: Tracks, source: Source | None = None) -> list[ObjectSummary]:
    """Go through tracks once, frame by frame.

    Args:
        tracks: what to look at.
        source: its video; without it, changes of appearance and swaps are not reported.

    Returns:
        One summary for each object, by ascending id.
    """
    labels = tracks.labels
    watched = {i: _Watch(ObjectSummary(i, labels.get(i))) for i in tracks.object_ids}
    contacts = _Contacts()
    for masks, image in _with_pictures(tracks, source):
        for row in masks:
            watched[row.object_id].take(masks.frame, row, image)
        if image is not None:
            for moment in contacts.take(masks, _appearances(watched)):
                watched[moment.object_id].summary.moments.append(moment)
    return [watched[i].finish() for i in sorted(watched)]


def _appearances(watched: Mapping[int, _Watch]) -> dict[int, NDArray[np.float32]]:
    """{object id: how it looked when it was seen last}, of those seen so far."""
    return {i: watch.appearance for i, watch in watched.items() if watch.appearance is not None}


def worst_moments(summaries: list[ObjectSummary], count: int = 12) -> list[Moment]:
    """The moments to look at first: swaps, then appearance, leaps, areas, losses; the worst of each first."""
    order: dict[str, int] = {"swap": 0, "looks": 1, "place": 2, "area": 3, "lost": 4}
    every = [moment for summary in summaries for moment in summary.moments]
    return sorted(every, key=lambda m: (order[m.kind], -m.severity, m.frame, m.object_id))[:count]


def _with_pictures(tracks: Tracks, source: Source | None) -> Iterator[tuple[FrameMasks, Image | None]]:
    if source is None:
        yield from ((frame.masks, None) for frame in tracks.frames())
        return
    for picture, frame in zip(source.frames(list(tracks)), tracks.frames(), strict=False):
        yield frame.masks, picture.image


class _Watch:
    """One object, followed from frame to frame."""

    def __init__(self, summary: ObjectSummary) -> None:
        self.summary = summary
        self.appearance: NDArray[np.float32] | None = None
        self._scores = 0.0
        self._last: tuple[float, tuple[float, float]] | None = None  # area and place, on the frame before
        self._steps: list[tuple[int, float, float]] = []  # frame, length of the step, size of the object

    def take(self, frame: int, row: ObjectMask, image: Image | None) -> None:
        """Take in a row."""
        summary = self.summary
        summary.frames += 1
        summary.given += row.state is State.GIVEN
        summary.occluded += row.state is State.OCCLUDED
        if row.fidelity is not None:
            summary.fidelity = row.fidelity if summary.fidelity is None else min(row.fidelity, summary.fidelity)
        place = centroid_of_rle_xy(row.rle)
        if place is None:
            self._lose(frame)
            return
        summary.seen += 1
        self._scores += row.score
        area = float(row.rle.area)
        if self._last is not None and row.state is not State.GIVEN:
            self._compare(frame, area, place)
        self._last = area, place
        if image is not None:
            self._see(frame, appearance(image, row.rle), given=row.state is State.GIVEN)

    def _lose(self, frame: int) -> None:
        spans = self.summary.lost_spans
        if self._last is None and spans:
            spans[-1] = (spans[-1][0], frame)
        else:
            spans.append((frame, frame))
            self.summary.moments.append(Moment(frame, self.summary.object_id, "lost", 1.0))
        self._last = None

    def _compare(self, frame: int, area: float, place: tuple[float, float]) -> None:
        before, there = self._last or (area, place)
        ratio = max(area / before, before / area)
        if ratio > AREA_JUMP:
            self.summary.moments.append(Moment(frame, self.summary.object_id, "area", ratio / AREA_JUMP))
        self._steps.append((frame, math.dist(place, there), math.sqrt(max(area, before))))

    def _see(self, frame: int, seen: NDArray[np.float32], *, given: bool) -> None:
        if self.appearance is not None and not given:
            alike = similarity(self.appearance, seen)
            if alike < APPEARANCE_JUMP:
                moment = Moment(frame, self.summary.object_id, "looks", 1 + APPEARANCE_JUMP - alike)
                self.summary.moments.append(moment)
        self.appearance = seen

    def finish(self) -> ObjectSummary:
        """The summary, with the leaps: what a leap is follows from the object's usual steps."""
        summary = self.summary
        summary.mean_score = self._scores / summary.seen if summary.seen else 0.0
        usual = statistics.median(step for _, step, _ in self._steps) if self._steps else 0.0
        for frame, step, size in self._steps:
            limit = max(PLACE_JUMP[0] * size, PLACE_JUMP[1] * usual)
            if step > limit > 0:
                summary.moments.append(Moment(frame, summary.object_id, "place", step / limit))
        summary.moments.sort(key=lambda moment: (moment.frame, moment.kind))
        return summary


class _Contacts:
    """Pairs of objects that touch, and whether they part as they met."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, int], tuple[NDArray[np.float32], NDArray[np.float32]]] = {}
        self._apart: dict[tuple[int, int], int] = {}
        self._before: dict[int, NDArray[np.float32]] = {}

    def take(self, masks: FrameMasks, seen: Mapping[int, NDArray[np.float32]]) -> Iterator[Moment]:
        """Take in a frame; the swaps that are suspected now."""
        touching = _touching(masks)
        for pair in touching:
            self._meet(pair)
        visible = {row.object_id for row in masks if row.rle.area}
        for pair in [p for p in self._met if p not in touching and visible.issuperset(p)]:
            self._apart[pair] += 1
            if self._apart[pair] == AFTER_CONTACT:
                yield from self._judge(masks.frame, pair, seen)
                del self._met[pair], self._apart[pair]
        self._before = {i: seen[i] for i in visible if i in seen}

    def _meet(self, pair: tuple[int, int]) -> None:
        """Remember how two objects looked before they touched."""
        first, second = pair
        if pair not in self._met and first in self._before and second in self._before:
            self._met[pair] = self._before[first], self._before[second]
        self._apart[pair] = 0

    def _judge(self, frame: int, pair: tuple[int, int], seen: Mapping[int, NDArray[np.float32]]) -> Iterator[Moment]:
        (a, b), (a_before, b_before) = pair, self._met[pair]
        stayed = float(a_before @ seen[a] + b_before @ seen[b])
        changed = float(a_before @ seen[b] + b_before @ seen[a])
        if changed > stayed + SWAP_MARGIN:
            yield Moment(frame, a, "swap", 1 + changed - stayed, b)
            yield Moment(frame, b, "swap", 1 + changed - stayed, a)


def _touching(masks: FrameMasks) -> set[tuple[int, int]]:
    """Pairs of ids, ascending, whose boxes come within a pixel of one another."""
    boxes = [(row.object_id, box) for row in masks if (box := row.rle.box_xyxy)]
    if len(boxes) < 2:
        return set()
    ids, xyxy = [i for i, _ in boxes], np.array([box for _, box in boxes])
    x1, y1, x2, y2 = xyxy.T
    near = (x1[:, None] <= x2) & (x1 <= x2[:, None]) & (y1[:, None] <= y2) & (y1 <= y2[:, None])
    return {(ids[i], ids[j]) for i, j in np.argwhere(np.triu(near, 1))}
