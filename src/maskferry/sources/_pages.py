"""The pictures of a picture file: one, the pages of a TIFF, or the frames of an animation; and reading them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from PIL import UnidentifiedImageError

from maskferry._pillow import open_picture
from maskferry.closing import Closing
from maskferry.data import Image, Stretch
from maskferry.errors import SourceError
from maskferry.limits import size_problem
from maskferry.sources._pictures import (
    decode_rgb,
    is_deep,
    read_cv2,
    read_samples,
    three_channels,
    to_rgb,
    translated,
    upright_size,
)
from maskferry.sources._stretch import to_8bit
from maskferry.sources._tiff import TiffPage, read_pages
from maskferry.sources._tiff_series import check_series

__all__ = ["Page", "PageReader", "pages_of"]

_ANIMATIONS = {"AVIF", "GIF", "PNG", "WEBP"}
"""Formats whose further pictures are the next ones in time."""

_ONE_PICTURE = {"CUR", "ICNS", "ICO", "MPO", "PSD"}
"""Formats whose further pictures are views, sizes or layers of the first."""


@dataclass(frozen=True, slots=True)
class Page:
    """A picture of a file, before it is decoded.

    Attributes:
        path: the file.
        size_hw: after its orientation is applied.
        deep: more than 8 bits a sample, so that a stretch is needed.
        number: its place in the file; None where it is the only one.
        tiff: where it is, in a TIFF.
        seconds: how long it is shown, in an animation that says so.
    """

    path: Path
    size_hw: tuple[int, int]
    deep: bool
    number: int | None = None
    tiff: TiffPage | None = None
    seconds: float | None = None

    @property
    def name(self) -> str:
        """Of the file, with the number of the page where it has several."""
        return self.path.name if self.number is None else f"{self.path.stem}_{self.number:06d}"

    @property
    def is_animated(self) -> bool:
        """Whether it builds on the pictures before it."""
        return self.number is not None and self.tiff is None


def pages_of(path: Path) -> list[Page]:
    """The pictures of a file in their order, by its headers; of an animation every frame is decoded for its time.

    Raises:
        SourceError: the file cannot be read as pictures, or which of them are frames cannot be told.
    """
    with translated(path):
        tiff, is_cut = read_pages(path)
        if tiff and tiff[0].size_wh != (0, 0):
            return _tiff_pages(path, tiff, is_cut=is_cut)
        try:
            with open_picture(path, path, SourceError) as picture:
                return _pages_of_picture(path, picture)
        except UnidentifiedImageError:
            samples = read_cv2(path)
            return [Page(path, samples.shape[:2], samples.dtype != np.uint8)]


def _tiff_pages(path: Path, found: list[TiffPage], *, is_cut: bool) -> list[Page]:
    if is_cut:
        raise SourceError(
            f"{path} is damaged: what comes behind its page {len(found)} cannot be read: copy or record it again, or "
            "save the pages that are whole as a file of their own"
        )
    check_series(path, found)
    _check_readable(path, found[0])
    frames = [page for page in found if page.is_frame] or found[:1]
    for page in frames:
        if problem := size_problem(*page.size_wh):
            raise SourceError(f"{path}: {problem}")
    if len(frames) == 1:
        return [Page(path, frames[0].upright_hw, frames[0].is_deep, tiff=frames[0])]
    return [Page(path, page.upright_hw, page.is_deep, number, page) for number, page in enumerate(frames)]


def _check_readable(path: Path, page: TiffPage) -> None:
    """Refuse a TIFF of which neither Pillow nor OpenCV knows the kind."""
    try:
        if page.for_pillow:
            with open_picture(path, path, SourceError):
                return
    except UnidentifiedImageError:
        pass
    read_cv2(path, page)


def _pages_of_picture(path: Path, picture: PIL.Image.Image) -> list[Page]:
    deep, count = is_deep(picture, path), getattr(picture, "n_frames", 1)
    size_hw = upright_size(picture, deep=deep)
    if count == 1 or picture.format in _ONE_PICTURE:
        return [Page(path, size_hw, deep)]
    if picture.format not in _ANIMATIONS or deep:
        raise SourceError(
            f"{path} holds {count} pictures of the format {picture.format}{' with 16 bits' if deep else ''}, of which "
            "only the first could be read: save each as a file of its own"
        )
    first = 1 if picture.info.get("default_image") else 0  # of an APNG: shown by programs that know no animation
    times = _durations(picture, range(first, count))
    return [
        Page(path, size_hw, deep, number, seconds=seconds)
        for number, seconds in zip(range(first, count), times, strict=True)
    ]


def _durations(picture: PIL.Image.Image, numbers: range) -> list[float | None]:
    """How long each frame is shown, in seconds; None of all where one does not say, or cannot be decoded."""
    found = []
    try:
        for number in numbers:
            picture.seek(number)
            picture.load()
            found.append(float(picture.info.get("duration", 0)) / 1000)
    except Exception:  # damaged there: whoever reads that frame is told
        found.append(0)
    return list(found) if all(seconds > 0 for seconds in found) else [None] * len(numbers)


class PageReader(Closing):
    """Decodes pictures; a file of several stays open until another one is read, so that the next is reached quickly."""

    def __init__(self) -> None:
        self._file = ExitStack()
        self._open: Path | None = None
        self._picture: PIL.Image.Image | None = None

    def read(self, page: Page, stretch: Stretch | None = None) -> Image:
        """Decode a picture: RGB, uint8 (H, W, 3).

        Args:
            page: which one.
            stretch: of deep ones.

        Raises:
            SourceError: it cannot be decoded.
        """
        if page.deep and stretch is not None:
            return three_channels(to_8bit(read_samples(page.path, page.tiff), stretch))
        if page.tiff and not page.tiff.for_pillow:
            return three_channels(read_samples(page.path, page.tiff))
        if page.number is None and (page.tiff is None or not page.tiff.number):
            return decode_rgb(page.path)
        with translated(page.path):
            try:
                picture = self._opened(page.path)
                picture.seek(page.tiff.number if page.tiff else page.number or 0)
                picture.load()
                return to_rgb(picture)
            except UnidentifiedImageError:
                return three_channels(read_samples(page.path, page.tiff))

    def _opened(self, path: Path) -> PIL.Image.Image:
        if self._picture is None or self._open != path:
            self.close()
            self._picture = self._file.enter_context(open_picture(path, path, SourceError))
            self._open = path
        return self._picture

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()
        self._picture = None
