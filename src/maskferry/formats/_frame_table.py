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

__all__ = ["COLUMNS", "noting", "read_frames", "sidecar", "write_frames"]

COLUMNS = ("index", "time", "name")


def sidecar(path: Path) -> Path:
    """Where the frame table of a file lies: "out/mot.txt" -> "out/mot.frames.csv"."""
    return path.with_name(f"{path.stem}.frames.csv")


def noting(frames: Iterable[FrameTracks], infos: list[FrameInfo]) -> Iterator[FrameTracks]:
    """The frames, one by one; their rows of the table are appended to ``infos``."""
    for tracks in frames:
        infos.append(tracks.info)
        yield tracks


def write_frames(infos: Iterable[FrameInfo], path: Path, *, overwrite: bool = False) -> None:
    """Write a frame table as CSV, see `write_csv`; a frame without a time has an empty cell.

    Raises:
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    rows = ((i.index, "" if i.time is None else i.time, i.name) for i in infos)
    write_csv(path, COLUMNS, rows, overwrite=overwrite)


def read_frames(path: Path) -> dict[int, FrameInfo]:
    """Read the frame table of a file, by index; empty where there is none.

    Args:
        path: the file itself, not its table.

    Raises:
        InputError: the table is none, or a cell is wrong; the message names the line.
    """
    table = sidecar(path)
    if not table.is_file():
        return {}
    check_text_file(table)
    try:
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise InputError(f"{table}: expected the columns {', '.join(COLUMNS)}")
            infos = [_info(cells, f"{table}:{reader.line_num}") for cells in reader]
    except OSError as err:
        raise InputError(f"cannot read {table}: {err.strerror or err}") from err
    except csv.Error as err:
        raise InputError(f"{table} is no CSV: {err}") from err
    return {info.index: info for info in infos}


def _info(cells: dict[str, str], where: str) -> FrameInfo:
    try:
        index, time = int(cells["index"]), float(cells["time"]) if cells["time"] else None
        name = plain_text(cells["name"])
    except (ValueError, TypeError) as err:
        raise InputError(f"{where}: no row of a frame table: {err}") from err
    if index < 0:
        raise InputError(f"{where}.index: expected 0 or more, got {index}")
    return FrameInfo(index, check_time(time, f"{where}.time"), check_name(name, f"{where}.name"))
