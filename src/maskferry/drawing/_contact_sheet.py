"""Several pictures on one sheet, with captions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from maskferry.data import Image
from maskferry.drawing._fonts import find_fonts
from maskferry.drawing._pixels import blend, check_picture
from maskferry.drawing._text import line_of, readable
from maskferry.errors import InputError

__all__ = ["contact_sheet"]

_GAP, _CAPTION_HEIGHT = 8, 24
"""In pixels."""


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
    captions = [readable(caption) for caption in captions]
    find_fonts("".join(captions))
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
        check_picture(image, f"images[{i}]")
        height = tiles[0].shape[0] if tiles else max(1, round(image.shape[0] * width / image.shape[1]))
        tiles.append(_fit(image, height, width))
    return tiles


def _write(sheet: Image, text: str, corner_xy: tuple[int, int], size: int, width: int) -> None:
    x, y = corner_xy
    if text:
        blend(sheet[y:, x : x + width], line_of(text, size, width), (0, 0, 0))


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
