"""The shapes of LabelMe files: an object's mask -> polygons or a mask, and any shape that has an area -> a mask."""

from __future__ import annotations

import base64
import binascii
import io
from types import NoneType
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from maskferry._pillow import open_picture, translate_errors
from maskferry.data import ObjectMask
from maskferry.errors import InputError
from maskferry.formats._coco import get, read_polygon
from maskferry.formats._outlines import box_outline, ellipse_outline
from maskferry.formats._reading import RecordError
from maskferry.masks._polygons import join, parts_of
from maskferry.rle import Rle

__all__ = ["mask_shapes", "polygon_shapes", "read_shape"]

_WITHOUT_AREA = frozenset({"point", "points", "line", "linestrip"})

_BY_CORNERS = frozenset({"oriented_rectangle", "quadrilateral", "rotation"})
"""Four corners: of LabelMe, and of X-AnyLabeling, in which a turned rectangle is a "rotation"."""

_HUGE = 2**63
"""No coordinate; as whole numbers, many of this size are no floats either."""


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


def read_shape(shape: Any, size_hw: tuple[int, int], at: str) -> Rle:  # noqa: ANN401
    """The mask of a shape.

    Raises:
        RecordError: a shape without an area, of an unknown kind, or of points that do not make it.
        InputError: no shape at all, or what would take absurdly much memory.
    """
    kind = get(shape, "shape_type", (str, NoneType), at) or "polygon"
    if kind in _WITHOUT_AREA:
        raise RecordError("points and lines, which have no area", f"{at}.shape_type", f"is a {kind}")
    if kind not in (*_BY_CORNERS, "circle", "mask", "polygon", "rectangle"):
        why = f"expected polygon, rectangle, circle or mask, got {kind!r:.60}"
        raise RecordError(f"shapes of the unknown kind {kind!r:.40}", f"{at}.shape_type", why)
    points = _read_points(shape, f"{at}.points")
    if kind == "mask":
        rle = _read_mask(shape, _two(points, kind, at), size_hw, at)
    else:
        rle = read_polygon(_outline(kind, points, at), size_hw, f"{at}.points")
    if not rle.area:
        raise RecordError("shapes that cover no pixel of the picture", f"{at}.points", "expected an area")
    return rle


def _outline(kind: str, points: list[tuple[float, float]], at: str) -> NDArray[np.float64]:
    """[x1, y1, ...] of a shape that is no mask."""
    if kind == "circle":
        x1, y1, x2, y2 = _two(points, kind, at)
        radius = float(np.hypot(x2 - x1, y2 - y1))
        return ellipse_outline((x1, y1), (radius, radius))
    if kind == "rectangle" and len(points) == 2:
        return box_outline(_two(points, kind, at))
    if kind != "polygon" and len(points) != 4:
        expected = "two points, or four," if kind == "rectangle" else "four points"
        why = f"expected {expected} for a {kind}, got {len(points)}"
        raise RecordError("shapes with the wrong number of points", f"{at}.points", why)
    return np.array(points, dtype=np.float64).ravel()


def _two(points: list[tuple[float, float]], kind: str, at: str) -> tuple[float, float, float, float]:
    if len(points) != 2:
        why = f"expected two points for a {kind}, got {len(points)}"
        raise RecordError("shapes with the wrong number of points", f"{at}.points", why)
    return *points[0], *points[1]


def _read_points(shape: Any, at: str) -> list[tuple[float, float]]:  # noqa: ANN401
    points = shape.get("points")
    for i, point in enumerate(points if isinstance(points, list) else [points]):
        if not (isinstance(point, list) and len(point) == 2 and all(_is_number(v) for v in point)):
            raise RecordError("outlines that are no points", f"{at}[{i}]", f"expected [x, y], got {point!r:.60}")
    return [(float(x), float(y)) for x, y in points]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _HUGE


def _read_mask(
    shape: Any,  # noqa: ANN401
    box: tuple[float, float, float, float],
    size_hw: tuple[int, int],
    at: str,
) -> Rle:
    """A PNG in base64, placed at [y1:y2 + 1, x1:x2 + 1]."""
    height, width = size_hw
    x1, y1, x2, y2 = (round(v) for v in box)
    if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height):
        why = f"expected a box inside {width}x{height}, got {[x1, y1, x2, y2]}"
        raise RecordError("masks that are not inside of their picture", f"{at}.points", why)
    name, what = f"{at}.mask", "masks whose picture is broken"
    try:
        data = base64.b64decode(get(shape, "mask", str, at), validate=True)
    except (binascii.Error, ValueError) as err:
        raise RecordError(what, name, f"expected a PNG in base64: {err}") from err
    try:
        with translate_errors(name), open_picture(io.BytesIO(data), name, formats=("PNG",)) as image:
            size = image.size
            crop = np.asarray(image.convert("L")) != 0 if size == (x2 - x1 + 1, y2 - y1 + 1) else None
    except InputError as err:
        raise RecordError(what, name, str(err).removeprefix(name).lstrip(": ")) from err
    if crop is None:
        why = f"is {size}, its points say {(x2 - x1 + 1, y2 - y1 + 1)} (width, height)"
        raise RecordError("masks of another size than their points say", name, why)
    return Rle.encode_crop(crop, (x1, y1), size_hw)
