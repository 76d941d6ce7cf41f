"""Binary masks: a black and white picture for each object, white (255) where it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from maskferry.data import FrameTracks, Mask, VideoInfo
from maskferry.files import check_free
from maskferry.formats._images import list_pictures, read_pixels
from maskferry.formats._mask_pictures import mask_of
from maskferry.formats._png import write_boxed
from maskferry.formats._reading import Reading, reading_of

__all__ = ["ids_of_names", "read_mask", "read_masks", "write_masks"]

_NOTHING = (0, 0, 0, 0), np.zeros((1, 1), dtype=np.bool_)


def read_mask(path: Path, reading: Reading | None = None) -> Mask:
    """Read a picture as one mask, bool (H, W): what is not black belongs to the object; see `mask_of`.

    A mask with soft edges, and a format with loss (JPEG), which rings around edges, are cut at half.

    Args:
        path: the picture.
        reading: is told how it is read where another way is possible; without it, a warning says so.

    Raises:
        InputError: no picture, one in colour, one of several objects, or it is not clear what it means.
    """
    with reading_of(str(path), reading) as reading:
        return mask_of(read_pixels(path, reading), reading)


def read_masks(folder: Path) -> dict[int, Mask]:
    """Read a folder with a picture for each object: {object id: bool (H, W)}, by ascending id.

    The ids are the numbers at the ends of the names ("mask_2.png" -> 2) where each has one, all differ and none is 0;
    otherwise 1 to N in natural order of the names.

    Raises:
        InputError: no folder, no pictures, or a picture in colour.
    """
    paths = list_pictures(folder)
    masks = {i: read_mask(path) for i, path in zip(ids_of_names([path.stem for path in paths])[0], paths, strict=True)}
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


def ids_of_names(stems: Sequence[str]) -> tuple[list[int], bool]:
    """The ids of objects by their names, and whether these are no ids, so that they are counted.

    >>> ids_of_names(["mask_2", "mask_10"]), ids_of_names(["cat", "dog"])
    (([2, 10], False), ([1, 2], True))
    """
    ends = [re.search(r"[0-9]+$", stem) for stem in stems]
    ids = [int(m[0]) if m else 0 for m in ends]
    if len(set(ids)) == len(ids) and min(ids) >= 1 and max(ids) <= 2**31:
        return ids, False
    return list(range(1, len(stems) + 1)), True
