"""What a tracks file says of the whole run, in its table ``meta``: texts by name."""

from __future__ import annotations

import json
from typing import Any

from maskferry.errors import DamagedTracksError
from maskferry.tracks._database import Database
from maskferry.tracks._table import Table

__all__ = ["Notes"]


class Notes:
    """Reads and writes the table ``meta``."""

    def __init__(self, database: Database) -> None:
        self._db, self._table = database, Table(database, "meta")

    def get(self, name: str) -> str | None:
        """The text of this name."""
        found = self._table.find("WHERE key = ?", [name])
        return str(found[0][1]) if found else None

    def set(self, name: str, text: str | None) -> None:
        """Keep a text; None forgets it."""
        with self._db.transaction():
            if text is None:
                self._table.delete("key = ?", [name])
            else:
                self._table.put([(name, text)])

    def json(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """A value that was kept as JSON."""
        text = self.get(name)
        if text is None:
            return default
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as err:
            raise DamagedTracksError(f"{self._db.place}: what it says of {name!r} cannot be read: {err}") from err

    def set_json(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Keep a value as JSON."""
        self.set(name, json.dumps(value))

    def starting_with(self, prefix: str) -> dict[str, str]:
        """{rest of the name: text} of all names that begin so."""
        rows = self._table.find("WHERE key >= ? AND key < ?", [prefix, prefix + "\U0010ffff"])
        return {str(name)[len(prefix) :]: str(text) for name, text in rows}

    def forget(self, *prefixes: str) -> None:
        """Delete all texts whose names begin so."""
        for prefix in prefixes:
            self._table.delete("key >= ? AND key < ?", [prefix, prefix + "\U0010ffff"])
