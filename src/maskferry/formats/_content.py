"""What the files of tracks hold, whatever their format: `VideoTracks`, `TrackedBox`, and putting them together."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from maskferry._staging import final_path
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.rle import Rle

__all__ = [
    "FramesBy",
    "Rows",
    "TrackedBox",
    "VideoTracks",
    "check_fidelity",
    "check_name",
    "check_time",
    "checked",
    "derived_of",
    "name_inside",
    "warn_of_loss",
]

log = logging.getLogger(__name__)


FramesBy = Literal["index", "name", "order"]


@dataclass(frozen=True, slots=True)
class VideoTracks:
    """One video of a file.

    Attributes:
        video: size, name, and what else is known.
        frames: in the order of the file.
        labels: {object id: name}; an object may have none.
        derived: (frame, object id) of the masks that follow from others of the file: interpolated between keyframes, or
            tracked from a mask that was given.
        frames_by: how the file says which frames of the video its own are: by their "index"; by the "name" of their
            pictures, or their index where no picture is called so; or by names alone, as the index is the "order" in
            the file.
        counted: the file does not tell the objects' ids, which are numbered in its order.
    """

    video: VideoInfo
    frames: tuple[FrameTracks, ...]
    labels: dict[int, str]
    derived: frozenset[tuple[int, int]] = frozenset()
    frames_by: FramesBy = "index"
    counted: bool = False


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """One object on one frame, in a format that knows boxes only.

    Attributes:
        frame: 0-based index.
        object_id: >= 1.
        box_xyxy: pixels, x2 and y2 exclusive.
        score: in [0, 1].
        label: the object's name; None where it has none.
    """

    frame: int
    object_id: int
    box_xyxy: tuple[float, float, float, float]
    score: float = 1.0
    label: str | None = None


@dataclass(slots=True)
class Rows:
    """What a reader has found so far: rows by frame and by the file's own key of an object.

    Attributes:
        found: {frame: {key: row}}; the ids in the rows are set at the end.
        labels: {key: name}.
        derived: (frame, key) of the masks that follow from others, see `VideoTracks`.
    """

    found: dict[int, dict[Hashable, ObjectMask]] = field(default_factory=dict)
    labels: dict[Hashable, str] = field(default_factory=dict)
    derived: set[tuple[int, Hashable]] = field(default_factory=set)

    def add(  # noqa: PLR0913
        self,
        frame: int,
        key: Hashable,
        rle: Rle,
        where: str,
        *,
        score: float = 1.0,
        state: State = State.GIVEN,
        label: str | None = None,
        fidelity: float | None = None,
        derived: bool = False,
    ) -> None:
        """Add an object's row of a frame.

        Raises:
            InputError: it has one there already, or is called by two names; named by ``where``.
        """
        rows = self.found.setdefault(frame, {})
        if key in rows:
            raise InputError(f"{where}: object {key} is on frame {frame} a second time")
        rows[key] = ObjectMask(0, rle, score, state, fidelity)
        if derived:
            self.derived.add((frame, key))
        if label is not None and self.labels.setdefault(key, label) != label:
            raise InputError(f"{where}: object {key} is called {label!r}, and {self.labels[key]!r} before")

    def tracks(
        self, video: VideoInfo, infos: Iterable[FrameInfo], where: str, *, frames_by: FramesBy = "index"
    ) -> VideoTracks:
        """Put the rows together. Keys that are whole numbers from 1 are the objects' ids; otherwise all are numbered
        1 to N in the order in which they came."""
        ids = self._ids(where)
        frames = []
        for info in infos:
            rows = {ids[key]: row for key, row in self.found.get(info.index, {}).items()}
            objects = tuple(replace(row, object_id=i) for i, row in sorted(rows.items()))
            frames.append(FrameTracks(info, FrameMasks(info.index, video.size_hw, objects)))
        labels = {ids[key]: name for key, name in self.labels.items() if key in ids}
        derived = frozenset((frame, ids[key]) for frame, key in self.derived)
        return VideoTracks(
            video, tuple(frames), labels, derived, frames_by, counted=any(k != i for k, i in ids.items())
        )

    def _ids(self, where: str) -> dict[Hashable, int]:
        """{key: object id}."""
        keys = list(dict.fromkeys(key for rows in self.found.values() for key in rows))
        usable: dict[Hashable, int] = {key: key for key in keys if isinstance(key, int) and 1 <= key < 1 << 31}
        if len(usable) == len(keys):
            return usable
        log.info("%s: objects have no usable ids: numbered 1 to %d", where, len(keys))
        return {key: i for i, key in enumerate(keys, 1)}


def derived_of(frames: Iterable[FrameTracks], own: Collection[int]) -> frozenset[tuple[int, int]]:
    """(frame, object id) of the masks of ``own`` objects, those whose states maskferry has kept, that were tracked from
    one that was given. Of an object without such a mask, as a detector finds one, there are none."""
    rows = [(tracks.info.index, row) for tracks in frames for row in tracks.masks if row.object_id in own]
    given = {row.object_id for _, row in rows if row.state is State.GIVEN}
    return frozenset((i, r.object_id) for i, r in rows if r.object_id in given and r.state is not State.GIVEN)


def checked(video: VideoInfo, frames: Iterable[FrameTracks]) -> Iterator[FrameTracks]:
    """The frames, one by one.

    Raises:
        InputError: masks of another size than the video.
    """
    for tracks in frames:
        if tracks.masks.size_hw != video.size_hw:
            raise InputError(f"frame {tracks.info.index}: masks are {tracks.masks.size_hw}, the video {video.size_hw}")
        yield tracks


def check_name(name: str, where: str) -> str:
    """The name of a frame or video in a third-party file, refused where it leads out of its folder.

    Raises:
        InputError: an absolute path, a drive, or "..".
    """
    parts = re.split(r"[/\\]", name)
    if "\0" in name or ".." in parts or (len(parts) > 1 and not parts[0]) or re.match(r"[A-Za-z]:[/\\]", name):
        raise InputError(f"{where}: expected a name, or a path inside of a folder, got {name!r:.80}")
    return name


def name_inside(name: str) -> str:
    """The name of a frame or video in a third-party file: where it leads out of its folder, its last part, as masks
    need no paths.

    >>> name_inside("cam/1.jpg"), name_inside("C:/data/1.jpg"), name_inside("../1.jpg")
    ('cam/1.jpg', '1.jpg', '1.jpg')
    """
    try:
        return check_name(name, "")
    except InputError:
        parts = re.split(r"[/\\\0]", re.sub(r"^[A-Za-z]:", "", name))
        return next((part for part in reversed(parts) if part not in ("", ".", "..")), "")


def check_time(value: float | None, where: str) -> float | None:
    """The time of a frame in a third-party file.

    Raises:
        InputError: it is not finite.
    """
    if value is not None and not math.isfinite(value):
        raise InputError(f"{where}: expected seconds, got {value}")
    return None if value is None else float(value)


def check_fidelity(value: Any, where: str) -> float | None:  # noqa: ANN401
    """`ObjectMask.fidelity` in a third-party file; files of earlier versions have none.

    Raises:
        InputError: it is no number from 0 to 1.
    """
    if value is None:
        return None
    if not isinstance(value, float | int) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InputError(f"{where}: expected an IoU from 0 to 1, got {value!r:.60}")
    return float(value)


def warn_of_loss(path: Path, losses: Mapping[str, int]) -> None:
    """Log what an export has lost: {what: how many}, or nothing where all are 0."""
    told = [f"{what} ({count})" if count > 1 else what for what, count in losses.items() if count]
    if told:
        log.warning("%s loses: %s", final_path(path), "; ".join(told))
