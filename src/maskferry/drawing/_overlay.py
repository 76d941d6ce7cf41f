"""Masks drawn over a frame, with names beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from maskferry._arguments import show
from maskferry._palettes import Color, Palette, check_palette, color_of
from maskferry.data import FrameMasks, Image, Mask
from maskferry.drawing._fonts import find_fonts
from maskferry.drawing._pixels import blend, check_picture
from maskferry.drawing._text import line_of, readable
from maskferry.errors import InputError

__all__ = ["draw_overlay", "fitting_zoom"]

Labels = bool | Mapping[int, str]
Box = tuple[int, int, int, int]


def draw_overlay(
    image: Image,
    masks: FrameMasks,
    *,
    alpha: float = 0.6,
    outline: bool = True,
    labels: Labels = True,
    zoom: int = 1,
    palette: Palette = "default",
) -> Image:
    """Draw objects over a frame. Where they overlap, the smallest is on top; an empty mask leaves no trace.

    Args:
        image: RGB, uint8 (H, W, 3), at the size of the masks. It is not changed.
        masks: the frame's objects.
        alpha: opacity of the fill, from 0 (only outlines) to 1 (the picture does not show through).
        outline: draw the border of each mask, inside of it and to the pixel; a three-hundredth of the picture's shorter
            side wide.
        labels: write each object's id beside it; or {object id: name}, where an object without a name gets its id.
            Names may be in any script of which there is a font: DejaVu Sans, which comes with maskferry, one of the
            system, or the file that the environment variable MASKFERRY_FONT names. What no font has is drawn as boxes,
            with a warning in the log. A name that is wider than the picture ends in an ellipsis.
        zoom: enlarge this many times first, so that outlines and labels of small pictures stay fine (`fitting_zoom`).
        palette: see `color_of`.

    Returns:
        RGB, uint8 (zoom * H, zoom * W, 3), a new array.

    Raises:
        InputError: the picture is no RGB, has another size than the masks, alpha is outside [0, 1], zoom is below 1,
            there is no such palette, a name is no text, or MASKFERRY_FONT names no font.
    """
    _check_overlay(image, masks, alpha, zoom)
    check_palette(palette)
    height, width = masks.size_hw
    image = np.ascontiguousarray(image)
    if zoom > 1:
        image = np.asarray(cv2.resize(image, (zoom * width, zoom * height), interpolation=cv2.INTER_CUBIC), np.uint8)
    out = image.copy()
    shown = _largest_first(masks, zoom, palette)
    for item in shown:
        _fill(item.cut(out), item.cut(image), item.mask, item.color, alpha)
    if outline:
        line_width = max(1, round(zoom * min(height, width) / 300))
        for item in shown:
            _draw_outline(item.cut(out), item.mask, item.color, line_width)
    if labels is not False:
        names = _read_names(labels) if isinstance(labels, Mapping) else {}
        find_fonts("".join(names.values()))
        placed: list[Box] = []
        for item in shown:
            _draw_label(out, names.get(item.object_id) or str(item.object_id), item, placed)
    return out


def _read_names(labels: Mapping[int, str]) -> dict[int, str]:
    for object_id, name in labels.items():
        if not isinstance(name, str):
            raise InputError(f"labels: expected a text for object {object_id}, got {show(name)}")
    return {object_id: readable(name) for object_id, name in labels.items()}


def _check_overlay(image: Image, masks: FrameMasks, alpha: float, zoom: int) -> None:
    check_picture(image, "image")
    if image.shape[:2] != masks.size_hw:
        raise InputError(
            f"frame {masks.frame}: the image is {image.shape[:2]} (H, W) but its masks are {masks.size_hw}"
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha: expected 0 to 1, got {alpha}")
    if zoom < 1:
        raise InputError(f"zoom: expected 1 or more, got {zoom}")


def fitting_zoom(size_hw: tuple[int, int], side: int = 480) -> int:
    """How many times to enlarge a picture so that its shorter side comes near ``side`` pixels; 1 for larger ones.

    >>> fitting_zoom((144, 176)), fitting_zoom((480, 854))
    (3, 1)
    """
    return max(1, round(side / min(size_hw)))


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """An object that is seen on the frame.

    Attributes:
        object_id: >= 1.
        box_xyxy: around it, in pixels of the enlarged picture.
        mask: bool, of the size of the box.
        color: the object's.
    """

    object_id: int
    box_xyxy: Box
    mask: Mask
    color: Color

    def cut(self, image: Image) -> Image:
        """The part of an enlarged picture inside the box, a view."""
        x1, y1, x2, y2 = self.box_xyxy
        return image[y1:y2, x1:x2]


def _largest_first(masks: FrameMasks, zoom: int, palette: Palette) -> list[_Shown]:
    """The objects that are not empty, so that the smallest is drawn last."""
    shown = []
    for row in masks:
        if (found := row.rle.decode_crop()) is not None:
            (x1, y1, x2, y2), mask = found
            if zoom > 1:
                mask = mask.repeat(zoom, axis=0).repeat(zoom, axis=1)
            box, color = (zoom * x1, zoom * y1, zoom * x2, zoom * y2), color_of(row.object_id, palette)
            shown.append(_Shown(row.object_id, box, mask, color))
    return sorted(shown, key=lambda item: -np.count_nonzero(item.mask))


def _fill(out: Image, image: Image, mask: Mask, color: Color, alpha: float) -> None:
    """Blend with the picture itself, not with what lies on it already, so that colours stay what they are."""
    table = np.arange(256)[:, None] * (1 - alpha) + np.array(color) * alpha
    blended = cv2.LUT(image, table.round().astype(np.uint8)[:, None])
    cv2.copyTo(blended, mask.view(np.uint8), out)


def _draw_outline(out: Image, mask: Mask, color: Color, width: int) -> None:
    """Draw the outermost pixels of the mask itself, so that the outline lies to the pixel."""
    padded = cv2.copyMakeBorder(mask.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(padded, cross, iterations=width, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    out[mask & (inner[1:-1, 1:-1] == 0)] = color


def _draw_label(out: Image, text: str, item: _Shown, placed: list[Box]) -> None:
    """Write ``text`` above the highest point of the object, or below its lowest, or else on it.

    Args:
        out: the picture, which is drawn on.
        text: of one line, see `readable`.
        item: the object.
        placed: where labels are already; the new one is added.
    """
    height, width = out.shape[:2]
    size = max(13, round(min(height, width) / 38))
    pad = max(2, size // 6)
    glyphs = line_of(text, size, width - 2 * pad)
    box_height = glyphs.shape[0] + 2 * pad
    box_width = max(box_height, glyphs.shape[1] + 2 * pad)
    spots = _label_spots(item, box_height, box_width, pad, (height, width))
    free = [spot for spot, is_whole in spots if is_whole and not any(_touch(spot, other) for other in placed)]
    x1, y1, x2, y2 = spot = free[0] if free else spots[0][0]
    placed.append(spot)
    color = item.color
    out[y1:y2, x1:x2] = color
    is_bright = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140  # luma of BT.601
    indent = (box_width - glyphs.shape[1]) // 2
    blend(out[y1 + pad : y2, x1 + indent : x2], glyphs, (0, 0, 0) if is_bright else (255, 255, 255))


def _label_spots(
    item: _Shown, box_height: int, box_width: int, pad: int, size_hw: tuple[int, int]
) -> list[tuple[Box, bool]]:
    """Where a label may lie, best first: (box, whether it lies at the height that was wanted)."""
    left, top, _, bottom = item.box_xyxy
    highest_x = left + round(float(np.flatnonzero(item.mask[0]).mean()))
    lowest_x = left + round(float(np.flatnonzero(item.mask[-1]).mean()))
    wanted = [(highest_x, top - box_height - pad), (lowest_x, bottom + pad), (highest_x, top + pad)]
    boxes = [_place(x - box_width // 2, y, box_height, box_width, size_hw) for x, y in wanted]
    return [(box, box[1] == y) for box, (_, y) in zip(boxes, wanted, strict=True)]


def _place(x: int, y: int, box_height: int, box_width: int, size_hw: tuple[int, int]) -> Box:
    """Push a box into the picture; cut it where it is larger than that."""
    height, width = size_hw
    x, y = max(0, min(x, width - box_width)), max(0, min(y, height - box_height))
    return x, y, min(x + box_width, width), min(y + box_height, height)


def _touch(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
