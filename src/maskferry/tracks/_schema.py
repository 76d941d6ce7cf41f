"""What a tracks file consists of: its tables, their keys, and the checksum of each row.

Every row ends with a checksum of its values, so that a byte that has changed on the disk or on the way is noticed when
the row is read (`_table`). Rows of ``mask`` have a second one, ``seal``, over what the index for timelines holds, so
that a timeline is read from the index alone.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from maskferry._own_files import TRACKS_ID

__all__ = [
    "APPLICATION_ID",
    "FORMAT",
    "REAL",
    "SCHEMA",
    "TABLES",
    "TableSpec",
    "Value",
    "checksum",
    "mask_checksum",
    "mask_seal",
]

APPLICATION_ID = TRACKS_ID
""""mfgy", so that no other program's SQLite file is taken for one of ours."""

FORMAT = 3
"""1 and 2 had no checksums; see `_old_formats`."""

Value = str | int | float | bytes | None
"""What SQLite holds."""

REAL = struct.Struct("<d")
"""How a score goes into a checksum."""


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table.

    Attributes:
        name: of the table.
        columns: without checksums.
        key: the columns that tell rows apart.
        object_column: the one that holds the object's id; None where rows belong to no object.
    """

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    object_column: str | None = None


TABLES = {
    spec.name: spec
    for spec in (
        TableSpec("meta", ("key", "value"), ("key",)),
        TableSpec("frame", ("idx", "time", "name"), ("idx",)),
        TableSpec("object", ("id", "label", "removed"), ("id",), "id"),
        TableSpec("mask", ("frame", "object", "counts", "score", "state", "fidelity"), ("frame", "object"), "object"),
        TableSpec("prompt", ("frame", "object", "kind", "value"), ("frame", "object"), "object"),
        TableSpec("absence", ("start", "object", "stop"), ("start", "object"), "object"),
        TableSpec("request", ("frame", "object", "digest"), ("frame", "object")),
        TableSpec(
            "job",
            ("id", "engine", "backward", "start", "stop", "stride", "position", "snapshot_frame", "done"),
            ("id",),
        ),
        TableSpec("span", ("id", "job", "object", "seed", "until", "blend"), ("id",)),
        TableSpec("snapshot", ("job", "data"), ("job",)),
        TableSpec("edit", ("id", "what", "objects", "swept", "undone", "taken_back"), ("id",)),
        TableSpec("edit_row", ("edit", "tbl", "a", "b", "row"), ("edit", "tbl", "a", "b")),
        TableSpec("change", ("revision", "objects", "start", "stop"), ("revision",)),
    )
}
"""Every table by name."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE frame (idx INTEGER PRIMARY KEY, time REAL, name TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE object (id INTEGER PRIMARY KEY, label TEXT, removed INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE mask (
    frame INTEGER NOT NULL, object INTEGER NOT NULL, counts BLOB NOT NULL, score REAL NOT NULL, state TEXT NOT NULL,
    fidelity REAL, seal INTEGER NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY (frame, object)) WITHOUT ROWID;
CREATE INDEX mask_timeline ON mask (object, frame, state, score, seal);
CREATE INDEX mask_gap ON mask (object, frame, state) WHERE state IN ('lost', 'returned');
CREATE TABLE prompt (
    frame INTEGER NOT NULL, object INTEGER NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL,
    checksum INTEGER NOT NULL, PRIMARY KEY (frame, object)) WITHOUT ROWID;
CREATE TABLE absence (
    start INTEGER NOT NULL, object INTEGER NOT NULL, stop INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (start, object)) WITHOUT ROWID;
CREATE TABLE request (
    frame INTEGER NOT NULL, object INTEGER NOT NULL, digest BLOB NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (frame, object)) WITHOUT ROWID;
CREATE TABLE job (
    id INTEGER PRIMARY KEY, engine TEXT NOT NULL, backward INTEGER NOT NULL, start INTEGER NOT NULL,
    stop INTEGER NOT NULL, stride INTEGER NOT NULL, position INTEGER, snapshot_frame INTEGER, done INTEGER NOT NULL,
    checksum INTEGER NOT NULL);
CREATE TABLE span (
    id INTEGER PRIMARY KEY, job INTEGER NOT NULL, object INTEGER NOT NULL, seed INTEGER NOT NULL, until INTEGER,
    blend INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE snapshot (job INTEGER PRIMARY KEY, data BLOB NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE edit (
    id INTEGER PRIMARY KEY, what TEXT NOT NULL, objects TEXT NOT NULL, swept TEXT NOT NULL, undone TEXT NOT NULL,
    taken_back INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE edit_row (
    edit INTEGER NOT NULL, tbl TEXT NOT NULL, a INTEGER NOT NULL, b INTEGER NOT NULL, row TEXT,
    checksum INTEGER NOT NULL, PRIMARY KEY (edit, tbl, a, b)) WITHOUT ROWID;
CREATE TABLE change (
    revision INTEGER PRIMARY KEY, objects TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    checksum INTEGER NOT NULL);
"""


def checksum(values: Sequence[Value]) -> int:
    """CRC-32 of the values of a row, each with its type."""
    crc = 0
    for value in values:
        if value is None:
            crc = zlib.crc32(b"n", crc)
        elif isinstance(value, bytes):
            crc = zlib.crc32(value, zlib.crc32(b"b%d:" % len(value), crc))
        elif isinstance(value, str):
            text = value.encode("utf-8", "surrogatepass")
            crc = zlib.crc32(text, zlib.crc32(b"s%d:" % len(text), crc))
        elif isinstance(value, float):
            crc = zlib.crc32(REAL.pack(value), zlib.crc32(b"f", crc))
        else:
            crc = zlib.crc32(b"i%d;" % value, crc)
    return crc


def mask_seal(frame: int, object_id: int, score: float, state: str) -> int:
    """CRC-32 of what the index for timelines holds of a mask."""
    return zlib.crc32(REAL.pack(score), zlib.crc32(b"%d %d %b " % (frame, object_id, state.encode())))


def mask_checksum(seal: int, counts: bytes, fidelity: float | None) -> int:
    """CRC-32 of a whole row of ``mask``."""
    return zlib.crc32(counts, seal if fidelity is None else zlib.crc32(REAL.pack(fidelity), seal))
