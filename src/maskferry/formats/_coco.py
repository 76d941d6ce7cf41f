"""One segmentation as COCO writes it (RLE, polygons or nothing) -> `Rle`, and reading JSON without trusting it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, overload

import numpy as np

from maskferry.errors import InputError
from maskferry.limits import check_size_hw, check_text_file
from maskferry.masks._polygons import rasterize
from maskferry.rle import Rle

__all__ = [
    "MOST_POLYGONS",
    "get",
    "get_list",
    "load_json",
    "name_of_category",
    "names_by_id",
    "rasterize",
    "read_polygon",
    "read_segmentation",
    "unite",
]

A = TypeVar("A")
B = TypeVar("B")

_HUGE = 2**63
"""Whole numbers from here on are those of no file; most of them are no floats either."""

MOST_POLYGONS = 10_000
"""Polygons of one object on one frame; more cannot be meant."""


def load_json(path: Path) -> Any:  # noqa: ANN401
    """Read a JSON file in UTF-8.

    Raises:
        InputError: there is no such file, it is no JSON, or larger than `limits` allow.
    """
    check_text_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except (ValueError, RecursionError) as err:
        raise InputError(f"{path} is no JSON: {err}") from err


@overload
def get(record: object, key: str, kind: type[A], where: str) -> A: ...
@overload
def get(record: object, key: str, kind: tuple[type[A], type[None]], where: str) -> A | None: ...
@overload
def get(record: object, key: str, kind: tuple[type[A], type[B], type[None]], where: str) -> A | B | None: ...
@overload
def get(record: object, key: str, kind: tuple[type[A], type[B]], where: str) -> A | B: ...
def get(record: object, key: str, kind: type | tuple[type, ...], where: str) -> object:
    """Take a field of a JSON object and check its type; an optional one has ``NoneType`` among its kinds.

    Raises:
        InputError: the record is no object, or the field is missing or of another type; named by ``where``.
    """
    if not isinstance(record, dict):
        raise InputError(f"{where}: expected a JSON object, got {_show(record)}")
    value = record.get(key)
    is_huge = isinstance(value, int) and not -_HUGE <= value < _HUGE
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int) or is_huge:
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        got = _show(value) if key in record else "nothing"
        raise InputError(f"{where}.{key}: expected {names}, got {got}")
    return value


def get_list(record: object, key: str, where: str) -> list[Any]:
    """Take an optional list of a JSON object; empty where there is none.

    Raises:
        InputError: as `get`.
    """
    return get(record, key, (list, NoneType), where) or []


def names_by_id(data: Any, key: str, where: str) -> dict[int, str]:  # noqa: ANN401
    """{id: name} of a list of records such as "categories"; empty where the list is missing.

    Raises:
        InputError: a record without a whole number as id, or without a name; named by ``where``.
    """
    return {
        get(record, "id", int, f"{where}: {key}[{i}]"): get(record, "name", str, f"{where}: {key}[{i}]")
        for i, record in enumerate(get_list(data, key, where))
    }


def name_of_category(record: object, names: dict[int, str], where: str) -> str | None:
    """The name of a record's category; None where it has no category, or nothing has names.

    Raises:
        InputError: no category has that id.
    """
    category = get(record, "category_id", (int, NoneType), where)
    if category is None:
        return None
    if names and category not in names:
        raise InputError(f"{where}.category_id: no category has the id {category}")
    return names.get(category)


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
    return rle


def read_polygon(value: Any, size_hw: tuple[int, int], where: str) -> Rle:  # noqa: ANN401
    """Fill a polygon ``[x1, y1, x2, y2, ...]``.

    Raises:
        InputError: it is none, has absurdly many points, or lies far outside of its picture.
    """
    try:
        flat = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as err:
        raise InputError(f"{where}: expected a polygon [x1, y1, x2, y2, ...], got {_show(value)}") from err
    if flat.ndim != 1 or flat.size < 6 or flat.size % 2 or not np.isfinite(flat).all():
        raise InputError(f"{where}: expected a polygon [x1, y1, ...] of three or more points, got {_show(value)}")
    points = flat.reshape(-1, 2)
    size = np.array([size_hw[1], size_hw[0]])
    if (points < -size).any() or (points > 2 * size).any():
        raise InputError(f"{where}: the polygon lies far outside of its picture of {size[0]}x{size[1]} pixels")
    try:
        return rasterize(points, size_hw)
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


def unite(rles: Sequence[Rle]) -> Rle:
    """What any of several masks of one size covers; none of them is decoded."""
    if len(rles) == 1:
        return rles[0]
    edges = [np.cumsum(rle.runs) for rle in rles]
    stops = np.concatenate([e[1::2] for e in edges])
    starts = np.concatenate([e[: e.size - e.size % 2 : 2] for e in edges])
    starts, stops = starts[stops > starts], stops[stops > starts]
    order = np.argsort(starts, kind="stable")
    starts, reached = starts[order], np.maximum.accumulate(stops[order])
    is_new = np.append(True, starts[1:] > reached[:-1])[: starts.size]
    is_last = np.append(is_new[1:], True)[: starts.size]
    height, width = rles[0].size_hw
    joined = np.stack((starts[is_new], reached[is_last]), axis=1).ravel()
    runs = np.diff(joined, prepend=0, append=height * width)
    return Rle.from_runs(runs if runs[-1] or runs.size == 1 else runs[:-1], rles[0].size_hw)


def _read_polygons(value: list[Any], size_hw: tuple[int, int], where: str) -> Rle:
    polygons = [value] if not isinstance(value[0], list) else value
    if len(polygons) > MOST_POLYGONS:
        raise InputError(f"{where}: expected {MOST_POLYGONS} polygons of one object at most, got {len(polygons)}")
    return unite([read_polygon(p, size_hw, f"{where}[{i}]") for i, p in enumerate(polygons)])


def _size_of(value: Any, where: str) -> tuple[int, int]:  # noqa: ANN401
    size = get(value, "size", list, where)
    if len(size) != 2 or not all(isinstance(v, int) for v in size):
        raise InputError(f"{where}.size: expected [height, width], got {_show(size)}")
    return check_size_hw(size[0], size[1], f"{where}.size")


def _show(value: Any) -> str:  # noqa: ANN401
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
