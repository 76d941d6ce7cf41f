"""One picture file -> RGB: which files are pictures, their size from the header, and decoding by Pillow or OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from maskferry._pillow import open_picture
from maskferry.data import Image
from maskferry.errors import SourceError
from maskferry.limits import size_problem
from maskferry.sources._picture_size import jpeg2000_depth, size_in_header
from maskferry.sources._tiff import is_geotiff

__all__ = ["Header", "decode_rgb", "read_header", "read_samples", "three_channels"]

_ORIENTATION = 0x0112
_EXIF_KEYS = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}
_TURN_SIDES = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a picture before it is decoded.

    Attributes:
        size_hw: after its orientation is applied.
        deep: more than 8 bits a sample, so that a stretch is needed.
        pages: pictures in the file.
    """

    size_hw: tuple[int, int]
    deep: bool
    pages: int = 1


def read_header(path: Path) -> Header:
    """Read size and depth, without decoding where Pillow knows the format.

    Raises:
        SourceError: the file cannot be read as a picture.
    """
    with _translated(path):
        try:
            with open_picture(path, path, SourceError) as picture:
                deep = _is_deep(picture, path)
                return Header(_upright_size(picture, deep=deep), deep, getattr(picture, "n_frames", 1))
        except UnidentifiedImageError:
            samples = _read_cv2(path)
            return Header(samples.shape[:2], samples.dtype != np.uint8)


def read_samples(path: Path) -> NDArray[Any]:
    """Decode a deep picture as it is stored: (H, W), or RGB (H, W, 3).

    Raises:
        SourceError: the file cannot be decoded.
    """
    with _translated(path):
        samples = _read_deep(path)
    if samples.ndim == 2:
        return samples
    return samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, 0]


def decode_rgb(path: Path) -> Image:
    """Decode a picture of 8 bits: RGB, uint8 (H, W, 3); alpha is dropped, EXIF orientation applied.

    Raises:
        SourceError: the file cannot be decoded.
    """
    with _translated(path):
        return _read_8bit(path)


def _read_8bit(path: Path) -> Image:
    try:
        with open_picture(path, path, SourceError) as picture:
            picture.load()
            upright = ImageOps.exif_transpose(picture)
            if "transparency" in upright.info:
                upright = upright.convert("RGBA")
            return np.asarray(upright.convert("RGB"))
    except UnidentifiedImageError:
        return three_channels(_read_cv2(path))


def _upright_size(picture: PIL.Image.Image, *, deep: bool) -> tuple[int, int]:
    """(height, width) as decoded: turned by the orientation tag, in deep pictures only where these are TIFF."""
    has_tags = (
        picture.format != "PNG" or _EXIF_KEYS & picture.info.keys()
    )  # else Pillow would decode a PNG to look for it
    orientation = picture.getexif().get(_ORIENTATION) if has_tags else None
    if isinstance(picture, TiffImageFile):
        width, height = picture.tag_v2[256], picture.tag_v2[257]
    else:
        (width, height), orientation = picture.size, None if deep else orientation
    return (width, height) if orientation in _TURN_SIDES else (height, width)


def _read_deep(path: Path) -> NDArray[Any]:
    """Samples of more than 8 bits, (H, W) or (H, W, C) in RGB(A) order."""
    try:
        return _read_cv2(path)
    except SourceError:
        with open_picture(path, path, SourceError) as picture:
            if not picture.mode.startswith(("I", "F")):
                raise
            return np.asarray(picture)


def _read_cv2(path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, C) in RGB(A) order, of whatever depth. Through memory, as OpenCV cannot open every path."""
    size_wh = size_in_header(path)
    if size_wh is None:
        raise SourceError(f"{path} cannot be read as a picture: it is damaged, or of a kind unknown here")
    if problem := size_problem(*size_wh):
        raise SourceError(f"{path}: {problem}")
    samples = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise SourceError(f"{path} cannot be read as a picture: it is damaged, or of a kind unknown here")
    if samples.ndim == 3 and samples.shape[2] >= 3:
        samples = samples[:, :, [2, 1, 0]]
    return samples


def three_channels(samples: NDArray[np.uint8]) -> Image:
    """RGB (H, W, 3) of grey (H, W), grey with alpha, RGB or RGB with alpha (H, W, C)."""
    if samples.ndim == 2:
        samples = samples[:, :, np.newaxis]
    colours = samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, :1]
    return np.ascontiguousarray(np.broadcast_to(colours, (*samples.shape[:2], 3)))


def _is_deep(picture: PIL.Image.Image, path: Path) -> bool:
    """Whether samples have more than 8 bits; Pillow cuts 16-bit RGB down, but the raw mode of its tiles tells."""
    if picture.mode.startswith(("I", "F")):
        return True
    if picture.format == "JPEG2000":
        return jpeg2000_depth(path) > 8
    if picture.format == "PPM":  # its tiles name the largest value
        return any(part > 255 for tile in getattr(picture, "tile", ()) for part in tile[3] if isinstance(part, int))
    return any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn what Pillow, OpenCV and the system say of a file into a `SourceError`."""
    try:
        yield
    except SourceError:
        if is_geotiff(path):
            raise _geotiff_error(path) from None
        raise
    except Exception as err:  # Pillow's readers of damaged files raise nearly everything
        if is_geotiff(path):
            raise _geotiff_error(path) from err
        why = str(err) or type(err).__name__
        raise SourceError(
            f"{path} cannot be read as a picture ({why}): it is damaged or of a kind unknown here"
        ) from err


def _geotiff_error(path: Path) -> SourceError:
    """Of a GeoTIFF that no picture library reads (many bands, samples of a rare kind)."""
    return SourceError(
        f"{path} is a GeoTIFF that cannot be shown as a picture (number of bands or kind of samples): series of "
        "GeoTIFFs are planned; until then write three bands as 8 or 16 bit, such as with "
        "`gdal_translate -b 1 -b 2 -b 3 -ot Byte -scale`"
    )
