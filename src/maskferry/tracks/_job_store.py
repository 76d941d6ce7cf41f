"""The jobs of a run and how far each has come, in the tracks file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from maskferry.tracks._database import Database
from maskferry.tracks._jobs import FrameRange, Job, Span

__all__ = ["JobStore", "StoredJob"]

LARGEST = 900_000_000
"""Bytes of a snapshot that is kept; SQLite holds no value of 1 GB. Without one, a pass is stepped through again."""


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job and how far it has come.

    Attributes:
        id: its key in the store.
        engine: name of the engine that began it.
        job: what it has to do.
        position: the last frame, in the order of the pass, that is finished; None before the first.
        snapshot_frame: the frame after which the session's state was saved last; None where it was not.
        done: nothing is left to do.
    """

    id: int
    engine: str
    job: Job
    position: int | None
    snapshot_frame: int | None
    done: bool


class JobStore:
    """Reads and writes the tables ``job``, ``span`` and ``snapshot``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self) -> list[StoredJob]:
        """All jobs that have spans, in the order in which they are to be done."""
        spans: dict[int, list[Span]] = {}
        for job_id, object_id, seed, until, blend in self._db.rows("SELECT * FROM span ORDER BY rowid"):
            spans.setdefault(job_id, []).append(Span(object_id, seed, until, bool(blend)))
        query = "SELECT id, engine, backward, start, stop, stride, position, snapshot_frame, done FROM job ORDER BY id"
        found = []
        for job_id, engine, backward, start, stop, stride, position, snapshot_frame, done in self._db.rows(query):
            if job_id in spans:
                job = Job(bool(backward), FrameRange(start, stop, stride), tuple(spans[job_id]))
                found.append(StoredJob(job_id, engine, job, position, snapshot_frame, bool(done)))
        return found

    def unfinished(self) -> list[StoredJob]:
        """Those of `all` in which something is left to do."""
        return [stored for stored in self.all() if not stored.done]

    def add(self, jobs: Iterable[Job], engine: str, *, done: bool = False) -> None:
        """Write down what is to be done, before any of it is done; or, with ``done``, what counts as done."""
        with self._db.transaction():
            for job in jobs:
                limits = job.frame_range
                job_id = self._db.execute(
                    "INSERT INTO job (engine, backward, start, stop, stride, done) VALUES (?, ?, ?, ?, ?, ?)",
                    [engine, job.backward, limits.start, limits.stop, limits.stride, done],
                )
                rows = [(job_id, s.object_id, s.seed, s.until, s.blend) for s in job.spans]
                self._db.execute_many("INSERT INTO span VALUES (?, ?, ?, ?, ?)", rows)

    def finish(self, job_id: int) -> None:
        """Nothing is left to do for this job; its snapshot is dropped."""
        with self._db.transaction():
            self._db.execute("UPDATE job SET done = 1, snapshot_frame = NULL WHERE id = ?", [job_id])
            self._db.execute("DELETE FROM snapshot WHERE job = ?", [job_id])

    # --- spans --------------------------------------------------------------------------------------------------

    def keep_spans(self, job_id: int, keys: Collection[tuple[int, int, int | None]]) -> None:
        """Forget the spans of a job that are not among ``keys``, and the job where none is left."""
        with self._db.transaction():
            for rowid, *key in self._db.rows("SELECT rowid, object, seed, until FROM span WHERE job = ?", [job_id]):
                if tuple(key) not in keys:
                    self._db.execute("DELETE FROM span WHERE rowid = ?", [rowid])
            self._db.execute("DELETE FROM job WHERE id = ? AND id NOT IN (SELECT job FROM span)", [job_id])
            self._db.execute("DELETE FROM snapshot WHERE job NOT IN (SELECT id FROM job)")

    def drop_spans(self, object_id: int) -> None:
        """Forget the spans of an object."""
        self._db.execute("DELETE FROM span WHERE object = ?", [object_id])

    def last_span(self, job_id: int, object_id: int) -> tuple[int, int | None, bool] | None:
        """(its key, until, blend) of the span of an object that a job has come to."""
        query = "SELECT rowid, until, blend FROM span WHERE job = ? AND object = ? ORDER BY rowid DESC LIMIT 1"
        for rowid, until, blend in self._db.rows(query, [job_id, object_id]):
            return rowid, until, bool(blend)
        return None

    def cut(self, job_id: int, object_id: int, frame: int, cut: tuple[int, int | None, bool] | None) -> Span:
        """End a span (`last_span`, None where there is none) at a frame on which its object was prompted.

        Returns:
            The span that begins there, in its place.
        """
        until, blend = None, False
        if cut is not None:
            rowid, until, blend = cut
            self._db.execute("UPDATE span SET until = ? WHERE rowid = ?", [frame, rowid])
        span = Span(object_id, frame, until, blend)
        self._db.execute("INSERT INTO span VALUES (?, ?, ?, ?, ?)", [job_id, *span.key, span.blend])
        return span

    # --- what a resumed pass begins with ------------------------------------------------------------------------

    def snapshot(self, job_id: int) -> bytes | None:
        """The session's state that was saved last."""
        found = self._db.rows("SELECT data FROM snapshot WHERE job = ?", [job_id])
        return found[0][0] if found else None

    def save_snapshot(self, job_id: int, frame: int, snapshot: bytes | None) -> None:
        """Keep the session's state after ``frame``; the one before stays where this one is too large."""
        if snapshot is None or len(snapshot) > LARGEST:
            return
        with self._db.transaction():
            self._db.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", [job_id, snapshot])
            self._db.execute("UPDATE job SET snapshot_frame = ? WHERE id = ?", [frame, job_id])

    def suspend(self, job_id: int, object_ids: Collection[int]) -> None:
        """Remember which objects of a job its session does not follow any more."""
        self._db.set_note(f"retired:{job_id}", json.dumps(sorted(object_ids)))

    def suspended(self, job_id: int) -> list[int]:
        """What `suspend` was told last."""
        found: list[int] = json.loads(self._db.note(f"retired:{job_id}") or "[]")
        return found
