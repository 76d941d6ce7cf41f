"""Binary masks: a black and white picture for each object, white (255) where it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from maskferry.data import FrameTracks, Mask, VideoInfo
from maskferry.errors import InputError
from maskferry.files import check_free
from maskferry.formats._images import Pixels, list_pictures, read_pixels
from maskferry.formats._png import write_boxed

__all__ = ["read_mask", "read_masks", "to_binary", "write_masks"]

_NOTHING = (0, 0, 0, 0), np.zeros((1, 1), dtype=np.bool_)


def read_mask(path: Path) -> Mask:
    """Read a picture as one mask, bool (H, W): what is not black belongs to the object.

    A format with loss (JPEG) is cut at 127, because it rings around edges.

    Raises:
        InputError: no picture, or one in colour.
    """
    return to_binary(read_pixels(path), path)


def read_masks(folder: Path) -> dict[int, Mask]:
    """Read a folder with a picture for each object: {object id: bool (H, W)}, by ascending id.

    The ids are the numbers at the ends of the names ("mask_2.png" -> 2) where each has one, all differ and none is 0;
    otherwise 1 to N in natural order of the names.

    Raises:
        InputError: no folder, no pictures, or a picture in colour.
    """
    paths = list_pictures(folder)
    masks = {i: read_mask(path) for i, path in zip(_ids_of(paths), paths, strict=True)}
    return dict(sorted(masks.items()))


def write_masks(
    video: VideoInfo, frames: Iterable[FrameTracks], folder: Path, *, overwrite: bool = False
) -> list[Path]:
    """Write ``folder/<object id>/<frame>.png``, 8 bits, 0 and 255, for every frame on which an object has a row.

    An object that is lost gets a black picture; before it appears for the first time it has none. Frames have five
    digits, or as many as the last one needs. Overlaps are kept.

    Returns:
        The files, in the order of writing.

    Raises:
        OutputExistsError: the folder holds files, and ``overwrite`` is false.
        OutputError: the disk is full or not writable; the files before are kept.
    """
    check_free(folder, overwrite=overwrite)
    digits = max(5, len(str((video.frame_count or 1) - 1)))
    written = []
    for tracks in frames:
        for row in tracks.masks:
            path = folder / str(row.object_id) / f"{tracks.info.index:0{digits}d}.png"
            (x1, y1, _, _), mask = row.rle.decode_crop() or _NOTHING
            pixels = mask.astype(np.uint8) * np.uint8(255)
            write_boxed(path, pixels, (x1, y1), tracks.masks.size_hw, info=tracks.info, overwrite=overwrite)
            written.append(path)
    return written


def to_binary(pixels: Pixels, path: Path) -> Mask:
    """Take a picture as one mask, as `read_mask` does."""
    values = pixels.values
    if values.ndim == 3:
        red, green, blue = np.moveaxis(values, 2, 0)
        spread = 32 if pixels.lossy else 0
        if np.ptp(np.stack((red, green, blue)).astype(np.int16), axis=0).max(initial=0) > spread:
            raise InputError(
                f"{path} is in colour; expected a black and white mask. If every colour is an object, read it as a "
                "label map; if it is a cut-out, save its alpha channel"
            )
        values = green
    return np.asarray(values > (127 if pixels.lossy else 0))


def _ids_of(paths: list[Path]) -> list[int]:
    ends = [re.search(r"\d+$", path.stem) for path in paths]
    ids = [int(m[0]) if m else 0 for m in ends]
    usable = len(set(ids)) == len(ids) and min(ids) >= 1 and max(ids) <= 2**31
    return ids if usable else list(range(1, len(paths) + 1))
