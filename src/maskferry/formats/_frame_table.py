"""The frame table (index, time, source name) beside files that have no place for it: ``<name>.frames.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from maskferry.data import FrameInfo, FrameTracks
from maskferry.errors import InputError
from maskferry.formats._content import check_name, check_time
from maskferry.formats._csv import plain_text, write_csv
from maskferry.limits import check_text_file

__all__ = ["COLUMNS", "noting", "read_first_number", "read_frames", "sidecar", "write_frames"]

COLUMNS = ("index", "time", "name")
_NUMBER = "number"
"""A fourth column, where the file beside the table calls frames by other numbers."""


def sidecar(path: Path) -> Path:
    """Where the frame table of a file lies: "out/mot.txt" -> "out/mot.frames.csv"."""
    return path.with_name(f"{path.stem}.frames.csv")


def noting(frames: Iterable[FrameTracks], infos: list[FrameInfo]) -> Iterator[FrameTracks]:
    """The frames, one by one; their rows of the table are appended to ``infos``."""
    for tracks in frames:
        infos.append(tracks.info)
        yield tracks


def write_frames(infos: Iterable[FrameInfo], path: Path, *, first_number: int = 0, overwrite: bool = False) -> None:
    """Write a frame table as CSV, see `write_csv`; a frame without a time has an empty cell.

    Args:
        infos: the frames.
        path: of the table.
        first_number: what the file beside the table calls the video's first frame.
        overwrite: replace a file.

    Raises:
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    rows = ((i.index, "" if i.time is None else i.time, i.name, i.index + first_number) for i in infos)
    if first_number:
        write_csv(path, (*COLUMNS, _NUMBER), rows, overwrite=overwrite)
    else:
        write_csv(path, COLUMNS, (row[:3] for row in rows), overwrite=overwrite)


def read_frames(path: Path) -> dict[int, FrameInfo]:
    """Read the frame table of a file, by index; empty where there is none.

    Args:
        path: the file itself, not its table.

    Raises:
        InputError: the table is none, or a cell is wrong; the message names the line.
    """
    return {info.index: info for info in (_info(cells, where) for cells, where in _lines(sidecar(path)))}


def read_first_number(path: Path) -> int | None:
    """What a file calls the video's first frame, as its frame table says; None where there is no table.

    Args:
        path: the file itself, not its table.

    Raises:
        InputError: as `read_frames`.
    """
    for cells, where in _lines(sidecar(path)):
        info = _info(cells, where)
        return _number(cells.get(_NUMBER) or cells["index"], where) - info.index
    return None


def _number(cell: str, where: str) -> int:
    if not cell.isdecimal() or len(cell) > 9:
        raise InputError(f"{where}.{_NUMBER}: expected a whole number from 0, got {cell!r:.60}")
    return int(cell)


def _lines(table: Path) -> list[tuple[dict[str, str], str]]:
    """The lines of a table, and what errors call each of them; none where there is no table."""
    if not table.is_file():
        return []
    check_text_file(table)
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise InputError(f"{table}: expected the columns {', '.join(COLUMNS)}")
            return [(cells, f"{table}:{reader.line_num}") for cells in reader]
    except OSError as err:
        raise InputError(f"cannot read {table}: {err.strerror or err}") from err
    except csv.Error as err:
        raise InputError(f"{table} is no CSV: {err}") from err


def _info(cells: dict[str, str], where: str) -> FrameInfo:
    try:
        index, time = int(cells["index"]), float(cells["time"]) if cells["time"] else None
        name = plain_text(cells["name"])
    except (ValueError, TypeError) as err:
        raise InputError(f"{where}: no row of a frame table: {err}") from err
    if index < 0:
        raise InputError(f"{where}.index: expected 0 or more, got {index}")
    return FrameInfo(index, check_time(time, f"{where}.time"), check_name(name, f"{where}.name"))
