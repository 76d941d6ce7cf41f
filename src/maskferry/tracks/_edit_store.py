"""What edits have changed, in the tracks file, so that each can be undone."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

from maskferry.tracks._database import Database

__all__ = ["EditStore"]

TABLES = {"object": "id", "mask": "object", "prompt": "object", "span": "object"}
"""What an edit may change, and the column that names the object."""

Value = str | int | float | bytes | None


class EditStore:
    """Reads and writes the table ``edit``: the rows of the edited objects as they were before."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def record(self, what: str, objects: Sequence[int], new: Sequence[int] = ()) -> None:
        """Keep the rows of objects that are about to be edited.

        Args:
            what: the edit, for people.
            objects: ids of those that there are.
            new: ids of those that the edit makes; they go when it is undone.
        """
        before = {
            table: [
                [_to_json(value) for value in row]
                for i in objects
                for row in self._db.rows(f"SELECT * FROM {table} WHERE {key} = ?", [i])
            ]
            for table, key in TABLES.items()
        }
        values = [what, json.dumps([*objects, *new]), zlib.compress(json.dumps(before).encode())]
        self._db.execute("INSERT INTO edit (what, objects, before) VALUES (?, ?, ?)", values)

    def restore_last(self) -> str | None:
        """Bring back the rows of before the last edit; what it was, or None where there is none."""
        with self._db.transaction():
            last = self._db.rows("SELECT id, what, objects, before FROM edit ORDER BY id DESC LIMIT 1")
            if not last:
                return None
            edit_id, what, objects, before = last[0]
            self._delete_rows(json.loads(objects))
            for table, rows in json.loads(zlib.decompress(before)).items():
                self._insert_rows(table, rows)
            self._db.execute("DELETE FROM edit WHERE id = ?", [edit_id])
        return str(what)

    def _delete_rows(self, objects: Sequence[int]) -> None:
        for table, key in TABLES.items():
            for i in objects:
                self._db.execute(f"DELETE FROM {table} WHERE {key} = ?", [i])

    def _insert_rows(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        width = len(self._db.rows(f"PRAGMA table_info({table})"))
        for row in rows:
            missing = [None] * (width - len(row))  # an edit of a tracks file of format 1 has fewer columns
            values = [*map(_from_json, row), *missing]
            self._db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", values)


def _to_json(value: Value) -> object:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _from_json(value: object) -> object:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value
