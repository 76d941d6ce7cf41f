"""Map grids without projections: six transform numbers, see `data.MapGrid`. Only numbers, no libraries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from maskferry.data import MapGrid
from maskferry.errors import InputError

__all__ = ["Bounds", "Offset", "bounds_of", "common", "is_rotated", "offset_of", "pixel_size", "resampled", "snapped"]

Affine = tuple[float, float, float, float, float, float]

_NEAR = 1e-4
"""Pixels: what a rounded transform may be off by, and still be on the same lattice."""


class Bounds(NamedTuple):
    """A rectangle in map units."""

    left: float
    bottom: float
    right: float
    top: float


class Offset(NamedTuple):
    """Where the first pixel of one grid lies in another one, in pixels of that one."""

    col: float
    row: float

    @property
    def is_whole(self) -> bool:
        """Whether the pixels of both coincide."""
        return abs(self.col - round(self.col)) < _NEAR and abs(self.row - round(self.row)) < _NEAR


def is_rotated(transform: Affine) -> bool:
    """Whether rows or columns are not parallel to the axes of the map."""
    _, b, _, d, _, _ = transform
    return b != 0 or d != 0


def pixel_size(transform: Affine) -> tuple[float, float]:
    """(width, height) of a pixel in map units, both positive."""
    a, b, _, d, e, _ = transform
    return math.hypot(a, d), math.hypot(b, e)


def bounds_of(grid: MapGrid) -> Bounds:
    """The rectangle around a grid."""
    a, b, c, d, e, f = grid.transform
    corners = [(col, row) for col in (0, grid.width) for row in (0, grid.height)]
    xs, ys = [a * x + b * y + c for x, y in corners], [d * x + e * y + f for x, y in corners]
    return Bounds(min(xs), min(ys), max(xs), max(ys))


def offset_of(grid: MapGrid, within: MapGrid) -> Offset | None:
    """Where a grid begins in another one of the same CRS; None where their pixels have other sizes or directions."""
    a, b, c, d, e, f = grid.transform
    a2, b2, c2, d2, e2, f2 = within.transform
    steps = max(grid.width, grid.height, within.width, within.height)
    near = _NEAR / steps
    same = all(abs(x - y) <= near * max(abs(a2), abs(e2)) for x, y in ((a, a2), (b, b2), (d, d2), (e, e2)))
    if not same or is_rotated(within.transform):
        return None
    return Offset((c - c2) / a2, (f - f2) / e2)


def snapped(grid: MapGrid, bounds: Bounds) -> MapGrid:
    """The part of a grid's lattice that bounds touch, inside of it or beyond it.

    Raises:
        InputError: nothing is left.
    """
    a, _, c, _, e, f = grid.transform
    cols, rows = (
        sorted(((bounds.left - c) / a, (bounds.right - c) / a)),
        sorted(((bounds.bottom - f) / e, (bounds.top - f) / e)),
    )
    first_col, last_col = math.floor(cols[0] + _NEAR), math.ceil(cols[1] - _NEAR)
    first_row, last_row = math.floor(rows[0] + _NEAR), math.ceil(rows[1] - _NEAR)
    if last_col <= first_col or last_row <= first_row:
        raise InputError(f"bounds: nothing lies inside of {tuple(bounds)}")
    transform = (a, 0.0, c + a * first_col, 0.0, e, f + e * first_row)
    return replace(grid, transform=transform, width=last_col - first_col, height=last_row - first_row)


def resampled(grid: MapGrid, resolution: float) -> MapGrid:
    """A grid with the same corner and square pixels of another size, that covers the same land."""
    a, _, c, _, e, f = grid.transform
    width, height = (
        max(1, math.ceil(n * abs(step) / resolution - _NEAR)) for n, step in ((grid.width, a), (grid.height, e))
    )
    transform = (math.copysign(resolution, a), 0.0, c, 0.0, math.copysign(resolution, e), f)
    return replace(grid, transform=transform, width=width, height=height)


def common(grid: MapGrid, bounds: Sequence[Bounds], how: Literal["union", "intersection"]) -> MapGrid:
    """The lattice of a grid, over all of some bounds or over what they share.

    Raises:
        InputError: they share nothing.
    """
    outer, inner = (max, min) if how == "union" else (min, max)
    box = Bounds(
        inner(b.left for b in bounds),
        inner(b.bottom for b in bounds),
        outer(b.right for b in bounds),
        outer(b.top for b in bounds),
    )
    if box.right <= box.left or box.top <= box.bottom:
        raise InputError("grid: the files share no land, so that their intersection is empty: use the union, or first")
    return snapped(grid, box)
