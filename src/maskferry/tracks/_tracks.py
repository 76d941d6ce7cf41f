"""``Tracks``: what a run has found, frame by frame, decoded only when somebody asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import SupportsIndex

from maskferry.closing import Closing
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, VideoInfo
from maskferry.errors import InputError
from maskferry.tracks._database import Database
from maskferry.tracks._frame_store import MASK_COLUMNS, mask_of_row

__all__ = ["Tracks"]

PIECE = 256  # frames that are read from the database at once


class Tracks(Closing, Mapping[int, FrameMasks]):
    """A mapping from frame index to `FrameMasks`, by ascending index, over the frames that are finished.

    It can be read while the run goes on, by other processes too, where it has a path. Masks stay run-length encoded
    until `FrameMasks.mask` or `FrameMasks.stack` is asked for them.

    Attributes:
        video: the video that was tracked.
        path: the file; None in memory.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.path = database.path
        self.video = _read_video(database)

    @classmethod
    def create(cls, video: VideoInfo, path: str | Path | None = None, *, overwrite: bool = False) -> Tracks:
        """Start empty tracks of a video, in memory or in a file.

        Raises:
            OutputExistsError: the file exists and ``overwrite`` is false.
            OutputError: it cannot be made.
        """
        database = Database.create(Path(path) if path is not None else None, overwrite=overwrite)
        with database.transaction():
            database.execute("INSERT INTO meta VALUES ('video', ?)", [_video_json(video)])
        return cls(database)

    @classmethod
    def open(cls, path: str | Path) -> Tracks:
        """Open the tracks of an earlier run, or of one that is going on.

        Raises:
            InputError: there is no such file, or it is not a tracks file.
        """
        return cls(Database.open(Path(path)))

    # --- what there is ------------------------------------------------------------------------------------------

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Every object that was given and not removed, ascending."""
        return tuple(i for (i,) in self.database.rows("SELECT id FROM object WHERE NOT removed ORDER BY id"))

    @property
    def labels(self) -> dict[int, str]:
        """{object id: name}, for the objects that have one."""
        return dict(self.database.rows("SELECT id, label FROM object WHERE NOT removed AND label IS NOT NULL"))

    @property
    def given_scores(self) -> dict[int, float]:
        """{object id: score}, for the objects that another model found and scored, by ascending id."""
        rows = self.database.rows("SELECT key, value FROM meta WHERE key LIKE 'score:%'")
        found = {int(key.removeprefix("score:")): float(value) for key, value in rows}
        return {i: found[i] for i in self.object_ids if i in found}

    @property
    def stopped_at(self) -> str | None:
        """Where and why the video could not be read on; None where it was read to its end."""
        found = self.database.rows("SELECT value FROM meta WHERE key = 'damage'")
        return str(found[0][0]) if found else None

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end: nothing that was planned is left to do."""
        query = "SELECT 1 FROM job WHERE NOT done AND id IN (SELECT job FROM span) LIMIT 1"
        return not self.database.rows(query)

    def __len__(self) -> int:
        return int(self.database.rows("SELECT count(*) FROM frame")[0][0])

    def __iter__(self) -> Iterator[int]:
        last = -1
        while piece := self.database.rows("SELECT idx FROM frame WHERE idx > ? ORDER BY idx LIMIT ?", [last, PIECE]):
            yield from (idx for (idx,) in piece)
            (last,) = piece[-1]

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
        for found in self.database.rows("SELECT idx, time, name FROM frame WHERE idx = ?", [int(frame)]):
            return FrameInfo(*found)
        raise KeyError(frame)

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
        query = "SELECT idx, time, name FROM frame WHERE idx >= ? AND idx < ? ORDER BY idx LIMIT ?"
        end, skipped = (1 << 62) if stop is None else stop, 0
        while piece := self.database.rows(query, [start, end, PIECE]):
            infos = [FrameInfo(*row) for row in piece[skipped::stride]]
            skipped = (skipped - len(piece)) % stride
            start = piece[-1][0] + 1
            masks = self._masks([info.index for info in infos])
            yield from (FrameTracks(info, masks[info.index]) for info in infos)

    def timeline(self, object_id: int) -> Iterator[tuple[int, ObjectMask]]:
        """(frame, row) of one object, by ascending frame."""
        query = f"SELECT {MASK_COLUMNS} FROM mask WHERE object = ? AND frame > ? ORDER BY frame LIMIT ?"
        last = -1
        while piece := self.database.rows(query, [object_id, last, PIECE]):
            yield from ((row[0], mask_of_row(row, self.video.size_hw)) for row in piece)
            last = piece[-1][0]

    def _masks(self, frames: Sequence[int]) -> dict[int, FrameMasks]:
        """{frame: masks} for some frames, ascending."""
        rows: dict[int, list[ObjectMask]] = {frame: [] for frame in frames}
        if frames:
            query = f"SELECT {MASK_COLUMNS} FROM mask WHERE frame BETWEEN ? AND ? ORDER BY frame, object"
            for row in self.database.rows(query, [frames[0], frames[-1]]):
                if row[0] in rows:
                    rows[row[0]].append(mask_of_row(row, self.video.size_hw))
        return {frame: FrameMasks(frame, self.video.size_hw, tuple(found)) for frame, found in rows.items()}

    # --- life ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring everything written so far into the one file, which can then be copied or sent."""
        self.database.settle()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self.database.close()

    def __repr__(self) -> str:
        return f"<Tracks of {self.video.name}: {len(self.object_ids)} objects, {len(self)} frames>"


def _video_json(video: VideoInfo) -> str:
    return json.dumps(
        {
            "width": video.width,
            "height": video.height,
            "rate": str(video.rate) if video.rate else None,
            "frame_count": video.frame_count,
            "name": video.name,
            "path": video.path,
        }
    )


def _read_video(database: Database) -> VideoInfo:
    found = database.rows("SELECT value FROM meta WHERE key = 'video'")
    if not found:
        raise InputError(f"{database.path}: the tracks file is damaged: it does not name its video")
    value = json.loads(found[0][0])
    rate = value.pop("rate")
    return VideoInfo(**value, rate=Fraction(rate) if rate else None)
