"""What the pixels of a map grid measure on the ellipsoid, in square metres.

A lattice of pixels is projected to an equal-area projection of the grid's own ellipsoid; between its nodes the area of
a pixel is bilinear. Grids along meridians and parallels (geographic ones, Mercator) are projected to the cylindrical
equal-area projection, in which their pixels are rectangles; all others to Lambert's azimuthal one around their middle.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.grids import pixel_size
from maskferry._maps.projections import as_crs, project
from maskferry.data import MapGrid, Mask
from maskferry.errors import InputError

__all__ = ["PixelAreas", "pixel_metres"]

_STEP = 64  # pixels
_LONGEST = 2_000.0  # metres between two nodes of the lattice
_METRES_PER_DEGREE = 111_320.0

Floats = NDArray[np.float64]


class PixelAreas:
    """The areas of all pixels of a grid."""

    def __init__(self, grid: MapGrid) -> None:
        """Project the lattice.

        Raises:
            InputError: the grid is on no ellipsoid (a local system), or its middle cannot be placed on it.
        """
        step = max(1, min(_STEP, int(_LONGEST / max(pixel_metres(grid)))))
        self._cols, self._rows = _Axis(grid.width, step), _Axis(grid.height, step)
        self._areas = _areas_at(grid, self._cols.edges, self._rows.edges)

    def of(self, mask: Mask, corner_xy: tuple[int, int] = (0, 0)) -> float:
        """Square metres of a mask, bool (h, w), whose first pixel is ``corner_xy`` of the grid."""
        rows, cols = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        if not rows.size:
            return 0.0
        cut = mask[:, cols[0] : cols[-1] + 1]
        left, share = self._cols.between(np.arange(cols[0], cols[-1] + 1) + corner_xy[0])
        above, weight = self._rows.between(rows + corner_xy[1])
        total = 0.0
        for row, top, part in zip(rows, above, weight, strict=True):
            line = self._areas[top] + part * (self._areas[top + 1] - self._areas[top])
            values = line[left] + share * (line[left + 1] - line[left])
            total += float(values[cut[row]].sum())
        return total


class _Axis:
    """The cells of a lattice along one side of a grid; the last one may be smaller.

    Attributes:
        edges: pixels, ascending; at least three.
    """

    def __init__(self, pixels: int, step: int) -> None:
        step = max(1, min(step, pixels // 2))
        self.edges = np.append(np.arange(0, pixels, step, dtype=np.float64), pixels)
        if self.edges.size < 3:  # one pixel
            self.edges = np.array([0, 0.5, 1])
        self._nodes = (self.edges[1:] + self.edges[:-1]) / 2

    def between(self, pixels: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """For each pixel: the node before its centre, and how far it is on the way to the next one."""
        centres = pixels + 0.5
        first = np.clip(np.searchsorted(self._nodes, centres, side="right") - 1, 0, self._nodes.size - 2)
        return first, (centres - self._nodes[first]) / (self._nodes[first + 1] - self._nodes[first])


def pixel_metres(grid: MapGrid) -> tuple[float, float]:
    """About how wide and high a pixel is, in metres.

    Raises:
        InputError: the grid is on no ellipsoid.
    """
    crs = as_crs(grid.crs_wkt, "crs")
    width, height = pixel_size(grid.transform)
    if not (crs.is_geographic or crs.is_projected):
        raise InputError(f"crs: areas are measured on an ellipsoid, and {grid.crs_wkt:.80} names none")
    factor = _METRES_PER_DEGREE if crs.is_geographic else crs.linear_units_factor[1]
    return width * factor, height * factor


def _areas_at(grid: MapGrid, cols: Floats, rows: Floats) -> Floats:
    """The mean area of a pixel in each cell of the lattice; (rows, cols)."""
    a, b, c, d, e, f = grid.transform
    col, row = np.meshgrid(cols, rows)
    x, y = project(grid.crs_wkt, _equal_area(grid), a * col + b * row + c, d * col + e * row + f)
    dx1, dy1 = x[1:, 1:] - x[:-1, :-1], y[1:, 1:] - y[:-1, :-1]
    dx2, dy2 = x[1:, :-1] - x[:-1, 1:], y[1:, :-1] - y[:-1, 1:]
    return _filled(np.abs(dx1 * dy2 - dx2 * dy1) / 2 / np.outer(np.diff(rows), np.diff(cols)))


def _filled(areas: Floats) -> Floats:
    """Nodes outside of what can be projected take the nearest value beside them, as no pixel lies there."""
    for axis in (0, 1):
        for i in range(1, areas.shape[axis]):
            here, before = np.take(areas, i, axis), np.take(areas, i - 1, axis)
            index: Any = (i, slice(None)) if axis == 0 else (slice(None), i)
            areas[index] = np.where(np.isfinite(here), here, before)
    return areas


def _equal_area(grid: MapGrid) -> str:
    """PROJ's name of an equal-area projection of the grid's ellipsoid, without a change of datum."""
    crs = as_crs(grid.crs_wkt, "crs")
    known = crs.to_dict(projjson=True)
    base = known.get("source_crs", known)
    method = str(base.get("conversion", {}).get("method", {}).get("name", ""))
    ellipsoid = _ellipsoid(base, str(grid.crs_wkt))
    a, b, c, d, e, f = grid.transform
    x, y = a * grid.width / 2 + b * grid.height / 2 + c, d * grid.width / 2 + e * grid.height / 2 + f
    units = "+units=m +no_defs +type=crs"
    if crs.is_geographic or ("Mercator" in method and "Transverse" not in method and "Oblique" not in method):
        return f"+proj=cea +lat_ts=0 +lon_0={_longitude(crs, ellipsoid, x, y):.6f} {ellipsoid} {units}"
    lon, lat = project(crs, f"+proj=longlat {ellipsoid} +no_defs +type=crs", [x], [y])
    if not (math.isfinite(lon[0]) and math.isfinite(lat[0])):
        raise InputError(f"crs: the middle of the grid lies outside of what {crs!s:.60} can place on the earth")
    return f"+proj=laea +lat_0={lat[0]:.6f} +lon_0={lon[0]:.6f} {ellipsoid} {units}"


def _longitude(crs: Any, ellipsoid: str, x: float, y: float) -> float:  # noqa: ANN401
    lon, _ = project(crs, f"+proj=longlat {ellipsoid} +no_defs +type=crs", [x], [y])
    return float(lon[0]) if math.isfinite(lon[0]) else 0.0


def _ellipsoid(known: dict[str, Any], name: str) -> str:
    """The ellipsoid in PROJ's words, from PROJJSON."""
    for part in (known, known.get("base_crs", {}), *known.get("components", [])):
        for base in (part, part.get("base_crs", {})):
            datum = base.get("datum") or base.get("datum_ensemble")
            if datum and (shape := datum.get("ellipsoid")):
                major, flattening = shape.get("semi_major_axis"), shape.get("inverse_flattening")
                major = major["value"] if isinstance(major, dict) else major
                if major and flattening:
                    return f"+a={major!r} +rf={flattening!r}"
                if major and (minor := shape.get("semi_minor_axis")):
                    return f"+a={major!r} +b={minor['value'] if isinstance(minor, dict) else minor!r}"
                if radius := shape.get("radius"):
                    return f"+R={radius['value'] if isinstance(radius, dict) else radius!r}"
    raise InputError(f"crs: areas are measured on an ellipsoid, and {name:.80} names none")
