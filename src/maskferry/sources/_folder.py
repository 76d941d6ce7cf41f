"""Frames from a folder of pictures, or from the pages of one picture file."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from maskferry.data import Frame, FrameInfo, Stretch, StretchOption, VideoInfo
from maskferry.errors import SourceError
from maskferry.images import FRAME_SUFFIXES, natural_key
from maskferry.sources._checks import check_indices, no_permission
from maskferry.sources._frame_info import check_index, time_at
from maskferry.sources._pages import Page, PageReader, pages_of
from maskferry.sources._pictures import read_samples
from maskferry.sources._read_ahead import ReadAheadSource
from maskferry.sources._stretch import choose_stretch, spread, thin, warn_if_unused

__all__ = ["FolderSource"]

_PIECE_BYTES = 256 * 2**20
"""Decoded frames held while an animation is read backward."""


class FolderSource(ReadAheadSource):
    """The pictures of a folder in natural order (2 before 10), or those of one file.

    Pictures may be of any format that Pillow or OpenCV reads. Alpha is dropped, palettes, grey and CMYK become RGB,
    EXIF orientation is applied (8 bit). Deep pictures (16 bit, float) are brought to 8 bit by one stretch for the whole
    series, so that brightness stays comparable. Of a TIFF every page is a frame, of an animation (WebP, APNG, AVIF)
    every frame is one; smaller copies, masks, and the second view of a stereo JPEG are none.

    Attributes:
        info: size, rate, number of pictures.
        seekable: True.
    """

    seekable = True
    announced_frame_count: int | None = None

    def __init__(self, path: Path, *, rate: Fraction | None = None, stretch: StretchOption = "auto") -> None:
        """List the pictures and check their sizes by their headers.

        Args:
            path: a folder, or one file.
            rate: frames per second; without it frames have no time, but those of animations have their own.
            stretch: of deep pictures, see `open_source`.

        Raises:
            SourceError: no pictures, pictures of several sizes, or one that cannot be read.
        """
        super().__init__()
        files = _list_pictures(path) if path.is_dir() else [path]
        self._pages = [page for file in files for page in pages_of(file)]
        self._check_sizes()
        self._times = None if rate is not None else _times(self._pages)
        if self._times is not None:
            rate = Fraction(len(self._pages) / self._times.pop()).limit_denominator(1001) or None
        self._stretch = self._find_stretch(stretch, path.name)
        height, width = self._pages[0].size_hw
        self.info = VideoInfo(width, height, rate, len(self._pages), path.name, str(path), self._stretch)

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Decode these pictures, a few ahead, on a thread; see `Source.frames`."""
        wanted = check_indices(indices, self.info.frame_count)
        return self.read_ahead(self._produce(wanted), self.info)

    def frame_info(self, index: int) -> FrameInfo:
        """A picture's row of the frame table, with the name of its file; see `Source.frame_info`."""
        return self._info(check_index(index, self.info))

    def _info(self, index: int) -> FrameInfo:
        time = time_at(index, self.info.rate) if self._times is None else self._times[index]
        is_numbered = self._pages[index].number is not None and self._pages[0].path == self._pages[-1].path
        return FrameInfo(index, time, f"{index:06d}" if is_numbered else self._pages[index].name)

    def _produce(self, wanted: Sequence[int]) -> Generator[Frame | None]:
        is_backward = len(wanted) > 1 and wanted[0] > wanted[-1]
        with PageReader() as reader:
            if is_backward and any(page.is_animated for page in self._pages):
                yield from self._produce_backward(reader, wanted)
                return
            for index in wanted:
                yield self._frame(reader, index)

    def _produce_backward(self, reader: PageReader, wanted: Sequence[int]) -> Generator[Frame | None]:
        """Animations are decoded forward only: some frames at a time, given in reverse."""
        most_held = max(2, _PIECE_BYTES // (3 * self.info.width * self.info.height))
        for start in range(0, len(wanted), most_held):
            held: list[Frame] = []
            piece = wanted[start : start + most_held]
            for index in reversed(piece):
                try:
                    held.append(self._frame(reader, index))
                except SourceError as err:
                    raise SourceError(f"frame {piece[0]} builds on one that is damaged: {err}", frame=piece[0]) from err
                yield None
            while held:
                yield held.pop()

    def _frame(self, reader: PageReader, index: int) -> Frame:
        page = self._pages[index]
        try:
            image = reader.read(page, self._stretch)
        except SourceError as err:
            raise SourceError(f"frame {index}: {err}", frame=index) from err
        if image.shape[:2] != self.info.size_hw:
            raise SourceError(
                f"frame {index}: {page.path} has changed since it was opened: its size is now "
                f"{image.shape[1]}x{image.shape[0]}",
                frame=index,
            )
        return Frame(self._info(index), image)

    def _check_sizes(self) -> None:
        first = self._pages[0]
        (height, width), where = first.size_hw, f"in {first.path.parent}"
        for page in self._pages:
            if page.size_hw != first.size_hw:
                raise SourceError(
                    f"all frames must have one size, but {_called(first)} is {width}x{height} and {_called(page)} is "
                    f"{page.size_hw[1]}x{page.size_hw[0]} ({where}): bring them to one size, or move those that differ "
                    "elsewhere"
                )

    def _find_stretch(self, option: StretchOption, name: str) -> Stretch | None:
        deep = [page for page in self._pages if page.deep]
        if not deep:
            warn_if_unused(option, name)
            return None
        return choose_stretch(option, _sampled(deep), name)


def _sampled(pages: list[Page]) -> list[NDArray[Any]]:
    """Samples of some deep pictures; those that cannot be decoded are left to whoever reads these frames.

    Raises:
        SourceError: not one of them can be decoded.
    """
    found, error = [], None
    for i in spread(len(pages)):
        try:
            found.append(thin(read_samples(pages[i].path, pages[i].tiff)))
        except SourceError as err:
            error = error or err
    if error is not None and not found:
        raise error
    return found


def _times(pages: list[Page]) -> list[float] | None:
    """When each frame of animations begins, in seconds, and when the last one ends; None where one does not say."""
    seconds = [page.seconds for page in pages if page.seconds is not None]
    if len(seconds) < len(pages):
        return None
    return [round(time, 6) for time in itertools.accumulate(seconds, initial=0.0)]


def _called(page: Page) -> str:
    return page.path.name if page.number is None else f"page {page.number + 1} of {page.path.name}"


def _list_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder by natural order; other and hidden files are left out.

    Raises:
        SourceError: there are none, or the folder cannot be read.
    """
    try:
        found = [p for p in folder.iterdir() if not p.name.startswith(".") and p.is_file()]
    except PermissionError as err:
        raise no_permission(folder) from err
    except OSError as err:
        raise SourceError(f"{folder} cannot be read: {err.strerror}") from err
    pictures = [p for p in found if p.suffix.lower() in FRAME_SUFFIXES]
    if not pictures:
        what = f"{len(found)} other files" if found else "no files"
        raise SourceError(
            f"{folder} holds no pictures, but {what}: expected a folder of .jpg, .png, .tif or the like; a video file, "
            "or an animation such as a GIF, is given by its own path"
        )
    return sorted(pictures, key=natural_key)
