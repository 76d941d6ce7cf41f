"""Objects of a series as all map formats have them: masks without invalid pixels, dates, areas, what was observed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from maskferry._maps.areas import PixelAreas
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, MapGrid, Mask, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.formats._content import checked
from maskferry.rle import Rle

__all__ = ["Footprints", "MapRow", "Valid", "check_dates", "check_grid", "cut", "footprints_of", "map_rows"]

Valid = Callable[[int], Rle | None]
"""Gives which pixels of a frame show anything; None where that is not known."""

Footprints = Mapping[int, Rle]
"""{object id: the union of its masks over all dates}."""


@dataclass(frozen=True, slots=True)
class MapRow:
    """One object on one date.

    Attributes:
        object_id: >= 1.
        label: "" where it has none.
        info: the frame, with its date.
        end: the next date of the series; None for the last one.
        state: see `State`.
        score: in [0, 1].
        rle: its mask, without invalid pixels unless it was given.
        area_m2: square metres on the ellipsoid.
        observed: the share of its footprint, the union over its dates, that is valid on this date; None where it is not
            known, or the object is nowhere.
    """

    object_id: int
    label: str
    info: FrameInfo
    end: datetime | None
    state: State
    score: float
    rle: Rle
    area_m2: float
    observed: float | None

    @property
    def area_px(self) -> int:
        """Pixels."""
        return self.rle.area

    @property
    def date(self) -> datetime:
        """UTC; the series was checked to have dates."""
        assert self.info.date is not None
        return self.info.date


def check_grid(video: VideoInfo) -> MapGrid:
    """The map grid of a video.

    Raises:
        InputError: it has none.
    """
    if video.grid is None:
        raise InputError(
            f"{video.name} lies on no map, so that no map can be made of it: open georeferenced pictures (GeoTIFFs) "
            "with open_series, and track these"
        )
    return video.grid


def check_dates(video: VideoInfo) -> None:
    """Refuse a series without dates.

    Raises:
        InputError: it has none.
    """
    if video.dates is None:
        raise InputError(
            f"the frames of {video.name} have no dates, which this format needs: say them (dates, --dates)"
        )


def cut(masks: FrameMasks, valid: Rle | None) -> FrameMasks:
    """A frame's masks without pixels that show nothing; given ones stay what they are."""
    if valid is None or valid.area == masks.size_hw[0] * masks.size_hw[1]:
        return masks
    shown = valid.decode()
    return replace(masks, objects=tuple(_cut_one(row, shown) for row in masks))


def _cut_one(row: ObjectMask, shown: Mask) -> ObjectMask:
    found = None if row.state is State.GIVEN else row.rle.decode_crop()
    if found is None:
        return row
    (x1, y1, x2, y2), mask = found
    return replace(row, rle=Rle.encode_crop(mask & shown[y1:y2, x1:x2], (x1, y1), row.rle.size_hw))


def footprints_of(frames: Iterable[FrameTracks], valid: Valid) -> dict[int, Rle]:
    """The union of each object's masks, as `cut` leaves them."""
    found: dict[int, tuple[tuple[int, int, int, int], Mask]] = {}
    size_hw = (1, 1)
    for tracks in frames:
        size_hw = tracks.masks.size_hw
        for row in cut(tracks.masks, valid(tracks.info.index)):
            if (own := row.rle.decode_crop()) is not None:
                found[row.object_id] = _union(found[row.object_id], own) if row.object_id in found else own
    return {i: Rle.encode_crop(mask, box[:2], size_hw) for i, (box, mask) in found.items()}


def _union(
    first: tuple[tuple[int, int, int, int], Mask], second: tuple[tuple[int, int, int, int], Mask]
) -> tuple[tuple[int, int, int, int], Mask]:
    boxes = np.array([first[0], second[0]])
    (x1, y1), (x2, y2) = boxes[:, :2].min(axis=0).tolist(), boxes[:, 2:].max(axis=0).tolist()
    out = np.zeros((y2 - y1, x2 - x1), np.bool_)
    for (left, top, right, bottom), mask in (first, second):
        out[top - y1 : bottom - y1, left - x1 : right - x1] |= mask
    return (x1, y1, x2, y2), out


def map_rows(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    valid: Valid,
    footprints: Footprints,
    labels: Mapping[int, str] | None = None,
) -> Iterator[list[MapRow]]:
    """The rows of each frame, lost objects among them, one frame at a time.

    Raises:
        InputError: at once: the video lies on no map, or has no dates.
    """
    grid = check_grid(video)
    check_dates(video)
    return _rows(video, frames, valid, footprints, labels or {}, PixelAreas(grid))


def _rows(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    valid: Valid,
    footprints: Footprints,
    names: Mapping[int, str],
    areas: PixelAreas,
) -> Iterator[list[MapRow]]:
    dates = video.dates or ()
    for tracks in checked(video, frames):
        info, known = tracks.info, valid(tracks.info.index)
        end = dates[info.index + 1] if info.index + 1 < len(dates) else None
        observed = _observed(footprints, known)
        rows = []
        for row in cut(tracks.masks, known):
            found = row.rle.decode_crop()
            area = 0.0 if found is None else areas.of(found[1], found[0][:2])
            share = observed.get(row.object_id)
            name = names.get(row.object_id, "")
            rows.append(MapRow(row.object_id, name, info, end, row.state, float(row.score), row.rle, area, share))
        yield rows


def _observed(footprints: Footprints, valid: Rle | None) -> dict[int, float]:
    if valid is None:
        return {}
    if valid.area == valid.size_hw[0] * valid.size_hw[1]:
        return dict.fromkeys(footprints, 1.0)
    shown, found = valid.decode(), {}
    for i, footprint in footprints.items():
        if (crop := footprint.decode_crop()) is not None:
            (x1, y1, x2, y2), mask = crop
            found[i] = float((mask & shown[y1:y2, x1:x2]).sum() / mask.sum())
    return found
