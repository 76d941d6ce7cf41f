"""``Tracks``: what a run has found, frame by frame, decoded only when somebody asks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, SupportsIndex

from maskferry.closing import Closing
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, VideoInfo
from maskferry.errors import DamagedTracksError, InputError
from maskferry.masks._rle_batch import measure_rles
from maskferry.rle import Rle
from maskferry.tracks._changes import Ranges, changes_since
from maskferry.tracks._database import Database
from maskferry.tracks._frame_store import mask_of_row
from maskferry.tracks._lane import Lane, read_lane
from maskferry.tracks._notes import Notes
from maskferry.tracks._table import Row, Table
from maskferry.tracks._video_note import read_video, write_video

__all__ = ["Tracks"]

PIECE = 256  # frames that are read from the database at once

ROWS = 20_000  # rows of masks that are read at once by `Tracks.mask_rows`

BEFORE_ALL = -(1 << 62)


class Tracks(Closing, Mapping[int, FrameMasks]):
    """A mapping from frame index to `FrameMasks`, by ascending index, over the frames that are finished.

    It can be read while the run goes on, by other processes too, where it has a path. Masks stay run-length encoded
    until `FrameMasks.mask` or `FrameMasks.stack` is asked for them. Every row is compared with its checksum when it is
    read: where bytes of the file have changed, reading raises a `DamagedTracksError`.

    Attributes:
        video: the video that was tracked.
        path: the file; None in memory.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.path = database.path
        self._notes = Notes(database)
        self.video = read_video(self._notes, database.place)
        self._frame_table, self._masks_table = Table(database, "frame"), Table(database, "mask")
        self._objects = Table(database, "object")

    @classmethod
    def begin(cls, video: VideoInfo, path: str | Path | None = None, *, digest: str | None = None) -> Tracks:
        """Start empty tracks of a video in memory; `save` gives them their file.

        Args:
            video: the video.
            path: where `save` writes them.
            digest: what identifies the video's content.
        """
        database = Database.create(Path(path) if path is not None else None)
        write_video(Notes(database), video, digest)
        return cls(database)

    @classmethod
    def create(cls, video: VideoInfo, path: str | Path | None = None, *, overwrite: bool = False) -> Tracks:
        """Start empty tracks of a video, in memory or in a file.

        Raises:
            OutputExistsError: the file exists and ``overwrite`` is false, or it is no tracks file.
            OutputError: it cannot be made.
        """
        tracks = cls.begin(video, path)
        tracks.save(overwrite=overwrite)
        return tracks

    @classmethod
    def open(cls, path: str | Path, *, read_only: bool = False) -> Tracks:
        """Open the tracks of an earlier run, or of one that is going on.

        Args:
            path: the file.
            read_only: refuse changes. Nothing in the file's folder is touched then, whatever state the file is in, and
                neither the folder nor the file need be writable.

        Raises:
            InputError: there is no such file, or it is not a tracks file.
            DamagedTracksError: it is damaged.
        """
        return cls(Database.open(Path(path), read_only=read_only))

    # --- what there is ------------------------------------------------------------------------------------------

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Every object that was given and not removed, ascending."""
        return tuple(i for i, _ in self._known_objects())

    @property
    def labels(self) -> dict[int, str]:
        """{object id: name}, for the objects that have one."""
        return {i: label for i, label in self._known_objects() if label is not None}

    def _known_objects(self) -> list[tuple[int, str | None]]:
        found: list[tuple[int, str | None]] = []
        for i, label, _ in self._objects.find("WHERE NOT removed ORDER BY id"):
            if not isinstance(i, int) or i < 1 or not (label is None or isinstance(label, str)):
                raise DamagedTracksError(f"{self.database.place}: expected ids from 1 and names, got {i!r}, {label!r}")
            found.append((i, label))
        return found

    @property
    def given_scores(self) -> dict[int, float]:
        """{object id: score}, for the objects that another model found and scored, by ascending id."""
        found = self._notes.starting_with("score:")
        try:
            scores = {int(key): float(value) for key, value in found.items()}
        except ValueError as err:
            raise DamagedTracksError(f"{self.database.place}: a score is no number: {err}") from err
        return {i: scores[i] for i in self.object_ids if i in scores}

    @property
    def inputs(self) -> list[Path]:
        """Files of masks that were given to the run: nothing may be written over them."""
        return [Path(name) for name in self._notes.starting_with("input:")]

    def note_inputs(self, *paths: Path) -> None:
        """Remember files of masks that were given to the run."""
        for path in paths:
            self._notes.set(f"input:{path.absolute()}", "")

    @property
    def video_digest(self) -> str | None:
        """What identifies the video's content; None where that is not known."""
        return self._notes.get("digest")

    @property
    def stopped_at(self) -> str | None:
        """Where and why the video could not be read on; None where it was read to its end."""
        return self._notes.get("damage")

    @property
    def finished(self) -> bool:
        """Whether nothing is left to be tracked: `pending` is empty."""
        return not self.pending

    @property
    def pending(self) -> list[Any]:
        """What is still to be tracked: (object id, first frame, frame to end before), by object and frame.

        Where a correction was not recomputed to its end, the masks on these frames are those of before it.
        """
        from maskferry.tracks._pending import pending_spans

        return pending_spans(self.database, self.video)

    def digest(self) -> str:
        """What identifies the results, whatever file they lie in: SHA-256 over frames, objects and masks, in hex."""
        found = hashlib.sha256()
        for i, label in self._known_objects():
            found.update(repr((i, label)).encode())
        for frame in self.frames():
            info = frame.info
            found.update(f"FrameInfo(index={info.index!r}, time={info.time!r}, name={info.name!r})".encode())
            for row in frame.masks:
                found.update(repr((row.object_id, row.rle.counts, row.score, row.state.value, row.fidelity)).encode())
        return found.hexdigest()

    # --- what has changed ---------------------------------------------------------------------------------------

    @property
    def revision(self) -> int:
        """Grows with every change of a mask, a name or a prompt, whoever makes it."""
        return self.database.revision

    def changes_since(self, revision: int) -> Ranges:
        """Which masks may have changed after a revision.

        Args:
            revision: of an earlier look. Of one that is too old to be known, everything has changed.

        Returns:
            {object id: [(first frame, frame to end before)]}; objects that are gone are among them. Of an object
            without a stretch, the name or a prompt may have changed.
        """
        return changes_since(self.database, revision, self.object_ids)

    # --- frame by frame -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return int(str(self.database.rows("SELECT count(*) FROM frame")[0][0]))

    def __iter__(self) -> Iterator[int]:
        last = BEFORE_ALL
        while piece := self._infos("WHERE idx > ? ORDER BY idx LIMIT ?", [last, PIECE]):
            yield from (info.index for info in piece)
            last = piece[-1].index

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, SupportsIndex):
            return False
        return bool(self.database.rows("SELECT 1 FROM frame WHERE idx = ?", [frame.__index__()]))

    def __getitem__(self, frame: int) -> FrameMasks:
        """All objects on one frame; KeyError where it is not finished."""
        if frame not in self:
            raise KeyError(frame)
        return self._masks([int(frame)])[int(frame)]

    def info(self, frame: int) -> FrameInfo:
        """The frame's row of the frame table; KeyError where it is not finished."""
        for found in self._infos("WHERE idx = ?", [int(frame)]):
            return found
        raise KeyError(frame)

    def _infos(self, rest: str, values: Sequence[int]) -> list[FrameInfo]:
        """Rows of the frame table, ascending from 0."""
        found: list[FrameInfo] = []
        after, dates = -1, self.video.dates or ()
        for index, time, name in self._frame_table.find(rest, values):
            is_time = time is None or (isinstance(time, float) and math.isfinite(time))
            if not (isinstance(index, int) and index > after and is_time and isinstance(name, str)):
                raise DamagedTracksError(
                    f"{self.database.place} is damaged: expected a frame behind {after} with a time and a name, got "
                    f"{index!r}, {time!r}, {name!r}"
                )
            date = dates[index] if index < len(dates) else None
            found.append(FrameInfo(index, time, name, date))  # type: ignore[arg-type]
            after = index
        return found

    def valid(self, frame: int) -> Rle | None:
        """Which pixels of a frame show anything, as they were read when it was tracked; None where that is not known,
        as on frames that no run has read, and in videos that are no series of georeferenced pictures."""
        counts = None if self.video.recipe is None else self._notes.get(f"valid:{frame}")
        if counts is None:
            return None
        try:
            return Rle(self.video.size_hw, counts.encode()).check()
        except (InputError, UnicodeEncodeError) as err:
            raise DamagedTracksError(
                f"{self.database.place}: the valid pixels of frame {frame} are damaged: {err}"
            ) from err

    # --- in order -----------------------------------------------------------------------------------------------

    def frames(self, start: int = 0, stop: int | None = None, stride: int = 1) -> Iterator[FrameTracks]:
        """Finished frames in order, a few at a time: what the exporters in ``formats`` take.

        Args:
            start: first frame index.
            stop: frame index to end before; None for the end.
            stride: take every stride-th of the finished frames.

        Raises:
            InputError: the stride is below 1.
        """
        if stride < 1:
            raise InputError(f"stride: expected 1 or more, got {stride}")
        return self._frames(start, stop, stride)

    def _frames(self, start: int, stop: int | None, stride: int) -> Iterator[FrameTracks]:
        rest = "WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
        end, skipped = (1 << 62) if stop is None else stop, 0
        start = start if start > 0 else BEFORE_ALL  # a frame before the first is damage, not to be overlooked
        while piece := self._infos(rest, [start, end, PIECE]):
            infos = piece[skipped::stride]
            skipped = (skipped - len(piece)) % stride
            start = piece[-1].index + 1
            masks = self._masks([info.index for info in infos])
            yield from (FrameTracks(info, masks[info.index]) for info in infos)

    def timeline(self, object_id: int) -> Iterator[tuple[int, ObjectMask]]:
        """(frame, row) of one object, by ascending frame."""
        rest, last = "WHERE object = ? AND frame > ? ORDER BY frame LIMIT ?", -1
        while piece := self._masks_table.find(rest, [object_id, last, PIECE]):
            self._check_masks(piece)
            for row in piece:
                if int(str(row[0])) <= last:
                    raise DamagedTracksError(f"{self.database.place} is damaged: its frames do not ascend")
                last = int(str(row[0]))
                yield last, mask_of_row(row, self.video.size_hw)

    def mask_rows(self, start: int = 0, stop: int | None = None) -> Iterator[list[tuple[Any, ...]]]:
        """Rows of many masks at a time, by frame and object, for what goes through all of them.

        The masks themselves are not looked at: whoever decodes the counts finds out whether they are sound.

        Args:
            start: first frame index.
            stop: frame index to end before; None for the end.

        Returns:
            Lists of (frame, object id, counts, score, state, fidelity or None).
        """
        rest = "WHERE (frame, object) > (?, ?) AND frame < ? ORDER BY frame, object LIMIT ?"
        last: tuple[Any, ...] = (start - 1, 1 << 62)
        end = (1 << 62) if stop is None else stop
        while piece := self._masks_table.find(rest, [*last, end, ROWS]):
            yield piece
            if piece[-1][:2] <= last:
                raise DamagedTracksError(f"{self.database.place} is damaged: its masks do not ascend")
            last = piece[-1][:2]

    def lane(self, object_id: int) -> Lane:
        """States and scores of one object on all of its frames, without reading a mask."""
        return read_lane(self.database, object_id)

    def _masks(self, frames: Sequence[int]) -> dict[int, FrameMasks]:
        """{frame: masks} for some frames, ascending."""
        rows: dict[int, list[ObjectMask]] = {frame: [] for frame in frames}
        if frames:
            rest = "WHERE frame BETWEEN ? AND ? ORDER BY frame, object"
            found = self._masks_table.find(rest, [frames[0], frames[-1]])
            self._check_masks(found)
            for row in found:
                own = rows.get(row[0])  # type: ignore[arg-type]
                if own is not None:
                    own.append(mask_of_row(row, self.video.size_hw))
        return {frame: FrameMasks(frame, self.video.size_hw, tuple(own)) for frame, own in rows.items()}

    def _check_masks(self, rows: Sequence[Row]) -> None:
        """Refuse masks that are larger than the video, or no masks: a file may come from anywhere."""
        size_hw = self.video.size_hw
        try:
            measure_rles([row[2] for row in rows if isinstance(row[2], bytes)], size_hw)
        except InputError:
            for frame, object_id, runs, *_ in rows:
                try:
                    Rle(size_hw, runs).check()  # type: ignore[arg-type]
                except InputError as err:
                    raise DamagedTracksError(
                        f"{self.database.place}: the mask of object {object_id!r} on frame {frame!r} is damaged: {err}"
                    ) from err
            raise

    # --- life ---------------------------------------------------------------------------------------------------

    def save(self, *, overwrite: bool = False) -> None:
        """Write tracks that were begun with a path into their file; nothing is left to do where that is done.

        Raises:
            OutputExistsError: there is a file, and ``overwrite`` is false or it is no tracks file.
            OutputError: it cannot be written.
            RunningElsewhereError: somebody writes to the file that is there.
        """
        self.database.save(overwrite=overwrite)

    def settle(self) -> None:
        """Bring everything written so far into the one file, which can then be copied or sent."""
        self.database.settle()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self.database.close()

    def __repr__(self) -> str:
        return f"<Tracks of {self.video.name}: {len(self.object_ids)} objects, {len(self)} frames>"
