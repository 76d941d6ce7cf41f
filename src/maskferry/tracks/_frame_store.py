"""The finished frames of a run and the masks on them, in the tracks file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from maskferry.data import Frame, FrameInfo, ObjectMask, State, VideoInfo
from maskferry.rle import Rle
from maskferry.tracks._database import Database
from maskferry.tracks._notes import Notes
from maskferry.tracks._table import Row, Table

__all__ = ["FrameStore", "mask_of_row"]


class FrameStore:
    """Reads and writes the tables ``frame`` and ``mask``."""

    def __init__(self, database: Database, video: VideoInfo) -> None:
        self._db, self._video = database, video
        self._frames, self._masks = Table(database, "frame"), Table(database, "mask")
        self._notes = Notes(database)

    def write(
        self, info: FrameInfo, rows: Sequence[ObjectMask], fidelity: Mapping[int, float] = MappingProxyType({})
    ) -> None:
        """Write a finished frame and its masks.

        Args:
            info: the frame's row of the frame table.
            rows: what was tracked on it; given masks are there already.
            fidelity: {object id: what the engine said of a given mask}.
        """
        self.put_info(info)
        told = [
            (*row[:-1], float(fidelity[row[1]]))
            for row in self._find("WHERE frame = ? AND state = 'given'", [info.index] if fidelity else [-1])
            if row[1] in fidelity
        ]
        self._put([*mask_rows(info.index, rows), *told])

    def note_valid(self, frame: Frame) -> None:
        """Keep which pixels of a frame of a series show anything; nothing is kept of other videos."""
        if self._video.recipe is None:
            return
        size_hw = self._video.size_hw
        full = Rle.from_runs(np.array([0, size_hw[0] * size_hw[1]]), size_hw)
        rle = full if frame.valid is None else Rle.encode(frame.valid)
        name, text = f"valid:{frame.index}", rle.counts.decode("ascii")
        if self._notes.get(name) != text:
            self._notes.set(name, text)

    def put_info(self, info: FrameInfo) -> None:
        """Write a row of the frame table."""
        row = (info.index, None if info.time is None else float(info.time), info.name)
        if self._frames.find("WHERE idx = ?", [info.index]) != [row]:
            self._frames.put([row])

    def put(self, frame: int, rows: Sequence[ObjectMask]) -> None:
        """Write masks of one frame; those of the same objects are replaced."""
        self._put(mask_rows(frame, rows))

    def get(self, frame: int, object_ids: Collection[int]) -> dict[int, ObjectMask]:
        """What is known so far of some objects on a frame."""
        if not object_ids:
            return {}
        rows = (mask_of_row(row, self._video.size_hw) for row in self._find("WHERE frame = ?", [frame]))
        return {row.object_id: row for row in rows if row.object_id in object_ids}

    def last_seen(self, object_id: int, frame: int) -> tuple[int, Rle] | None:
        """The last frame before ``frame`` on which an object was seen, and its mask there."""
        rest = "WHERE object = ? AND frame < ? AND state != 'lost' ORDER BY frame DESC LIMIT 1"
        for row in self._find(rest, [object_id, frame]):
            return row[0], Rle(self._video.size_hw, row[2])
        return None

    def nearest_seen(self, object_id: int, frame: int, *, backward: bool) -> int | None:
        """The nearest frame on which an object is seen: ``frame`` or before it; with ``backward``, or behind it."""
        where, order = (">= ?", "ASC") if backward else ("<= ?", "DESC")
        rest = f"WHERE object = ? AND frame {where} AND state != 'lost' ORDER BY frame {order} LIMIT 1"
        found = self._db.rows(f"SELECT frame FROM mask {rest}", [object_id, frame])
        return int(str(found[0][0])) if found else None

    def mark_lost(self, object_id: int, start: int, last: int) -> None:
        """Make an object lost on the frames from ``start`` to ``last``; its given masks stay what they are."""
        empty = Rle.empty(self._video.size_hw).counts
        rest = "WHERE object = ? AND frame BETWEEN ? AND ? AND state != 'given'"
        found = self._find(rest, [object_id, start, last])
        self._put([(frame, i, empty, 0.0, State.LOST.value, fidelity) for frame, i, _, _, _, fidelity in found])

    def withdraw(self, object_id: int, frame: int) -> None:
        """A mask was given, and is given no more: it stays until the frame is tracked again."""
        rest = "WHERE frame = ? AND object = ? AND state = 'given'"
        self._put([(*row[:4], State.TRACKED.value, None) for row in self._find(rest, [frame, object_id])])

    def put_absent(self, object_id: int, frames: Iterable[int]) -> None:
        """Write that an object is not there on some frames."""
        empty = Rle.empty(self._video.size_hw).counts
        self._put([(frame, object_id, empty, 0.0, State.LOST.value, None) for frame in frames])

    def mark_returns(self, objects: Collection[int]) -> None:
        """Make "returned" mean, whatever the direction of the pass: seen on this frame, lost on the one before."""
        rows: list[Row] = []
        for i in objects:
            for frame, state in self._wrong_returns(i):
                (row,) = self._find("WHERE frame = ? AND object = ?", [frame, i])
                rows.append((*row[:4], state, row[5]))
        if rows:
            with self._db.transaction():
                self._put(rows)

    def _wrong_returns(self, object_id: int) -> list[tuple[int, str]]:
        """(frame, right state) of one object: those that follow a loss, and those that say so and do not."""
        query = (
            "SELECT frame, state FROM mask INDEXED BY mask_gap WHERE object = ? AND state IN ('lost', 'returned') "
            "ORDER BY frame"
        )
        rows: list[tuple[Any, ...]] = self._db.rows(query, [object_id])
        found = []
        for (frame, state), (following, its_state) in zip(rows, [*rows[1:], (None, None)], strict=False):
            if state == State.LOST.value and following != frame + 1:
                found += self._if_tracked_after(object_id, frame)
            if its_state == State.RETURNED.value and (following != frame + 1 or state != State.LOST.value):
                found += self._unless_it_follows_a_loss(object_id, following)
        if rows and rows[0][1] == State.RETURNED.value:
            found += self._unless_it_follows_a_loss(object_id, rows[0][0])
        return found

    def _if_tracked_after(self, object_id: int, frame: int) -> list[tuple[int, str]]:
        """The row that follows a loss, with what it is instead, where it is said to be just tracked."""
        query = "SELECT frame, state FROM mask WHERE object = ? AND frame > ? ORDER BY frame LIMIT 1"
        rows = self._db.rows(query, [object_id, frame])
        return [(int(str(after)), State.RETURNED.value) for after, state in rows if state == State.TRACKED.value]

    def _unless_it_follows_a_loss(self, object_id: int, frame: int) -> list[tuple[int, str]]:
        """A row that is said to have returned, with what it is instead, where the one before it is not lost."""
        query = "SELECT state FROM mask WHERE object = ? AND frame < ? ORDER BY frame DESC LIMIT 1"
        before = self._db.rows(query, [object_id, frame])
        return [] if before == [(State.LOST.value,)] else [(frame, State.TRACKED.value)]

    def move(self, source: int, target: int, start: int) -> None:
        """Give the masks of one object from frame ``start`` on to another, which has none there."""
        rows = self._delete("object = ? AND frame >= ?", [source, start])
        self._put([(row[0], target, *row[2:]) for row in rows])

    def swap(self, first: int, second: int, start: int) -> None:
        """Exchange the masks of two objects from frame ``start`` on."""
        others = {first: second, second: first}
        rows = self._delete("object IN (?, ?) AND frame >= ?", [first, second, start])
        self._put([(row[0], others[row[1]], *row[2:]) for row in rows])

    def merge(self, keep: int, other: int) -> None:
        """Give the masks of ``other`` to ``keep``, on frames where that one has none or is lost."""
        rest = "WHERE object = ? AND state != 'lost'"
        taken = {row[0] for row in self._find(rest, [keep])}
        lost = {row[0] for row in self._find("WHERE object = ? AND state = 'lost'", [keep])}
        rows = self._delete("object = ?", [other])
        free = [row for row in rows if row[0] not in taken and (row[0] not in lost or row[4] != State.LOST.value)]
        self._put([(row[0], keep, *row[2:]) for row in free])

    def remove(self, object_id: int) -> None:
        """Delete all masks of an object."""
        self._delete("object = ?", [object_id])

    # --- rows ---------------------------------------------------------------------------------------------------

    def _find(self, rest: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._masks.find(rest, values)

    def _put(self, rows: Sequence[Row]) -> None:
        self._masks.put(rows)
        self._tell(rows)

    def _delete(self, where: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self._masks.delete(where, values)
        self._tell(rows)
        return rows

    def _tell(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Say of which objects, and from which frame to which, masks have changed."""
        if rows:
            frames = [row[0] for row in rows]
            self._db.changed({row[1] for row in rows}, min(frames), max(frames) + 1)


def mask_rows(frame: int, rows: Sequence[ObjectMask]) -> list[Row]:
    """Masks of one frame as rows of the table; scores are held to their range."""
    return [(frame, r.object_id, r.rle.counts, _share(r.score), r.state.value, _share(r.fidelity)) for r in rows]


def _share(value: float | None) -> float | None:
    """A score as it is stored: from 0 to 1; what is no number is 0."""
    return None if value is None else min(1.0, max(0.0, float(value)))


def mask_of_row(row: Sequence[Any], size_hw: tuple[int, int]) -> ObjectMask:
    """A row of the table as a value."""
    _, object_id, counts, score, state, fidelity = row
    return ObjectMask(object_id, Rle(size_hw, counts), score, State(state), fidelity)
