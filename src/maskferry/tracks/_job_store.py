"""The jobs of a run and how far each has come, in the tracks file."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from maskferry.tracks._database import Database
from maskferry.tracks._jobs import FrameRange, Job, Span, StoredJob
from maskferry.tracks._notes import Notes
from maskferry.tracks._spans import SortedSpans
from maskferry.tracks._table import Row, Table

__all__ = ["JobStore"]

LARGEST = 900_000_000
"""Bytes of a snapshot that is kept; SQLite holds no value of 1 GB. Without one, a pass is stepped through again."""


class JobStore:
    """Reads and writes the tables ``job``, ``span`` and ``snapshot``."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._jobs, self._spans = Table(database, "job"), Table(database, "span")
        self._snapshots, self._notes = Table(database, "snapshot"), Notes(database)

    def all(self) -> list[StoredJob]:
        """All jobs that have spans, in the order in which they are to be done."""
        spans: dict[int, list[Span]] = {}
        for _, job_id, object_id, seed, until, blend in self._rows(self._spans, "ORDER BY id"):
            spans.setdefault(job_id, []).append(Span(object_id, seed, until, bool(blend)))
        return [
            _stored_job(row, tuple(spans[row[0]])) for row in self._rows(self._jobs, "ORDER BY id") if row[0] in spans
        ]

    def unfinished(self) -> list[StoredJob]:
        """Those of `all` in which something is left to do."""
        return [stored for stored in self.all() if not stored.done]

    def engine(self) -> str | None:
        """The engine of the job that is to be done next, or was done last; None where there is none."""
        query = "SELECT engine FROM job WHERE engine != '' ORDER BY done, CASE WHEN done THEN -id ELSE id END LIMIT 1"
        found = self._db.rows(query)
        return str(found[0][0]) if found else None

    def spans(self, job_id: int) -> tuple[Span, ...]:
        """The spans of a job as they are now."""
        rows = self._rows(self._spans, "WHERE job = ? ORDER BY id", [job_id])
        return tuple(Span(object_id, seed, until, bool(blend)) for _, _, object_id, seed, until, blend in rows)

    def add(self, jobs: Iterable[Job], engine: str, *, done: bool = False) -> None:
        """Write down what is to be done, before any of it is done; or, with ``done``, what counts as done."""
        with self._db.transaction():
            newest = self._newest("job")
            for job_id, job in enumerate(jobs, newest + 1):
                limits = (job.frame_range.start, job.frame_range.stop, job.frame_range.stride)
                self._jobs.put([(job_id, engine, int(job.backward), *limits, None, None, int(done))])
                self._add_spans(job_id, job.spans)

    def move_on(self, job_id: int, frame: int) -> None:
        """A frame of a job is finished."""
        self._change(job_id, position=frame)

    def finish(self, job_id: int) -> None:
        """Nothing is left to do for this job; its snapshot is dropped."""
        with self._db.transaction():
            self._change(job_id, snapshot_frame=None, done=1)
            self._snapshots.delete("job = ?", [job_id])

    def _change(self, job_id: int, **values: int | None) -> None:
        columns = ("id", "engine", "backward", "start", "stop", "stride", "position", "snapshot_frame", "done")
        for row in self._jobs.find("WHERE id = ?", [job_id]):
            self._jobs.put([tuple((dict(zip(columns, row, strict=True)) | values).values())])

    # --- spans --------------------------------------------------------------------------------------------------

    def replace_spans(self, objects: Collection[int], spans: SortedSpans) -> None:
        """Let objects have these spans instead of those that they have."""
        stored = self.all()
        engine = stored[0].engine if stored else ""  # a name, for people: what is done is done
        for i in objects:
            self.drop_spans(i)
        for (frame_range, backward), own in spans.done.items():
            self.add([Job(backward, frame_range, tuple(own))], engine, done=True)
        for job_id, own in spans.under_way.items():
            self._add_spans(job_id, own)
        self._drop_idle_snapshots()

    def keep_spans(self, job_id: int, keys: Collection[tuple[int, int, int | None]]) -> None:
        """Forget the spans of a job that are not among ``keys``."""
        with self._db.transaction():
            for row in self._rows(self._spans, "WHERE job = ?", [job_id]):
                if tuple(row[2:5]) not in keys:
                    self._spans.delete("id = ?", [row[0]])
            self._drop_idle_snapshots()

    def _drop_idle_snapshots(self) -> None:
        self._db.execute("DELETE FROM snapshot WHERE job NOT IN (SELECT job FROM span)")

    def drop_spans(self, object_id: int) -> None:
        """Forget the spans of an object."""
        self._spans.delete("object = ?", [object_id])

    def last_span(self, job_id: int, object_id: int) -> tuple[int, Span] | None:
        """(its key, the span) of an object that a job has come to."""
        rest = "WHERE job = ? AND object = ? ORDER BY id DESC LIMIT 1"
        for key, _, _, seed, until, blend in self._rows(self._spans, rest, [job_id, object_id]):
            return key, Span(object_id, seed, until, bool(blend))
        return None

    def cut(self, job_id: int, object_id: int, frame: int, cut: tuple[int, Span] | None) -> Span:
        """End a span (`last_span`, None where there is none) at a frame on which its object was prompted.

        Returns:
            The span that begins there, in its place.
        """
        until, blend = None, False
        if cut is not None:
            key, span = cut
            until, blend = span.until, span.blend
            if span.seed == frame:
                self._spans.delete("id = ?", [key])
            else:
                self._spans.put([(key, job_id, object_id, span.seed, frame, int(blend))])
        span = Span(object_id, frame, until, blend)
        self._add_spans(job_id, [span])
        return span

    def _add_spans(self, job_id: int, spans: Iterable[Span]) -> None:
        newest = self._newest("span")
        rows: list[Row] = [(key, job_id, *span.key, int(span.blend)) for key, span in enumerate(spans, newest + 1)]
        self._spans.put(rows)

    def _newest(self, table: str) -> int:
        found = self._db.rows(f"SELECT max(id) FROM {table}")[0][0]
        return found if isinstance(found, int) else 0

    def _rows(self, table: Table, rest: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return table.find(rest, values or [])

    # --- what a resumed pass begins with ------------------------------------------------------------------------

    def snapshot(self, job_id: int) -> bytes | None:
        """The session's state that was saved last."""
        found = self._rows(self._snapshots, "WHERE job = ?", [job_id])
        return found[0][1] if found else None

    def save_snapshot(self, job_id: int, frame: int, snapshot: bytes | None) -> None:
        """Keep the session's state after ``frame``; the one before stays where this one is too large."""
        if snapshot is None or len(snapshot) > LARGEST:
            return
        with self._db.transaction():
            self._snapshots.put([(job_id, snapshot)])
            self._change(job_id, snapshot_frame=frame)

    def suspend(self, job_id: int, object_ids: Collection[int]) -> None:
        """Remember which objects of a job its session does not follow any more."""
        self._notes.set_json(f"retired:{job_id}", sorted(object_ids))

    def suspended(self, job_id: int) -> list[int]:
        """What `suspend` was told last."""
        found: list[int] = self._notes.json(f"retired:{job_id}", [])
        return found


def _stored_job(row: tuple[Any, ...], spans: tuple[Span, ...]) -> StoredJob:
    job_id, engine, backward, start, stop, stride, position, snapshot_frame, done = row
    job = Job(bool(backward), FrameRange(start, stop, stride), spans)
    return StoredJob(job_id, engine, job, position, snapshot_frame, bool(done))
