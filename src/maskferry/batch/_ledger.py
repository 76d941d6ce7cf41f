"""``Ledger``: every row of a run and its state, in SQLite on the driver's own disk; only the driver writes.

It is made anew by every driver, from the manifest and from what lies in OUT: receipts and failures are the truth, and
losing the ledger loses nothing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Any

from maskferry.batch._manifest import Row

__all__ = ["Ledger", "RowState"]

_SCHEMA = """
CREATE TABLE video (
    line INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, spec TEXT NOT NULL,
    cost REAL NOT NULL, state INTEGER NOT NULL DEFAULT 0)
"""


class RowState(IntEnum):
    """What is known of a row.

    ``pending`` is waiting for a worker, ``running`` has one, ``done``, ``damaged`` (the video could not be read to its
    end) and ``failed`` are final.
    """

    pending = 0
    running = 1
    done = 2
    damaged = 3
    failed = 4


class Ledger:
    """All rows of a run."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a file of the system's temporary folder
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA synchronous = OFF")
        self._db.execute("PRAGMA cache_size = -16000")
        self._db.execute(_SCHEMA)
        self._is_sorted = False

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """Take in rows; those whose id is there already, upper and lower case taken for one, are given back."""
        values = [(row.line, row.id.lower(), _spec(row), float(row.frames or 0)) for row in rows]
        sql = "INSERT OR IGNORE INTO video (line, key, spec, cost) VALUES (?, ?, ?, ?)"
        self._db.execute("BEGIN")
        added = self._db.executemany(sql, values).rowcount
        self._db.execute("COMMIT")
        if added == len(rows):
            return []
        there = {line for line, *_ in self._db.execute(f"SELECT line FROM video WHERE line IN {_marks(rows)}")}
        return [row for row in rows if row.line not in there]

    def line_of(self, video: str) -> int | None:
        """Where an id stands in the manifest."""
        found = self._db.execute("SELECT line FROM video WHERE key = ?", [video.lower()]).fetchone()
        return None if found is None else int(found[0])

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM video").fetchone()[0])

    def rows(self, state: RowState | None = None) -> Iterator[Row]:
        """Rows by line; those of one state where it is given."""
        rest, values = ("AND state = ?", [int(state)]) if state is not None else ("", [])
        last = -1
        while True:
            sql = f"SELECT line, spec FROM video WHERE line > ? {rest} ORDER BY line LIMIT 1000"
            piece = self._db.execute(sql, [last, *values]).fetchall()
            if not piece:
                return
            for line, spec in piece:
                yield _row(line, spec)
            last = piece[-1][0]

    def set_costs(self, costs: Iterable[tuple[int, float]]) -> None:
        """Say how long videos are: (line, frames)."""
        self._db.execute("BEGIN")
        self._db.executemany("UPDATE video SET cost = ? WHERE line = ?", ((cost, line) for line, cost in costs))
        self._db.execute("COMMIT")

    def set_state(self, lines: Iterable[int], state: RowState) -> None:
        """Say what has become of rows."""
        values = [(int(state), line) for line in lines]
        self._db.execute("BEGIN")
        self._db.executemany("UPDATE video SET state = ? WHERE line = ?", values)
        self._db.execute("COMMIT")

    def counts(self) -> dict[RowState, int]:
        """How many rows have which state."""
        found = dict(self._db.execute("SELECT state, count(*) FROM video GROUP BY state").fetchall())
        return {state: int(found.get(int(state), 0)) for state in RowState}

    def take(self, count: int) -> list[Row]:
        """Pending rows, the longest videos first; they are running from now on."""
        if not self._is_sorted:
            self._db.execute("CREATE INDEX next ON video (state, cost DESC, line)")
            self._is_sorted = True
        sql = "SELECT line, spec FROM video WHERE state = 0 ORDER BY cost DESC, line LIMIT ?"
        found = self._db.execute(sql, [count]).fetchall()
        if found:
            self.set_state((line for line, _ in found), RowState.running)
        return [_row(line, spec) for line, spec in found]

    def longest(self, count: int) -> list[tuple[str, int]]:
        """(id, frames) of the longest videos that are not done, where that is known."""
        sql = "SELECT line, spec, cost FROM video WHERE state = 0 AND cost > 0 ORDER BY cost DESC, line LIMIT ?"
        return [(_row(line, spec).id, int(cost)) for line, spec, cost in self._db.execute(sql, [count])]

    def frames(self) -> tuple[float, int]:
        """(frames of videos that are not done, videos among them whose length is not known)."""
        sql = "SELECT sum(cost), sum(cost = 0) FROM video WHERE state = 0"
        total, unknown = self._db.execute(sql).fetchone()
        return float(total or 0), int(unknown or 0)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()


def _marks(rows: Sequence[Row]) -> str:
    return f"({','.join(str(row.line) for row in rows)})"


def _spec(row: Row) -> str:
    values = (row.id, row.video, row.masks, row.direction, row.start, row.stop, row.stride, row.rate, row.frames)
    return json.dumps(values, separators=(",", ":"))


def _row(line: int, spec: str) -> Row:
    name, video, masks, *rest = json.loads(spec)
    values: list[Any] = rest
    return Row(line, name, video, tuple((frame, path) for frame, path in masks), *values)
