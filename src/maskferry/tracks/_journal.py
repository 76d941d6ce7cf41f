"""The run's journal beside its results: the prompts, the jobs, and how far each job has come.

Results and progress of a frame are committed together, so that a run killed at any moment goes on behind its last
finished frame.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from maskferry.data import BoxPrompt, FrameInfo, MaskPrompt, ObjectMask, PointPrompt, Prompt, State
from maskferry.errors import InputError, UnknownObjectError
from maskferry.rle import Rle
from maskferry.tracks._jobs import FrameRange, Job, Span
from maskferry.tracks._results import Tracks

__all__ = ["Journal", "StoredJob"]

LARGEST = 900_000_000
"""Bytes of a snapshot that is kept; SQLite holds no value of 1 GB. Without one, a pass is stepped through again."""

Seedable = MaskPrompt | PointPrompt | BoxPrompt


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job and how far it has come.

    Attributes:
        id: its key in the journal.
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


class Journal:
    """Prompts and jobs of one run, written into the database of its tracks."""

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks
        self._db = tracks.database

    # --- prompts ------------------------------------------------------------------------------------------------

    def seeds(self) -> dict[int, list[int]]:
        """{object id: frames on which it was prompted, ascending}."""
        seeds: dict[int, list[int]] = {}
        for object_id, frame in self._db.rows("SELECT object, frame FROM prompt ORDER BY object, frame"):
            seeds.setdefault(object_id, []).append(frame)
        return seeds

    def used_ids(self) -> set[int]:
        """Every id that was ever given, of removed objects too."""
        return {i for (i,) in self._db.rows("SELECT id FROM object")}

    def prompt(self, frame: int, object_id: int) -> Seedable | None:
        """The prompt of one object on one frame."""
        query = "SELECT kind, value FROM prompt WHERE frame = ? AND object = ?"
        for kind, value in self._db.rows(query, [frame, object_id]):
            return _read_prompt(frame, object_id, kind, value, self.tracks.video.size_hw)
        return None

    def add_prompts(
        self,
        prompts: Sequence[Seedable],
        info: FrameInfo | None,
        labels: Sequence[str | None],
        scores: Mapping[int, float] | None = None,
    ) -> None:
        """Add prompts of one frame, all or none; a prompt of the same object on the same frame is replaced.

        Args:
            prompts: checked by the caller.
            info: the frame's row of the frame table, where it is known already.
            labels: a name for each prompt's object, or None to leave it as it is.
            scores: {object id: score}, of the model that the prompts are from.
        """
        with self._db.transaction():
            if info is not None:
                self._db.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?)", [info.index, info.time, info.name])
            for prompt, label in zip(prompts, labels, strict=True):
                self._add_prompt(prompt, label)
            rows = [(f"score:{object_id}", repr(score)) for object_id, score in (scores or {}).items()]
            self._db.execute_many("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def _add_prompt(self, prompt: Seedable, label: str | None) -> None:
        frame, object_id = prompt.frame, prompt.object_id
        self._db.execute(
            "INSERT INTO object (id, label) VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET removed = 0, label = coalesce(excluded.label, label)",
            [object_id, label],
        )
        self._db.execute("DELETE FROM span WHERE object = ? AND (seed = ? OR until = ?)", [object_id, frame, frame])
        self._db.execute(
            "INSERT OR REPLACE INTO prompt VALUES (?, ?, ?, ?)", [frame, object_id, *_write_prompt(prompt)]
        )
        if isinstance(prompt, MaskPrompt):
            given = ObjectMask(object_id, Rle.encode(prompt.mask), 1.0, State.GIVEN)
            self._write_masks(frame, [given])

    def require(self, object_id: int) -> None:
        """Refuse an object that there is not.

        Raises:
            UnknownObjectError: no such object.
        """
        if object_id not in self.tracks.object_ids:
            known = ", ".join(str(i) for i in self.tracks.object_ids[:20]) or "none"
            raise UnknownObjectError(f"no object has the id {object_id}; there are: {known}")

    def remove_object(self, object_id: int) -> None:
        """Forget an object: its prompts, its masks, what is left to do for it. Its id is not given again by itself.

        Raises:
            UnknownObjectError: no such object.
        """
        self.require(object_id)
        with self._db.transaction():
            for table in ("prompt", "mask", "span"):
                self._db.execute(f"DELETE FROM {table} WHERE object = ?", [object_id])
            self._db.execute("UPDATE object SET removed = 1 WHERE id = ?", [object_id])

    def reset(self) -> None:
        """Forget everything but the video."""
        with self._db.transaction():
            for table in ("prompt", "mask", "span", "job", "snapshot", "object", "frame"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.execute("DELETE FROM meta WHERE key = 'damage' OR key LIKE 'score:%' OR key LIKE 'note:%'")

    # --- jobs ---------------------------------------------------------------------------------------------------

    def jobs(self) -> list[StoredJob]:
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

    def snapshot(self, job_id: int) -> bytes | None:
        """The session's state that was saved last."""
        found = self._db.rows("SELECT data FROM snapshot WHERE job = ?", [job_id])
        return found[0][0] if found else None

    def keep_spans(self, job_id: int, keys: Collection[tuple[int, int, int | None]]) -> None:
        """Forget the spans of a job that are not among ``keys``, and the job where none is left."""
        with self._db.transaction():
            for rowid, *key in self._db.rows("SELECT rowid, object, seed, until FROM span WHERE job = ?", [job_id]):
                if tuple(key) not in keys:
                    self._db.execute("DELETE FROM span WHERE rowid = ?", [rowid])
            self._db.execute("DELETE FROM job WHERE id = ? AND id NOT IN (SELECT job FROM span)", [job_id])
            self._db.execute("DELETE FROM snapshot WHERE job NOT IN (SELECT id FROM job)")

    def add_jobs(self, jobs: Iterable[Job], engine: str, *, done: bool = False) -> None:
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

    def masks(self, frame: int, object_ids: Collection[int]) -> dict[int, ObjectMask]:
        """What is known so far of some objects on a frame."""
        if not object_ids or frame not in self.tracks:
            return {}
        return {row.object_id: row for row in self.tracks[frame] if row.object_id in object_ids}

    def write(
        self,
        job_id: int,
        info: FrameInfo,
        rows: Sequence[ObjectMask],
        fidelity: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        """Commit a finished frame: its masks and the job's progress, together.

        Args:
            job_id: the job.
            info: the frame's row of the frame table.
            rows: what was tracked on it; given masks are there already.
            fidelity: {object id: what the engine said of a given mask}.
        """
        with self._db.transaction():
            self._db.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?)", [info.index, info.time, info.name])
            self._write_masks(info.index, rows)
            told = [(value, info.index, object_id) for object_id, value in fidelity.items()]
            self._db.execute_many("UPDATE mask SET fidelity = ? WHERE frame = ? AND object = ?", told)
            self._db.execute("UPDATE job SET position = ? WHERE id = ?", [info.index, job_id])

    def _write_masks(self, frame: int, rows: Sequence[ObjectMask]) -> None:
        values = [(frame, r.object_id, r.rle.counts, float(r.score), r.state.value, r.fidelity) for r in rows]
        self._db.execute_many("INSERT OR REPLACE INTO mask VALUES (?, ?, ?, ?, ?, ?)", values)

    def extend(self, job_id: int, prompts: Sequence[MaskPrompt], labels: Sequence[str | None]) -> list[Span]:
        """Add prompts on the frame that a job has come to: the spans that they cut are shortened, new ones begin.

        Returns:
            The new spans, in the order of the prompts.
        """
        spans = []
        with self._db.transaction():
            for prompt, label in zip(prompts, labels, strict=True):
                cut = self._db.rows(
                    "SELECT rowid, until, blend FROM span WHERE job = ? AND object = ? ORDER BY rowid DESC LIMIT 1",
                    [job_id, prompt.object_id],
                )
                self._add_prompt(prompt, label)
                rowid, until, blend = cut[0] if cut else (None, None, False)
                self._db.execute("UPDATE span SET until = ? WHERE rowid = ?", [prompt.frame, rowid])
                span = Span(prompt.object_id, prompt.frame, until, bool(blend))
                self._db.execute("INSERT INTO span VALUES (?, ?, ?, ?, ?)", [job_id, *span.key, span.blend])
                spans.append(span)
        return spans

    def take_back(self, object_id: int, start: int, last: int) -> None:
        """Make an object lost on the frames from ``start`` to ``last``; its prompts stay what they are."""
        empty = Rle.empty(self.tracks.video.size_hw).counts
        self._db.execute(
            "UPDATE mask SET counts = ?, score = 0, state = 'lost' "
            "WHERE object = ? AND frame BETWEEN ? AND ? AND state != 'given'",
            [empty, object_id, start, last],
        )

    def retire(self, job_id: int, object_ids: Collection[int]) -> None:
        """Remember which objects of a job its session does not follow any more."""
        self.note(f"retired:{job_id}", json.dumps(sorted(object_ids)))

    def retired(self, job_id: int) -> list[int]:
        """What `retire` was told last."""
        found: list[int] = json.loads(self.note(f"retired:{job_id}") or "[]")
        return found

    def last_seen(self, object_id: int, frame: int) -> tuple[int, Rle] | None:
        """The last frame before ``frame`` on which an object was seen, and its mask there."""
        query = "SELECT frame, counts FROM mask WHERE object = ? AND frame < ? AND state != 'lost' ORDER BY frame DESC"
        for found, counts in self._db.rows(f"{query} LIMIT 1", [object_id, frame]):
            return found, Rle(self.tracks.video.size_hw, counts)
        return None

    def note(self, key: str, value: str | None = None) -> str | None:
        """Keep a text for whoever goes on with the run; without a value, read it."""
        if value is not None:
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [f"note:{key}", value])
            return value
        found = self._db.rows("SELECT value FROM meta WHERE key = ?", [f"note:{key}"])
        return str(found[0][0]) if found else None

    def transaction(self) -> AbstractContextManager[None]:
        """Everything that is written in the block is committed together, or not at all."""
        return self._db.transaction()

    def save_snapshot(self, job_id: int, frame: int, snapshot: bytes | None) -> None:
        """Keep the session's state after ``frame``; the one before stays where this one is too large."""
        if snapshot is None or len(snapshot) > LARGEST:
            return
        with self._db.transaction():
            self._db.execute("INSERT OR REPLACE INTO snapshot VALUES (?, ?)", [job_id, snapshot])
            self._db.execute("UPDATE job SET snapshot_frame = ? WHERE id = ?", [frame, job_id])

    def finish(self, job_id: int) -> None:
        """Nothing is left to do for this job; its snapshot is dropped."""
        with self._db.transaction():
            self._db.execute("UPDATE job SET done = 1, snapshot_frame = NULL WHERE id = ?", [job_id])
            self._db.execute("DELETE FROM snapshot WHERE job = ?", [job_id])

    def note_damage(self, message: str | None) -> None:
        """Say where and why the video could not be read on; None when it could."""
        with self._db.transaction():
            self._db.execute("DELETE FROM meta WHERE key = 'damage'")
            if message is not None:
                self._db.execute("INSERT INTO meta VALUES ('damage', ?)", [message])

    def mark_returns(self) -> None:
        """Make "returned" mean, whatever the direction of the pass: seen on this frame, lost on the one before."""
        query = """
            UPDATE mask SET state = found.state FROM (
                SELECT frame, object,
                       CASE WHEN lag(state) OVER track = 'lost' THEN 'returned' ELSE 'tracked' END AS state
                FROM mask WINDOW track AS (PARTITION BY object ORDER BY frame)) AS found
            WHERE mask.frame = found.frame AND mask.object = found.object
                  AND mask.state IN ('tracked', 'returned') AND mask.state != found.state
        """
        with self._db.transaction():
            self._db.execute(query)


def _write_prompt(prompt: Seedable) -> tuple[str, bytes]:
    if isinstance(prompt, MaskPrompt):
        return "mask", Rle.encode(prompt.mask).counts
    if isinstance(prompt, PointPrompt):
        return "points", json.dumps([prompt.points_xy.tolist(), prompt.labels.tolist()]).encode()
    return "box", json.dumps(prompt.box_xyxy).encode()


def _read_prompt(frame: int, object_id: int, kind: str, value: bytes, size_hw: tuple[int, int]) -> Seedable:
    if kind == "mask":
        return MaskPrompt(frame, object_id, Rle(size_hw, value).decode())
    if kind == "points":
        points, labels = json.loads(value)
        return PointPrompt(frame, object_id, np.array(points, dtype=np.float64), np.array(labels, dtype=np.int64))
    if kind == "box":
        x1, y1, x2, y2 = json.loads(value)
        return BoxPrompt(frame, object_id, (x1, y1, x2, y2))
    raise InputError(f"the tracks file holds a prompt of the unknown kind {kind!r}: a newer maskferry wrote it")


def same_prompt(a: Prompt, b: Prompt) -> bool:
    """Whether two prompts ask for the same."""
    if isinstance(a, MaskPrompt) and isinstance(b, MaskPrompt):
        return (a.frame, a.object_id) == (b.frame, b.object_id) and np.array_equal(a.mask, b.mask)
    if isinstance(a, PointPrompt) and isinstance(b, PointPrompt):
        same = np.array_equal(a.points_xy, b.points_xy) and np.array_equal(a.labels, b.labels)
        return (a.frame, a.object_id) == (b.frame, b.object_id) and same
    return isinstance(a, BoxPrompt) and a == b
