"""What objects of a series measure on each date, as CSV: every object on every date, also where it is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from maskferry.data import FrameTracks, VideoInfo
from maskferry.files import check_free
from maskferry.formats._csv import write_csv
from maskferry.formats._map_rows import Footprints, MapRow, Valid, map_rows

__all__ = ["COLUMNS", "changes", "write"]

COLUMNS = (
    *("object_id", "label", "date", "frame", "name", "state", "score"),
    *("area_px", "area_m2", "area_ha", "observed", "change_m2", "change_percent"),
)


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    valid: Valid,
    footprints: Footprints,
    overwrite: bool = False,
) -> None:
    """Write the columns `COLUMNS`, by date and object.

    Areas are those on the ellipsoid. ``observed`` is the share of the object's footprint that shows anything on that
    date; a change is against the last date before on which all of it did, and blank where it did not on this one.

    Raises:
        InputError: the video lies on no map, or has no dates.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    rows = map_rows(video, frames, valid, footprints, labels)
    check_free(path, overwrite=overwrite)
    write_csv(path, COLUMNS, _cells(rows), overwrite=overwrite)


def _cells(frames: Iterator[list[MapRow]]) -> Iterator[list[object]]:
    last: dict[int, float] = {}
    for rows in frames:
        for row in rows:
            change, percent = changes(row, last)
            yield [
                *(row.object_id, row.label, row.date.isoformat(), row.info.index, row.info.name, row.state.value),
                *(row.score, row.area_px, round(row.area_m2, 4), round(row.area_m2 / 10_000, 8)),
                *("" if value is None else value for value in (_rounded(row.observed, 6), change, percent)),
            ]


def changes(row: MapRow, last: dict[int, float]) -> tuple[float | None, float | None]:
    """(square metres, percent) against the last date on which all of an object was observed; it is kept in ``last``."""
    if row.observed != 1:
        return None, None
    before = last.get(row.object_id)
    last[row.object_id] = row.area_m2
    if before is None:
        return None, None
    change = row.area_m2 - before
    return _rounded(change, 4), _rounded(100 * change / before, 4) if before else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
