"""Sets of frames as sorted lists of half-open intervals."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Interval", "clip", "intersect", "subtract", "touches", "unite"]

Interval = tuple[int, int]
"""First frame, and the frame to end before."""


def unite(*sets: Iterable[Interval]) -> list[Interval]:
    """Frames in any of the sets; the result is sorted, without gaps of no frame."""
    found: list[Interval] = []
    for start, stop in sorted(part for one in sets for part in one if part[0] < part[1]):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], stop)
        else:
            found.append((start, stop))
    return found


def intersect(first: Iterable[Interval], second: Iterable[Interval]) -> list[Interval]:
    """Frames in both sets."""
    others = unite(second)
    parts = [(max(a, c), min(b, d)) for a, b in first for c, d in others]
    return unite(parts)


def subtract(first: Iterable[Interval], second: Iterable[Interval]) -> list[Interval]:
    """Frames in the first set and not in the second."""
    left = unite(first)
    for start, stop in unite(second):
        left = [part for a, b in left for part in ((a, min(b, start)), (max(a, stop), b)) if part[0] < part[1]]
    return left


def clip(frames: Iterable[Interval], start: int, stop: int) -> list[Interval]:
    """Frames of a set from ``start`` to before ``stop``."""
    return intersect(frames, [(start, stop)])


def touches(frames: Iterable[Interval], start: int, stop: int) -> bool:
    """Whether a set has a frame from ``start`` to before ``stop``."""
    return any(a < stop and start < b for a, b in frames)
