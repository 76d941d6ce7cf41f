"""The video that tracks were made of, read again: its frames beside their masks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from os import PathLike
from pathlib import Path

from maskferry._locks import lock_path
from maskferry.data import Frame, FrameMasks, Source, StretchOption, VideoLike
from maskferry.errors import InputError, SourceError
from maskferry.formats._frame_table import sidecar
from maskferry.formats._map_rows import cut
from maskferry.sources import open_source, parse_rate, reopen_series, source_digest
from maskferry.sources._file_object import disk_path, is_file_object
from maskferry.tracks import Tracks, describe_pending

_log = logging.getLogger(__name__)

_ADVICE = "pass the video that was tracked, wherever it lies now (the VIDEO argument)"

_DATES_PER_SECOND = Fraction(2)

__all__ = ["film_rate", "pictures", "reads_of", "require_frames", "source_of"]


def pictures(tracks: Tracks, source: Source, *, stride: int = 1) -> Iterator[tuple[Frame, FrameMasks]]:
    """Every stride-th tracked frame, decoded, with its masks; of a series without what shows nothing, as on maps."""
    wanted = list(tracks)[::stride]
    for frame, tracked in zip(source.frames(wanted), tracks.frames(stride=stride), strict=False):
        yield frame, cut(tracked.masks, tracks.valid(frame.index))


@contextmanager
def source_of(tracks: Tracks, video: VideoLike | None) -> Iterator[Source]:
    """The frames that were tracked; closed afterwards if they were opened here."""
    is_stored = video is None
    video = tracks.video.path if video is None else video
    if video is None:
        raise InputError(
            "these tracks do not name a file with their frames, as they were made of pictures in memory, a stream or "
            "an open file: pass the video too (the VIDEO argument)"
        )
    source = _open_stored(tracks, video) if is_stored else _open_named(tracks, video)
    try:
        if source.info.size_hw != tracks.video.size_hw:
            raise SourceError(
                f"{source.info.name} is {source.info.width}x{source.info.height}, but the tracks are of a video of "
                f"{tracks.video.width}x{tracks.video.height}: pass the video that was tracked"
            )
        if is_stored and tracks.video_digest not in (None, source_digest(source)):
            raise SourceError(
                f"{source.info.path} is not the video that was tracked: it has been changed or replaced since; "
                f"{_ADVICE}"
            )
        yield source
    finally:
        if source is not video:
            source.close()


def _open_stored(tracks: Tracks, path: VideoLike) -> Source:
    """The video where the tracks say that it lies."""
    try:
        if tracks.video.recipe is not None:
            return reopen_series(tracks.video)
        return open_source(path, stretch=_stretch_of(tracks), local_only=True)
    except SourceError as err:
        raise SourceError(f"{err}; {_ADVICE}") from err


def _open_named(tracks: Tracks, video: VideoLike) -> Source:
    """The video that the caller names. Another file of it will do, but is mentioned: it may be another video."""
    if not (isinstance(video, str | PathLike) or is_file_object(video)):
        return open_source(video)
    if tracks.video.recipe is not None and isinstance(video, str | PathLike) and Path(video).is_dir():
        source: Source = reopen_series(tracks.video, Path(video))
    else:
        source = open_source(video, stretch=_stretch_of(tracks))
    there, here = tracks.video_digest, source_digest(source)
    if there and here and there != here:
        _log.warning("%s is not the very file that was tracked: see that it shows the same frames", source.info.name)
    return source


def _stretch_of(tracks: Tracks) -> StretchOption:
    """How the frames were shown when they were tracked."""
    return tracks.video.stretch or "none"


def film_rate(tracks: Tracks, rate: float | str | Fraction | None) -> Fraction | None:
    """The caller's rate; two dates a second of a series; or 25 where neither frames nor video know one."""
    if rate is not None:
        return parse_rate(rate)
    if tracks.video.recipe is not None:
        return tracks.video.rate or _DATES_PER_SECOND
    timed = tracks.video.rate is not None or tracks.info(next(iter(tracks))).time is not None
    return None if timed else Fraction(25)


def reads_of(tracks: Tracks, video: VideoLike | None = None) -> tuple[Path, ...]:
    """What is read while something is made of tracks, and must not be written over.

    Args:
        tracks: their file with what SQLite keeps beside it, their video, and the masks that the run was given.
        video: what their frames are read from.
    """
    parts: list[Path] = []
    for path in [] if tracks.path is None else [tracks.path, tracks.path.resolve()]:
        names = [f"{path.name}{end}" for end in ("", "-wal", "-shm", "-journal")]
        parts += [*map(path.with_name, names), lock_path(path)]
    recipe = tracks.video.recipe
    series = [] if recipe is None else [Path(file.path) for file in recipe.files]
    videos = [_path_of(tracks.video.path), _path_of(video), *series]
    given: tuple[Path, ...] = tuple(getattr(tracks, "inputs", ()))
    return (*parts, *(path for path in videos if path is not None), *given, *map(sidecar, given))


def _path_of(video: VideoLike | None) -> Path | None:
    """Where a video lies; None where it is not on this disk, or nobody knows where.

    A source that must not be opened again by its path, as it leaves out frames, names that as ``reads_from``.
    """
    place = (
        disk_path(video) or getattr(video, "reads_from", None) or getattr(getattr(video, "info", None), "path", video)
    )
    if not isinstance(place, str | Path) or (isinstance(place, str) and "://" in place):
        return None
    return Path(place).expanduser()


def require_frames(tracks: Tracks) -> None:
    """Refuse tracks in which nothing was found yet; say, in the log, what of them is not tracked yet."""
    if not len(tracks):
        raise InputError("there are no results yet: add masks and call propagate first")
    pending = [] if tracks.stopped_at else tracks.pending  # a video that ended early was warned of
    if pending:
        _log.warning("%s", describe_pending(pending))
