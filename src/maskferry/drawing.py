"""Pictures for people: masks drawn over a frame, and several pictures on one sheet."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

from maskferry._palettes import Color, Palette, check_palette, color_of
from maskferry.data import FrameMasks, Image, Mask
from maskferry.errors import InputError

__all__ = ["Color", "color_of", "contact_sheet", "draw_overlay", "fitting_zoom"]

Labels = bool | Mapping[int, str]
Box = tuple[int, int, int, int]

_GAP, _CAPTION_HEIGHT = 8, 24
"""Of a contact sheet, in pixels."""


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
            Accents are dropped, and a name in a script that the built-in font lacks is replaced by the id.
        zoom: enlarge this many times first, so that outlines and labels of small pictures stay fine (`fitting_zoom`).
        palette: see `color_of`.

    Returns:
        RGB, uint8 (zoom * H, zoom * W, 3), a new array.

    Raises:
        InputError: the picture is no RGB, has another size than the masks, alpha is outside [0, 1], zoom is below 1,
            or there is no such palette.
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
        names = labels if isinstance(labels, Mapping) else {}
        placed: list[Box] = []
        for item in shown:
            _draw_label(out, _readable(names.get(item.object_id), item.object_id), item, placed)
    return out


def _check_overlay(image: Image, masks: FrameMasks, alpha: float, zoom: int) -> None:
    _check_picture(image, "image")
    if image.shape[:2] != masks.size_hw:
        raise InputError(
            f"frame {masks.frame}: the image is {image.shape[:2]} (H, W) but its masks are {masks.size_hw}"
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha: expected 0 to 1, got {alpha}")
    if zoom < 1:
        raise InputError(f"zoom: expected 1 or more, got {zoom}")


def contact_sheet(
    images: Iterable[Image], captions: Sequence[str] = (), *, columns: int | None = None, width: int = 1280
) -> Image:
    """Put pictures side by side on a white sheet, row by row, a caption below each.

    Args:
        images: RGB, uint8 (H, W, 3) each, in any mix of sizes; they are scaled to fit a tile of the shape of the first.
            One at a time is held at full size.
        captions: one for each picture, or none at all.
        columns: pictures in a row; by default about as many as there are rows.
        width: of the sheet, in pixels.

    Returns:
        RGB, uint8 (H, W, 3).

    Raises:
        InputError: no pictures, a picture that is no RGB, a wrong number of captions, or no room for the columns.
    """
    if columns is None:
        images = list(images)
        columns = math.ceil(math.sqrt(max(1, len(images))))
    tile_width = (width - _GAP) // columns - _GAP if columns >= 1 else 0
    if tile_width < 8:
        raise InputError(f"contact sheet: {columns} columns on {width} pixels; expected 1 or more, 16 pixels for each")
    tiles = _make_tiles(images, tile_width)
    count = len(tiles)
    if not tiles or len(captions) not in (0, count):
        raise InputError(f"contact sheet: expected pictures and a caption for each, got {count}, {len(captions)}")
    tile_height = tiles[0].shape[0]
    step_y = tile_height + (_CAPTION_HEIGHT if captions else 0) + _GAP
    step_x = tile_width + _GAP
    rows = math.ceil(count / columns)
    sheet = np.full((rows * step_y + _GAP, columns * step_x + _GAP, 3), 255, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        y, x = _GAP + row * step_y, _GAP + column * step_x
        sheet[y : y + tile_height, x : x + tile_width] = tile
        if captions:
            _write(sheet, captions[i], (x, y + tile_height + 5), 14, tile_width)
    return sheet


def _make_tiles(images: Iterable[Image], width: int) -> list[Image]:
    """Pictures scaled to one size: the given width, and the height that gives the first picture its shape."""
    tiles: list[Image] = []
    for i, image in enumerate(images):
        _check_picture(image, f"images[{i}]")
        height = tiles[0].shape[0] if tiles else max(1, round(image.shape[0] * width / image.shape[1]))
        tiles.append(_fit(image, height, width))
    return tiles


def _check_picture(image: Image, what: str) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"{what}: expected RGB, uint8 (H, W, 3), got {image.dtype} {image.shape}")


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
        text: what the built-in font can write.
        item: the object.
        placed: where labels are already; the new one is added.
    """
    height, width = out.shape[:2]
    size = max(13, round(min(height, width) / 38))
    glyphs = _rasterize(text, size)
    pad = max(2, size // 6)
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
    _blend(out[y1 + pad : y2, x1 + indent : x2], glyphs, (0, 0, 0) if is_bright else (255, 255, 255))


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


def _readable(name: str | None, object_id: int) -> str:
    """What the built-in font can write of a name: without accents, or else the id."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", name or "") if not unicodedata.combining(c))
    return plain if plain.isascii() and plain.isprintable() and plain.strip() else str(object_id)


@lru_cache(maxsize=512)
def _rasterize(text: str, size: int) -> NDArray[np.float32]:
    """Coverage of a line of text in [0, 1], float32 (h, w); every line of one size has one height."""
    font = ImageFont.load_default(size)
    if isinstance(font, ImageFont.FreeTypeFont):
        ascent, descent = font.getmetrics()
        glyphs, (left, top) = font.getmask2(text, mode="L", anchor="ls")
    else:  # Pillow without FreeType: one size, no anchors
        glyphs, (left, top) = font.getmask(text, mode="L"), (0, 0)
        ascent, descent = 0, glyphs.size[1]
    ink = np.asarray(glyphs, dtype=np.float32).reshape(glyphs.size[1], glyphs.size[0]) / 255
    line = np.zeros((ascent + descent, max(left, 0) + ink.shape[1]), dtype=np.float32)
    y, x = max(0, ascent + top), max(left, 0)
    line[y : y + ink.shape[0], x:] = ink[: line.shape[0] - y]
    return line


def _blend(out: Image, glyphs: NDArray[np.float32], color: Color) -> None:
    """Draw glyphs into the upper left corner of ``out``, cut to its size."""
    glyphs = glyphs[: out.shape[0], : out.shape[1], None]
    target = out[: glyphs.shape[0], : glyphs.shape[1]]
    target[:] = np.rint(target * (1 - glyphs) + np.array(color, dtype=np.float32) * glyphs)


def _write(sheet: Image, text: str, corner_xy: tuple[int, int], size: int, width: int) -> None:
    x, y = corner_xy
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    if plain.strip():
        _blend(sheet[y:, x : x + width], _rasterize(plain, size), (0, 0, 0))


def _fit(image: Image, height: int, width: int) -> Image:
    """Scale a picture to fit a tile, centred on light grey."""
    scale = min(height / image.shape[0], width / image.shape[1])
    h, w = max(1, round(image.shape[0] * scale)), max(1, round(image.shape[1] * scale))
    tile = np.full((height, width, 3), 235, dtype=np.uint8)
    y, x = (height - h) // 2, (width - w) // 2
    tile[y : y + h, x : x + w] = cv2.resize(
        image, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return tile
