"""``Survey``: everything that a tracks file holds, looked at row by row, and what of it is damaged."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from maskferry.data import VideoInfo
from maskferry.errors import MaskferryError
from maskferry.tracks._damage import Damage
from maskferry.tracks._reading import Reader
from maskferry.tracks._row_checks import not_masks
from maskferry.tracks._schema import TABLES, Value
from maskferry.tracks._stranded import stranded_masks
from maskferry.tracks._table import Row
from maskferry.tracks._untrusted import Untrusted
from maskferry.tracks._video_note import video_of

__all__ = ["LARGE", "Survey", "key_of", "split_keys"]

Keys = NDArray[np.int64]
"""Masks, as object << 32 | frame."""

LARGE = ("frame", "mask", "snapshot", "edit_row")
"""Tables that are read again rather than kept in memory."""

MOST_FRAMES = 1 << 32


def key_of(frame: int, object_id: int) -> int:
    """A mask as one number, ascending by object and frame."""
    return object_id << 32 | frame


def frame_and_object(key: int) -> tuple[int, int]:
    """The inverse of `key_of`."""
    return key & (MOST_FRAMES - 1), key >> 32


def split_keys(keys: Keys) -> dict[int, Keys]:
    """{object id: frames, ascending} of sorted keys."""
    objects, first = np.unique(keys >> 32, return_index=True)
    parts = np.split(keys & (MOST_FRAMES - 1), first[1:])
    return {int(i): frames for i, frames in zip(objects, parts, strict=True)} if keys.size else {}


class Survey:
    """A tracks file of the present format, read once.

    Attributes:
        video: what it says of its video; None where that is lost.
        damage: {table: what is wrong with it}, and that of "mask_timeline".
        rows: {table: its sound rows}, but for `LARGE` ones.
        frames: the finished frames, ascending, int64 (F,).
        sound: the masks that can be read, sorted.
        lost: the masks that are known to have been there and cannot be saved, sorted.
        misses_some: there may be others, of which nothing is known.
        rescued: {mask: checksum} of those masks that are read from pages to which none leads.
        unindexed: how many masks the index for timelines lacks or has otherwise.
    """

    def __init__(self, opened: Untrusted, video: VideoInfo | None = None) -> None:
        """Read everything.

        Args:
            opened: the file.
            video: where the file does not name it.
        """
        self._opened = opened
        self.damage = {name: Damage() for name in (*TABLES, "mask_timeline")} | opened.damage
        self._keys: dict[str, set[Value]] = {}
        self.video = self._read_video() or video
        self.reader = Reader(opened.connection, self.video.size_hw if self.video else None)
        self.rows: dict[str, list[Row]] = {}
        for name in TABLES:  # objects before what belongs to them, jobs before spans
            if name not in LARGE:
                self.rows[name] = list(self.read(name))
        self.frames = np.sort(np.array([row[0] for row in self.read("frame")], dtype=np.int64))
        for name in ("snapshot", "edit_row"):
            for _ in self.read(name):
                pass
        self._compare_masks()

    def read(self, table: str, *, again: bool = False) -> Iterator[Row]:
        """The sound rows of a table; ``again``: what is wrong is known already."""
        damage = Damage() if again else self.damage[table]
        for piece in self.reader.rows(table, damage):
            for row in piece:
                problem = self._misplaced(table, row)
                if problem is None:
                    yield row
                else:
                    spec = TABLES[table]
                    damage.bad.append((tuple(row[spec.columns.index(c)] for c in spec.key), problem))

    def _misplaced(self, table: str, row: Row) -> str | None:
        """What a row names that there is not."""
        if table in ("span", "snapshot"):
            job = row[1] if table == "span" else row[0]
            if job not in self._known("job"):
                return f"it belongs to job {job!r}, which is not there"
        if table in ("prompt", "absence", "span") and not self.damage["object"]:
            i = row[TABLES[table].columns.index("object")]
            if i not in self._known("object"):
                return f"there is no object {i!r}"
        if table == "edit_row" and row[0] not in self._known("edit"):
            return f"it belongs to edit {row[0]!r}, which is not there"
        return None

    def _known(self, table: str) -> set[Value]:
        """Keys of a table that was read."""
        if table not in self._keys:
            self._keys[table] = {row[0] for row in self.rows[table]}
        return self._keys[table]

    def _read_video(self) -> VideoInfo | None:
        for row in (row for piece in Reader(self._opened.connection).rows("meta", Damage()) for row in piece):
            if row[0] == "video":
                with suppress(MaskferryError, ValueError, KeyError, TypeError, RecursionError, ZeroDivisionError):
                    return video_of(json.loads(str(row[1])))
        return None

    # --- objects ------------------------------------------------------------------------------------------------

    @property
    def objects(self) -> dict[int, Row]:
        """{id: row} of all objects, removed ones too."""
        return {int(str(row[0])): row for row in self.rows["object"]}

    # --- masks --------------------------------------------------------------------------------------------------

    def _compare_masks(self) -> None:
        """Compare the table of masks with the index for timelines, which holds them again, without their runs."""
        keys, seals = self._scan_masks()
        indexed, index_seals = self._scan_index()
        order = np.argsort(keys, kind="stable")
        keys, seals = keys[order], seals[order]
        del order
        has_index = not (self.damage["mask_timeline"] or "mask_timeline" in self._opened.missing)
        self.unindexed, self.misses_some = 0, False
        self.rescued: dict[int, Value] = {}
        if (
            has_index
            and not self.damage["mask"]
            and np.array_equal(keys, indexed)
            and np.array_equal(seals, index_seals)
        ):
            self.sound, self.lost = keys, np.zeros(0, dtype=np.int64)
            return
        place = np.searchsorted(indexed, keys)
        place[place == indexed.size] = 0
        is_indexed = indexed[place] == keys if indexed.size else np.zeros(keys.size, dtype=bool)
        agrees = ~is_indexed | (index_seals[place] == seals if indexed.size else True)
        self.sound = keys[agrees]
        is_missing = ~np.isin(indexed, keys)
        missing = indexed[is_missing]
        if missing.size and not self._opened.has_more:
            seals_by_key = dict(zip(missing.tolist(), index_seals[is_missing].tolist(), strict=True))
            self.rescued = self._find_stranded(seals_by_key)
            self.sound = np.union1d(self.sound, np.array([*self.rescued], dtype=np.int64))
            missing = np.setdiff1d(missing, self.sound)
        self.lost = np.union1d(np.union1d(missing, keys[~agrees]), self._bad_masks(keys, indexed))
        self.unindexed = int((~is_indexed).sum()) if has_index else 0
        self.misses_some = bool(self.damage["mask"].gaps) and (not has_index or bool(self._opened.damage))

    def _find_stranded(self, seals: dict[int, int]) -> dict[int, Value]:
        """{mask: checksum} of those that lie on pages to which none leads, just as the index for timelines has them."""
        found: dict[int, Value] = {}
        for row in stranded_masks(self._opened.connection, {frame_and_object(key) for key in seals}):
            key = key_of(int(str(row[0])), int(str(row[1])))
            if key in seals and seals[key] == row[6] and self._is_mask(row):
                found[key] = row[7] if found.get(key, row[7]) == row[7] else None
        return {key: check for key, check in found.items() if check is not None}

    def _is_mask(self, row: Row) -> bool:
        return self.video is None or not not_masks([row], self.video.size_hw)

    def stranded(self) -> Iterator[Row]:
        """The rows of masks that were found so, without checksums."""
        if self.rescued:
            for row in stranded_masks(self._opened.connection, {frame_and_object(key) for key in self.rescued}):
                if self.rescued.get(key_of(int(str(row[0])), int(str(row[1])))) == row[7]:
                    yield row[:6]

    def _scan_masks(self) -> tuple[Keys, NDArray[np.uint32]]:
        keys, seals = array("q"), array("I")
        for piece in self.reader.rows("mask", self.damage["mask"]):
            for row in piece:
                frame, object_id, *_, seal = row
                if frame < MOST_FRAMES and object_id < 1 << 31:  # type: ignore[operator]
                    keys.append(object_id << 32 | frame)  # type: ignore[operator]
                    seals.append(seal)  # type: ignore[arg-type]
                else:
                    self.damage["mask"].bad.append(((frame, object_id), "there is no such frame or object"))
        return np.frombuffer(keys, dtype=np.int64), np.array(seals, dtype=np.uint32)

    def _scan_index(self) -> tuple[Keys, NDArray[np.uint32]]:
        keys, seals = array("q"), array("I")
        if "mask_timeline" not in self._opened.missing:
            for piece in self.reader.timeline(self.damage["mask_timeline"]):
                for object_id, frame, *_, seal in piece:
                    if 0 <= frame < MOST_FRAMES and 0 < object_id < 1 << 31:  # type: ignore[operator]
                        keys.append(object_id << 32 | frame)  # type: ignore[operator]
                        seals.append(seal)  # type: ignore[arg-type]
        return np.frombuffer(keys, dtype=np.int64), np.array(seals, dtype=np.uint32)

    def _bad_masks(self, keys: Keys, indexed: Keys) -> Keys:
        """Masks that have changed, by the keys that they seem to have."""
        known, frames = self.objects, set(self.frames.tolist())
        found = set()
        for (frame, object_id), _ in self.damage["mask"].bad:
            if isinstance(frame, int) and isinstance(object_id, int) and object_id in known and frame in frames:
                found.add(key_of(frame, object_id))
        if not self.damage["mask_timeline"] and indexed.size:  # it knows better which masks there were
            found &= set(indexed.tolist())
        return np.setdiff1d(np.array(sorted(found), dtype=np.int64), keys)

    def lost_frames(self) -> Keys:
        """Finished frames of which the row in the frame table is lost."""
        if not self.damage["frame"]:
            return np.zeros(0, dtype=np.int64)
        named = np.unique(np.concatenate([self.sound, self.lost]) & (MOST_FRAMES - 1))
        return np.setdiff1d(named, self.frames)

    def mask(self, frame: int, object_id: int) -> Row | None:
        """The row of one mask, without its seal."""
        return self.reader.one("mask", (frame, object_id))
