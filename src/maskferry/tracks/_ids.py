"""Ids of objects: which new ones get, and which a caller may ask for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from maskferry.errors import InputError

__all__ = ["FIRST_ID", "object_ids"]

FIRST_ID = 100
"""Where ids that are given automatically start, as samgeo's do."""

LARGEST_ID = (1 << 31) - 1


def object_ids(wanted: Sequence[int] | None, count: int, used: Collection[int]) -> list[int]:
    """An id for each of ``count`` objects.

    Args:
        wanted: the caller's; None for the next ones from `FIRST_ID` that were never used.
        count: how many are needed.
        used: every id ever given in this run.
    """
    if wanted is None:
        start = max(FIRST_ID - 1, *used, 0) + 1
        return list(range(start, start + count))
    ids = list(wanted)
    if len(ids) != count:
        raise InputError(f"obj_ids: expected one for each of {count} masks, got {len(ids)}")
    for i in ids:
        if isinstance(i, bool) or not isinstance(i, int | np.integer) or not 1 <= i <= LARGEST_ID:
            raise InputError(f"obj_ids: expected whole numbers from 1, got {i!r}")
    if len(set(ids)) != len(ids):
        twice = sorted({int(i) for i in ids if ids.count(i) > 1})
        raise InputError(f"obj_ids: expected each object once on a frame, got {twice} more than once")
    return [int(i) for i in ids]
