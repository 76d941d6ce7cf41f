"""Label maps as DAVIS keeps them: a picture a frame, in which 0 is background and n is object n.

Each file carries its row of the frame table (`images.read_frame_info`). 8-bit PNGs carry the palette of PASCAL VOC,
so that every viewer shows the objects in colours; in them 255 is void (pixels that scoring leaves out). An id of 255 or
more makes a 16-bit grey picture, which has neither palette nor void.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from maskferry._staging import final_path
from maskferry.data import FrameInfo, FrameTracks, VideoInfo
from maskferry.errors import InputError
from maskferry.files import check_free
from maskferry.formats._images import check_stem, list_pictures, picture_stem, read_pixels, write_pixels
from maskferry.masks._labels import Overlap, label_dtype, to_label_map

__all__ = [
    "VOID",
    "Color",
    "LabelMap",
    "Names",
    "number_colors",
    "read_label_map",
    "read_sequence",
    "voc_palette",
    "write_label_maps",
]

log = logging.getLogger(__name__)

LabelMap = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W): 0 is background, n is object n."""

Names = Literal["index", "source"] | Callable[[FrameInfo], str]
"""How files are named: by the frame's index, five digits or as many as the last one needs; by the source's own name of
the frame, without its suffix; or by a function that makes the name, without its suffix."""

Color = tuple[int, int, int]
"""Red, green, blue, from 0 to 255."""

VOID = 255
"""Pixels of an 8-bit map that belong to nobody and that scoring leaves out."""


def voc_palette() -> NDArray[np.uint8]:
    """The colours of PASCAL VOC and DAVIS, RGB, uint8 (256, 3).

    Bit 3k of the index is bit 7-k of red, bit 3k+1 that of green, bit 3k+2 that of blue (``VOClabelcolormap.m`` of the
    VOC development kit).

    >>> voc_palette()[:4].tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    index = np.arange(256)
    palette = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= ((index >> bit & 1) << (7 - bit // 3)).astype(np.uint8)
    return palette


def write_label_maps(  # noqa: PLR0913
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    folder: Path,
    *,
    overlap: Overlap = "smallest",
    names: Names = "index",
    img_ext: Literal["png", "tif"] = "png",
    dtype: type[np.unsignedinteger[Any]] | None = None,
    object_ids: Sequence[int] | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write a label map for every frame.

    Args:
        video: the video; its frame count sets the digits of the names.
        frames: its tracks, in the order of frames; one is held at a time.
        folder: made where it is missing; must be empty unless ``overwrite``, which replaces files of the same name and
            leaves the others.
        overlap: who gets a pixel that several objects claim. Such pixels are counted and logged: a label map cannot
            hold both.
        names: see `Names`.
        img_ext: "png" or "tif" (LZW, grey).
        dtype: ``np.uint8`` or ``np.uint16``; by default uint16 as soon as an id is above 254.
        object_ids: all that there are, so that all files are alike; without them the default is chosen file by file.

    Returns:
        The files, in order.

    Raises:
        InputError: an unknown option, an id that the dtype cannot hold, or two frames with one name.
        OutputExistsError: the folder holds files, and ``overwrite`` is false.
        OutputError: the disk is full or not writable; the files before are kept.
    """
    name_of = _namer(names, video)
    _check_options(img_ext, overlap, dtype)
    check_free(folder, overwrite=overwrite)
    if dtype is None and object_ids is not None:
        dtype = _dtype_for(max(object_ids, default=0))
    palette = voc_palette()
    written: dict[Path, None] = {}
    shared = 0
    for tracks in frames:
        path = folder / f"{check_stem(name_of(tracks.info), tracks.info)}.{img_ext}"
        if path in written:
            raise InputError(f"frame {tracks.info.index}: {path.name} is taken by an earlier frame; use names='index'")
        labels = _label_map(tracks, overlap, dtype)
        shared += sum(row.rle.area for row in tracks.masks) - int(np.count_nonzero(labels))
        colors = palette if labels.dtype == np.uint8 and img_ext == "png" else None
        write_pixels(path, labels, palette=colors, info=tracks.info, overwrite=overwrite)
        written[path] = None
    if shared:
        where = final_path(folder)
        log.warning("%s: objects overlap on %d pixels; a label map keeps one of them (%s)", where, shared, overlap)
    return list(written)


def _label_map(tracks: FrameTracks, overlap: Overlap, dtype: type[np.unsignedinteger[Any]] | None) -> LabelMap:
    """A frame's label map, of this dtype, or of the smallest that holds its ids."""
    kind = dtype or _dtype_for(max(tracks.masks.object_ids, default=0))
    if kind == np.uint8 and VOID in tracks.masks:
        raise InputError(f"frame {tracks.info.index}: id {VOID} is void in 8-bit label maps; use dtype=numpy.uint16")
    return to_label_map(tracks.masks, overlap=overlap, dtype=kind)


def _check_options(img_ext: str, overlap: str, dtype: object) -> None:
    if img_ext not in ("png", "tif"):
        raise InputError(f'img_ext: expected "png" or "tif", got {img_ext!r}')
    if overlap not in get_args(Overlap):
        raise InputError(f"overlap: expected one of {', '.join(get_args(Overlap))}, got {overlap!r}")
    if dtype not in (None, np.uint8, np.uint16):
        raise InputError(f"dtype: expected numpy.uint8, numpy.uint16 or None, got {dtype!r}")


def read_label_map(path: Path, colors: dict[Color, int] | None = None) -> LabelMap:
    """Read one label map: a picture with a palette (its indices), grey (1 to 32 bits), or RGB with a colour an object.

    In RGB, black is background. Where all colours are of VOC's palette, a colour's id is its index there; otherwise
    colours are numbered from 1 in ascending order of (red, green, blue).

    Args:
        path: the picture.
        colors: ids of colours, for RGB; what is missing is added. Hand the same dict to all frames of a sequence, so
            that a colour keeps its id where others come or go.

    Returns:
        uint8 or uint16 (H, W), values as stored: `VOID` is still there in an 8-bit map.

    Raises:
        InputError: no picture, or no label map: values other than 0 to 65535, or a photograph.
    """
    pixels = read_pixels(path)
    if pixels.values.ndim == 2:
        return pixels.values
    return number_colors(pixels.values, {} if colors is None else colors, str(path))


def read_sequence(folder: Path) -> Iterator[tuple[str, LabelMap]]:
    """Read a folder of label maps in natural order, one at a time: (name without suffix, label map).

    Raises:
        InputError: at once: no folder or no pictures; while iterating: as `read_label_map`.
    """
    colors: dict[Color, int] = {}
    paths = list_pictures(folder)
    return ((path.stem, read_label_map(path, colors)) for path in paths)


def _namer(names: Names, video: VideoInfo) -> Callable[[FrameInfo], str]:
    if callable(names):
        return names
    if names == "source":
        return lambda info: picture_stem(info.name)
    if names != "index":
        raise InputError(f'names: expected "index", "source" or a function, got {names!r}')
    digits = max(5, len(str((video.frame_count or 1) - 1)))
    return lambda info: f"{info.index:0{digits}d}"


def _dtype_for(largest_id: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if largest_id == VOID else label_dtype(largest_id)


def number_colors(rgb: NDArray[Any], colors: dict[Color, int], where: str) -> LabelMap:
    """The label map of a picture in colour, uint8 (H, W, 3), as `read_label_map` numbers its colours."""
    codes = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    found, inverse = np.unique(codes, return_inverse=True)
    if found.size > 4096:
        raise InputError(
            f"{where} has {found.size} colours: this looks like a photograph, or like a label map that was saved with "
            "loss (JPEG) or smoothed; expected a colour an object"
        )
    triples = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in found]
    _add_colors(triples, colors)
    ids = np.array([colors[t] for t in triples])
    out = ids[inverse.reshape(codes.shape)]
    return out.astype(np.uint8) if label_dtype(int(ids.max())) is np.uint8 else out.astype(np.uint16)


def _add_colors(triples: list[Color], colors: dict[Color, int]) -> None:
    """Give an id to every colour that has none yet: its index in VOC's palette, or the next number."""
    voc = {(int(r), int(g), int(b)): i for i, (r, g, b) in enumerate(voc_palette())}
    all_voc = voc.keys() >= set(triples)
    colors.setdefault((0, 0, 0), 0)
    for triple in triples:
        if triple in colors:
            continue
        if all_voc and voc[triple] not in colors.values():
            colors[triple] = voc[triple]
        else:
            colors[triple] = max(colors.values()) + 1
