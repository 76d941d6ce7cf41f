"""What a picture of masks means: one object, with hard edges or soft ones, or a label map."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.errors import InputError
from maskferry.formats import _mots as mots
from maskferry.formats._davis import VOID, Color, number_colors
from maskferry.formats._images import Pixels
from maskferry.formats._reading import Reading
from maskferry.masks._labels import split_labels
from maskferry.masks._levels import flat_pixels, is_gradual, smoothed_pixels

__all__ = ["mask_of", "objects_of"]

_Gray = NDArray[np.unsignedinteger[Any]]

_LARGEST_PLAIN_ID = 63
"""Where 255 stands beside values that are all above, these are shades of grey rather than ids."""

_SHOWN_COLORS = 16
"""More of them, and hardly two pixels alike: a photograph that is cut out."""


_MOST_BLENDS = 4096
"""More colours than that are a photograph's."""


def objects_of(pixels: Pixels, reading: Reading, colors: dict[Color, int] | None = None) -> dict[int, Mask]:
    """Take a picture of masks apart: {object id: bool (H, W)}, by ascending id, without those of no pixel.

    - With a palette: index n is object n, 255 is void.
    - Grey, of nothing but 0 and the highest value (255 or 65535): object 1 is the white part.
    - Grey, smoothed (see `smoothed_pixels`; antialiased, blurred, resized with interpolation, a probability): object 1
      is what is above half of the highest value. So is that of a format with loss.
    - Other grey: value n is object n. 255 is void in 8 bits, if it stands beside ids below 64; the levels of grey that
      divide 0 to 255 evenly (such as 128 and 255) are all objects. Of values that are all from 1000, 10000 is MOTS's
      region to ignore.
    - In colour: every colour is an object; black is background, or white where there is no black and the border is
      white. One colour, smoothed, is object 1.
    - With transparency: what is less than half opaque is background. A photograph that is cut out, and a shape in one
      colour, are object 1.

    Args:
        pixels: the picture.
        reading: is told how the picture is read where another way is possible.
        colors: ids of colours, see `read_label_map`.

    Raises:
        InputError: what the picture means is not clear: smoothed areas of several objects, a photograph, levels of grey
            beside 255, a white border around one dark part.
    """
    if pixels.alpha is not None:
        opaque = np.asarray(pixels.alpha > 127)
        if ((pixels.alpha > 0) & (pixels.alpha < 255)).any():
            reading.doubt("soft edges: what is more than half opaque belongs to an object")
        if not opaque.any():
            return {}
        if _is_cut_out(pixels.values, opaque):
            return {1: opaque}
    if pixels.shown is not None:
        return _of_palette(pixels.values, None if pixels.own else pixels.shown, reading)
    gray = _gray(pixels)
    if pixels.lossy:
        return _of_lossy(gray, reading)
    if gray is None:
        return _of_colors(pixels.values, reading, {} if colors is None else colors)
    return _of_gray(gray, reading, own=pixels.own)


def mask_of(pixels: Pixels, reading: Reading) -> Mask:
    """Take a picture as one mask, bool (H, W): of two values it is what is not black; otherwise as `objects_of` has it.

    Raises:
        InputError: there are several objects in it, or it is not clear what it means.
    """
    gray = pixels.values if pixels.shown is not None else _gray(pixels)
    if gray is None and not pixels.lossy and pixels.alpha is None:
        raise InputError(
            f"{reading.where} is in colour; expected a black and white mask. If every colour is an object, read it as "
            "a label map (add_masks_file, or --masks); if it is a cut-out, save its alpha channel"
        )
    if gray is not None and not pixels.lossy and pixels.alpha is None:
        used = np.unique(gray[gray > 0])
        if used.size == 1 and (pixels.shown is not None or used[0] < np.iinfo(gray.dtype).max):
            return np.asarray(gray > 0)
    objects = objects_of(pixels, reading)
    if len(objects) > 1:
        raise InputError(
            f"{reading.where} has {len(objects)} values beside 0 and looks like a label map; expected a black and "
            "white mask of one object. Give the label map as a file of its own (add_masks_file, or --masks FILE)"
        )
    empty = np.zeros(pixels.values.shape[:2], np.bool_)
    return next(iter(objects.values()), empty)


def _gray(pixels: Pixels) -> _Gray | None:
    """The picture as (H, W); None where it is in colour, which JPEG has a little of everywhere."""
    if pixels.values.ndim == 2:
        return pixels.values
    channels = pixels.values.astype(np.int16)
    most = 32 if pixels.lossy else 0
    return pixels.values[:, :, 1] if np.ptp(channels, axis=2).max(initial=0) <= most else None


def _is_cut_out(shown: _Gray, opaque: Mask) -> bool:
    """Whether the transparency is the mask: what is shown is a photograph, or is all black or all white."""
    colors = np.unique(shown[opaque].reshape(np.count_nonzero(opaque), -1), axis=0)
    if len(colors) == 1:
        return set(colors[0].tolist()) in ({0}, {255})
    return len(colors) > _SHOWN_COLORS and bool(np.mean(flat_pixels(shown)[opaque]) < 0.5)


def _of_palette(indices: _Gray, shown: NDArray[np.uint8] | None, reading: Reading) -> dict[int, Mask]:
    smoothed = None if shown is None else smoothed_pixels(shown)
    if shown is not None and smoothed is not None:
        raise InputError(_explain_smoothed(reading.where, smoothed, shown))
    return split_labels(indices, void=VOID)


def _of_lossy(gray: _Gray | None, reading: Reading) -> dict[int, Mask]:
    if gray is None:
        raise InputError(
            f"{reading.where} is in colour and was saved with loss (JPEG and its like): expected a black and white "
            "mask, or a label map as PNG"
        )
    areas = cv2.erode(((gray >= 48) & (gray < 208)).astype(np.uint8), np.ones((5, 5), np.uint8))
    if np.count_nonzero(areas) > 0.1 * np.count_nonzero(gray > 127) or 16 < gray.max(initial=0) < 192:
        raise InputError(
            f"{reading.where} has areas of grey and was saved with loss (JPEG and its like): expected a mask in black "
            "and white, or a label map as PNG"
        )
    return _white(np.asarray(gray > 127), reading)


def _of_gray(gray: _Gray, reading: Reading, *, own: bool) -> dict[int, Mask]:
    values = np.unique(gray)
    full = int(np.iinfo(gray.dtype).max)
    if set(values.tolist()) <= {0, full}:
        mask = np.asarray(gray == full)
        return _white(mask, reading) if not own else {1: mask} if mask.any() else {}
    if not own and _is_soft(gray):
        return _white(_cut(gray, reading), reading)
    if gray.dtype == np.uint8:
        return split_labels(gray, void=_void(gray, values[values > 0], reading))
    is_mots = values[values > 0].min() >= 1000
    if is_mots and mots.IGNORED in values:
        reading.leave_out("regions to ignore", reading.where)
    return split_labels(gray, void=mots.IGNORED if is_mots else None)


def _is_soft(gray: _Gray) -> bool:
    return smoothed_pixels(gray) is not None or is_gradual(gray) or _is_noisy(gray) or _is_enlarged(gray)


def _is_noisy(gray: _Gray) -> bool:
    """Whether an 8-bit picture is black and white but for some pixels here and there."""
    if gray.dtype != np.uint8 or gray.max() != VOID:
        return False
    flat = gray[flat_pixels(gray)]
    areas_are_black_or_white = bool(((flat < 16) | (flat > 239)).all() and (flat > 239).any())
    return areas_are_black_or_white and int(gray[gray < VOID].max(initial=0)) > _LARGEST_PLAIN_ID


def _is_enlarged(gray: _Gray) -> bool:
    """Whether a picture was smoothed, and then enlarged by nearest neighbour: it is mostly black and white, and was
    smoothed without the rows and columns that repeat the one before."""
    full = _highest(gray)
    white = gray > full * 15 / 16
    if not white.any() or np.count_nonzero(white | (gray == 0)) < 0.7 * gray.size:
        return False
    if gray[~white].max(initial=0) <= full * _LARGEST_PLAIN_ID / 255:
        return False
    rows = np.concatenate([[True], (gray[1:] != gray[:-1]).any(axis=1)])
    columns = np.concatenate([[True], (gray[:, 1:] != gray[:, :-1]).any(axis=0)])
    return smoothed_pixels(gray[rows][:, columns]) is not None


def _highest(gray: _Gray) -> int:
    """White, of a grey picture: 16 bits may hold values of 8."""
    return 255 if gray.max() <= 255 else 65535


def _cut(gray: _Gray, reading: Reading) -> Mask:
    """One mask of a picture with soft edges."""
    top, full = int(gray.max()), _highest(gray)
    between = (gray > full / 16) & (gray < min(full, top) * 15 / 16)
    smoothed = smoothed_pixels(gray)
    areas = between & flat_pixels(gray)
    if smoothed is not None and np.count_nonzero(areas) > 0.1 * np.count_nonzero(gray > full / 2):
        raise InputError(_explain_smoothed(reading.where, smoothed, gray))
    if top < 0.75 * full:
        raise InputError(
            f"{reading.where} was smoothed (antialiased, blurred or resized with interpolation), and its values reach "
            f"{top} of {full} only, so that it is not clear what belongs to the object: save a mask as 0 and {full}, "
            "or a label map without smoothing (nearest neighbour)"
        )
    if np.count_nonzero(between) > 0.5 * gray.size:
        raise InputError(f"{reading.where} {_PHOTO}")
    reading.doubt(
        f"a mask with soft edges: what is above half, {full // 2} of {full}, is the object (values 0 and 1 are read as "
        "they are)"
    )
    return np.asarray(gray > full // 2)


_PHOTO = "looks like a photograph: expected a mask in black and white, or a label map"


def _white(mask: Mask, reading: Reading) -> dict[int, Mask]:
    """Object 1, the white part; nothing where there is none.

    Raises:
        InputError: all of the border is white: the object may as well be the dark part.
    """
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    if border.all() and not mask.all():
        raise InputError(
            f"{reading.where}: all of its border is white, so that the object may be the dark part, or all around it. "
            "If it is the dark part, invert the picture; if it is the white one, save it with the values 0 and 1"
        )
    return {1: mask} if mask.any() else {}


def _void(gray: _Gray, used: _Gray, reading: Reading) -> int | None:
    """Which value of an 8-bit label map belongs to nobody; None where all are objects."""
    others = used[used != VOID].astype(np.float64)
    areas = np.count_nonzero(flat_pixels(gray) & (gray == VOID))
    if not areas:
        return VOID
    even = np.arange(1, used.size) * (VOID / used.size)
    border = np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])
    if used.size == 2 and others[0] > _LARGEST_PLAIN_ID and _is_surrounded(gray):
        raise InputError(
            f"{reading.where}: {others[0]:.0f} is all around {VOID}, and may be unsure, or an object of its own: save "
            "a mask with the values 0 and 1, or a label map with the values 1 and 2"
        )
    if (np.abs(others - even) <= 1).all() and not (border == VOID).all():
        reading.doubt(f"{VOID} is an object, as the values {_listed(used)} divide 0 to {VOID} evenly")
        return None
    if others.min() > _LARGEST_PLAIN_ID:
        raise InputError(
            f"{reading.where} has the values {_listed(used)}: {VOID} may be an object, or void, which belongs to none. "
            "Number the objects 1 to N, and make void 0"
        )
    reading.doubt(f"{VOID} is void: its pixels belong to no object")
    return VOID


def _is_surrounded(gray: _Gray) -> bool:
    """Whether the white of a picture never meets the black."""
    around = cv2.dilate((gray == VOID).astype(np.uint8), np.ones((3, 3), np.uint8))
    return not ((around > 0) & (gray == 0)).any()


def _of_colors(rgb: _Gray, reading: Reading, colors: dict[Color, int]) -> dict[int, Mask]:
    rgb = _without_white(rgb, reading)
    smoothed = smoothed_pixels(rgb)
    if smoothed is None:
        return split_labels(number_colors(rgb, colors, reading.where))
    areas = np.unique(rgb[flat_pixels(rgb) & ~smoothed & (rgb > 0).any(axis=2)], axis=0).astype(np.int64)
    if len(areas) != 1:
        raise InputError(_explain_smoothed(reading.where, smoothed, rgb))
    reading.doubt("one colour with soft edges: what is more of it than of the background is object 1")
    wide = rgb.astype(np.int64)
    return {1: np.asarray(((wide - areas[0]) ** 2).sum(axis=2) < (wide**2).sum(axis=2))}


def _without_white(rgb: _Gray, reading: Reading) -> _Gray:
    """The picture with its white background made black, where it has one."""
    white = (rgb == 255).all(axis=2)
    if not np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]]).all():
        return rgb
    if (rgb == 0).all(axis=2).any():
        raise InputError(
            f"{reading.where}: all of its border is white, and there is black in it: expected colours on a black "
            "background. Make black what belongs to no object, and give every object a colour"
        )
    if smoothed_pixels(rgb) is not None:
        raise InputError(
            f"{reading.where} has colours with soft edges on a white background: expected colours on a black "
            "background, without smoothing"
        )
    reading.doubt("white is the background, as all of the border is white and nothing is black")
    return np.where(white[:, :, None], np.zeros_like(rgb), rgb)


def _explain_smoothed(where: str, smoothed: Mask, values: _Gray) -> str:
    edges = values[smoothed]
    kinds, word = (np.unique(edges, axis=0), "colours") if values.ndim == 3 else (np.unique(edges), "values")
    if len(kinds) > _MOST_BLENDS:
        return f"{where} {_PHOTO}"
    return (
        f"{where} was smoothed (antialiased, blurred or resized with interpolation): {len(kinds)} {word}, on "
        f"{np.count_nonzero(smoothed)} pixels, only come up where objects meet, and would be objects. Save the label "
        "map without smoothing: no antialiasing, and nearest neighbour where it is resized"
    )


def _listed(values: _Gray) -> str:
    listed = [str(value) for value in values[:6].tolist()]
    return ", ".join(listed) + (", ..." if values.size > 6 else "")
