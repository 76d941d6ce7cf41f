"""One picture of masks -> prompts on its frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from maskferry.data import Mask, MaskPrompt
from maskferry.errors import InputError
from maskferry.formats._frame_names import frame_of, own_frame
from maskferry.formats._given_rasters import values_on_grid
from maskferry.formats._images import Pixels, read_pixels
from maskferry.formats._mask_pictures import objects_of
from maskferry.formats._reading import Reading
from maskferry.images import PICTURE_SUFFIXES

__all__ = ["on_frame", "read_picture"]


def read_picture(path: Path, said: int | None, reading: Reading) -> list[MaskPrompt]:
    """Read a picture, see `objects_of`, on its frame, see `frame_of`.

    Args:
        path: the picture.
        said: the frame that the caller says; None where he says none.
        reading: the video, as far as it is known, and who is told.

    Raises:
        InputError: it cannot be read, or is not clear.
    """
    on_grid = values_on_grid(path, reading)
    pixels = _read(path, reading) if on_grid is None else Pixels(on_grid)
    reading.read_as("a picture of masks")
    frame = frame_of(path, said, reading, own_frame(path))
    return on_frame(frame, objects_of(pixels, reading))


def on_frame(frame: int, masks: Mapping[int, Mask]) -> list[MaskPrompt]:
    """The masks of one frame as prompts, by ascending id."""
    return [MaskPrompt(frame, i, mask) for i, mask in sorted(masks.items())]


def _read(path: Path, reading: Reading) -> Pixels:
    try:
        return read_pixels(path, reading)
    except InputError as err:
        if path.suffix.lower() in PICTURE_SUFFIXES or not path.exists():
            raise
        raise InputError(
            f"{path} is of no kind that masks are read from: expected a picture (PNG, TIFF, JPEG, ...), a folder of "
            "them, or a .json, .xml, .txt, .zip, .npy, .npz, .gpkg, .geojson, .shp or .fgb file"
        ) from err
