"""A table of tracks as CSV: a row for each object on each frame, for spreadsheets and data frames."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from maskferry.data import FrameTracks, State, VideoInfo
from maskferry.errors import InputError
from maskferry.formats._content import checked
from maskferry.formats._csv import plain_text, write_csv
from maskferry.limits import check_text_file
from maskferry.masks._regions import centroid_of_rle_xy

__all__ = ["COLUMNS", "LATER", "TableRow", "read", "rows_of", "write"]

COLUMNS = (
    *("frame", "time", "name", "object_id", "label", "state", "score", "area"),
    *("x1", "y1", "x2", "y2", "centroid_x", "centroid_y", "fidelity"),
)

LATER = frozenset({"fidelity"})
"""Columns that tables of earlier versions do not have."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One object on one frame.

    Attributes:
        frame: 0-based index.
        time: seconds from the start; None where the source has no clock.
        name: the source's own name of the frame.
        object_id: >= 1.
        label: the object's name; "" where it has none.
        state: see `State`.
        score: in [0, 1].
        area: pixels.
        box_xyxy: pixels, x2 and y2 exclusive; None where the mask is empty.
        centroid_xy: mean position of the pixels; None where the mask is empty.
        fidelity: of a given mask; see `ObjectMask`.
    """

    frame: int
    time: float | None
    name: str
    object_id: int
    label: str
    state: State
    score: float
    area: int
    box_xyxy: tuple[int, int, int, int] | None
    centroid_xy: tuple[float, float] | None
    fidelity: float | None = None


def rows_of(frames: Iterable[FrameTracks], labels: Mapping[int, str] | None = None) -> Iterator[TableRow]:
    """Measure every object of every frame, lazily. Masks stay encoded."""
    names = labels or {}
    for tracks in frames:
        info = tracks.info
        for row in tracks.masks:
            rle, object_id = row.rle, row.object_id
            yield TableRow(
                *(info.index, info.time, info.name, object_id, names.get(object_id, ""), row.state, float(row.score)),
                *(rle.area, rle.box_xyxy, centroid_of_rle_xy(rle), row.fidelity),
            )


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write the columns `COLUMNS`, in UTF-8; numbers read back as they were. A frame without objects has no row.

    Box and centroid are empty where the mask is. A name or label that a spreadsheet would run as a formula (it starts
    with = + - @ or a control character) gets an apostrophe before it, which `read` takes away again.

    Raises:
        InputError: masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    rows = (_to_cells(row) for row in rows_of(checked(video, frames), labels))
    write_csv(path, COLUMNS, rows, overwrite=overwrite)


def read(path: Path) -> list[TableRow]:
    """Read a table that `write` made; columns may come in any order, those of `LATER` may be missing, others are left
    alone.

    Raises:
        InputError: no such file, no such table, or a cell that is wrong; the message names the line.
    """
    check_text_file(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            missing = [c for c in COLUMNS if c not in (reader.fieldnames or ()) and c not in LATER]
            if missing:
                raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
            return [_from_cells(cells, f"{path}:{reader.line_num}") for cells in reader]
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except csv.Error as err:
        raise InputError(f"{path} is no CSV: {err}") from err


def _to_cells(row: TableRow) -> list[object]:
    box, centroid = row.box_xyxy or ("",) * 4, row.centroid_xy or ("",) * 2
    time = "" if row.time is None else row.time
    return [
        *(row.frame, time, row.name, row.object_id, row.label, row.state.value, row.score, row.area),
        *(*box, *centroid, "" if row.fidelity is None else row.fidelity),
    ]


def _from_cells(cells: dict[str, str], where: str) -> TableRow:
    try:
        box, centroid = _place(cells)
        return TableRow(
            frame=int(cells["frame"]),
            time=_optional(cells["time"]),
            name=plain_text(cells["name"]),
            object_id=int(cells["object_id"]),
            label=plain_text(cells["label"]),
            state=State(cells["state"]),
            score=float(cells["score"]),
            area=int(cells["area"]),
            box_xyxy=box,
            centroid_xy=centroid,
            fidelity=_optional(cells.get("fidelity")),
        )
    except (ValueError, TypeError) as err:  # TypeError: a short line, whose last cells are None
        raise InputError(f"{where}: not a row of such a table: {err}") from err


def _place(cells: dict[str, str]) -> tuple[tuple[int, int, int, int] | None, tuple[float, float] | None]:
    """Box and centroid of a row; None, both, where the mask is empty."""
    box = [int(cells[c]) for c in ("x1", "y1", "x2", "y2") if cells[c]]
    centroid = [float(cells[c]) for c in ("centroid_x", "centroid_y") if cells[c]]
    if not box and not centroid:
        return None, None
    if (len(box), len(centroid)) != (4, 2):
        raise ValueError("a box and a centroid, or neither, are needed")
    return (box[0], box[1], box[2], box[3]), (centroid[0], centroid[1])


def _optional(cell: str | None) -> float | None:
    return float(cell) if cell else None
