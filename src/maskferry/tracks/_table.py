"""``Table``: the one way in which rows of the tracks file are read and written, with their checksums."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from maskferry.data import State
from maskferry.errors import DamagedTracksError
from maskferry.tracks._schema import REAL, TABLES, Value, checksum, mask_checksum, mask_seal

__all__ = ["Connection", "Row", "Table", "check_mask_row"]

Row = tuple[Value, ...]

STATES = {state.value: state.value.encode() for state in State}


class Connection(Protocol):
    """What a table needs of the database."""

    @property
    def place(self) -> str:
        """Where the database lies, for messages."""

    def execute(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Run a statement; the number of rows that it changed."""

    def execute_many(self, sql: str, values: Iterable[Sequence[Value]]) -> None:
        """Run a statement for each row of values."""

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run a query and take all of its rows."""

    def before_change(self, table: str, rows: Iterable[Row]) -> None:
        """Told of rows that are about to be written or deleted; only their keys are looked at."""


class Table:
    """Rows of one table, as tuples in the order of `TableSpec.columns`."""

    def __init__(self, database: Connection, name: str) -> None:
        self._db, self._spec = database, TABLES[name]
        self._is_mask = name == "mask"
        stored = [*self._spec.columns, *(["seal"] if self._is_mask else []), "checksum"]
        self._width = len(self._spec.columns)
        self._select = f"SELECT {', '.join(stored)} FROM {name}"
        self._put = f"INSERT OR REPLACE INTO {name} VALUES ({', '.join('?' * len(stored))})"

    def find(self, rest: str = "", values: Sequence[Value] = ()) -> list[Row]:
        """Read rows.

        Args:
            rest: what follows SELECT ... FROM: WHERE, ORDER BY, LIMIT.
            values: for its question marks.

        Raises:
            DamagedTracksError: a row is not the one that was written.
        """
        rows = self._db.rows(f"{self._select} {rest}", values)
        if self._is_mask:
            _check_mask_rows(rows, self._db.place)
        else:
            for row in rows:
                if checksum(row[:-1]) != row[-1]:
                    raise DamagedTracksError(
                        f"{self._db.place} is damaged: a row of its table {self._spec.name!r} has changed: `maskferry "
                        "check` says what can be saved"
                    )
        return [row[: self._width] for row in rows]

    def put(self, rows: Iterable[Row]) -> None:
        """Write rows; those with the same keys are replaced."""
        rows = list(rows)
        if not rows:
            return
        self._db.before_change(self._spec.name, rows)
        if self._is_mask:
            self._db.execute_many(self._put, [_sealed(row) for row in rows])
        else:
            self._db.execute_many(self._put, [(*row, checksum(row)) for row in rows])

    def delete(self, where: str, values: Sequence[Value] = ()) -> list[Row]:
        """Delete rows, and return them."""
        rows = self.find(f"WHERE {where}", values)
        if rows:
            self._db.before_change(self._spec.name, rows)
            self._db.execute(f"DELETE FROM {self._spec.name} WHERE {where}", values)
        return rows


def _sealed(row: Row) -> Row:
    frame, object_id, counts, score, state, fidelity = row
    seal = mask_seal(frame, object_id, score, state)  # type: ignore[arg-type]
    return (*row, seal, mask_checksum(seal, counts, fidelity))  # type: ignore[arg-type]


def _check_mask_rows(rows: Sequence[tuple[Any, ...]], place: str) -> None:
    """`check_mask_row` of many rows, in one loop that does as little as possible for each."""
    crc32, real = zlib.crc32, REAL.pack
    for row in rows:
        frame, object_id, counts, score, state, fidelity, seal, check = row
        try:
            found = crc32(real(score), crc32(b"%d %d %b " % (frame, object_id, STATES[state])))
            start = found if fidelity is None else crc32(real(fidelity), found)
            is_sound = found == seal and crc32(counts, start) == check and 0 <= score <= 1
        except (TypeError, KeyError, struct.error):
            is_sound = False
        if not is_sound or type(frame) is not int or frame < 0 or fidelity is not None or object_id < 1:
            check_mask_row(row, place)


def check_mask_row(row: Sequence[Value], place: str) -> None:
    """Refuse a row of ``mask``, with its two checksums, that is not as it was written, or that no run writes.

    Raises:
        DamagedTracksError: it names the frame and the object.
    """
    frame, object_id, counts, score, state, fidelity, seal, check = row
    is_sound = (
        isinstance(frame, int)
        and isinstance(object_id, int)
        and isinstance(counts, bytes)
        and isinstance(score, float)
        and isinstance(state, str)
        and (fidelity is None or isinstance(fidelity, float))
        and isinstance(seal, int)
        and seal == mask_seal(frame, object_id, score, state)
        and check == mask_checksum(seal, counts, fidelity)
    )
    if not is_sound:
        raise DamagedTracksError(
            f"{place} is damaged: the mask of object {object_id!r} on frame {frame!r} has changed: `maskferry check` "
            "says what can be saved"
        )
    if not (frame >= 0 and object_id > 0 and 0 <= score <= 1 and state in STATES and _is_share(fidelity)):  # type: ignore[operator]
        raise DamagedTracksError(
            f"{place}: the mask of object {object_id!r} on frame {frame!r} has the score {score!r}, the state "
            f"{str(state)[:20]!r}, the fidelity {fidelity!r}: expected a score and a fidelity from 0 to 1, and a known "
            "state"
        )


def _is_share(value: Value) -> bool:
    return value is None or (isinstance(value, float) and math.isfinite(value) and 0 <= value <= 1)
