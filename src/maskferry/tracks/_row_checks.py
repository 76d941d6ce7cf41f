"""What a row of the tracks file must be to be believed: its checksum, and values that some run writes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

from maskferry.errors import MaskferryError
from maskferry.masks._rle_batch import measure_rles
from maskferry.rle import Rle
from maskferry.tracks._edit_store import KEPT_TABLES, read_edit, read_row
from maskferry.tracks._prompt_store import LARGEST_ID, check_prompt
from maskferry.tracks._schema import TABLES, Value, checksum, mask_checksum, mask_seal
from maskferry.tracks._series_note import check_series
from maskferry.tracks._table import Row, check_mask_row

__all__ = ["is_as_written", "not_masks", "problem_of_row"]

SizeHW = tuple[int, int]


def is_as_written(table: str, stored: Sequence[Value]) -> bool:
    """Whether a row, with its checksums, is the one that was written."""
    try:
        if table != "mask":
            return checksum(stored[:-1]) == stored[-1]
        check_mask_row(stored, "")
    except (MaskferryError, ArithmeticError, ValueError, struct.error):
        return False
    return True


def not_masks(rows: Sequence[Row], size_hw: SizeHW) -> list[int]:
    """Which of some rows of ``mask`` hold no masks of this size: their numbers."""
    counts: list[Any] = [row[2] for row in rows]
    try:
        measure_rles(counts, size_hw)
        if all(counts):
            return []
    except MaskferryError:
        pass
    return [n for n, one in enumerate(counts) if not _is_mask(one, size_hw)]


def _is_mask(counts: bytes, size_hw: SizeHW) -> bool:
    try:
        Rle(size_hw, counts).check()
    except (MaskferryError, ValueError):  # of no counts at all
        return False
    return bool(counts)


def problem_of_row(table: str, row: Row, size_hw: SizeHW) -> str | None:
    """Why no run writes such a row, without its checksums; None where one does."""
    try:
        _CHECKS[table](row, size_hw)
    except (
        MaskferryError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        ArithmeticError,
        struct.error,
    ) as err:
        return str(err).partition("\n")[0][:200] or type(err).__name__
    return None


# --- values -----------------------------------------------------------------------------------------------------------


def _int(value: Value, low: int = 0, high: int = 1 << 62) -> int:
    if not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"expected a whole number from {low}, got {str(value)[:40]!r}")
    return value


def _int_or_none(value: Value) -> int | None:
    return None if value is None else _int(value)


def _id(value: Value) -> int:
    return _int(value, 1, LARGEST_ID)


def _text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got {str(value)[:40]!r}")
    return value


def _data(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError(f"expected bytes, got {str(value)[:40]!r}")
    return value


# --- tables -----------------------------------------------------------------------------------------------------------


def _meta(row: Row, size_hw: SizeHW) -> None:
    name, text = map(_text, row)
    if name in ("revision", "highest_id"):
        _int(int(text))
    elif name.startswith("score:"):
        _id(int(name.removeprefix("score:")))
        if not 0 <= float(text) <= 1:
            raise ValueError(f"expected a score from 0 to 1, got {text[:40]!r}")
    elif name.startswith("retired:"):
        for i in json.loads(text):
            _id(i)
    elif name == "run":
        direction, *limits = json.loads(text)
        _text(direction)
        start, stop, stride = map(_int, limits)
        _int(stride, 1)
        _int(stop, start)
    elif name == "series":
        check_series(json.loads(text))
    elif name.startswith("valid:"):
        _int(int(name.removeprefix("valid:")))
        Rle(size_hw, text.encode()).check()


def _frame(row: Row, _: SizeHW) -> None:
    index, time, name = row
    _int(index)
    _text(name)
    if time is not None and not (isinstance(time, float) and math.isfinite(time)):
        raise ValueError(f"expected seconds, got {str(time)[:40]!r}")


def _object(row: Row, _: SizeHW) -> None:
    object_id, label, removed = row
    _id(object_id)
    _int(removed, 0, 1)
    if label is not None:
        _text(label)


def _mask(row: Row, size_hw: SizeHW) -> None:
    frame, object_id, counts, score, state, fidelity = row
    runs, word = _data(counts), _text(state)
    seal = mask_seal(_int(frame), _id(object_id), score, word)  # type: ignore[arg-type]
    check_mask_row((*row, seal, mask_checksum(seal, runs, fidelity)), "the row")  # type: ignore[arg-type]
    if not _is_mask(runs, size_hw):
        raise ValueError("it is no mask of the video's size")


def _prompt(row: Row, size_hw: SizeHW) -> None:
    frame, object_id, kind, value = row
    check_prompt(_int(frame), _id(object_id), _text(kind), _data(value), size_hw)


def _absence(row: Row, _: SizeHW) -> None:
    start, object_id, stop = row
    _id(object_id)
    _int(stop, _int(start) + 1)


def _request(row: Row, _: SizeHW) -> None:
    frame, object_id, digest = row
    _int(frame)
    _id(object_id)
    _data(digest)


def _job(row: Row, _: SizeHW) -> None:
    job, engine, backward, start, stop, stride, position, snapshot_frame, done = row
    _int(job, 1)
    _text(engine)
    _int(backward, 0, 1)
    _int(stop, _int(start))
    _int(stride, 1)
    _int_or_none(position)
    _int_or_none(snapshot_frame)
    _int(done, 0, 1)


def _span(row: Row, _: SizeHW) -> None:
    key, job, object_id, seed, until, blend = row
    _int(key, 1)
    _int(job, 1)
    _id(object_id)
    _int(seed)
    if until is not None:
        _int(until, -1)
    _int(blend, 0, 1)


def _snapshot(row: Row, _: SizeHW) -> None:
    _int(row[0], 1)
    _data(row[1])


def _edit(row: Row, _: SizeHW) -> None:
    _int(row[0], 1)
    _int(row[5], 0, 1)
    read_edit(row)


def _edit_row(row: Row, size_hw: SizeHW) -> None:
    edit, table, a, b, text = row
    _int(edit, 1)
    name = _text(table)
    if name not in KEPT_TABLES:
        raise ValueError(f"an edit names the table {name[:20]!r}")
    if text is None:
        return
    kept = read_row(name, _text(text))
    _CHECKS[name](kept, size_hw)
    spec = TABLES[name]
    key = [kept[spec.columns.index(column)] for column in spec.key]
    if key != [a, b][: len(key)]:
        raise ValueError("an edit keeps a row under another key")


def _change(row: Row, _: SizeHW) -> None:
    revision, objects, start, stop = row
    _int(revision, 1)
    for i in _text(objects).split(","):
        _id(int(i))
    _int(stop, _int(start))


_CHECKS: dict[str, Callable[[Row, SizeHW], None]] = {
    "meta": _meta,
    "frame": _frame,
    "object": _object,
    "mask": _mask,
    "prompt": _prompt,
    "absence": _absence,
    "request": _request,
    "job": _job,
    "span": _span,
    "snapshot": _snapshot,
    "edit": _edit,
    "edit_row": _edit_row,
    "change": _change,
}
