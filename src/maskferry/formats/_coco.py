"""One segmentation as COCO writes it (RLE, polygons or nothing) -> `Rle`, and reading JSON without trusting it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from maskferry.errors import InputError
from maskferry.formats._reading import Reading, RecordError
from maskferry.limits import check_size_hw, check_text_file
from maskferry.masks._polygons import rasterize
from maskferry.rle import Rle

__all__ = [
    "MOST_POLYGONS",
    "as_id",
    "get",
    "get_id",
    "get_list",
    "get_whole",
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
C = TypeVar("C")

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
@overload
def get(
    record: object, key: str, kind: tuple[type[A], type[B], type[C], type[None]], where: str
) -> A | B | C | None: ...
def get(record: object, key: str, kind: type | tuple[type, ...], where: str) -> object:
    """Take a field of a JSON object and check its type; an optional one has ``NoneType`` among its kinds.

    Raises:
        RecordError: the record is no object, or the field is missing or of another type; named by ``where``.
    """
    if not isinstance(record, dict):
        raise RecordError("records that are no JSON objects", where, f"expected a JSON object, got {_show(record)}")
    value = record.get(key)
    is_huge = isinstance(value, int) and not -_HUGE <= value < _HUGE
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int) or is_huge:
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        got = _show(value) if key in record else "nothing"
        raise RecordError(f"records whose {key} is wrong", f"{where}.{key}", f"expected {names}, got {got}")
    return value


def get_list(record: object, key: str, where: str) -> list[Any]:
    """Take an optional list of a JSON object; empty where there is none.

    Raises:
        InputError: as `get`.
    """
    return get(record, key, (list, NoneType), where) or []


def get_whole(record: object, key: str, where: str) -> int:
    """Take a number of pixels, a frame and the like: a whole number, also where it is written as 640.0.

    Raises:
        InputError: as `get`.
    """
    value = record.get(key) if isinstance(record, dict) else None
    return int(value) if isinstance(value, float) and value.is_integer() else get(record, key, int, where)


def get_id(record: object, key: str, where: str) -> int | str:
    """Take an id by which records refer to each other: a whole number, also where it is written as 3.0 or "3", or text.

    Raises:
        InputError: as `get`.
    """
    value = as_id(get(record, key, (int, float, str, NoneType), where))
    if value is None:
        get(record, key, int, where)  # refuses it
    return value if value is not None else 0


def as_id(value: Any) -> int | str | None:  # noqa: ANN401
    """An id of any kind as a whole number, where it is one, or as text; None for None and what is no id.

    >>> as_id(3.0), as_id("3"), as_id("0003"), as_id("a"), as_id(True)
    (3, 3, '0003', 'a', None)
    """
    if isinstance(value, str):
        plain = value.isascii() and value.isdecimal() and len(value) < 19 and str(int(value)) == value
        return int(value) if plain else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _HUGE:
        return None
    return int(value) if value == int(value) else None


def names_by_id(data: Any, key: str, where: str) -> dict[int | str, str]:  # noqa: ANN401
    """{id: name} of a list of records such as "categories"; empty where the list is missing.

    Raises:
        InputError: a record without an id, or without a name; named by ``where``.
    """
    return {
        get_id(record, "id", f"{where}: {key}[{i}]"): get(record, "name", str, f"{where}: {key}[{i}]")
        for i, record in enumerate(get_list(data, key, where))
    }


def name_of_category(record: object, names: dict[int | str, str], where: str, reading: Reading) -> str | None:
    """The name of a record's category; None where it has no category, or nothing has names, or, which is counted,
    that category is not listed.

    Raises:
        InputError: no category has that id, and nothing may be left out.
    """
    get(record, "category_id", (int, float, str, NoneType), where)
    category = as_id(record.get("category_id")) if isinstance(record, dict) else None
    if category is not None and names and category not in names:
        with reading.one_record():
            why = f"no category has the id {category!r:.60}"
            raise RecordError("names of categories that are not listed", f"{where}.category_id", why)
    return None if category is None else names.get(category)


def read_segmentation(
    value: Any,  # noqa: ANN401
    size_hw: tuple[int, int] | None,
    where: str,
    reading: Reading | None = None,
) -> Rle | None:
    """Read a COCO or YouTube-VIS segmentation.

    Args:
        value: an RLE, compressed or not; polygons ``[[x1, y1, x2, y2, ...], ...]``, whose union is taken; or None.
        size_hw: the size that the mask must have; None takes an RLE's own.
        where: how errors call this field.
        reading: counts the polygons of several that cannot be read; None refuses them.

    Returns:
        The mask; None where there is none (None, or no polygons).

    Raises:
        RecordError: neither of these, or a mask of another size.
        InputError: what would take absurdly much memory.
    """
    if value is None or value == []:
        return None
    if isinstance(value, list):
        if size_hw is None:
            raise InputError(f"{where}: polygons need the height and width of their picture, and none are given")
        return _read_polygons(value, size_hw, where, reading or Reading(where, strict=True))
    height, width = _size_of(value, where)
    if size_hw is not None and (height, width) != size_hw:
        why = f"expected a mask of {size_hw} (height, width), got {(height, width)}"
        raise RecordError("masks of another size than their picture", where, why)
    try:
        rle = Rle.from_coco(value)
    except InputError as err:
        raise RecordError("masks whose code is broken", where, str(err)) from err
    return rle


def read_polygon(value: Any, size_hw: tuple[int, int], where: str) -> Rle:  # noqa: ANN401
    """Fill a polygon ``[x1, y1, x2, y2, ...]``.

    Raises:
        RecordError: it is none, or lies far outside of its picture.
        InputError: it has absurdly many points.
    """
    points = _read_points(value, where)
    size = np.array([size_hw[1], size_hw[0]])
    if (points < -size).any() or (points > 2 * size).any():
        why = f"the polygon lies far outside of its picture of {size[0]}x{size[1]} pixels"
        raise RecordError("outlines far outside of their picture", where, why)
    try:
        return rasterize(points, size_hw)
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


def _read_points(value: Any, where: str) -> NDArray[np.float64]:  # noqa: ANN401
    """(K, 2) of [x1, y1, x2, y2, ...], three points or more."""
    try:
        flat = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as err:
        why = f"expected a polygon [x1, y1, x2, y2, ...], got {_show(value)}"
        raise RecordError("outlines that are no points", where, why) from err
    why = f"expected a polygon [x1, y1, ...] of three or more points, got {_show(value)}"
    if flat.ndim != 1 or flat.size % 2 or not np.isfinite(flat).all():
        raise RecordError("outlines that are no points", where, why)
    if flat.size < 6:
        raise RecordError("outlines of fewer than three points", where, why)
    return flat.reshape(-1, 2)


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


def _read_polygons(value: list[Any], size_hw: tuple[int, int], where: str, reading: Reading) -> Rle | None:
    """What several outlines cover together; None where none of them can be read."""
    polygons = [value] if not isinstance(value[0], list) else value
    if len(polygons) > MOST_POLYGONS:
        raise InputError(f"{where}: expected {MOST_POLYGONS} polygons of one object at most, got {len(polygons)}")
    rles = []
    for i, polygon in enumerate(polygons):
        with reading.one_record():
            rles.append(read_polygon(polygon, size_hw, f"{where}[{i}]"))
    return unite(rles) if rles else None


def _size_of(value: Any, where: str) -> tuple[int, int]:  # noqa: ANN401
    broken = "masks whose code is broken"
    try:
        size = get(value, "size", list, where)
    except InputError as err:
        raise RecordError(broken, where, str(err).removeprefix(where).lstrip(".: ")) from err
    sides = [None if isinstance(side, str) else as_id(side) for side in size]
    match sides:
        case [int(height), int(width)]:
            return check_size_hw(height, width, f"{where}.size")
    raise RecordError(broken, f"{where}.size", f"expected [height, width], got {_show(size)}")


def _show(value: Any) -> str:  # noqa: ANN401
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
