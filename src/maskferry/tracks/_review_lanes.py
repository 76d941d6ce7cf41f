"""What a review reads of tracks: the rows of each object as arrays, with the area and the place of each mask.

Everything that a review asks of `Tracks` besides pictures and their masks is asked here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from maskferry.data import ObjectMask, State
from maskferry.errors import InputError
from maskferry.masks._rle_batch import measure_rles
from maskferry.tracks._tracks import Tracks

__all__ = ["Lane", "Scores", "joined", "read_lane", "read_lanes", "read_row", "read_scores"]

ROWS_AT_ONCE = 50_000
"""Rows whose masks are held at a time."""

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
    rows = [(f, r.state is State.GIVEN, r.state is State.LOST, r.score) for f, r in tracks.timeline(object_id)]
    frames, given, lost, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Scores(np.array(frames, np.int64), np.array(given, bool), np.array(lost, bool), np.array(scores, np.float32))


def read_lane(tracks: Tracks, object_id: int) -> Lane:
    """All rows of one object."""
    parts = [_lane(piece, tracks.video.size_hw) for piece in _pieces(tracks.timeline(object_id))]
    return joined([*parts, _lane([], tracks.video.size_hw)])


def read_lanes(tracks: Tracks, object_ids: Collection[int], start: int, stop: int | None) -> dict[int, Lane]:
    """Rows of some objects on frames from ``start``, before ``stop``; None is the end."""
    if not object_ids:
        return {}
    is_whole = start == 0 and stop is None
    if is_whole and len(object_ids) <= FEW_OBJECTS * len(tracks.object_ids):
        return {i: read_lane(tracks, i) for i in object_ids}
    wanted, size_hw = set(object_ids), tracks.video.size_hw
    rows = (
        (frame.info.index, row)
        for frame in tracks.frames(start, stop)
        for row in frame.masks
        if row.object_id in wanted
    )
    parts: list[Lane] = [_lane([], size_hw)]
    owners: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for piece in _pieces(rows):
        parts.append(_lane(piece, size_hw))
        owners.append(np.array([row.object_id for _, row in piece], np.int64))
    return _sorted_by_object(parts, np.concatenate(owners), sorted(wanted))


def read_row(tracks: Tracks, frame: int, object_id: int) -> Lane:
    """The row of an object on one frame, which it must have."""
    return _lane([(frame, tracks[frame][object_id])], tracks.video.size_hw)


def _pieces(rows: Iterable[tuple[int, ObjectMask]]) -> Iterator[list[tuple[int, ObjectMask]]]:
    rows = iter(rows)
    while piece := list(islice(rows, ROWS_AT_ONCE)):
        yield piece


def _lane(rows: Sequence[tuple[int, ObjectMask]], size_hw: tuple[int, int]) -> Lane:
    """Rows, of any objects, as arrays.

    Raises:
        InputError: a mask is damaged; it says which.
    """
    try:
        areas, places = measure_rles([row.rle.counts for _, row in rows], size_hw)
    except InputError:
        for frame, row in rows:
            _check(frame, row)
        raise
    return Lane(
        np.array([frame for frame, _ in rows], np.int64),
        np.array([row.state is State.GIVEN for _, row in rows], np.bool_),
        np.array([row.state is State.OCCLUDED for _, row in rows], np.bool_),
        np.array([row.state is State.LOST for _, row in rows], np.bool_),
        np.array([row.score for _, row in rows], np.float64),
        np.array([row.fidelity for _, row in rows], np.float64),  # None becomes NaN
        areas,
        places,
    )


def _check(frame: int, row: ObjectMask) -> None:
    try:
        _ = row.rle.area
    except InputError as err:
        raise InputError(f"the mask of object {row.object_id} on frame {frame} is damaged: {err}") from err


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
