"""What of a damaged tracks file is sound, as a database of its own. Nothing is invented, and nothing missing is hidden:
what was lost of the results counts as not tracked, so that the next run tracks it again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from maskferry.data import State
from maskferry.errors import DamagedTracksError
from maskferry.tracks._database import Database
from maskferry.tracks._edit_store import read_edit
from maskferry.tracks._jobs import FrameRange, Job, Span, StoredJob
from maskferry.tracks._notes import Notes
from maskferry.tracks._prompt_store import PIN, request_digest
from maskferry.tracks._survey import Keys, Survey, split_keys
from maskferry.tracks._table import Row, Table
from maskferry.tracks._video_note import write_video

__all__ = ["Salvage"]

PIECE = 4096

EVERY_EDIT = 1 << 62


class Salvage:
    """Decides what of a survey is kept, and writes it.

    Attributes:
        lost: {object id: frames on which its mask is lost}.
        restored: masks that are proven by their prompts, as rows.
        spans: those that are kept.
        prompts: those that are kept.
        sound: the masks that can be read, of known objects, see `Survey.sound`.
        homeless: how many others there are.
        unnamed: objects of which the row is lost; they are known by their masks and prompts.
        first_edit: the key of the oldest edit that is kept.
        problems: what cannot be kept, or only in part, in words.
    """

    def __init__(self, survey: Survey) -> None:
        if survey.video is None:
            raise DamagedTracksError("what it says of its video is lost: give the video")
        self._survey = survey
        self.problems: list[str] = []
        self.unnamed = self._unnamed()
        known = {*survey.objects, *self.unnamed}
        strange = [i for i in split_keys(survey.sound) if i not in known]
        self.sound = survey.sound[~np.isin(survey.sound >> 32, strange)] if strange else survey.sound
        self.homeless = survey.sound.size - self.sound.size
        self.lost = {i: set(frames.tolist()) for i, frames in split_keys(survey.lost).items()}
        self.prompts = [row for row in survey.rows["prompt"] if row[1] in known]
        self._restore_prompts()
        if survey.misses_some:
            self._find_holes()
        self.restored = self._restored_masks()
        self.spans = list(self._kept_spans())
        self.first_edit = self._first_edit()

    # --- objects and prompts --------------------------------------------------------------------------------------

    def _unnamed(self) -> list[int]:
        survey = self._survey
        if not survey.damage["object"]:
            return []
        named = {int(str(row[1])) for row in survey.rows["prompt"]}
        named |= set(np.unique(survey.sound >> 32).tolist())
        return sorted(named - set(survey.objects))

    def _restore_prompts(self) -> None:
        """A lost prompt that is a mask lies among the masks, too; what was asked for proves that it is that one."""
        survey = self._survey
        if not survey.damage["prompt"]:
            return
        there = {(row[0], row[1]) for row in self.prompts}
        for frame, object_id, digest in survey.rows["request"]:
            if (frame, object_id) in there:
                continue
            mask = survey.mask(int(str(frame)), int(str(object_id)))
            if mask is not None and mask[4] == State.GIVEN.value and digest == _digest_of(mask):
                self.prompts.append((frame, object_id, "mask", mask[2]))

    # --- masks ----------------------------------------------------------------------------------------------------

    def _restored_masks(self) -> list[Row]:
        """Lost masks on prompted frames, which no run writes again: their prompts hold them."""
        found: list[Row] = []
        for frame, object_id, kind, value in self.prompts:
            at, i = int(str(frame)), int(str(object_id))
            if at not in self.lost.get(i, ()) or kind not in ("mask", PIN):
                continue
            entry = self._survey.reader.entry(at, i)
            if entry is None and kind == "mask":
                entry = (1.0, State.GIVEN.value)
            if entry is not None:
                found.append((at, i, value, *entry, None))
        taken = {(row[0], row[1]) for row in found}
        self.prompts = [
            row
            for row in self.prompts
            if row[2] != PIN or row[0] not in self.lost.get(int(str(row[1])), ()) or (row[0], row[1]) in taken
        ]
        return found

    def _find_holes(self) -> None:
        """Where nothing says which masks there were: frames that count as tracked, without a mask."""
        own = split_keys(self.sound)
        for stored in self._jobs():
            for span in stored.job.spans:
                there = own.get(span.object_id, np.zeros(0, dtype=np.int64))
                missing = np.setdiff1d(self._tracked(stored, span), there)
                self.lost.setdefault(span.object_id, set()).update(missing.tolist())
        self.lost = {i: frames for i, frames in self.lost.items() if frames}

    def _tracked(self, stored: StoredJob, span: Span) -> Keys:
        """The finished frames of a span."""
        low, high = span.reach(stored.job.frame_range, backward=stored.job.backward)
        left_low, left_high = stored.left(span)
        frames: Keys = self._survey.frames
        frames = frames[(frames >= low) & (frames < high) & ((frames < left_low) | (frames >= left_high))]
        limits = stored.job.frame_range
        on_grid = (frames - limits.start) % limits.stride == 0
        return np.extract(on_grid | (frames == span.seed), frames)

    # --- what counts as done --------------------------------------------------------------------------------------

    def _jobs(self) -> Iterator[StoredJob]:
        rows = self._survey.rows
        for job_id, engine, backward, start, stop, stride, position, snapshot_frame, done in _typed(rows["job"]):
            spans = [
                Span(i, seed, until, bool(blend))
                for _, job, i, seed, until, blend in _typed(rows["span"])
                if job == job_id
            ]
            job = Job(bool(backward), FrameRange(start, stop, stride), tuple(spans))
            yield StoredJob(job_id, engine, job, position, snapshot_frame, bool(done))

    def _kept_spans(self) -> Iterator[Row]:
        """Spans without a lost frame. One of a pass under way goes, too, where its notes may be lost."""
        jobs = {stored.id: stored for stored in self._jobs()}
        lost_frames = self._survey.lost_frames().tolist()
        notes_lost = bool(self._survey.damage["meta"])
        for row in self._survey.rows["span"]:
            stored = jobs[int(str(row[1]))]
            _, _, i, seed, until, blend = _typed([row])[0]
            span = Span(i, seed, until, bool(blend))
            low, high = span.reach(stored.job.frame_range, backward=stored.job.backward)
            holes = [frame for frame in (*self.lost.get(i, ()), *lost_frames) if low <= frame < high]
            if not holes and not (notes_lost and not stored.done):
                yield row

    # --- edits ----------------------------------------------------------------------------------------------------

    def _first_edit(self) -> int:
        """Edits before this one are left out: they are damaged, build on one that is, or touch what was lost."""
        survey = self._survey
        edits = [(read_edit(row), bool(row[5])) for row in survey.rows["edit"]]
        cut = max(_cut(survey, "edit"), _cut(survey, "edit_row"))
        touched = self._touched()
        for edit, _ in edits:
            if touched is None or touched & set(edit.objects):
                cut = max(cut, edit.id)
        undone = [edit.id for edit, is_undone in edits if is_undone]
        if undone and cut >= min(undone):
            cut = EVERY_EDIT
        return cut + 1

    def _touched(self) -> set[int] | None:
        """Objects of which something is lost; None where that may be any."""
        survey = self._survey
        if (
            any(survey.damage[name] for name in ("object", "frame", "absence", "prompt", "job", "span"))
            or survey.misses_some
        ):
            return None
        return set(self.lost)

    # --- writing --------------------------------------------------------------------------------------------------

    def write(self, new: Database, *, all_rows: bool) -> None:
        """Write what is kept into an empty database.

        Args:
            new: the database.
            all_rows: masks, frames, snapshots and rows of edits, too.
        """
        survey = self._survey
        small = {name: rows for name, rows in survey.rows.items() if name not in ("prompt", "span", "edit", "change")}
        with new.transaction():
            for name, rows in small.items():
                Table(new, name).put(rows)
            if survey.damage["meta"]:
                self._mend_notes(new)
            Table(new, "object").put([(i, None, 0) for i in self.unnamed])
            Table(new, "prompt").put(self.prompts)
            Table(new, "span").put(self.spans)
            Table(new, "edit").put([row for row in survey.rows["edit"] if int(str(row[0])) >= self.first_edit])
            if not survey.damage["change"]:
                Table(new, "change").put(survey.rows["change"])
            for i, frames in self.lost.items():
                new.changed([i], min(frames), max(frames) + 1)
            if all_rows:
                self._write_large(new)

    def _mend_notes(self, new: Database) -> None:
        """Notes that everything needs, where they are lost."""
        notes = Notes(new)
        names = {row[0] for row in self._survey.rows["meta"]}
        if "revision" not in names:
            newest = max((int(str(row[0])) for row in self._survey.rows["change"]), default=0)
            Table(new, "meta").put([("revision", str(newest))])
        if "video" not in names and self._survey.video is not None:
            write_video(notes, self._survey.video, None)

    def _write_large(self, new: Database) -> None:
        survey = self._survey
        _put_all(new, "frame", survey.read("frame", again=True))
        jobs = {row[1] for row in self.spans}
        _put_all(new, "snapshot", (row for row in survey.read("snapshot", again=True) if row[0] in jobs))
        kept = {row[0] for row in survey.rows["edit"] if int(str(row[0])) >= self.first_edit}
        _put_all(new, "edit_row", (row for row in survey.read("edit_row", again=True) if row[0] in kept))
        _put_all(new, "mask", self._masks())
        Table(new, "mask").put(self.restored)

    def _masks(self) -> Iterator[Row]:
        survey, lost, known = self._survey, self.lost, {*self._survey.objects, *self.unnamed}
        for row in survey.read("mask", again=True):
            frame, object_id = int(str(row[0])), int(str(row[1]))
            if object_id in known and frame not in lost.get(object_id, ()):
                yield row[:6]
        yield from (row for row in survey.stranded() if row[1] in known)


def _put_all(new: Database, table: str, rows: Iterator[Row]) -> None:
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if len(piece) == PIECE:
            Table(new, table).put(piece)
            piece.clear()
    Table(new, table).put(piece)


def _cut(survey: Survey, table: str) -> int:
    """The newest edit that damage in a table may have reached; 0 where there is none."""
    damage = survey.damage[table]
    found = [key[0] for key, _ in damage.bad]
    for gap in damage.gaps:
        found.append(EVERY_EDIT if gap.before is None else gap.before[0])
    if not all(isinstance(edit, int) for edit in found):
        return EVERY_EDIT
    known = [int(str(row[0])) for row in survey.rows["edit"]]
    newest = max(found, default=0)
    return EVERY_EDIT if newest > max(known, default=0) else newest


def _digest_of(mask: Row) -> bytes:
    return request_digest("mask", bytes(mask[2]))  # type: ignore[arg-type]


def _typed(rows: Collection[Row]) -> list[tuple[Any, ...]]:
    """Rows whose values have been checked."""
    return list(rows)
