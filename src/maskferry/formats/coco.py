"""One segmentation as COCO writes it (RLE, polygons or nothing) -> `Rle`, and reading JSON without trusting it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.errors import InputError
from maskferry.rle import Rle

__all__ = ["check_size", "get", "load_json", "rasterize", "read_segmentation"]

_LARGEST = 2**31  # pixels


def load_json(path: Path) -> Any:  # noqa: ANN401
    """Read a JSON file in UTF-8.

    Raises:
        InputError: there is no such file, or it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except (ValueError, RecursionError) as err:
        raise InputError(f"{path} is no JSON: {err}") from err


def get(record: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:  # noqa: ANN401
    """Take a field of a JSON object and check its type; an optional one has ``NoneType`` among its kinds.

    Raises:
        InputError: the record is no object, or the field is missing or of another type; named by ``where``.
    """
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, got {_show(record)}")
    value = record.get(key)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        got = _show(value) if key in record else "nothing"
        raise InputError(f"{where}.{key}: expected {names}, got {got}")
    return value


def check_size(height: int, width: int, where: str) -> tuple[int, int]:
    """(height, width), refused where a mask of that size cannot be meant.

    Raises:
        InputError: not positive, or more than 2^31 pixels.
    """
    if height < 1 or width < 1 or height * width > _LARGEST:
        raise InputError(f"{where}: expected a size from 1x1 to 2^31 pixels, got width {width}, height {height}")
    return height, width


def read_segmentation(value: Any, size_hw: tuple[int, int] | None, where: str) -> Rle | None:  # noqa: ANN401
    """Read a COCO or YouTube-VIS segmentation.

    Args:
        value: an RLE, compressed or not; polygons ``[[x1, y1, x2, y2, ...], ...]``, whose union is taken; or None.
        size_hw: the size that the mask must have; None takes an RLE's own.
        where: how errors call this field.

    Returns:
        The mask; None where there is none (None, or no polygons).

    Raises:
        InputError: neither of these, or a mask of another size.
    """
    if value is None or value == []:
        return None
    if isinstance(value, list):
        if size_hw is None:
            raise InputError(f"{where}: polygons need the height and width of their picture, and none are given")
        return _read_polygons(value, size_hw, where)
    height, width = _size_of(value, where)
    if size_hw is not None and (height, width) != size_hw:
        raise InputError(f"{where}: expected a mask of {size_hw} (height, width), got {(height, width)}")
    try:
        rle = Rle.from_coco(value)
    except InputError as err:
        raise InputError(f"{where}: {err}") from err
    if int(rle.runs.max(initial=0)) > height * width:
        raise InputError(f"{where}: RLE counts hold a run longer than the mask")
    return rle


def rasterize(polygon_xy: NDArray[np.float64], size_hw: tuple[int, int]) -> Rle:
    """Fill a polygon just as pycocotools does (``rleFrPoly`` in ``common/maskApi.c``).

    Args:
        polygon_xy: float (K, 2), pixels, not closed; the middle of the first pixel is (0.5, 0.5).
        size_hw: of the mask; what is outside is cut off.
    """
    height, width = size_hw
    scale = 5
    corners = (scale * polygon_xy + 0.5).astype(np.int64)
    x, y = _walk(corners)
    step = np.flatnonzero(x[1:] != x[:-1])
    column = (np.minimum(x[step], x[step + 1]) + 0.5) / scale - 0.5
    row = np.ceil(np.clip((np.minimum(y[step], y[step + 1]) + 0.5) / scale - 0.5, 0, height))
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    edges = np.sort(column[kept].astype(np.int64) * height + row[kept].astype(np.int64))
    positions, times = np.unique(edges, return_counts=True)
    positions = positions[(times % 2 == 1) & (positions < height * width)]  # two crossings at one place undo each other
    return Rle.from_runs(np.diff(positions, prepend=0, append=height * width), size_hw)


def _walk(corners: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every grid point along the closed polygon, x and y."""
    xs, ys = [], []
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        dx, dy = abs(x2 - x1), abs(y2 - y1)
        flip = bool(x1 > x2 if dx >= dy else y1 > y2)
        (xa, ya), (xb, yb) = ((x2, y2), (x1, y1)) if flip else ((x1, y1), (x2, y2))
        t = np.arange(max(dx, dy) + 1)
        t = t[::-1] if flip else t
        slope = (yb - ya) / dx if dx >= dy and dx else (xb - xa) / dy if dy else 0.0
        xs.append(t + xa if dx >= dy else (xa + slope * t + 0.5).astype(np.int64))
        ys.append((ya + slope * t + 0.5).astype(np.int64) if dx >= dy else t + ya)
    return np.concatenate(xs), np.concatenate(ys)


def _read_polygons(value: list[Any], size_hw: tuple[int, int], where: str) -> Rle:
    polygons = [value] if not isinstance(value[0], list) else value
    parts = [rasterize(_polygon(p, size_hw, f"{where}[{i}]"), size_hw) for i, p in enumerate(polygons)]
    if len(parts) == 1:
        return parts[0]
    mask = parts[0].decode()
    for part in parts[1:]:
        mask |= part.decode()
    return Rle.encode(mask)


def _polygon(value: Any, size_hw: tuple[int, int], where: str) -> NDArray[np.float64]:  # noqa: ANN401
    try:
        flat = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise InputError(f"{where}: expected a polygon [x1, y1, x2, y2, ...], got {_show(value)}") from err
    if flat.ndim != 1 or flat.size < 6 or flat.size % 2 or not np.isfinite(flat).all():
        raise InputError(f"{where}: expected a polygon [x1, y1, ...] of three or more points, got {_show(value)}")
    points = flat.reshape(-1, 2)
    size = np.array([size_hw[1], size_hw[0]])
    if (points < -size).any() or (points > 2 * size).any():
        raise InputError(f"{where}: the polygon lies far outside of its picture of {size[0]}x{size[1]} pixels")
    return points


def _size_of(value: Any, where: str) -> tuple[int, int]:  # noqa: ANN401
    size = get(value, "size", list, where)
    if len(size) != 2 or not all(isinstance(v, int) for v in size):
        raise InputError(f"{where}.size: expected [height, width], got {_show(size)}")
    return check_size(size[0], size[1], f"{where}.size")


def _show(value: Any) -> str:  # noqa: ANN401
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
