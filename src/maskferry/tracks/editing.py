"""Changing tracks by hand after the fact: merge, split, swap, rename, remove; each can be undone.

An edit changes ids, never pixels. Prompts follow their masks, and where a track is cut its mask becomes a prompt, so
that a later correction on one side leaves the other alone. What was tracked counts as tracked: an edit alone makes
`MaskTracker.propagate` do nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from maskferry.data import MaskPrompt
from maskferry.errors import InputError
from maskferry.tracks._ids import object_ids
from maskferry.tracks._journal import Journal
from maskferry.tracks._planner import plan
from maskferry.tracks._results import Tracks

__all__ = ["merge", "remove", "rename", "split", "swap", "undo"]

TABLES = {"object": "id", "mask": "object", "prompt": "object", "span": "object"}
"""What an edit may change, and the column that names the object."""


def rename(tracks: Tracks, object_id: int, label: str | None) -> None:
    """Give an object another name, or none.

    Raises:
        UnknownObjectError: no such object.
    """
    with _edit(tracks, f"rename {object_id}", [object_id]):
        tracks.database.execute("UPDATE object SET label = ? WHERE id = ?", [label, object_id])


def remove(tracks: Tracks, object_id: int) -> None:
    """Take an object away. Its id is not given again by itself.

    Raises:
        UnknownObjectError: no such object.
    """
    with _edit(tracks, f"remove {object_id}", [object_id]):
        Journal(tracks).remove_object(object_id)


def merge(tracks: Tracks, keep: int, other: int) -> None:
    """Say that two objects are one. Where both have a mask, that of ``keep`` stays.

    Args:
        tracks: what to change.
        keep: the id that stays.
        other: the id that goes.

    Raises:
        UnknownObjectError: no such object.
        InputError: both are the same.
    """
    _check_two(keep, other)
    database = tracks.database
    with _edit(tracks, f"merge {other} into {keep}", [keep, other]):
        empty = (
            "object = ? AND state = 'lost' AND frame IN (SELECT frame FROM mask WHERE object = ? AND state != 'lost')"
        )
        database.execute(f"DELETE FROM mask WHERE {empty}", [keep, other])
        database.execute("UPDATE OR IGNORE mask SET object = ? WHERE object = ?", [keep, other])
        database.execute("UPDATE OR IGNORE prompt SET object = ? WHERE object = ?", [keep, other])
        Journal(tracks).remove_object(other)


def split(tracks: Tracks, object_id: int, frame: int) -> int:
    """Say that from a frame on it is another object.

    Returns:
        The new object's id; it has the same name.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no mask on that frame.
    """
    journal = Journal(tracks)
    journal.require(object_id)
    if not _has_mask(tracks, object_id, frame):
        raise InputError(f"object {object_id} has no mask on frame {frame}")
    (fresh,) = object_ids(None, 1, journal.used_ids())
    with _edit(tracks, f"split {object_id} at {frame}", [object_id], [fresh]):
        label = tracks.labels.get(object_id)
        tracks.database.execute("INSERT INTO object (id, label) VALUES (?, ?)", [fresh, label])
        _pin(journal, frame, [object_id])
        _move(tracks, object_id, fresh, frame)
    return fresh


def swap(tracks: Tracks, first: int, second: int, frame: int) -> None:
    """Exchange the ids of two objects from a frame on, as after look-alikes have crossed.

    Raises:
        UnknownObjectError: no such object.
        InputError: both are the same, or none has a mask on that frame.
    """
    _check_two(first, second)
    journal = Journal(tracks)
    if not _has_mask(tracks, first, frame) and not _has_mask(tracks, second, frame):
        raise InputError(f"neither object {first} nor object {second} has a mask on frame {frame}")
    with _edit(tracks, f"swap {first} and {second} from {frame}", [first, second]):
        _pin(journal, frame, [first, second])
        nobody = -1
        _move(tracks, first, nobody, frame)
        _move(tracks, second, first, frame)
        _move(tracks, nobody, second, frame)


def undo(tracks: Tracks) -> str | None:
    """Take the last edit back.

    Masks that were tracked or given for its objects since then go with it.

    Returns:
        What was undone, for people; None where there is nothing to undo.
    """
    database = tracks.database
    with database.transaction():
        for edit, what, objects, before in database.rows("SELECT * FROM edit ORDER BY id DESC LIMIT 1"):
            _clear(tracks, json.loads(objects))
            for table, rows in json.loads(zlib.decompress(before)).items():
                width = len(database.rows(f"PRAGMA table_info({table})"))
                for row in rows:
                    values = _from_json(row) + [None] * (width - len(row))  # an edit of format 1 has fewer columns
                    database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", values)
            database.execute("DELETE FROM edit WHERE id = ?", [edit])
            return str(what)
    return None


@contextmanager
def _edit(tracks: Tracks, what: str, objects: Sequence[int], fresh: Sequence[int] = ()) -> Iterator[None]:
    """Keep what is there before an edit; afterwards say that everything is still tracked.

    ``fresh`` are the ids of objects that the edit makes.
    """
    database, journal = tracks.database, Journal(tracks)
    for i in objects:
        journal.require(i)
    with database.transaction():
        before = {
            table: [
                _to_json(row) for i in objects for row in database.rows(f"SELECT * FROM {table} WHERE {key} = ?", [i])
            ]
            for table, key in TABLES.items()
        }
        packed = zlib.compress(json.dumps(before).encode())
        touched = [*objects, *fresh]
        values = [what, json.dumps(touched), packed]
        database.execute("INSERT INTO edit (what, objects, before) VALUES (?, ?, ?)", values)
        yield
        _count_as_tracked(journal, touched)
        journal.mark_returns()


def _count_as_tracked(journal: Journal, objects: Sequence[int]) -> None:
    """The spans that the objects' prompts call for now are those of jobs that are done."""
    seeds = {i: own for i, own in journal.seeds().items() if i in objects}
    stored = journal.jobs()
    for i in objects:
        journal.tracks.database.execute("DELETE FROM span WHERE object = ?", [i])
    for frame_range in {job.job.frame_range for job in stored}:
        backward = any(job.job.backward for job in stored if job.job.frame_range == frame_range)
        engine = stored[0].engine
        for job in plan(seeds, "both" if backward else "forward", frame_range):
            journal.add_jobs([job], engine, done=True)


def _pin(journal: Journal, frame: int, objects: Sequence[int]) -> None:
    """Make the masks of a frame prompts, where they are none yet; their states stay what they are."""
    for i in objects:
        if journal.prompt(frame, i) is None and _has_mask(journal.tracks, i, frame):
            row = journal.tracks[frame][i]
            journal.add_prompts([MaskPrompt(frame, i, row.rle.decode())], None, [None])


def _move(tracks: Tracks, source: int, target: int, frame: int) -> None:
    for table in ("mask", "prompt"):
        tracks.database.execute(
            f"UPDATE {table} SET object = ? WHERE object = ? AND frame >= ?", [target, source, frame]
        )


def _clear(tracks: Tracks, objects: Sequence[int]) -> None:
    for table, key in TABLES.items():
        for i in objects:
            tracks.database.execute(f"DELETE FROM {table} WHERE {key} = ?", [i])


def _has_mask(tracks: Tracks, object_id: int, frame: int) -> bool:
    return frame in tracks and object_id in tracks[frame] and tracks[frame][object_id].rle.area > 0


def _check_two(first: int, second: int) -> None:
    if first == second:
        raise InputError(f"expected two objects, got {first} twice")


def _to_json(row: Sequence[Any]) -> list[Any]:
    return [{"hex": value.hex()} if isinstance(value, bytes) else value for value in row]


def _from_json(row: Sequence[Any]) -> list[Any]:
    return [bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in row]
