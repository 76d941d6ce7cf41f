"""One picture file -> RGB: its size and depth from the header, and decoding by Pillow or OpenCV."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps, UnidentifiedImageError

from maskferry._pillow import open_picture
from maskferry.data import Image
from maskferry.errors import SourceError
from maskferry.limits import size_problem
from maskferry.sources._checks import no_permission
from maskferry.sources._picture_size import jpeg2000_depth, size_in_header
from maskferry.sources._tiff import TiffPage, is_geotiff, with_first_page

__all__ = [
    "decode_rgb",
    "is_deep",
    "read_cv2",
    "read_samples",
    "three_channels",
    "to_rgb",
    "translated",
    "upright_size",
]

_ORIENTATION = 0x0112
_EXIF_KEYS = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}
_TURN_SIDES = (5, 6, 7, 8)


def read_samples(path: Path, page: TiffPage | None = None) -> NDArray[Any]:
    """Decode a picture of any depth as it is stored: (H, W), or RGB (H, W, 3).

    Args:
        path: the file.
        page: which one of a TIFF.

    Raises:
        SourceError: the file cannot be decoded.
    """
    with translated(path):
        samples = _read_deep(path, page)
    if samples.ndim == 2:
        return samples
    return samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, 0]


def decode_rgb(path: Path) -> Image:
    """Decode a picture of 8 bits: RGB, uint8 (H, W, 3); alpha is dropped, EXIF orientation applied.

    Raises:
        SourceError: the file cannot be decoded.
    """
    with translated(path):
        return _read_8bit(path)


def _read_8bit(path: Path) -> Image:
    try:
        with open_picture(path, path, SourceError) as picture:
            picture.load()
            return to_rgb(picture)
    except UnidentifiedImageError:
        return three_channels(read_cv2(path))


def to_rgb(picture: PIL.Image.Image) -> Image:
    """A picture that is loaded, upright, without its alpha."""
    upright = ImageOps.exif_transpose(picture)
    if "transparency" in upright.info:
        upright = upright.convert("RGBA")
    return np.asarray(upright.convert("RGB"))


def upright_size(picture: PIL.Image.Image, *, deep: bool) -> tuple[int, int]:
    """(height, width) as decoded; turned by the orientation tag where it has 8 bits. Of any format but TIFF."""
    has_tags = (
        picture.format != "PNG" or _EXIF_KEYS & picture.info.keys()
    )  # else Pillow would decode a PNG to look for it
    orientation = picture.getexif().get(_ORIENTATION) if has_tags and not deep else None
    width, height = picture.size
    return (width, height) if orientation in _TURN_SIDES else (height, width)


def _read_deep(path: Path, page: TiffPage | None) -> NDArray[Any]:
    """Samples of more than 8 bits, (H, W) or (H, W, C) in RGB(A) order."""
    try:
        return read_cv2(path, page)
    except SourceError:
        with open_picture(path, path, SourceError) as picture:
            picture.seek(page.number if page else 0)
            if not picture.mode.startswith(("I", "F")):
                raise
            return np.asarray(picture)


def read_cv2(path: Path, page: TiffPage | None = None) -> NDArray[Any]:
    """(H, W) or (H, W, C) in RGB(A) order, of whatever depth. Through memory, as OpenCV cannot open every path."""
    size_wh = page.size_wh if page is not None else size_in_header(path)
    if size_wh is None:
        raise SourceError(f"{path} cannot be read as a picture: it is damaged, or of a kind unknown here")
    if problem := size_problem(*size_wh):
        raise SourceError(f"{path}: {problem}")
    samples = cv2.imdecode(_bytes_of(path, page), cv2.IMREAD_UNCHANGED)
    if samples is None:
        raise SourceError(f"{path} cannot be read as a picture: it is damaged, or of a kind unknown here")
    if samples.ndim == 3 and samples.shape[2] >= 3:
        samples = samples[:, :, [2, 1, 0]]
    return samples


def _bytes_of(path: Path, page: TiffPage | None) -> NDArray[np.uint8]:
    """A file in memory; of a TIFF with this page as its first, mapped, so that other pages are not read."""
    if page is None:
        return np.fromfile(path, dtype=np.uint8)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    data = np.frombuffer(mapped, dtype=np.uint8)
    with_first_page(data.data, page)
    return data


def three_channels(samples: NDArray[np.uint8]) -> Image:
    """RGB (H, W, 3) of grey (H, W), grey with alpha, RGB or RGB with alpha (H, W, C)."""
    if samples.ndim == 2:
        samples = samples[:, :, np.newaxis]
    colours = samples[:, :, :3] if samples.shape[2] > 2 else samples[:, :, :1]
    return np.ascontiguousarray(np.broadcast_to(colours, (*samples.shape[:2], 3)))


def is_deep(picture: PIL.Image.Image, path: Path) -> bool:
    """Whether samples have more than 8 bits; Pillow cuts 16-bit RGB down, but the raw mode of its tiles tells."""
    if picture.mode.startswith(("I", "F")):
        return True
    if picture.format == "JPEG2000":
        return jpeg2000_depth(path) > 8
    if picture.format == "PPM":  # its tiles name the largest value
        return any(part > 255 for tile in getattr(picture, "tile", ()) for part in tile[3] if isinstance(part, int))
    return any("16" in str(tile[3]) for tile in getattr(picture, "tile", ()))


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what Pillow, OpenCV and the system say of a file into a `SourceError`."""
    try:
        yield
    except SourceError:
        if is_geotiff(path):
            raise _geotiff_error(path) from None
        raise
    except PermissionError as err:
        raise no_permission(path) from err
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
        f"{path} is a GeoTIFF that cannot be shown as a picture (number of bands or kind of samples): GeoTIFFs need "
        "rasterio (pip install 'maskferry[geo]'); or write three bands as 8 or 16 bit, such as with "
        "`gdal_translate -b 1 -b 2 -b 3 -ot Byte -scale`"
    )
