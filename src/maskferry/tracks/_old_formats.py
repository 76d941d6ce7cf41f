"""Tracks files of formats 1 and 2, which had no checksums: read row by row into a database of the present format.

Nothing in them is trusted: only the tables of those formats are allowed, and every value is checked as it is read.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

from maskferry.errors import DamagedTracksError, MaskferryError
from maskferry.tracks._database import Database
from maskferry.tracks._edit_store import row_json, undone_json
from maskferry.tracks._jobs import FrameRange, Job, Span, StoredJob
from maskferry.tracks._notes import Notes
from maskferry.tracks._prompt_store import request_digest
from maskferry.tracks._spans import Prompted, Undone, undone_frames
from maskferry.tracks._table import Row, Table
from maskferry.tracks._video_note import read_video, write_video

__all__ = ["TYPED", "convert", "strange_things"]

KNOWN = {"meta", "frame", "object", "mask", "mask_by_object", "prompt", "job", "snapshot", "span", "edit"}

LARGEST_EDIT = 1 << 28
"""Bytes of an edit, unpacked."""


def convert(old: sqlite3.Connection, new: Database, place: str) -> None:
    """Copy everything from a file of format 1 or 2 into an empty database.

    Raises:
        DamagedTracksError: a table or a value is not as those formats have it.
    """
    try:
        _check_tables(old, place)
        with new.transaction():
            _copy_notes(old, new, place)
            for table, query in QUERIES.items():
                rows = old.execute(query)
                while piece := rows.fetchmany(4096):
                    Table(new, table).put([TYPED[table](row) for row in piece])
            for frame, i, kind, value in Table(new, "prompt").find():
                digest = request_digest(_text(kind), _data(value))
                Table(new, "request").put([(frame, i, digest)])
            Table(new, "span").put([(n, *map(_int_or_none, row)) for n, row in enumerate(old.execute(SPANS), 1)])
            _copy_jobs(old, new)
            for edit in old.execute("SELECT id, what, objects, before FROM edit ORDER BY id").fetchall():
                _copy_edit(edit, new)
    except MaskferryError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, RecursionError, zlib.error) as err:
        raise DamagedTracksError(f"{place} is damaged: it cannot be read as the format that it has: {err}") from err


QUERIES = {
    "frame": "SELECT idx, time, name FROM frame",
    "object": "SELECT id, label, removed FROM object",
    "mask": "SELECT * FROM mask",
    "prompt": "SELECT frame, object, kind, value FROM prompt",
}
SPANS = "SELECT job, object, seed, until, blend FROM span ORDER BY rowid"


def _check_tables(old: sqlite3.Connection, place: str) -> None:
    for kind, name in strange_things(old):
        raise DamagedTracksError(f"{place} is damaged, or not from maskferry: it holds the {kind} {name!r}")


def strange_things(old: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """(kind, name) of all in the schema that no file of those formats has."""
    for kind, name, sql in old.execute("SELECT type, name, sql FROM sqlite_schema"):
        automatic = str(name).startswith("sqlite_autoindex_")
        if kind not in ("table", "index") or not (name in KNOWN or automatic) or "VIRTUAL" in str(sql).upper():
            yield str(kind)[:20], str(name)[:40]


def _copy_notes(old: sqlite3.Connection, new: Database, place: str) -> None:
    notes = Notes(new)
    for key, value in old.execute("SELECT key, value FROM meta").fetchall():
        if key == "video":
            notes.set("video", str(value))
        elif str(key).startswith(("score:", "note:retired:")):
            notes.set(str(key).removeprefix("note:"), str(value))
        elif key == "damage" or str(key).startswith("note:"):
            notes.set(str(key), str(value))
    write_video(notes, read_video(notes, place), None)
    ((highest,),) = old.execute("SELECT coalesce(max(id), 0) FROM object").fetchall()
    notes.set("highest_id", str(int(highest)))


def _copy_jobs(old: sqlite3.Connection, new: Database) -> None:
    query = "SELECT id, engine, backward, start, stop, stride, position, snapshot_frame, done FROM job ORDER BY id"
    rows = [
        (_int(row[0]), _text(row[1]), *map(_int, row[2:6]), *map(_int_or_none, row[6:8]), _int(row[8]))
        for row in old.execute(query)
    ]
    Table(new, "job").put(rows)
    if rows:
        last = rows[-1]
        both = len({row[2] for row in rows if row[3:6] == last[3:6]}) > 1
        direction = "both" if both or not last[2] else "backward"
        Notes(new).set_json("run", [direction, *last[3:6]])
    has_table = old.execute("SELECT 1 FROM sqlite_schema WHERE name = 'snapshot'").fetchall()
    saved = old.execute(
        "SELECT job, data FROM snapshot" if has_table else "SELECT id, snapshot FROM job WHERE snapshot IS NOT NULL"
    )
    for job, data in saved:
        Table(new, "snapshot").put([(int(job), bytes(data))])


# --- rows -------------------------------------------------------------------------------------------------------------


_KINDS: dict[type, str] = {int: "a whole number", str: "a text", bytes: "bytes"}

T = TypeVar("T")


def _of(kind: type[T], value: Any) -> T:  # noqa: ANN401
    if not isinstance(value, kind):
        raise ValueError(f"expected {_KINDS[kind]}, got {str(value)[:20]!r}")
    return value


_int, _text, _data = partial(_of, int), partial(_of, str), partial(_of, bytes)


def _int_or_none(value: Any) -> int | None:  # noqa: ANN401
    return None if value is None else _int(value)


def _frame_row(row: Sequence[Any]) -> Row:
    return _int(row[0]), None if row[1] is None else float(row[1]), _text(row[2])


def _object_row(row: Sequence[Any]) -> Row:
    return _int(row[0]), None if row[1] is None else _text(row[1]), _int(row[2])


def _mask_row(row: Sequence[Any]) -> Row:
    frame, i, counts, score, state, *rest = row
    fidelity = rest[0] if rest else None
    told = None if fidelity is None else float(fidelity)
    return _int(frame), _int(i), _data(counts), float(score), _text(state), told


def _prompt_row(row: Sequence[Any]) -> Row:
    return _int(row[0]), _int(row[1]), _text(row[2]), _data(row[3])


TYPED = {"frame": _frame_row, "object": _object_row, "mask": _mask_row, "prompt": _prompt_row}


# --- edits ------------------------------------------------------------------------------------------------------------


def _copy_edit(edit: Sequence[Any], new: Database) -> None:
    """An old edit keeps all rows of its objects: all of them are swept when it is undone."""
    key, what, objects, packed = edit
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(_data(packed), LARGEST_EDIT)
    if unpacker.unconsumed_tail:
        raise ValueError("an edit is larger than any that was written")
    before: dict[str, list[list[Any]]] = json.loads(text)
    ids = [_int(i) for i in json.loads(objects)]
    rows: list[Row] = []
    for table in ("object", "mask", "prompt"):
        for old_row in before[table]:
            row = TYPED[table]([_from_json(v) for v in old_row])
            a, b = (int(str(row[0])), 0) if table == "object" else (int(str(row[0])), int(str(row[1])))
            rows.append((_int(key), table, a, b, row_json(row)))
    Table(new, "edit_row").put(rows)
    undone = undone_json(_undone_before(before, new, ids))
    Table(new, "edit").put([(_int(key), _text(what), json.dumps(ids), json.dumps(ids), undone, 0)])


def _from_json(value: Any) -> Any:  # noqa: ANN401
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def _undone_before(before: dict[str, list[list[Any]]], new: Database, objects: Iterable[int]) -> Undone:
    """What was still to be tracked of the objects of an old edit before it."""
    seeds: dict[int, list[int]] = {}
    for frame, i, *_ in before["prompt"]:
        seeds.setdefault(_int(i), []).append(_int(frame))
    spans: dict[int, list[Span]] = {}
    for job, i, seed, until, blend in before["span"]:
        spans.setdefault(_int(job), []).append(Span(_int(i), _int(seed), _int_or_none(until), bool(blend)))
    stored = list(_stored(new, spans))
    known = {one.id for one in stored}
    ranges = {one.job.frame_range for one in stored}
    for job, own in spans.items():  # of jobs that were forgotten since: they had come to their end
        if job not in known:
            for frame_range in ranges:
                stored += [_done(job, frame_range, backward, own) for backward in (False, True)]
    return undone_frames(stored, Prompted(seeds), list(objects))


def _stored(new: Database, spans: dict[int, list[Span]]) -> Iterator[StoredJob]:
    for row in Table(new, "job").find("ORDER BY id"):
        job_id, engine, backward, start, stop, stride, position, snapshot_frame, done = row
        frame_range = FrameRange(_int(start), _int(stop), _int(stride))
        job = Job(bool(backward), frame_range, tuple(spans.get(_int(job_id), ())))
        yield StoredJob(
            _int(job_id), str(engine), job, _int_or_none(position), _int_or_none(snapshot_frame), bool(done)
        )


def _done(job_id: int, frame_range: FrameRange, backward: bool, spans: Sequence[Span]) -> StoredJob:
    own = tuple(s for s in spans if s.until is None or (s.until < s.seed) == backward)
    return StoredJob(job_id, "", Job(backward, frame_range, own), None, None, done=True)
