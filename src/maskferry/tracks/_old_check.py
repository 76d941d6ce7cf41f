"""Tracks files of formats 1 and 2 for `checking`: their sound rows, brought into the present format.

They have no checksums: what can be told are pages that cannot be read, and values that no run writes.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from typing import Any

from maskferry.errors import DamagedTracksError, MaskferryError
from maskferry.tracks import _opening
from maskferry.tracks._damage import UNREADABLE, Damage
from maskferry.tracks._database import Database
from maskferry.tracks._old_formats import TYPED, convert, strange_things
from maskferry.tracks._reading import Reader, Scan
from maskferry.tracks._row_checks import problem_of_row
from maskferry.tracks._table import Row
from maskferry.tracks._untrusted import Untrusted
from maskferry.tracks._video_note import video_of

__all__ = ["in_present_format"]

TABLES = {
    "meta": ("key", "value"),
    "frame": ("idx", "time", "name"),
    "object": ("id", "label", "removed"),
    "mask": ("frame", "object", "counts", "score", "state", "fidelity"),
    "prompt": ("frame", "object", "kind", "value"),
    "job": ("id", "engine", "backward", "start", "stop", "stride", "position", "snapshot_frame", "done"),
    "snapshot": ("job", "data"),
    "span": ("rowid", "job", "object", "seed", "until", "blend"),
    "edit": ("id", "what", "objects", "before"),
}

KEYS = {"mask": ("frame", "object"), "prompt": ("frame", "object"), "meta": ("key",)}
"""Of other tables, the first column."""

SizeHW = tuple[int, int]


def in_present_format(opened: Untrusted) -> Untrusted:
    """The content of a file of an earlier format, as far as it is sound; ``opened`` is to be closed, too.

    Raises:
        DamagedTracksError: it does not say of which video it is, or holds tables of others.
    """
    place = str(opened.path)
    for kind, name in strange_things(opened.connection):
        raise DamagedTracksError(f"{place} is damaged, or not from maskferry: it holds the {kind} {name!r}")
    problems = [*opened.problems, *_structure(opened.connection)]
    with closing(_opening.connect("")) as clean:
        damage = _copy_sound_rows(opened.connection, clean)
        try:
            new = _converted(clean, place)
        except DamagedTracksError as err:  # edits are what is left that may be damaged
            problems.append(f"its edits cannot be read, and are left out: {err}")
            clean.execute("DELETE FROM edit")
            new = _converted(clean, place)
    return Untrusted(opened.path, new._connection, opened.version, problems, has_more=True, damage=damage, _owner=new)


def _structure(connection: sqlite3.Connection) -> list[str]:
    try:
        answers = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    except UNREADABLE as err:
        answers = [str(err)]
    return [f"structure: {line}" for answer in answers for line in answer.splitlines() if line not in ("ok", "")][:10]


def _converted(clean: sqlite3.Connection, place: str) -> Database:
    new = Database.create()
    try:
        convert(clean, new, place)
    except BaseException:
        new.close()
        raise
    return new


def _copy_sound_rows(old: sqlite3.Connection, clean: sqlite3.Connection) -> dict[str, Damage]:
    """Copy what can be read and believed; what is wrong with each table."""
    found: dict[str, Damage] = {}
    size_hw = _size_of_video(old)
    for table, columns in TABLES.items():
        there = {str(row[1]) for row in old.execute(f"PRAGMA table_info({table})")} | {"rowid"}
        own = [column for column in columns if column in there]
        clean.execute(f"CREATE TABLE {table} ({', '.join(columns)})".replace("(rowid, ", "("))
        if len(own) < len(columns) - 1:  # fidelity came with format 2, snapshot as a table, too
            continue
        damage = found[table] = Damage()
        marks = ", ".join("?" * len(own))
        key = KEYS.get(table, columns[:1])
        scan = Scan(f"SELECT {', '.join(own)} FROM {table}", key, tuple(own.index(column) for column in key))
        for piece in Reader(old).scan(scan, lambda _: True, damage):
            rows = [row for row in piece if _is_believed(table, row, scan, size_hw, damage)]
            clean.executemany(f"INSERT INTO {table} ({', '.join(own)}) VALUES ({marks})", rows)
    return {table: damage for table, damage in found.items() if damage}


def _size_of_video(old: sqlite3.Connection) -> SizeHW | None:
    with suppress(*UNREADABLE, MaskferryError, ValueError, KeyError, TypeError, RecursionError, ZeroDivisionError):
        ((text,),) = old.execute("SELECT value FROM meta WHERE key = 'video'").fetchall()
        return video_of(json.loads(text)).size_hw
    return None


def _is_believed(table: str, row: Row, scan: Scan, size_hw: SizeHW | None, damage: Damage) -> bool:
    problem: str | None = None
    try:
        problem = _problem(table, row, size_hw or (1, 1))
    except (ValueError, TypeError, KeyError, ArithmeticError) as err:
        problem = str(err)
    if problem is not None:
        damage.bad.append((scan.key_of(row), problem))
    return problem is None


def _problem(table: str, row: Row, size_hw: SizeHW) -> str | None:
    if table in TYPED:
        return problem_of_row(table, TYPED[table](row), size_hw)
    if table in ("job", "snapshot", "span"):
        return problem_of_row(table, row, size_hw)
    wanted: dict[str, Any] = {"meta": (str, str), "edit": (int, str, str, bytes)}
    return None if all(map(isinstance, row, wanted[table])) else "it has changed"
