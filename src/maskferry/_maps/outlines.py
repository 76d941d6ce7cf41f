"""Masks <-> polygons in map coordinates, along the edges of pixels, exact both ways."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.areas import pixel_metres
from maskferry._maps.grids import pixel_size
from maskferry._maps.projections import WGS84, project, rasterio
from maskferry.data import MapGrid, Mask

__all__ = ["decimals_of", "densify", "mask_of", "outline", "to_lonlat"]

_EARTH_RADIUS = 6.4e6  # metres
_MOST_BOW = 0.01  # pixels


def outline(grid: MapGrid, mask: Mask, corner_xy: tuple[int, int] = (0, 0)) -> Any:  # noqa: ANN401
    """The MultiPolygon of shapely of a mask, bool (h, w), whose first pixel is ``corner_xy`` of the grid.

    Parts are joined by edges of pixels, not by corners, so that every ring is valid. Empty where the mask is.
    """
    import shapely
    from shapely.geometry.polygon import orient

    shapes = rasterio().features.shapes(mask.astype(np.uint8), mask=mask, connectivity=4)
    parts = [shapely.geometry.shape(shape) for shape, _ in shapes]
    a, b, c, d, e, f = grid.transform

    def on_map(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        col, row = xy[:, 0] + corner_xy[0], xy[:, 1] + corner_xy[1]
        return np.column_stack([a * col + b * row + c, d * col + e * row + f])

    return shapely.MultiPolygon([orient(part) for part in shapely.transform(parts, on_map)])


def mask_of(grid: MapGrid, geometry: Any) -> Mask:  # noqa: ANN401
    """The pixels of a grid whose centres lie in a geometry of shapely; bool (H, W)."""
    from rasterio.transform import Affine

    shape = (grid.height, grid.width)
    if geometry.is_empty:
        return np.zeros(shape, np.bool_)
    found = rasterio().features.rasterize(
        [geometry], out_shape=shape, transform=Affine(*grid.transform), dtype=np.uint8, default_value=1
    )
    return np.asarray(found, np.bool_)


def densify(geometry: Any, longest: float) -> Any:  # noqa: ANN401
    """The same geometry with edges of at most ``longest``: straight lines bow when they are projected."""
    import shapely

    return shapely.segmentize(geometry, longest)


def to_lonlat(grid: MapGrid, geometry: Any) -> Any:  # noqa: ANN401
    """A MultiPolygon of the grid in longitude and latitude of WGS84, split where it crosses the antimeridian."""
    import shapely
    from shapely.geometry.polygon import orient

    width = min(pixel_metres(grid))
    steps = max(1, int(math.sqrt(2 * _EARTH_RADIUS * _MOST_BOW * width) / width))
    dense = densify(geometry, steps * min(pixel_size(grid.transform)))

    def placed(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, lat = project(grid.crs_wkt, WGS84, xy[:, 0], xy[:, 1])
        return np.column_stack([lon, lat])

    parts = []
    for part in shapely.get_parts(shapely.transform(dense, placed)):
        parts += _split(part)
    return shapely.MultiPolygon([orient(part) for part in parts])


def decimals_of(grid: MapGrid) -> int:
    """Digits behind the point of degrees: 7 at least, the last of them at most a hundredth of a pixel."""
    degrees = min(pixel_metres(grid)) / 111_320
    return max(7, math.ceil(-math.log10(degrees / 100)))


def _split(polygon: Any) -> list[Any]:  # noqa: ANN401
    """A polygon in longitudes from -180 to 180: itself, or its parts on both sides of the antimeridian."""
    import shapely

    outer = shapely.get_coordinates(polygon.exterior)[:, 0]
    if np.abs(np.diff(outer)).max(initial=0) <= 180:
        return [polygon]

    def unwrapped(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]])

    def wrapped(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([xy[:, 0] - 360, xy[:, 1]])

    whole = shapely.transform(polygon, unwrapped)
    west = shapely.intersection(whole, shapely.box(0, -90, 180, 90))
    east = shapely.transform(shapely.intersection(whole, shapely.box(180, -90, 360, 90)), wrapped)
    return [part for side in (west, east) for part in shapely.get_parts(side) if part.geom_type == "Polygon"]
