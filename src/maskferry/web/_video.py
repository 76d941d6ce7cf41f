"""The video of tracks, opened again: the one that a person names, or else the one that the tracks name."""

from __future__ import annotations

from maskferry.data import Source
from maskferry.errors import InputError, SourceError
from maskferry.sources import open_source, source_digest
from maskferry.tracks import Tracks

__all__ = ["open_video"]

ADVICE = "name the video that was tracked: maskferry open TRACKS VIDEO"


def open_video(tracks: Tracks, video: str | None) -> Source:
    """Open the frames that were tracked.

    Raises:
        InputError: the tracks name no video, or it is a stream.
        SourceError: it cannot be opened, or it is another one.
    """
    path = video or tracks.video.path
    if path is None:
        raise InputError(f"these tracks do not name a file with their frames: {ADVICE}")
    source = _open(tracks, path, is_named=video is not None)
    try:
        _check(tracks, source)
    except BaseException:
        source.close()
        raise
    return source


def _open(tracks: Tracks, path: str, *, is_named: bool) -> Source:
    """The file, with the rate and the stretch with which it was tracked."""
    stretch, rate = tracks.video.stretch or "none", tracks.video.rate
    try:
        source = open_source(path, stretch=stretch, local_only=not is_named)
        if source.info.rate != rate and rate is not None:
            source.close()
            source = open_source(path, rate=rate, stretch=stretch, local_only=not is_named)
    except SourceError as err:
        raise SourceError(f"{err}; {ADVICE}") from err
    return source


def _check(tracks: Tracks, source: Source) -> None:
    there, here = tracks.video, source.info
    if here.frame_count is None or not source.seekable:
        raise InputError("a stream cannot be reviewed: save it to a file first")
    if (here.size_hw, here.frame_count) != (there.size_hw, there.frame_count):
        raise SourceError(
            f"{here.name} has {here.frame_count} frames of {here.width}x{here.height}, but the tracks are of "
            f"{there.frame_count} frames of {there.width}x{there.height}; {ADVICE}"
        )
    if tracks.video_digest not in (None, source_digest(source)):
        raise SourceError(f"{here.name} is not the video that was tracked, or it has been changed since; {ADVICE}")
