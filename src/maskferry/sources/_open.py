"""Opening a source of whatever is given; the decoders are imported when a file needs them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from maskferry._arguments import foreign
from maskferry.data import Source, StretchOption, VideoInfo
from maskferry.errors import InputError, SourceError

__all__ = ["open_source"]

_ARRAY_ADVICE = (
    "pass a video, a folder of pictures, a URL, an open binary file, an array (T, H, W, 3) or an iterable of pictures"
)


def open_source(
    source: Any,  # noqa: ANN401
    *,
    rate: float | str | Fraction | None = None,
    stretch: StretchOption | str = "auto",
    local_only: bool = False,
) -> Source:
    """Open frames from anywhere.

    Args:
        source: a video file, a folder of pictures, one picture (str or Path); an http(s) URL of a video or picture,
            which is downloaded and cached; uint8 RGB (T, H, W, 3), grey (T, H, W), one picture (H, W, 3), or a list
            of pictures; an open binary file or bytes, the content of a video or picture file; a `Source`, which is
            returned as it is; or any other iterable of pictures, which is a stream: read once, forward. An open file
            that lies on the disk is opened again by its path; others (`io.BytesIO`, a member of an archive) and bytes
            are copied to a temporary file until the source is closed, and such a source has no path. Georeferenced
            TIFFs (a file, folder, pattern or list, {date: path}) are opened by `open_series`, which has more options.
        rate: frames per second, such as 25, 29.97 (taken for 30000/1001) or "30000/1001". Gives frames without a
            clock their times; of a video it replaces the rate and the times that the file states.
        stretch: how samples of more than 8 bits (thermal, microscopy) are brought to 8, on all frames alike:

            - "auto": the 2nd percentile of the samples is shown as black and the 98th as white. Up to 16 frames are
              looked at, spread over the source. The same source gives the same numbers, which stand in
              ``source.info.stretch``, in the log and in a tracks file.
            - "none": the whole range. Of pictures it is the least of 8, 10, 12, 14 and 16 bits that holds the samples,
              or 1 for floats up to 1; of a video what its format says.
            - (low, high), or the text "LOW,HIGH": these samples are black and white.

            Grey and RGB are stretched, and YUV where it has neither colour nor contrast; films in YUV of 10 bits and
            all samples of 8 bits are left as they are.
        local_only: refuse addresses. For paths that a file names and not the caller: opening the file of somebody else
            must not make a request.

    Raises:
        SourceError: it cannot be opened.
        InputError: it is nothing of the above, the rate is no positive number, or the stretch none of these.
    """
    from maskferry.sources._checks import parse_rate
    from maskferry.sources._series_routing import is_series
    from maskferry.sources._stretch import parse_stretch

    if is_series(source):
        from maskferry.sources._series import open_series

        return open_series(source, stretch=stretch, rate=rate)
    exact = None if rate is None else parse_rate(rate)
    stretch = parse_stretch(stretch)
    if isinstance(source, os.PathLike):
        source = Path(source)
    if isinstance(source, (str, Path)):
        if local_only:
            _refuse_address(str(source))
        return _open_path(source, exact, stretch)
    with foreign("source"):
        is_open = callable(getattr(source, "frames", None)) and isinstance(getattr(source, "info", None), VideoInfo)
    if is_open:
        if exact is not None:
            raise InputError("rate: this source is open already, with a rate of its own; leave rate out")
        if not isinstance(stretch, str):
            raise InputError("stretch: this source is open already; say it where the source is opened")
        return cast(Source, source)
    from maskferry.sources._file_object import is_file_object, open_held

    if is_file_object(source):
        return open_held(source, lambda path: _open_path(path, exact, stretch))
    if not isinstance(stretch, str):
        raise InputError("stretch: pictures in memory have 8 bits a sample, nothing is stretched; leave it out")
    return _open_pictures(source, exact)


def _refuse_address(text: str) -> None:
    if "://" in text or text.startswith(("\\\\", "//")):
        raise InputError(
            f"the video is said to be at {text}, an address, which is not opened unless you name it yourself: pass the "
            "video argument"
        )


def _open_path(source: str | Path, rate: Fraction | None, stretch: StretchOption) -> Source:
    text = str(source)
    if isinstance(source, str) and "://" in text:
        from maskferry.sources._download import download_file

        path = download_file(text)
    elif not text or text == ".":
        raise InputError(f"source: expected a path or a URL, got {text!r}: {_ARRAY_ADVICE}")
    else:
        try:
            path = Path(source).expanduser()
        except RuntimeError as err:  # "~" of nobody
            raise SourceError(f"{text} does not exist: {err}") from err
    _check_readable(path)
    from maskferry.images import FRAME_SUFFIXES

    if path.is_dir() or path.suffix.lower() in {*FRAME_SUFFIXES, ".avifs"}:
        from maskferry.sources._folder import FolderSource

        return FolderSource(path, rate=rate, stretch=stretch)
    from maskferry.sources._video import VideoSource

    return VideoSource(path, rate=rate, stretch=stretch)


def _check_readable(path: Path) -> None:
    """Refuse what is not there, is no file and no folder, or may not be read.

    Raises:
        SourceError: it is so.
    """
    from maskferry.sources._checks import no_permission

    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            with path.open("rb"):
                pass
    except PermissionError as err:
        raise no_permission(path) from err
    except (OSError, ValueError) as err:  # ValueError: a character that no path has
        raise SourceError(f"{path} does not exist: check the path (the working folder is {Path.cwd()})") from err
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise SourceError(f"{path} is neither a file nor a folder: pass a video or a folder of pictures")


def _open_pictures(source: Any, rate: Fraction | None) -> Source:  # noqa: ANN401
    from maskferry.sources._in_memory import ArraySource

    if isinstance(source, (list, tuple)):
        if any(isinstance(item, (str, Path)) for item in source):
            raise InputError(f"source: a list of paths cannot be opened: {_ARRAY_ADVICE}")
        return ArraySource(source, rate=rate)
    with foreign("source"):
        is_array = hasattr(source, "__array__")
    if is_array:
        import numpy as np

        with foreign("source"):
            array = np.asarray(source)
        return ArraySource(array, rate=rate)
    if isinstance(source, Iterable) and not isinstance(source, dict):
        from maskferry.sources._in_memory import StreamSource

        return StreamSource(source, rate=rate)
    raise InputError(f"source: got {type(source).__name__}: {_ARRAY_ADVICE}")
