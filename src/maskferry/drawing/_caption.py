"""A line of text at the foot of a picture, such as its date; pictures made smaller."""

from __future__ import annotations

from datetime import datetime

import cv2
import numpy as np

from maskferry.data import Image
from maskferry.drawing._pixels import blend, check_picture
from maskferry.drawing._text import line_of, readable

__all__ = ["date_text", "draw_caption", "shrink"]

_PAPER, _INK = (0, 0, 0), (255, 255, 255)


def draw_caption(image: Image, text: str) -> Image:
    """Write a line of text in the lower left corner, white on black.

    Args:
        image: RGB, uint8 (H, W, 3). It is not changed.
        text: cut with an ellipsis where it is wider than the picture.

    Returns:
        RGB, uint8 (H, W, 3), a new array.

    Raises:
        InputError: the picture is no RGB.
    """
    check_picture(image, "image")
    out = image.copy()
    height, width = out.shape[:2]
    size = max(13, round(min(height, width) / 30))
    pad = max(2, size // 5)
    glyphs = line_of(readable(text), size, width - 2 * pad)
    box = out[max(0, height - glyphs.shape[0] - 2 * pad) :, : glyphs.shape[1] + 2 * pad]
    box[:] = _PAPER
    blend(box[pad:, pad:], glyphs, _INK)
    return out


def date_text(date: datetime) -> str:
    """A date, with its time where that is not midnight."""
    return f"{date:%Y-%m-%d}" if date.time() == datetime.min.time() else f"{date:%Y-%m-%d %H:%M}"


def shrink(image: Image, longest: int) -> Image:
    """A picture whose longer side has at most so many pixels; the picture itself where it is small enough."""
    height, width = image.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return image
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
