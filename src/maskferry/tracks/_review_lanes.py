"""What a review reads of tracks: the rows of each object as arrays, with the area and the place of each mask.

Everything that a review asks of `Tracks` besides pictures and their masks is asked here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import State
from maskferry.errors import InputError
from maskferry.masks._rle_batch import measure_rles
from maskferry.rle import Rle
from maskferry.tracks._lane import STATE_CODES
from maskferry.tracks._tracks import Tracks

__all__ = ["Lane", "Scores", "joined", "read_lane", "read_lanes", "read_row", "read_scores"]

ROWS_AT_ONCE = 50_000
"""Rows whose masks are held at a time."""

_CODES = {state.value: code for code, state in enumerate(STATE_CODES)}

Row = tuple[Any, ...]
"""Frame, object id, counts, score, state, fidelity; see `Tracks.mask_rows`."""

FEW_OBJECTS = 0.25
"""Up to this part of all objects, the rows of each object are asked for; else those of each frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """Rows of one object by ascending frame, L of them.

    Attributes:
        frames: indices, int64 (L,).
        given: whether the mask was given, bool (L,).
        occluded: whether the state says so, bool (L,).
        lost: whether the state says so, bool (L,).
        scores: float64 (L,).
        fidelity: float64 (L,), NaN where there is none.
        areas: in pixels, int64 (L,).
        places_xy: centroids, float64 (L, 2), NaN where the mask is empty.
    """

    frames: NDArray[np.int64]
    given: NDArray[np.bool_]
    occluded: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    scores: NDArray[np.float64]
    fidelity: NDArray[np.float64]
    areas: NDArray[np.int64]
    places_xy: NDArray[np.float64]

    def __len__(self) -> int:
        return self.frames.size

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Whether there is a mask, bool (L,)."""
        return np.not_equal(self.areas, 0)

    def without_masks(self) -> Scores:
        """What `read_scores` gives, of these rows."""
        return Scores(self.frames, self.given, self.lost, self.scores.astype(np.float32))

    def __getitem__(self, part: slice) -> Lane:
        return Lane(*(getattr(self, field.name)[part] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """All rows of one object without their masks, by ascending frame.

    Attributes:
        frames: indices, int64 (L,).
        given: whether the mask was given, bool (L,).
        lost: whether the state says so, bool (L,).
        scores: float32 (L,).
    """

    frames: NDArray[np.int64]
    given: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    scores: NDArray[np.float32]


def read_scores(tracks: Tracks, object_id: int) -> Scores:
    """All rows of an object, without their masks."""
    frames, states, scores = tracks.lane(object_id)
    is_given, is_lost = states == STATE_CODES.index(State.GIVEN), states == STATE_CODES.index(State.LOST)
    return Scores(frames, is_given, is_lost, scores)


def read_lane(tracks: Tracks, object_id: int) -> Lane:
    """All rows of one object."""
    rows = ((f, r.object_id, r.rle.counts, r.score, r.state.value, r.fidelity) for f, r in tracks.timeline(object_id))
    parts = [_lane(piece, tracks.video.size_hw) for piece in _pieces(rows)]
    return joined([*parts, _lane([], tracks.video.size_hw)])


def read_lanes(tracks: Tracks, object_ids: Collection[int], start: int, stop: int | None) -> dict[int, Lane]:
    """Rows of some objects on frames from ``start``, before ``stop``; None is the end."""
    if not object_ids:
        return {}
    is_whole = start == 0 and stop is None
    if is_whole and len(object_ids) <= FEW_OBJECTS * len(tracks.object_ids):
        return {i: read_lane(tracks, i) for i in object_ids}
    wanted, size_hw = set(object_ids), tracks.video.size_hw
    parts: list[Lane] = [_lane([], size_hw)]
    owners: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for rows in tracks.mask_rows(start, stop):
        piece = [row for row in rows if row[1] in wanted]
        parts.append(_lane(piece, size_hw))
        owners.append(np.array([row[1] for row in piece], np.int64))
    return _sorted_by_object(parts, np.concatenate(owners), sorted(wanted))


def read_row(tracks: Tracks, frame: int, object_id: int) -> Lane:
    """The row of an object on one frame, which it must have."""
    row = tracks[frame][object_id]
    return _lane([(frame, object_id, row.rle.counts, row.score, row.state.value, row.fidelity)], tracks.video.size_hw)


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while piece := list(islice(rows, ROWS_AT_ONCE)):
        yield piece


def _lane(rows: Sequence[Row], size_hw: tuple[int, int]) -> Lane:
    """Rows, of any objects, as arrays.

    Raises:
        InputError: a mask is damaged; it says which.
    """
    frames, owners, counts, scores, states, fidelity = zip(*rows, strict=True) if rows else ((),) * 6
    try:
        areas, places = measure_rles(counts, size_hw)
    except InputError:
        for frame, owner, runs in zip(frames, owners, counts, strict=True):
            _check(frame, owner, Rle(size_hw, runs))
        raise
    codes = np.array([_CODES[state] for state in states], np.uint8)
    return Lane(
        np.array(frames, np.int64),
        codes == _CODES[State.GIVEN.value],
        codes == _CODES[State.OCCLUDED.value],
        codes == _CODES[State.LOST.value],
        np.array(scores, np.float64),
        np.array(fidelity, np.float64),  # None becomes NaN
        areas,
        places,
    )


def _check(frame: int, object_id: int, rle: Rle) -> None:
    try:
        rle.check()
    except InputError as err:
        raise InputError(f"the mask of object {object_id} on frame {frame} is damaged: {err}") from err


def joined(parts: Sequence[Lane]) -> Lane:
    """One lane after the other."""
    return Lane(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Lane)))


def _sorted_by_object(parts: Sequence[Lane], owners: NDArray[np.int64], object_ids: Sequence[int]) -> dict[int, Lane]:
    """{object id: its rows}, of rows that are in the order of their frames."""
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], object_ids[1:])
    columns = []
    for field in fields(Lane):  # one at a time, so that little is held twice
        column = np.concatenate([getattr(part, field.name) for part in parts])
        columns.append(np.split(column[order], bounds))
    return {i: Lane(*rows) for i, rows in zip(object_ids, zip(*columns, strict=True), strict=True)}
