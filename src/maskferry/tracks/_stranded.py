"""Masks on pages that no page leads to any more, because the one that did is damaged: read from the file's own bytes.

The layout of pages and records is that of https://www.sqlite.org/fileformat2.html. Pages that are free may hold what
was replaced or removed long ago: they are left out, and where it is not known which they are, so is everything.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from maskferry._held_open import reading
from maskferry.tracks._row_checks import is_as_written
from maskferry.tracks._schema import TABLES, Value
from maskferry.tracks._table import Row

__all__ = ["stranded_masks"]

LEAF, INTERIOR = 0x0A, 0x02
"""Kinds of pages of tables without rowids: both hold rows."""

SIZES_OF_INT = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
COLUMNS = len(TABLES["mask"].columns) + 2


class _File:
    def __init__(self, file: BinaryIO, header: bytes) -> None:
        size = int.from_bytes(header[16:18], "big")
        self._file, self.header = file, header
        self.page_size = 65536 if size == 1 else size
        self.usable = self.page_size - header[20]
        self.pages = file.seek(0, 2) // self.page_size

    def page(self, number: int) -> bytes:
        if not 1 <= number <= self.pages:
            raise ValueError("there is no such page")
        self._file.seek((number - 1) * self.page_size)
        return self._file.read(self.page_size)

    def free_pages(self) -> set[int]:
        """ValueError where the list of free pages is damaged."""
        trunk, wanted = struct.unpack(">II", self.header[32:40])
        found: set[int] = set()
        while trunk and trunk not in found:
            page = self.page(trunk)
            following, count = struct.unpack_from(">II", page)
            if count > self.usable // 4 - 2:
                raise ValueError("a page of the list of free pages is damaged")
            found |= {trunk, *struct.unpack_from(f">{count}I", page, 8)}
            trunk = following
        if len(found) != wanted:
            raise ValueError("the list of free pages is damaged")
        return found

    def rows_of(self, page: bytes, wanted: Container[tuple[int, int]]) -> Iterator[tuple[Value, ...]]:
        """The records of a page that begin with a wanted frame and object, as far as they can be read."""
        is_leaf = page[0] == LEAF
        (count,) = struct.unpack_from(">H", page, 3)
        start = 8 if is_leaf else 12
        for (place,) in struct.iter_unpack(">H", page[start : start + 2 * count]):
            start_of_cell = place if is_leaf else place + 4
            with suppress(ValueError, IndexError, struct.error):
                if _key_of_cell(page, start_of_cell) in wanted:
                    yield _values(self._payload(page, start_of_cell))

    def _payload(self, page: bytes, place: int) -> bytes:
        """A cell's content; what does not fit into the page goes on in others."""
        size, place = _varint(page, place)
        most, least = (self.usable - 12) * 64 // 255 - 23, (self.usable - 12) * 32 // 255 - 23
        if size > self.pages * self.page_size:
            raise ValueError("larger than the file")
        if size <= most:
            return page[place : place + size]
        fitting = least + (size - least) % (self.usable - 4)
        local = fitting if fitting <= most else least
        parts, left = [page[place : place + local]], size - local
        (following,) = struct.unpack_from(">I", page, place + local)
        while left > 0:
            more = self.page(following)
            parts.append(more[4 : min(self.usable, 4 + left)])
            left -= len(parts[-1])
            (following,) = struct.unpack_from(">I", more)
        return b"".join(parts)


def stranded_masks(connection: sqlite3.Connection, wanted: Container[tuple[int, int]]) -> Iterator[Row]:
    """Rows of the table of masks in a file, as they are written there, in any order; some may be there twice.

    Each has its checksums.

    Args:
        connection: to the file; a run that goes on has its rows elsewhere.
        wanted: (frame, object) of the masks that are looked for.
    """
    names = [str(row[2]) for row in connection.execute("PRAGMA database_list") if row[2]]
    if connection.in_transaction or not names:
        return
    with suppress(ValueError, OSError), reading(Path(names[0])) as opened:
        file = _File(opened, opened.read(100))
        free = file.free_pages()
        for number in range(2, file.pages + 1):
            page = file.page(number)
            if page[0] in (LEAF, INTERIOR) and number not in free:
                yield from (row for row in map(_mask, file.rows_of(page, wanted)) if is_as_written("mask", row))


def _mask(values: tuple[Value, ...]) -> Row:
    """Whole numbers are stored as such, whatever the column."""
    if len(values) != COLUMNS:
        return (None,) * COLUMNS
    frame, object_id, counts, score, state, fidelity, *checksums = values
    real = (float(v) if isinstance(v, int) else v for v in (score, fidelity))
    score, fidelity = real
    return frame, object_id, counts, score, state, fidelity, *checksums


def _key_of_cell(page: bytes, place: int) -> tuple[Value, Value]:
    """The first two values of a record, without reading the others."""
    _, place = _varint(page, place)
    end, first = _varint(page, place)
    frame_kind, object_kind = page[first], page[first + 1]
    frame, behind = _value(page, place + end, frame_kind)
    return frame, _value(page, behind, object_kind)[0]


def _values(record: bytes) -> tuple[Value, ...]:
    end, place = _varint(record, 0)
    kinds = []
    while place < end:
        kind, place = _varint(record, place)
        kinds.append(kind)
    if len(kinds) != COLUMNS:
        raise ValueError("another table's")
    found: list[Value] = []
    for kind in kinds:
        value, place = _value(record, place, kind)
        found.append(value)
    return tuple(found)


def _value(record: bytes, place: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, place
    if kind in SIZES_OF_INT:
        size = SIZES_OF_INT[kind]
        return int.from_bytes(record[place : place + size], "big", signed=True), place + size
    if kind == 7:
        return struct.unpack_from(">d", record, place)[0], place + 8
    if kind in (8, 9):
        return kind - 8, place
    if kind < 12:
        raise ValueError("no kind of value")
    size = (kind - 12) // 2
    data = record[place : place + size]
    if len(data) != size:
        raise ValueError("the record is cut short")
    return (data.decode() if kind % 2 else data), place + size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for n in range(9):
        byte = data[place + n]
        if n == 8:
            return value << 8 | byte, place + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + n + 1
    raise ValueError("no number")
