"""One shape of CVAT's XML -> its mask; and numbers in attributes."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element

import numpy as np

from maskferry.formats._coco import read_polygon
from maskferry.formats._outlines import box_outline, ellipse_outline
from maskferry.formats._reading import RecordError
from maskferry.rle import Rle

__all__ = ["WITH_AREA", "read_shape", "whole_attribute"]

WITH_AREA = frozenset({"box", "ellipse", "mask", "polygon"})
"""The tags of shapes that are masks; lines, points, cuboids, skeletons and tags are none."""


def read_shape(shape: Element, size_hw: tuple[int, int], at: str) -> Rle:
    """The mask of a shape, one of `WITH_AREA`.

    Raises:
        RecordError: an attribute is wrong, or nothing of the picture is covered.
        InputError: what would take absurdly much memory.
    """
    if shape.tag == "mask":
        rle = _read_mask(shape, size_hw, at)
    elif shape.tag == "polygon":
        rle = _read_points(shape, size_hw, at)
    elif shape.tag == "ellipse":
        cx, cy, rx, ry = (_real(shape, name, at) for name in ("cx", "cy", "rx", "ry"))
        rle = read_polygon(ellipse_outline((cx, cy), (rx, ry), _rotation(shape, at)), size_hw, at)
    else:
        x1, y1, x2, y2 = (_real(shape, name, at) for name in ("xtl", "ytl", "xbr", "ybr"))
        rle = read_polygon(box_outline((x1, y1, x2, y2), _rotation(shape, at)), size_hw, at)
    if not rle.area:
        raise RecordError("shapes that cover no pixel of the picture", at, "expected a shape with an area")
    return rle


def whole_attribute(element: Element, name: str, at: str, default: int | None = None) -> int:
    """A whole number from 0.

    Raises:
        RecordError: it is none, or is not there and has no default.
    """
    text = element.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 10):
        why = f"expected a whole number, got {text!r:.60}"
        raise RecordError(f"<{element.tag:.40}> whose {name} is no whole number", f"{at}.{name}", why)
    return int(text)


def _real(shape: Element, name: str, at: str) -> float:
    text = shape.get(name, "")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RecordError("outlines that are no points", f"{at}.{name}", f"expected a number, got {text!r:.60}")
    return value


def _rotation(shape: Element, at: str) -> float:
    return _real(shape, "rotation", at) if shape.get("rotation") else 0.0


def _read_points(shape: Element, size_hw: tuple[int, int], at: str) -> Rle:
    text = shape.get("points", "")
    try:
        flat = [float(v) for point in text.split(";") for v in point.split(",")]
        if text.count(",") != text.count(";") + 1:
            raise ValueError("pairs of numbers are needed")
    except ValueError as err:
        why = f'expected "x,y;x,y;...", got {text!r:.60}'
        raise RecordError("outlines that are no points", f"{at}.points", why) from err
    return read_polygon(flat, size_hw, f"{at}.points")


def _read_mask(shape: Element, size_hw: tuple[int, int], at: str) -> Rle:
    """Run lengths, row by row, inside a box."""
    left, top, width, height = (whole_attribute(shape, name, at) for name in ("left", "top", "width", "height"))
    if not (width and height and left + width <= size_hw[1] and top + height <= size_hw[0]):
        why = f"expected a box inside {size_hw[1]}x{size_hw[0]}, got {[left, top, width, height]}"
        raise RecordError("masks that are not inside of their picture", at, why)
    text = shape.get("rle", "")
    try:
        runs = np.array([int(n) for n in text.split(",")], dtype=np.int64)
    except (ValueError, OverflowError) as err:
        why = f"expected run lengths, got {text!r:.60}"
        raise RecordError("masks whose code is broken", f"{at}.rle", why) from err
    if (runs < 0).any() or sum(runs.tolist()) != width * height:
        why = f"expected runs that add up to {width} * {height}, got {text!r:.60}"
        raise RecordError("masks whose code is broken", f"{at}.rle", why)
    crop = np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(height, width)
    return Rle.encode_crop(crop, (left, top), size_hw)
