"""The objects of a run and the prompts that they were given, in the tracks file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from maskferry._arguments import foreign, show
from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, VideoInfo
from maskferry.errors import DamagedTracksError, InputError, UnknownObjectError
from maskferry.rle import Rle
from maskferry.tracks._database import Database
from maskferry.tracks._notes import Notes
from maskferry.tracks._table import Table

__all__ = [
    "FIRST_ID",
    "LARGEST_ID",
    "PIN",
    "ObjectPrompt",
    "PromptStore",
    "check_prompt",
    "object_ids",
    "request_digest",
]

FIRST_ID = 100
"""Where ids that are given automatically start, as samgeo's do."""

LARGEST_ID = (1 << 31) - 1

PIN = "pin"
"""The kind of a prompt that was made of a tracked mask."""

ObjectPrompt = MaskPrompt | PointPrompt | BoxPrompt
"""What prompts one object. (Words are looked up by an engine first; what it finds becomes masks.)"""


class PromptStore:
    """Reads and writes the tables ``object``, ``prompt``, ``absence`` and ``request``, and other models' scores."""

    def __init__(self, database: Database, video: VideoInfo) -> None:
        self._db, self._video = database, video
        self._objects, self._prompts = Table(database, "object"), Table(database, "prompt")
        self._absences, self._requests = Table(database, "absence"), Table(database, "request")
        self._notes = Notes(database)

    # --- objects ------------------------------------------------------------------------------------------------

    def used_ids(self) -> set[int]:
        """Every id that an object has or had; `ids` knows of those, too, whose making was taken back."""
        return {row[0] for row in self._find(self._objects)}

    def ids(self, wanted: Sequence[int] | None, count: int, first: int = FIRST_ID) -> list[int]:
        """An id for each of ``count`` objects, see `object_ids`. Call it in the transaction that uses them."""
        return object_ids(wanted, count, () if wanted is not None else [self._highest_id()], first)

    def _highest_id(self) -> int:
        return max(int(self._notes.get("highest_id") or 0), *(self.used_ids() or {0}))

    def require(self, *object_ids: int) -> None:
        """Refuse objects that there are not.

        Raises:
            UnknownObjectError: no such object.
        """
        known = [row[0] for row in self._find(self._objects, "WHERE NOT removed ORDER BY id")]
        for object_id in object_ids:
            if object_id not in known:
                there = ", ".join(str(i) for i in known[:20]) or "none"
                raise UnknownObjectError(f"no object has the id {object_id}; there are: {there}")

    def is_known(self, object_id: int) -> bool:
        """Whether there is, or was, an object of this id."""
        return bool(self._find(self._objects, "WHERE id = ?", [object_id]))

    def add_object(self, object_id: int, label: str | None) -> None:
        """Make an object known; one that was removed comes back. Without a label it keeps the one that it has."""
        found = self._find(self._objects, "WHERE id = ?", [object_id])
        row = (object_id, label if label is not None or not found else found[0][1], 0)
        if found != [row]:
            self._objects.put([row])
            if object_id > int(self._notes.get("highest_id") or 0):
                self._notes.set("highest_id", str(object_id))

    def set_label(self, object_id: int, label: str | None) -> None:
        """Give an object another name, or none."""
        for _, _, removed in self._find(self._objects, "WHERE id = ?", [object_id]):
            self._objects.put([(object_id, label, removed)])

    def add_scores(self, scores: Mapping[int, float]) -> None:
        """Keep what other models said of their masks: {object id: score}."""
        for object_id, score in scores.items():
            self._notes.set(f"score:{object_id}", repr(float(score)))

    def remove(self, object_id: int) -> None:
        """Remove an object and its prompts. Its id stays taken."""
        self._prompts.delete("object = ?", [object_id])
        self._absences.delete("object = ?", [object_id])
        for _, label, _ in self._find(self._objects, "WHERE id = ?", [object_id]):
            self._objects.put([(object_id, label, 1)])

    # --- prompts ------------------------------------------------------------------------------------------------

    def prompt_frames(self) -> dict[int, list[int]]:
        """{object id: frames on which it was prompted, ascending}."""
        found: dict[int, list[int]] = {}
        for object_id, frame in self._db.rows("SELECT object, frame FROM prompt ORDER BY object, frame"):
            found.setdefault(int(str(object_id)), []).append(int(str(frame)))
        return found

    def kinds(self) -> list[tuple[int, int, bool]]:
        """(object id, frame, whether it is a pin) of every prompt, by object and frame."""
        rows = self._db.rows("SELECT object, frame, kind = ? FROM prompt ORDER BY object, frame", [PIN])
        return [(int(str(object_id)), int(str(frame)), bool(is_pin)) for object_id, frame, is_pin in rows]

    def get(self, frame: int, object_id: int) -> ObjectPrompt | None:
        """The prompt of one object on one frame."""
        for _, _, kind, value in self._find(self._prompts, "WHERE frame = ? AND object = ?", [frame, object_id]):
            return _decode(frame, object_id, kind, value, self._video.size_hw)
        return None

    def has_prompt(self, frame: int, object_id: int) -> bool:
        """Whether an object is prompted on a frame."""
        return bool(self._find(self._prompts, "WHERE frame = ? AND object = ?", [frame, object_id]))

    def is_pin(self, frame: int, object_id: int) -> bool:
        """Whether the prompt of one object on one frame was made of its tracked mask."""
        query = "WHERE frame = ? AND object = ? AND kind = ?"
        return bool(self._find(self._prompts, query, [frame, object_id, PIN]))

    def put(self, prompt: ObjectPrompt) -> None:
        """Write a prompt; one of the same object on the same frame is replaced."""
        self._prompts.put([(prompt.frame, prompt.object_id, *_encode(prompt))])

    def pin(self, frame: int, object_id: int, rle: Rle) -> None:
        """Make a tracked mask a prompt."""
        self._prompts.put([(frame, object_id, PIN, rle.counts)])

    def take_away(self, frame: int, object_id: int) -> None:
        """Delete the prompt of one object on one frame."""
        self._prompts.delete("frame = ? AND object = ?", [frame, object_id])

    def move(self, source: int, target: int, start: int) -> None:
        """Give the prompts and absences of one object from frame ``start`` on to another, which has none there."""
        rows = self._prompts.delete("object = ? AND frame >= ?", [source, start])
        self._prompts.put([(row[0], target, *row[2:]) for row in rows])
        self._put_absences(target, [*self.absences().get(target, []), *self._cut_absences(source, start)])

    def swap(self, first: int, second: int, start: int) -> None:
        """Exchange the prompts and absences of two objects from frame ``start`` on."""
        others = {first: second, second: first}
        rows = self._prompts.delete("object IN (?, ?) AND frame >= ?", [first, second, start])
        self._prompts.put([(row[0], others[int(str(row[1]))], *row[2:]) for row in rows])
        late = {i: self._cut_absences(i, start) for i in others}
        for i, other in others.items():
            self._put_absences(other, [*self.absences().get(other, []), *late[i]])

    def merge(self, keep: int, other: int) -> None:
        """Give the prompts of ``other`` to ``keep``, on frames where that one has none."""
        taken = {row[0] for row in self._find(self._prompts, "WHERE object = ?", [keep])}
        rows = self._prompts.delete("object = ?", [other])
        self._prompts.put([(row[0], keep, *row[2:]) for row in rows if row[0] not in taken])

    # --- absences -----------------------------------------------------------------------------------------------

    def absences(self) -> dict[int, list[tuple[int, int]]]:
        """{object id: stretches on which it is said not to be there}: first frame, and the frame to end before."""
        found: dict[int, list[tuple[int, int]]] = {}
        for start, object_id, stop in self._find(self._absences, "ORDER BY object, start"):
            found.setdefault(object_id, []).append((start, stop))
        return found

    def set_absences(self, object_id: int, stretches: Sequence[tuple[int, int]]) -> None:
        """Let an object be absent on these stretches, and on no others."""
        self._absences.delete("object = ?", [object_id])
        self._put_absences(object_id, stretches)

    def _put_absences(self, object_id: int, stretches: Sequence[tuple[int, int]]) -> None:
        self._absences.put([(start, object_id, stop) for start, stop in stretches if start < stop])

    def _cut_absences(self, object_id: int, start: int) -> list[tuple[int, int]]:
        """End the absences of an object at a frame; what lay behind it."""
        own = self.absences().get(object_id, [])
        self.set_absences(object_id, [(a, min(b, start)) for a, b in own])
        return [(max(a, start), b) for a, b in own if b > start]

    # --- what was asked for -------------------------------------------------------------------------------------

    def note_request(self, prompt: ObjectPrompt) -> None:
        """Remember what a caller gave: the run that it belongs to is known by it, whatever is edited later."""
        self._requests.put([(prompt.frame, prompt.object_id, _digest(prompt))])

    def requests(self) -> dict[tuple[int, int], bytes]:
        """{(frame, object id): digest} of everything that callers gave."""
        return {(frame, object_id): digest for frame, object_id, digest in self._find(self._requests)}

    def is_requested(self, prompt: ObjectPrompt) -> bool:
        """Whether a caller gave this very prompt before."""
        rest = "WHERE frame = ? AND object = ?"
        found = self._find(self._requests, rest, [prompt.frame, prompt.object_id])
        return bool(found) and found[0][2] == _digest(prompt)

    def _find(self, table: Table, rest: str = "", values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return table.find(rest, values)


def object_ids(wanted: Sequence[int] | None, count: int, used: Collection[int], first: int = FIRST_ID) -> list[int]:
    """An id for each of ``count`` objects.

    Args:
        wanted: the caller's; None for the next ones from ``first`` that were never used.
        count: how many are needed.
        used: every id ever given in this run, or the highest.
        first: see ``wanted``.

    Raises:
        InputError: the caller's are not ``count`` different whole numbers from 1.
    """
    if wanted is None:
        start = max(first - 1, *used, 0) + 1
        if start + count - 1 > LARGEST_ID:
            raise InputError(f"obj_ids: there is no free id after {start - 1}: give ids of your own")
        return list(range(start, start + count))
    with foreign("obj_ids"):
        ids = list(wanted)
    if len(ids) != count:
        raise InputError(f"obj_ids: expected one for each of {count} masks, got {len(ids)}")
    wrong = [i for i in ids if not _is_id(i)]
    if wrong:
        raise InputError(f"obj_ids: expected whole numbers from 1, got {show(wrong[0])}")
    twice = sorted({int(i) for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(f"obj_ids: expected each object once on a frame, got {twice} more than once")
    return [int(i) for i in ids]


def _is_id(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and 1 <= int(value) <= LARGEST_ID


def _digest(prompt: ObjectPrompt) -> bytes:
    return request_digest(*_encode(prompt))


def request_digest(kind: str, value: bytes) -> bytes:
    """What tells a prompt of a caller from another one."""
    return hashlib.sha256(kind.encode() + b" " + value).digest()[:16]


def check_prompt(frame: int, object_id: int, kind: str, value: bytes, size_hw: tuple[int, int]) -> None:
    """Refuse a stored prompt that cannot be read; masks are not decoded.

    Raises:
        InputError: it says why.
    """
    if kind in ("mask", PIN):
        Rle(size_hw, value).check()
    else:
        _decode(frame, object_id, kind, value, size_hw)


def _encode(prompt: ObjectPrompt) -> tuple[str, bytes]:
    if isinstance(prompt, MaskPrompt):
        return "mask", Rle.encode(prompt.mask).counts
    if isinstance(prompt, PointPrompt):
        return "points", json.dumps([prompt.points_xy.tolist(), prompt.labels.tolist()]).encode()
    return "box", json.dumps(prompt.box_xyxy).encode()


def _decode(frame: int, object_id: int, kind: str, value: bytes, size_hw: tuple[int, int]) -> ObjectPrompt:
    try:
        if kind in ("mask", PIN):
            return MaskPrompt(frame, object_id, Rle(size_hw, value).decode())
        if kind == "points":
            points, labels = json.loads(value)
            return PointPrompt(frame, object_id, np.array(points, dtype=np.float64), np.array(labels, dtype=np.int64))
        if kind == "box":
            x1, y1, x2, y2 = (float(v) for v in json.loads(value))
            return BoxPrompt(frame, object_id, (x1, y1, x2, y2))
    except (ValueError, TypeError, RecursionError) as err:
        raise DamagedTracksError(f"the prompt of object {object_id} on frame {frame} cannot be read: {err}") from err
    raise InputError(f"the tracks file holds a prompt of the unknown kind {kind!r}: a newer maskferry wrote it")
