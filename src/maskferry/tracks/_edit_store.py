"""What edits have changed, in the tracks file, so that each can be undone and done again.

An edit is kept as the rows that it touched, as they are on its other side. Undoing exchanges these rows with those in
the tables, and so does doing again: nothing is computed, and every row comes back to the byte. What a run writes for an
object belongs to the newest edit of that object. Of an object that an edit has made, no rows need be kept while it is
there: undoing the edit takes all of them. An edit of names or pins leaves what was tracked as it is, before and after.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from maskferry.errors import DamagedTracksError, InputError
from maskferry.tracks._database import Database
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._schema import TABLES, Value
from maskferry.tracks._spans import Undone
from maskferry.tracks._table import Row, Table

__all__ = ["KEPT_EDITS", "KEPT_TABLES", "Edit", "EditStore", "read_edit", "read_row", "row_json", "undone_json"]

KEPT_EDITS = 200
"""How many edits can be undone; the oldest are forgotten beyond."""

KEPT_TABLES = ("object", "mask", "prompt", "absence")


class Edit(NamedTuple):
    """An edit.

    Attributes:
        id: its key in the store.
        what: for people.
        objects: ids of those that it changes.
        swept: ids of those that it made: all of their rows go with it.
        undone: what is still to be tracked of its objects on its other side; None for an edit of names or pins.
    """

    id: int
    what: str
    objects: tuple[int, ...]
    swept: tuple[int, ...]
    undone: Undone | None


class EditStore:
    """Reads and writes the tables ``edit`` and ``edit_row``."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._edits, self._rows = Table(database, "edit"), Table(database, "edit_row")
        self._tables = {name: Table(database, name) for name in KEPT_TABLES}
        self._newest: dict[int, int | None] = {}
        self._keepers: list[Edit] = []
        self._epoch = database.epoch
        database.recorder = self._keep

    # --- keeping ------------------------------------------------------------------------------------------------

    @contextmanager
    def recording(
        self, what: str, objects: Sequence[int], made: Sequence[int], undone: Undone | None
    ) -> Iterator[None]:
        """Keep what changes in the block; edits that were undone are forgotten.

        Args:
            what: the edit, for people.
            objects: ids of those that it changes.
            made: ids of those that it makes.
            undone: what is still to be tracked of them before it; None where it is the same after it.
        """
        self.forget_undone()
        key = int(str(self._db.rows("SELECT coalesce(max(id), 0) FROM edit")[0][0])) + 1
        ids = [*objects, *made]
        self._edits.put([(key, what, json.dumps(ids), json.dumps([*made]), undone_json(undone), 0)])
        self._db.epoch += 1
        self._db.open_edit = key
        try:
            yield
        finally:
            self._db.open_edit = None
            self._db.epoch += 1

    def _keep(self, table: str, rows: Sequence[Row]) -> None:
        """Keep rows that are about to change, for the newest edit of their objects."""
        if table not in self._tables:
            return
        spec = TABLES[table]
        object_place = spec.columns.index(spec.object_column or "")
        for row in rows:
            edit = self._newest_edit(int(str(row[object_place])))
            if edit is not None:
                self._keep_row(edit, table, _key(table, row))

    def _newest_edit(self, object_id: int) -> int | None:
        """The edit that keeps the rows of an object; None where none does, or where it made the object."""
        if self._epoch != self._db.epoch:
            self._newest.clear()
            self._epoch = self._db.epoch
        if object_id not in self._newest:
            if not self._newest:
                self._keepers = self._find_keepers()
            last = next((edit for edit in self._keepers if object_id in edit.objects), None)
            self._newest[object_id] = None if last is None or object_id in last.swept else last.id
        return self._newest[object_id]

    def _find_keepers(self) -> list[Edit]:
        """The edits that keep rows, the newest first: the one that is being made, or else all but those of names."""
        if self._db.open_edit is not None:
            return [*self._all(f"WHERE id = {self._db.open_edit}")]
        return [edit for edit in self._all("WHERE NOT taken_back ORDER BY id DESC") if edit.undone is not None]

    def _keep_row(self, edit: int, table: str, key: tuple[int, int]) -> None:
        query = "SELECT 1 FROM edit_row WHERE edit = ? AND tbl = ? AND a = ? AND b = ?"
        if not self._db.rows(query, [edit, table, *key]):
            row = self._current(table, key)
            self._rows.put([(edit, table, *key, None if row is None else row_json(row))])

    def _current(self, table: str, key: tuple[int, int]) -> Row | None:
        spec = TABLES[table]
        where = " AND ".join(f"{column} = ?" for column in spec.key)
        found = self._tables[table].find(f"WHERE {where}", key[: len(spec.key)])
        return found[0] if found else None

    def forget_undone(self) -> None:
        """Nothing can be done again any more."""
        self._forget("SELECT id FROM edit WHERE taken_back")

    def forget_all(self) -> None:
        """Nothing can be undone any more."""
        self._forget("SELECT id FROM edit")

    def forget_old(self) -> None:
        """Forget the oldest edits beyond `KEPT_EDITS`."""
        self._forget("SELECT id FROM edit ORDER BY id DESC LIMIT -1 OFFSET ?", [KEPT_EDITS])

    def _forget(self, query: str, values: Sequence[Value] = ()) -> None:
        self._db.execute(f"DELETE FROM edit_row WHERE edit IN ({query})", values)
        if self._db.execute(f"DELETE FROM edit WHERE id IN ({query})", values):
            self._db.epoch += 1

    # --- undoing ------------------------------------------------------------------------------------------------

    def last(self) -> Edit | None:
        """The edit that is undone next."""
        return next(self._all("WHERE NOT taken_back ORDER BY id DESC LIMIT 1"), None)

    def next(self) -> Edit | None:
        """The edit that is done again next."""
        return next(self._all("WHERE taken_back ORDER BY id LIMIT 1"), None)

    def all(self) -> list[Edit]:
        """The edits that can be undone, the oldest first."""
        return [*self._all("WHERE NOT taken_back ORDER BY id")]

    def exchange(self, edit: Edit, undone: Undone | None, *, taken_back: bool) -> None:
        """Exchange the rows of an edit with those in the tables.

        Args:
            edit: the last one, or the next one.
            undone: what is to be tracked now, kept for the way back.
            taken_back: whether it is undone after that.
        """
        with self._unrecorded():
            kept = {
                (str(table), int(str(a)), int(str(b))): None if row is None else read_row(str(table), str(row))
                for _, table, a, b, row in self._rows.find("WHERE edit = ?", [edit.id])
            }
            if taken_back:
                kept |= dict.fromkeys(self._keys_of(edit.swept) - kept.keys())
            for (table, a, b), row in kept.items():
                if table not in self._tables:
                    raise DamagedTracksError(
                        f"{self._db.place}: an edit names the table {table[:20]!r}, which has none"
                    )
                self._exchange_row(edit.id, table, (a, b), row)
        self._tell(kept)
        row = (edit.id, edit.what, json.dumps(edit.objects), json.dumps(edit.swept), undone_json(undone))
        self._edits.put([(*row, int(taken_back))])
        self._db.epoch += 1

    def _exchange_row(self, edit: int, table: str, key: tuple[int, int], row: Row | None) -> None:
        now = self._current(table, key)
        self._rows.put([(edit, table, *key, None if now is None else row_json(now))])
        spec = TABLES[table]
        if row is not None:
            self._tables[table].put([row])
        elif now is not None:
            self._tables[table].delete(" AND ".join(f"{column} = ?" for column in spec.key), key[: len(spec.key)])

    def _tell(self, kept: Collection[tuple[str, int, int]]) -> None:
        """Say of which objects, and from which frame to which, masks have changed."""
        frames: dict[int, list[int]] = {}
        for table, a, b in kept:
            if table == "mask":
                frames.setdefault(b, []).append(a)
        for object_id, own in frames.items():
            self._db.changed([object_id], min(own), max(own) + 1)

    def _keys_of(self, objects: Collection[int]) -> set[tuple[str, int, int]]:
        """The keys of all rows of some objects."""
        found = set()
        for table in KEPT_TABLES:
            spec = TABLES[table]
            columns = [*spec.key, *["0"] * (2 - len(spec.key))]
            query = f"SELECT {', '.join(columns)} FROM {table} WHERE {spec.object_column} = ?"
            found |= {(table, int(str(a)), int(str(b))) for i in objects for a, b in self._db.rows(query, [i])}
        return found

    @contextmanager
    def _unrecorded(self) -> Iterator[None]:
        self._db.recorder = None
        try:
            yield
        finally:
            self._db.recorder = self._keep

    def _all(self, rest: str) -> Iterator[Edit]:
        for row in self._edits.find(rest):
            try:
                yield read_edit(row)
            except (ValueError, TypeError, RecursionError) as err:
                raise DamagedTracksError(f"{self._db.place}: an edit cannot be read: {err}") from err


def _key(table: str, row: Row) -> tuple[int, int]:
    spec = TABLES[table]
    first, *others = (int(str(row[spec.columns.index(column)])) for column in spec.key)
    return first, others[0] if others else 0


def read_edit(row: Row) -> Edit:
    """A row of the table ``edit`` as a value; ValueError and TypeError where it is none."""
    key, what, objects, swept, undone, _ = row
    ids, made = json.loads(str(objects)), json.loads(str(swept))
    return Edit(int(str(key)), str(what), tuple(ids), tuple(made), _undone(str(undone)))


def row_json(row: Row) -> str:
    """A row as text."""
    return json.dumps([{"b": value.decode("latin-1")} if isinstance(value, bytes) else value for value in row])


def read_row(table: str, text: str) -> Row:
    """What `row_json` made of a row of a table.

    Raises:
        InputError: it is none.
    """
    try:
        values = tuple(v["b"].encode("latin-1") if isinstance(v, dict) else v for v in json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        raise DamagedTracksError(f"a row of an edit cannot be read: {err}") from err
    if len(values) != len(TABLES[table].columns):
        raise InputError("a row of an edit has other columns than its table: a newer maskferry wrote it")
    return values


def undone_json(undone: Undone | None) -> str:
    """What is still to be tracked, as text."""
    if undone is None:
        return "null"
    return json.dumps([[r.start, r.stop, r.stride, backward, i, parts] for (r, backward, i), parts in undone.items()])


def _undone(text: str) -> Undone | None:
    found: dict[Any, Any] = {}
    values = json.loads(text)
    if values is None:
        return None
    for start, stop, stride, backward, i, parts in values:
        found[FrameRange(int(start), int(stop), int(stride)), bool(backward), int(i)] = [(a, b) for a, b in parts]
    return found
