"""The objects of a run and the prompts that they were given, in the tracks file."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, VideoInfo
from maskferry.errors import InputError, UnknownObjectError
from maskferry.rle import Rle
from maskferry.tracks._database import Database

__all__ = ["FIRST_ID", "ObjectPrompt", "PromptStore", "object_ids", "same_prompt"]

FIRST_ID = 100
"""Where ids that are given automatically start, as samgeo's do."""

LARGEST_ID = (1 << 31) - 1

ObjectPrompt = MaskPrompt | PointPrompt | BoxPrompt
"""What prompts one object. (Words are looked up by an engine first; what it finds becomes masks.)"""


class PromptStore:
    """Reads and writes the tables ``object`` and ``prompt``, and the scores that other models gave."""

    def __init__(self, database: Database, video: VideoInfo) -> None:
        self._db, self._video = database, video

    # --- objects ------------------------------------------------------------------------------------------------

    def used_ids(self) -> set[int]:
        """Every id that was ever given, of removed objects too."""
        return {i for (i,) in self._db.rows("SELECT id FROM object")}

    def ids(self, wanted: Sequence[int] | None, count: int) -> list[int]:
        """An id for each of ``count`` objects, see `object_ids`."""
        return object_ids(wanted, count, () if wanted is not None else self.used_ids())

    def require(self, *object_ids: int) -> None:
        """Refuse objects that there are not.

        Raises:
            UnknownObjectError: no such object.
        """
        known = [i for (i,) in self._db.rows("SELECT id FROM object WHERE NOT removed ORDER BY id")]
        for object_id in object_ids:
            if object_id not in known:
                there = ", ".join(str(i) for i in known[:20]) or "none"
                raise UnknownObjectError(f"no object has the id {object_id}; there are: {there}")

    def add_object(self, object_id: int, label: str | None) -> None:
        """Make an object known; one that was removed comes back. Without a label it keeps the one that it has."""
        self._db.execute(
            "INSERT INTO object (id, label) VALUES (?, ?) "
            "ON CONFLICT (id) DO UPDATE SET removed = 0, label = coalesce(excluded.label, label)",
            [object_id, label],
        )

    def set_label(self, object_id: int, label: str | None) -> None:
        """Give an object another name, or none."""
        self._db.execute("UPDATE object SET label = ? WHERE id = ?", [label, object_id])

    def add_scores(self, scores: Mapping[int, float]) -> None:
        """Keep what other models said of their masks: {object id: score}."""
        rows = [(f"score:{object_id}", repr(score)) for object_id, score in scores.items()]
        self._db.execute_many("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def remove(self, object_id: int) -> None:
        """Remove an object and its prompts. Its id stays taken."""
        self._db.execute("DELETE FROM prompt WHERE object = ?", [object_id])
        self._db.execute("UPDATE object SET removed = 1 WHERE id = ?", [object_id])

    # --- prompts ------------------------------------------------------------------------------------------------

    def prompt_frames(self) -> dict[int, list[int]]:
        """{object id: frames on which it was prompted, ascending}."""
        found: dict[int, list[int]] = {}
        for object_id, frame in self._db.rows("SELECT object, frame FROM prompt ORDER BY object, frame"):
            found.setdefault(object_id, []).append(frame)
        return found

    def get(self, frame: int, object_id: int) -> ObjectPrompt | None:
        """The prompt of one object on one frame."""
        query = "SELECT kind, value FROM prompt WHERE frame = ? AND object = ?"
        for kind, value in self._db.rows(query, [frame, object_id]):
            return _decode(frame, object_id, kind, value, self._video.size_hw)
        return None

    def put(self, prompt: ObjectPrompt) -> None:
        """Write a prompt; one of the same object on the same frame is replaced.

        Spans of the object that begin or end on this frame are outdated: they are forgotten, to be planned again.
        """
        frame, object_id = prompt.frame, prompt.object_id
        self._db.execute("DELETE FROM span WHERE object = ? AND (seed = ? OR until = ?)", [object_id, frame, frame])
        row = [frame, object_id, *_encode(prompt)]
        self._db.execute("INSERT OR REPLACE INTO prompt VALUES (?, ?, ?, ?)", row)

    def move(self, source: int, target: int, start: int) -> None:
        """Give the prompts of one object from frame ``start`` on to another."""
        query = "UPDATE prompt SET object = ? WHERE object = ? AND frame >= ?"
        self._db.execute(query, [target, source, start])

    def merge(self, keep: int, other: int) -> None:
        """Give the prompts of ``other`` to ``keep``, on frames where that one has none."""
        self._db.execute("UPDATE OR IGNORE prompt SET object = ? WHERE object = ?", [keep, other])


def object_ids(wanted: Sequence[int] | None, count: int, used: Collection[int]) -> list[int]:
    """An id for each of ``count`` objects.

    Args:
        wanted: the caller's; None for the next ones from `FIRST_ID` that were never used.
        count: how many are needed.
        used: every id ever given in this run.

    Raises:
        InputError: the caller's are not ``count`` different whole numbers from 1.
    """
    if wanted is None:
        start = max(FIRST_ID - 1, *used, 0) + 1
        return list(range(start, start + count))
    ids = list(wanted)
    if len(ids) != count:
        raise InputError(f"obj_ids: expected one for each of {count} masks, got {len(ids)}")
    wrong = [i for i in ids if not _is_id(i)]
    if wrong:
        raise InputError(f"obj_ids: expected whole numbers from 1, got {wrong[0]!r}")
    twice = sorted({int(i) for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(f"obj_ids: expected each object once on a frame, got {twice} more than once")
    return [int(i) for i in ids]


def _is_id(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= int(value) <= LARGEST_ID


def same_prompt(a: ObjectPrompt | None, b: ObjectPrompt | None) -> bool:
    """Whether two prompts ask for the same."""
    if a is None or b is None:
        return False
    return (a.frame, a.object_id) == (b.frame, b.object_id) and _encode(a) == _encode(b)


def _encode(prompt: ObjectPrompt) -> tuple[str, bytes]:
    if isinstance(prompt, MaskPrompt):
        return "mask", Rle.encode(prompt.mask).counts
    if isinstance(prompt, PointPrompt):
        return "points", json.dumps([prompt.points_xy.tolist(), prompt.labels.tolist()]).encode()
    return "box", json.dumps(prompt.box_xyxy).encode()


def _decode(frame: int, object_id: int, kind: str, value: bytes, size_hw: tuple[int, int]) -> ObjectPrompt:
    if kind == "mask":
        return MaskPrompt(frame, object_id, Rle(size_hw, value).decode())
    if kind == "points":
        points, labels = json.loads(value)
        return PointPrompt(frame, object_id, np.array(points, dtype=np.float64), np.array(labels, dtype=np.int64))
    if kind == "box":
        x1, y1, x2, y2 = json.loads(value)
        return BoxPrompt(frame, object_id, (x1, y1, x2, y2))
    raise InputError(f"the tracks file holds a prompt of the unknown kind {kind!r}: a newer maskferry wrote it")
