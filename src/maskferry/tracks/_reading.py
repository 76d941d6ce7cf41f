"""``Reader``: every row of a table that can be read, around rows that have changed and pages that are damaged."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from maskferry.tracks._damage import UNREADABLE, Damage, Gap, Key
from maskferry.tracks._row_checks import is_as_written, not_masks, problem_of_row
from maskferry.tracks._schema import TABLES, Value, mask_seal
from maskferry.tracks._table import Row

__all__ = ["Reader", "Scan"]

PIECE = 4096
"""Rows that are handed on at once."""

LARGEST_KEY = (1 << 63) - 1


class _DisorderError(Exception):
    """Keys do not ascend: a page is in the place of another one."""


class Scan(NamedTuple):
    """What is read: SELECT ... FROM, the columns of the key, and where they are in a row."""

    select: str
    key: tuple[str, ...]
    places: tuple[int, ...]

    def key_of(self, row: Sequence[Value]) -> Key:
        return tuple(row[place] for place in self.places)


class Reader:
    """Reads a database that is not trusted."""

    def __init__(self, connection: sqlite3.Connection, size_hw: tuple[int, int] | None = None) -> None:
        """Prepare.

        Args:
            connection: see `Untrusted`.
            size_hw: of the video, which masks are checked against; None: values are not looked at.
        """
        self._connection, self._size_hw = connection, size_hw
        ((pages,),), ((size,),) = (
            connection.execute(f"PRAGMA {what}").fetchall() for what in ("page_count", "page_size")
        )
        self._most_rows = int(pages) * int(size) // 4
        """More than fit into the file: whoever reads on goes in circles."""

    def rows(self, table: str, damage: Damage) -> Iterator[list[Row]]:
        """The sound rows of a table by ascending key, piece by piece; without checksums, masks with their seal.

        Args:
            table: its name.
            damage: takes what is wrong with it.
        """
        spec = TABLES[table]
        stored = [*spec.columns, *(["seal"] if table == "mask" else []), "checksum"]
        places = tuple(spec.columns.index(column) for column in spec.key)
        scan = Scan(f"SELECT {', '.join(stored)} FROM {table}", spec.key, places)

        def is_sound(row: Row) -> bool:
            return is_as_written(table, row)

        for piece in self.scan(scan, is_sound, damage):
            rows = [row[:-1] for row in piece]
            yield rows if self._size_hw is None else self._believed(table, rows, scan, damage)

    def _believed(self, table: str, rows: list[Row], scan: Scan, damage: Damage) -> list[Row]:
        """Those rows whose values some run writes."""
        size_hw = self._size_hw or (1, 1)
        if table == "mask":
            wrong = dict.fromkeys(not_masks(rows, size_hw), "it is no mask of the video's size")
        else:
            found = ((n, problem_of_row(table, row, size_hw)) for n, row in enumerate(rows))
            wrong = {n: problem for n, problem in found if problem is not None}
        damage.bad += [(scan.key_of(rows[n]), problem) for n, problem in wrong.items()]
        return [row for n, row in enumerate(rows) if n not in wrong] if wrong else rows

    def one(self, table: str, key: Key) -> Row | None:
        """The row of one key, without checksums; None where there is none, or it is damaged."""
        spec = TABLES[table]
        where = " AND ".join(f"{column} = ?" for column in spec.key)
        try:
            found = self._connection.execute(f"SELECT * FROM {table} WHERE {where}", key).fetchall()
        except UNREADABLE:
            return None
        return found[0][: len(spec.columns)] if found and is_as_written(table, found[0]) else None

    def timeline(self, damage: Damage) -> Iterator[list[Row]]:
        """(object, frame, state, score, seal) of every sound entry of the index for timelines, piece by piece."""
        columns = "object, frame, state, score, seal"
        scan = Scan(f"SELECT {columns} FROM mask INDEXED BY mask_timeline", ("object", "frame"), (0, 1))
        return self.scan(scan, _is_entry, damage)

    def entry(self, frame: int, object_id: int) -> Row | None:
        """(score, state) that the index for timelines has of one mask."""
        query = (
            "SELECT object, frame, state, score, seal FROM mask INDEXED BY mask_timeline WHERE object = ? AND frame = ?"
        )
        try:
            found = self._connection.execute(query, [object_id, frame]).fetchall()
        except UNREADABLE:
            return None
        return (found[0][3], found[0][2]) if found and _is_entry(found[0]) else None

    # --- around damage ------------------------------------------------------------------------------------------

    def scan(self, scan: Scan, is_sound: Any, damage: Damage) -> Iterator[list[Row]]:  # noqa: ANN401
        """Read by ascending key, around what cannot be read.

        Args:
            scan: what.
            is_sound: of a row.
            damage: takes what is wrong.
        """
        last: Key | None = None
        start: Key | None = None
        left, key_of = self._most_rows, _key_getter(scan)
        while True:
            piece: list[Row] = []
            try:
                for row in self._from(scan, start):
                    left -= 1
                    if is_sound(row):
                        key = key_of(row)
                        if left < 0 or (last is not None and key <= last):
                            raise _DisorderError
                        last = key
                        piece.append(row)
                        if len(piece) == PIECE:
                            yield piece
                            piece = []
                    else:
                        damage.bad.append((scan.key_of(row), "it has changed"))
                        if left < 0:
                            raise _DisorderError
                yield piece
                return
            except (*UNREADABLE, _DisorderError):
                yield piece
            at = last if start is None or (last is not None and last > start) else start
            start = self._behind(scan, at) if left >= 0 else None
            damage.gaps.append(Gap(last, start))
            if start is None:
                yield from self._from_the_end(scan, is_sound, last)
                return

    def _from(self, scan: Scan, start: Key | None) -> sqlite3.Cursor:
        order = f"ORDER BY {', '.join(scan.key)}"
        if start is None:
            return self._connection.execute(f"{scan.select} {order}")
        columns = scan.key[: len(start)]
        marks = ", ".join("?" * len(start))
        return self._connection.execute(f"{scan.select} WHERE ({', '.join(columns)}) >= ({marks}) {order}", start)

    def _behind(self, scan: Scan, last: Key | None) -> Key | None:
        """The key of the first row behind some that cannot be read: first with the same leading column, then on."""
        if last is not None and len(scan.key) == 2 and isinstance(last[1], int):
            first, second = scan.key
            found = self._gallop(f"{scan.select} WHERE {first} = ? AND {second} >= ?", [last[0]], last[1], scan, 1)
            if found is not None:
                return found
        lead = -1 if last is None else last[0]
        if not isinstance(lead, int):
            return None
        return self._gallop(f"{scan.select} WHERE {scan.key[0]} >= ?", [], lead, scan, 0)

    def _gallop(self, query: str, values: list[Value], last: int, scan: Scan, place: int) -> Key | None:
        """Look ahead in growing steps until something can be read, then halve the way back to where it begins."""
        low, step = last, 1
        while True:
            high = min(low + step, LARGEST_KEY)
            readable, row = self._probe(f"{query} ORDER BY {', '.join(scan.key)} LIMIT 1", [*values, high], scan, place)
            if readable:
                break
            if high == LARGEST_KEY:
                return None
            low, step = high, step * 2
        while high - low > 1:
            middle = (low + high) // 2
            readable, found = self._probe(
                f"{query} ORDER BY {', '.join(scan.key)} LIMIT 1", [*values, middle], scan, place
            )
            if readable:
                high, row = middle, found
            else:
                low = middle
        return None if row is None else scan.key_of(row)

    def _probe(self, query: str, values: list[Value], scan: Scan, place: int) -> tuple[bool, Row | None]:
        """(whether a row can be read there, the row); it is none where there are no more."""
        try:
            found = self._connection.execute(query, values).fetchone()
        except UNREADABLE:
            return False, None
        if found is None:
            return True, None
        key, wanted = scan.key_of(found), values[-1]
        return isinstance(key[place], int) and key[place] >= wanted, found

    def _from_the_end(self, scan: Scan, is_sound: Any, last: Key | None) -> Iterator[list[Row]]:  # noqa: ANN401
        """What can be read from the last row backward, where nothing behind a damaged place was found."""
        found: list[Row] = []
        order = ", ".join(f"{column} DESC" for column in scan.key)
        try:
            for row in self._connection.execute(f"{scan.select} ORDER BY {order}"):
                key = scan.key_of(row)
                if not is_sound(row) or (last is not None and key <= last) or len(found) >= self._most_rows:
                    break
                found.append(row)
        except UNREADABLE:
            pass
        yield found[::-1]


def _key_getter(scan: Scan) -> Callable[[Row], Key]:
    if len(scan.places) > 1:
        return itemgetter(*scan.places)
    return scan.key_of


def _is_entry(row: Row) -> bool:
    object_id, frame, state, score, seal = row
    try:
        return seal == mask_seal(frame, object_id, score, state)  # type: ignore[arg-type]
    except (TypeError, ValueError, AttributeError, OverflowError, struct.error):
        return False
