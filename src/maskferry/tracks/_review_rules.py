"""What counts as a moment to look at, by the rows of one object alone: no pictures, no other objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from maskferry.tracks._agreement import Agreement
from maskferry.tracks._review_lanes import Lane, Scores

__all__ = [
    "Kind",
    "Moment",
    "agreement_moments",
    "area_moments",
    "fidelity_moments",
    "lost_moments",
    "lost_spans",
    "place_moments",
    "score_moments",
    "usual_step",
]

Kind = Literal["swap", "looks", "area", "place", "back", "lost", "score", "fidelity"]

AREA_JUMP = 1.6
"""Ratio of areas from one frame to the next."""

PLACE_JUMP = 0.5, 5.0
"""A step is a jump beyond this part of the object's size, and beyond this many of its usual steps."""

LOW_SCORE, GOOD_SCORE = 0.85, 0.92
"""Parts of the object's usual score (the median where it is seen and not given): a score is low below the first, and
the stretch goes on until the score has come back to the second."""

LOW_AGREEMENT, GOOD_AGREEMENT = 0.7, 0.8
"""IoU with the way back: it does not agree below the first, and the stretch goes on up to the second."""

LOW_FIDELITY = 0.8
"""Below it, the engine sees a given mask differently."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame on which something may be wrong.

    Attributes:
        frame: index.
        object_id: the object.
        kind: "swap" (it may have changed places with ``other``), "looks" (its colours changed), "area" (it grew or
            shrank), "place" (it leapt), "back" (tracked back from its last frame, it leads to something else than
            what was given or found), "lost" (the first frame without it), "score" (the engine is less sure of it
            than usual, for one frame or a stretch: the lowest of it), "fidelity" (the engine sees the mask that was
            given on this frame differently).
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
        fidelity = 1 + LOW_FIDELITY - self.severity
        what = {
            "swap": f"may have changed places with {self.other}",
            "looks": "colours change",
            "area": f"area changes {self.severity * AREA_JUMP:.1f} times",
            "place": "leaps",
            "back": f"leads back to something else (IoU {1 - self.severity * (1 - LOW_AGREEMENT):.2f})",
            "lost": "is lost",
            "score": f"score falls to {LOW_SCORE / self.severity:.0%} of what is usual",
            "fidelity": f"was given a mask that the engine sees differently (fidelity {fidelity:.2f})",
        }[self.kind]
        return f"frame {self.frame}: object {self.object_id} {what}"


def lost_spans(lane: Lane) -> list[tuple[int, int]]:
    """(first, last) frame of each stretch of rows without a mask."""
    return [(int(lane.frames[first]), int(lane.frames[last])) for first, last in _stretches(~lane.seen)]


def lost_moments(object_id: int, lane: Lane) -> Iterator[Moment]:
    """The first frame of each stretch without a mask."""
    for first, _ in lost_spans(lane):
        yield Moment(first, object_id, "lost", 1.0)


def area_moments(object_id: int, lane: Lane) -> Iterator[Moment]:
    """Frames on which the object grows or shrinks at once."""
    after = _compared(lane)
    now, before = lane.areas[after], lane.areas[after - 1]
    ratio = np.maximum(now / before, before / now)
    for k in np.flatnonzero(ratio > AREA_JUMP):
        yield Moment(int(lane.frames[after[k]]), object_id, "area", float(ratio[k]) / AREA_JUMP)


def place_moments(object_id: int, lane: Lane, usual: Callable[[], float]) -> Iterator[Moment]:
    """Frames on which the object leaps.

    Args:
        object_id: the object.
        lane: its rows.
        usual: gives its `usual_step`; asked only where a step is long for the object's size.
    """
    after = _compared(lane)
    steps = _steps(lane, after)
    limits = PLACE_JUMP[0] * np.sqrt(np.maximum(lane.areas[after], lane.areas[after - 1]))
    long = np.flatnonzero(steps > limits)
    if not long.size:
        return
    least = PLACE_JUMP[1] * usual()
    for k in long:
        limit = max(float(limits[k]), least)
        if steps[k] > limit:
            yield Moment(int(lane.frames[after[k]]), object_id, "place", float(steps[k]) / limit)


def usual_step(lane: Lane) -> float:
    """The median way from one frame to the next, in pixels; 0 where there is none. Of all rows of an object."""
    after = _compared(lane)
    return float(np.median(_steps(lane, after))) if after.size else 0.0


def score_moments(object_id: int, rows: Scores) -> Iterator[Moment]:
    """The lowest frame of each stretch of frames on which the score is low. Of all rows of an object."""
    is_own = ~rows.given & ~rows.lost
    if not is_own.any():
        return
    usual = float(np.median(rows.scores[is_own]))
    limit = LOW_SCORE * usual
    for first, last in _stretches(is_own & (rows.scores < GOOD_SCORE * usual)):
        lowest = first + int(np.argmin(rows.scores[first : last + 1]))
        if rows.scores[lowest] >= limit:
            continue
        severity = limit / max(float(rows.scores[lowest]), limit / 100)
        yield Moment(int(rows.frames[lowest]), object_id, "score", severity)


def agreement_moments(object_id: int, agreement: Agreement, given: NDArray[np.int64]) -> Iterator[Moment]:
    """Where the masks of both ways part.

    A stretch that does not agree and comes up to a given mask began where the tracking went wrong: what it found there
    does not lead back to what was given. Of other stretches it is the frame that agrees least.

    Args:
        object_id: the object.
        agreement: of its masks.
        given: frames of its given masks (n,).
    """
    frames, iou = agreement.frames, agreement.iou
    for first, last in _stretches(iou < GOOD_AGREEMENT):
        lowest = float(iou[first : last + 1].min())
        if lowest >= LOW_AGREEMENT:
            continue
        near = given[(given >= frames[first] - 1) & (given <= frames[last] + 1)]
        after = bool(np.any(near < frames[last])), min(last + 1, frames.size - 1)
        before = bool(np.any(near > frames[first])), max(first - 1, 0)
        parted = [place for is_there, place in (before, after) if is_there]
        for place in parted or [first + int(np.argmin(iou[first : last + 1]))]:
            yield Moment(int(frames[place]), object_id, "back", (1 - lowest) / (1 - LOW_AGREEMENT))


def fidelity_moments(object_id: int, lane: Lane) -> Iterator[Moment]:
    """Frames whose given mask the engine sees differently."""
    for k in np.flatnonzero(lane.given & (lane.fidelity < LOW_FIDELITY)):
        yield Moment(int(lane.frames[k]), object_id, "fidelity", 1 + LOW_FIDELITY - float(lane.fidelity[k]))


def _compared(lane: Lane) -> NDArray[np.int64]:
    """Numbers of the rows that are compared with the row before: seen on both, and not given."""
    seen = lane.seen
    return np.flatnonzero(seen[1:] & seen[:-1] & ~lane.given[1:]) + 1


def _steps(lane: Lane, after: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far the object has gone since the row before, in pixels."""
    moved = lane.places_xy[after] - lane.places_xy[after - 1]
    return np.hypot(moved[:, 0], moved[:, 1])


def _stretches(found: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first, last) number of each stretch of true values."""
    edges = np.flatnonzero(np.diff(found.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(end) - 1) for first, end in edges.reshape(-1, 2)]
