"""One pixel, one object: who keeps what several claim. Evidence decides, never the order of objects."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskferry.data import Mask
from maskferry.engines._flow.grid import Box, FloatArray, box_of

__all__ = ["Claim", "nested_pairs", "rivals", "settle"]

NESTED = 0.2
"""Two given masks that share more than this part of the smaller one are meant to overlap."""


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """How strongly an object claims cells or pixels.

    Attributes:
        strength: float32 (h, w) on the box; what is not above 0 is not claimed.
        box: where.
    """

    strength: FloatArray
    box: Box

    @classmethod
    def on(cls, mask: Mask, strength: FloatArray | float) -> Claim:
        """A claim on the cells of a mask, of positive strength, cropped to their box."""
        box = box_of(mask) or (0, 0, 0, 0)
        x1, y1, x2, y2 = box
        strong = strength[y1:y2, x1:x2] if isinstance(strength, np.ndarray) else strength
        return cls(np.where(mask[y1:y2, x1:x2], strong, 0).astype(np.float32), box)


def nested_pairs(given: Mapping[int, Mask]) -> dict[tuple[int, int], bool]:
    """For each pair of masks given on one frame, by ascending ids: whether they are meant to overlap."""
    claims = {i: Claim.on(mask, 1.0) for i, mask in given.items()}
    areas = {i: int(np.count_nonzero(claim.strength)) for i, claim in claims.items()}
    nested = dict.fromkeys(itertools.combinations(sorted(given), 2), False)
    for a, b in rivals({i: claim.box for i, claim in claims.items()}):
        nested[a, b] = _overlap(claims[a], claims[b]) > NESTED * min(areas[a], areas[b])
    return nested


def rivals(boxes: Mapping[int, Box]) -> list[tuple[int, int]]:
    """The pairs of ids, ascending, whose boxes share something; sorted."""
    ids = np.array(sorted(boxes))
    if not ids.size:
        return []
    x1, y1, x2, y2 = np.array([boxes[i] for i in ids.tolist()]).T
    meet = (np.maximum.outer(x1, x1) < np.minimum.outer(x2, x2)) & (np.maximum.outer(y1, y1) < np.minimum.outer(y2, y2))
    return [(int(ids[a]), int(ids[b])) for a, b in np.argwhere(np.triu(meet, 1))]


def _overlap(a: Claim, b: Claim) -> int:
    shared = _intersection(a.box, b.box)
    if shared is None:
        return 0
    return int(np.count_nonzero((a.strength[_inside(shared, a.box)] > 0) & (b.strength[_inside(shared, b.box)] > 0)))


def settle(claims: Mapping[int, Claim], nested: set[tuple[int, int]]) -> dict[int, Mask]:
    """Give every cell to the object with the strongest claim on it; ties go to the lower id.

    Args:
        claims: by object id.
        nested: pairs of ids, ascending, that may share cells.

    Returns:
        bool by object id, on the box of its claim.
    """
    kept = {i: claim.strength > 0 for i, claim in claims.items()}
    for pair in rivals({i: claim.box for i, claim in claims.items()}):
        a, b = (claims[i] for i in pair)
        shared = _intersection(a.box, b.box)
        if shared is None or pair in nested:
            continue
        in_a, in_b = _inside(shared, a.box), _inside(shared, b.box)
        first = a.strength[in_a] >= b.strength[in_b]
        kept[pair[0]][in_a] &= first  # where a is weaker, b's claim is above 0 or a has none to lose
        kept[pair[1]][in_b] &= ~first
    return kept


def _intersection(a: Box, b: Box) -> Box | None:
    x1, y1, x2, y2 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _inside(part: Box, whole: Box) -> tuple[slice, slice]:
    """``part`` as slices of an array that covers ``whole``."""
    return slice(part[1] - whole[1], part[3] - whole[1]), slice(part[0] - whole[0], part[2] - whole[0])
