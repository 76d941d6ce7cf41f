"""What a tracks file says of its video."""

from __future__ import annotations

import os
from fractions import Fraction
from typing import Any

from maskferry.data import VideoInfo
from maskferry.errors import DamagedTracksError
from maskferry.tracks._notes import Notes
from maskferry.tracks._series_note import series_note, series_of

__all__ = ["LARGEST_SIDE", "MOST_PIXELS", "read_video", "video_of", "write_video"]

LARGEST_SIDE, MOST_PIXELS = 65_535, 1 << 30
"""Pixels of a video that is believed."""


def write_video(notes: Notes, video: VideoInfo, digest: str | None) -> None:
    """Keep what is known of a video; its path as an absolute one, and what identifies its content."""
    path = video.path
    if path is not None and "://" not in path:
        path = os.path.abspath(path)  # noqa: PTH100
    known = {
        "width": video.width,
        "height": video.height,
        "rate": str(video.rate) if video.rate else None,
        "frame_count": video.frame_count,
        "name": video.name,
        "path": path,
    }
    notes.set_json("video", known if video.stretch is None else {**known, "stretch": video.stretch})
    notes.set("series", series_note(video))
    notes.set("digest", digest)


def read_video(notes: Notes, place: str) -> VideoInfo:
    """What `write_video` kept.

    Raises:
        DamagedTracksError: it is not there, or no video is like that.
    """
    value = notes.json("video")
    if not isinstance(value, dict):
        raise DamagedTracksError(f"{place}: the tracks file is damaged: it does not name its video")
    try:
        video = series_of(video_of(value), notes.json("series"))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as err:
        raise DamagedTracksError(f"{place}: what the tracks file says of its video cannot be read: {err}") from err
    return video


def video_of(value: dict[str, Any]) -> VideoInfo:
    """A video from what `write_video` kept of it; KeyError, TypeError and ValueError where no video is like that."""
    width, height, rate, frame_count, name, path = (
        value[key] for key in ("width", "height", "rate", "frame_count", "name", "path")
    )
    if not (type(width) is type(height) is int and 1 <= min(width, height) <= max(width, height) <= LARGEST_SIDE):
        raise ValueError(f"its size is {width!r} x {height!r}")
    if width * height > MOST_PIXELS:
        raise ValueError(f"its size is {width} x {height}, more than {MOST_PIXELS} pixels")
    if not (frame_count is None or (type(frame_count) is int and 0 <= frame_count < 1 << 40)):
        raise ValueError(f"it has {frame_count!r} frames")
    if not (isinstance(name, str) and (path is None or isinstance(path, str))):
        raise ValueError(f"its name is {name!r}, its path {path!r}")
    exact = None if rate is None else Fraction(str(rate))
    if exact is not None and exact <= 0:
        raise ValueError(f"its rate is {rate!r}")
    if len(value) != 6 + ("stretch" in value):
        raise ValueError(f"it says more than is known: {', '.join(sorted(value))[:80]}")
    return VideoInfo(width, height, exact, frame_count, name, path, value.get("stretch"))
