"""The shapes of LabelMe files: an object's mask -> polygons or a mask, and any shape that has an area -> a mask."""

from __future__ import annotations

import base64
import binascii
import io
import logging
from types import NoneType
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from maskferry._arguments import real
from maskferry._pillow import open_picture, translate_errors
from maskferry.data import ObjectMask
from maskferry.errors import InputError
from maskferry.formats._coco import get, read_polygon
from maskferry.masks._polygons import join, parts_of
from maskferry.rle import Rle

__all__ = ["mask_shapes", "polygon_shapes", "read_shape"]

log = logging.getLogger(__name__)

_WITHOUT_AREA = frozenset({"point", "points", "line", "linestrip"})


def _shape_record(row: ObjectMask, label: str, kind: str, points: list[list[float]], mask: str | None = None) -> Any:  # noqa: ANN401
    return {
        "label": label,
        "points": points,
        "group_id": row.object_id,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def polygon_shapes(row: ObjectMask, label: str) -> list[Any]:
    """A polygon for each part; holes are cut out by a line of no width."""
    parts = parts_of(row.rle.decode())
    return [_shape_record(row, label, "polygon", join([p.outer, *p.holes]).tolist()) for p in parts]


def mask_shapes(row: ObjectMask, label: str) -> list[Any]:
    """One mask, as PNG in base64, on its box."""
    x1, y1, x2, y2 = row.rle.box_xyxy or (0, 0, 1, 1)
    buffer = io.BytesIO()
    PIL.Image.fromarray(row.rle.decode()[y1:y2, x1:x2]).save(buffer, format="PNG")
    png = base64.b64encode(buffer.getvalue()).decode("ascii")
    return [_shape_record(row, label, "mask", [[x1, y1], [x2 - 1, y2 - 1]], png)]


def read_shape(shape: Any, size_hw: tuple[int, int], at: str) -> Rle | None:  # noqa: ANN401
    """The mask of a shape; None, and a line in the log, for points and lines, which have no area.

    Raises:
        InputError: an unknown kind of shape, or points that do not make one.
    """
    kind = get(shape, "shape_type", (str, NoneType), at) or "polygon"
    if kind in _WITHOUT_AREA:
        log.warning("%s is a %s, which has no area: left out", at, kind)
        return None
    points = _read_points(get(shape, "points", list, at), f"{at}.points")
    if kind in ("polygon", "oriented_rectangle"):
        return read_polygon([v for xy in points for v in xy], size_hw, f"{at}.points")
    if kind not in ("rectangle", "circle", "mask"):
        raise InputError(f"{at}.shape_type: expected polygon, rectangle, circle or mask, got {kind!r:.60}")
    if len(points) != 2:
        raise InputError(f"{at}.points: expected two points for a {kind}, got {len(points)}")
    (x1, y1), (x2, y2) = points
    if kind == "mask":
        return _read_mask(get(shape, "mask", str, at), (x1, y1, x2, y2), size_hw, at)
    if kind == "rectangle":
        return read_polygon([x1, y1, x2, y1, x2, y2, x1, y2], size_hw, f"{at}.points")
    return read_polygon(_circle((x1, y1), np.hypot(x2 - x1, y2 - y1)), size_hw, f"{at}.points")


def _circle(centre_xy: tuple[float, float], radius: float) -> NDArray[np.float64]:
    """A polygon of 180 points, [x1, y1, x2, y2, ...]."""
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    (x, y) = centre_xy
    return np.stack((x + np.cos(turn) * radius, y + np.sin(turn) * radius)).T.ravel()


def _read_points(points: list[Any], at: str) -> list[tuple[float, float]]:
    for i, point in enumerate(points):
        numbers = isinstance(point, list) and len(point) == 2 and all(isinstance(v, int | float) for v in point)
        if not numbers:
            raise InputError(f"{at}[{i}]: expected [x, y], got {point!r:.60}")
    return [
        (real(x, f"{at}[{i}]: expected [x, y]"), real(y, f"{at}[{i}]: expected [x, y]"))
        for i, (x, y) in enumerate(points)
    ]


def _read_mask(text: str, box: tuple[float, float, float, float], size_hw: tuple[int, int], at: str) -> Rle:
    """A PNG in base64, placed at [y1:y2 + 1, x1:x2 + 1]."""
    height, width = size_hw
    x1, y1, x2, y2 = (round(v) for v in box)
    if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height):
        raise InputError(f"{at}.points: expected a box inside {width}x{height}, got {[x1, y1, x2, y2]}")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:
        raise InputError(f"{at}.mask: expected a PNG in base64: {err}") from err
    name = f"{at}.mask"
    with translate_errors(name), open_picture(io.BytesIO(data), name, formats=("PNG",)) as image:
        if image.size != (x2 - x1 + 1, y2 - y1 + 1):
            raise InputError(f"{at}.mask: is {image.size}, its points say {(x2 - x1 + 1, y2 - y1 + 1)} (width, height)")
        crop = np.asarray(image.convert("L")) != 0
    return Rle.encode_crop(crop, (x1, y1), size_hw)
