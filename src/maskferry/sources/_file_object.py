"""A video or picture that the caller has as an open file, or as bytes."""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from maskferry._arguments import foreign, show
from maskferry.closing import Closing
from maskferry.data import Frame, FrameInfo, Source
from maskferry.errors import InputError, SourceError
from maskferry.sources._identity import video_digest

__all__ = ["HeldSource", "disk_path", "is_file_object", "open_held"]

_BYTES = (bytes, bytearray, memoryview)

_ON_DISK = (io.BufferedReader, io.BufferedRandom, io.FileIO)
"""Files as `open` gives them. Others may read something else than what lies at their name: `gzip`, for one."""

_PICTURES = ("AVIF", "BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of what is read as pictures; a GIF is a video."""

_LONGEST_PATH = 1024

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def is_file_object(source: Any) -> bool:  # noqa: ANN401
    """Whether something is the content of a file: bytes, or an open file of any kind."""
    with foreign("source"):
        return isinstance(source, (*_BYTES, io.IOBase)) or all(
            callable(getattr(source, name, None)) for name in ("read", "seek", "tell")
        )


def disk_path(source: Any) -> Path | None:  # noqa: ANN401
    """Where an open file lies on the disk, to be opened again by that path; None of all else."""
    if not isinstance(source, _ON_DISK) or source.closed:
        return None
    name = getattr(source, "name", None)
    try:
        if isinstance(name, str | Path) and os.path.samestat(os.fstat(source.fileno()), Path(name).stat()):
            return Path(name)
    except (OSError, ValueError):
        pass
    return None


def open_held(source: Any, open_path: Callable[[Path], Source]) -> Source:  # noqa: ANN401
    """Open the content of a file.

    A file that lies on the disk is opened by its path. All else is copied to a temporary file, which is removed when
    the source is closed: decoders read it on threads of their own, from wherever they need to.

    Args:
        source: bytes, or an open binary file; its position stays what it is.
        open_path: opens a path.

    Raises:
        InputError: it is closed, opened for text or for writing only, cannot be read from its beginning, or is empty;
            or bytes that are a path.
        SourceError: it is no video and no picture.
    """
    path = disk_path(source)
    if path is not None:
        if source.writable():
            source.flush()
        return open_path(path)
    folder = Path(tempfile.mkdtemp(prefix="maskferry-"))
    try:
        copy = folder / "content"
        _copy(source, copy)
        copy = copy.rename(folder / _name_of(source, copy))
        with _without_folder(folder):
            return cast(Source, HeldSource(open_path(copy), folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


class HeldSource(Closing):
    """A source that is read from a copy of its own.

    Attributes:
        info: without a path, as nobody can open it again by that.
        digest: what identifies its content, as `video_digest` of a file with the same content.
        seekable: True.
        announced_frame_count: of the source.
    """

    seekable = True

    def __init__(self, source: Source, folder: Path) -> None:
        self._source, self._folder = source, folder
        self.digest = video_digest(source.info.path)
        self.info = replace(source.info, path=None)
        self.announced_frame_count = source.announced_frame_count
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """As `Source.frames`."""
        return self._named(self._source.frames(indices))

    def _named(self, frames: Generator[Frame]) -> Generator[Frame]:
        try:
            with _without_folder(self._folder):
                yield from frames
        finally:
            frames.close()

    def frame_info(self, index: int) -> FrameInfo:
        """As `Source.frame_info`."""
        return self._source.frame_info(index)

    def close(self) -> None:
        """Close the source and remove the copy. May be called twice."""
        self._source.close()
        self._remove()


@contextmanager
def _without_folder(folder: Path) -> Iterator[None]:
    """Errors name the file, and not the folder of the copy, which nobody knows."""
    try:
        yield
    except SourceError as err:
        raise SourceError(str(err).replace(f"{folder}{os.sep}", ""), frame=err.frame) from err


def _copy(source: Any, target: Path) -> None:  # noqa: ANN401
    with target.open("wb") as file:
        if isinstance(source, _BYTES):
            with foreign("source"):
                content = memoryview(source).cast("B")
            _refuse_path(bytes(content[:4096]))
            file.write(content)
        else:
            _check_file(source)
            with foreign("source"):
                position = source.tell()
                source.seek(0)
                shutil.copyfileobj(source, file)
                source.seek(position)
    if not target.stat().st_size:
        raise InputError("source: expected a video or picture, got nothing (0 bytes)")


def _check_file(file: Any) -> None:  # noqa: ANN401
    """Refuse an open file that cannot be read as bytes, from its beginning."""
    what = f"source: {show(file)}"
    with foreign("source"):
        if getattr(file, "closed", False):
            raise InputError(f"{what} is closed: pass it while it is open, or its path")
        if isinstance(file, io.TextIOBase) or hasattr(file, "encoding"):
            raise InputError(f"{what} is opened for text: open it with mode 'rb', or pass its path")
        if not getattr(file, "readable", lambda: True)():
            raise InputError(f"{what} is opened for writing only: open it with mode 'rb', or pass its path")
        if not getattr(file, "seekable", lambda: True)():
            raise InputError(
                f"{what} cannot be read from its beginning again (a pipe, or a connection): pass "
                "io.BytesIO(file.read()), or save it to a file"
            )
        if not isinstance(file.read(0), bytes):
            raise InputError(f"{what} gives no bytes: pass a file that is opened with mode 'rb', or its path")


def _refuse_path(head: bytes) -> None:
    """Refuse the bytes of a path, which are no content: no video or picture is a line of text."""
    if head and len(head) <= _LONGEST_PATH and head.decode("utf-8", "replace").isprintable():
        raise InputError(
            f"source: got bytes, which are taken as the content of a file, but {show(head)} is text: pass a path as str"
        )


def _name_of(source: Any, path: Path) -> str:  # noqa: ANN401
    """What the copy is called: the last part of the file's own name, and a suffix that tells pictures from videos."""
    from maskferry.images import FRAME_SUFFIXES

    given = getattr(source, "name", None)
    name = _UNSAFE.sub("_", Path(given).name).strip("._")[-80:] if isinstance(given, str) else ""
    kind = _picture_kind(path)
    suffix = Path(name).suffix.lower()
    if kind is None:
        return f"{name or 'video'}.video" if suffix in FRAME_SUFFIXES or not suffix else name
    return name if suffix in FRAME_SUFFIXES else f"{name or 'picture'}.{kind}"


def _picture_kind(path: Path) -> str | None:
    """A suffix for the content of a picture; None for a video."""
    import PIL.Image

    from maskferry._pillow import open_picture
    from maskferry.images import FRAME_SUFFIXES
    from maskferry.sources._picture_size import size_in_header

    known = PIL.Image.registered_extensions().values()
    try:
        with open_picture(path, path, formats=tuple(name for name in _PICTURES if name in known)) as picture:
            kind = str(picture.format).lower()
            return kind if f".{kind}" in FRAME_SUFFIXES else "png"
    except PIL.UnidentifiedImageError:
        return "png" if size_in_header(path) else None
    except Exception:  # damaged: whoever opens it says so
        return "png"
