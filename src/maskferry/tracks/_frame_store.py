"""The finished frames of a run and the masks on them, in the tracks file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from maskferry.data import FrameInfo, ObjectMask, State, VideoInfo
from maskferry.rle import Rle
from maskferry.tracks._database import Database

__all__ = ["MASK_COLUMNS", "FrameStore", "mask_of_row"]

MASK_COLUMNS = "frame, object, counts, score, state, fidelity"


class FrameStore:
    """Reads and writes the tables ``frame`` and ``mask``."""

    def __init__(self, database: Database, video: VideoInfo) -> None:
        self._db, self._video = database, video

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
            self.put_info(info)
            self.put(info.index, rows)
            told = [(value, info.index, object_id) for object_id, value in fidelity.items()]
            self._db.execute_many("UPDATE mask SET fidelity = ? WHERE frame = ? AND object = ?", told)
            self._db.execute("UPDATE job SET position = ? WHERE id = ?", [info.index, job_id])

    def put_info(self, info: FrameInfo) -> None:
        """Write a row of the frame table."""
        self._db.execute("INSERT OR REPLACE INTO frame VALUES (?, ?, ?)", [info.index, info.time, info.name])

    def put(self, frame: int, rows: Sequence[ObjectMask]) -> None:
        """Write masks of one frame; those of the same objects are replaced."""
        values = [(frame, r.object_id, r.rle.counts, float(r.score), r.state.value, r.fidelity) for r in rows]
        self._db.execute_many("INSERT OR REPLACE INTO mask VALUES (?, ?, ?, ?, ?, ?)", values)

    def get(self, frame: int, object_ids: Collection[int]) -> dict[int, ObjectMask]:
        """What is known so far of some objects on a frame."""
        if not object_ids:
            return {}
        query = f"SELECT {MASK_COLUMNS} FROM mask WHERE frame = ?"
        rows = (mask_of_row(row, self._video.size_hw) for row in self._db.rows(query, [frame]))
        return {row.object_id: row for row in rows if row.object_id in object_ids}

    def last_seen(self, object_id: int, frame: int) -> tuple[int, Rle] | None:
        """The last frame before ``frame`` on which an object was seen, and its mask there."""
        query = (
            "SELECT frame, counts FROM mask WHERE object = ? AND frame < ? AND state != 'lost' "
            "ORDER BY frame DESC LIMIT 1"
        )
        for found, counts in self._db.rows(query, [object_id, frame]):
            return found, Rle(self._video.size_hw, counts)
        return None

    def mark_lost(self, object_id: int, start: int, last: int) -> None:
        """Make an object lost on the frames from ``start`` to ``last``; its given masks stay what they are."""
        empty = Rle.empty(self._video.size_hw).counts
        self._db.execute(
            "UPDATE mask SET counts = ?, score = 0, state = 'lost' "
            "WHERE object = ? AND frame BETWEEN ? AND ? AND state != 'given'",
            [empty, object_id, start, last],
        )

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

    def move(self, source: int, target: int, start: int) -> None:
        """Give the masks of one object from frame ``start`` on to another."""
        self._db.execute("UPDATE mask SET object = ? WHERE object = ? AND frame >= ?", [target, source, start])

    def merge(self, keep: int, other: int) -> None:
        """Give the masks of ``other`` to ``keep``, on frames where that one has none or is lost."""
        self._db.execute(
            "DELETE FROM mask WHERE object = ? AND state = 'lost' "
            "AND frame IN (SELECT frame FROM mask WHERE object = ? AND state != 'lost')",
            [keep, other],
        )
        self._db.execute("UPDATE OR IGNORE mask SET object = ? WHERE object = ?", [keep, other])

    def remove(self, object_id: int) -> None:
        """Delete all masks of an object."""
        self._db.execute("DELETE FROM mask WHERE object = ?", [object_id])


def mask_of_row(row: Sequence[object], size_hw: tuple[int, int]) -> ObjectMask:
    """A row of `MASK_COLUMNS` as a value."""
    _, object_id, counts, score, state, fidelity = row
    return ObjectMask(object_id, Rle(size_hw, counts), score, State(state), fidelity)  # type: ignore[arg-type]
