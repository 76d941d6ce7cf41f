"""Points and boxes in coordinates of maps -> pixels of a series."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskferry._maps.grids import Bounds
from maskferry._maps.projections import as_crs, densified, project
from maskferry.data import MapGrid, VideoInfo
from maskferry.errors import InputError

__all__ = ["pixels_of_box", "pixels_of_points"]

log = logging.getLogger(__name__)


def pixels_of_points(video: VideoInfo, points: ArrayLike, crs: str, what: str = "points") -> NDArray[np.float64]:
    """Points of a map in pixels of a series, exact, not rounded: float (K, 2).

    Args:
        video: the series.
        points: (K, 2), x and y, or longitude and latitude, in this order.
        crs: what they are in, such as "EPSG:4326".
        what: how errors call the points.

    Raises:
        InputError: the video lies on no map, there is no such CRS, or a point lies outside of the grid; it is named.
    """
    grid = _grid(video, what)
    try:
        xy = np.asarray(points, np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as err:
        raise InputError(f"{what}: expected (K, 2), x and y of each point") from err
    found = _to_pixels(grid, crs, xy[:, 0], xy[:, 1], what)
    inside = (found >= 0).all(axis=1) & (found[:, 0] <= grid.width) & (found[:, 1] <= grid.height)
    if not inside.all():
        i = int(np.argmin(inside))
        raise InputError(
            f"{what}[{i}]: {tuple(xy[i].tolist())} in {crs} lies outside of the grid of {video.name}, at pixel "
            f"{tuple(np.round(found[i], 2).tolist())} of {grid.width}x{grid.height}"
        )
    return found


def pixels_of_box(
    video: VideoInfo, box_xyxy: Sequence[float], crs: str, what: str = "box"
) -> tuple[float, float, float, float]:
    """The box of whole pixels that encloses a box of a map, its sides followed; cut to the grid, which the log says.

    Args:
        video: the series.
        box_xyxy: (x1, y1, x2, y2), the smaller coordinates first.
        crs: what it is in.
        what: how errors call it.

    Raises:
        InputError: the video lies on no map, there is no such CRS, or the box has no area or lies outside of the grid.
    """
    grid = _grid(video, what)
    bounds = Bounds(*map(float, box_xyxy))
    if not (bounds.left < bounds.right and bounds.bottom < bounds.top):
        raise InputError(f"{what}: expected a width and a height above 0, got {tuple(bounds)}")
    found = _to_pixels(grid, crs, *densified(bounds), what)
    x1, y1 = np.floor(found.min(axis=0) + 1e-6).tolist()
    x2, y2 = np.ceil(found.max(axis=0) - 1e-6).tolist()
    if x1 >= grid.width or y1 >= grid.height or x2 <= 0 or y2 <= 0:
        raise InputError(f"{what}: {tuple(bounds)} in {crs} lies outside of the grid of {video.name}")
    cut = max(x1, 0.0), max(y1, 0.0), min(x2, float(grid.width)), min(y2, float(grid.height))
    if cut != (x1, y1, x2, y2):
        log.warning("%s reaches beyond the grid of %s, and is cut off there", what, video.name)
    return cut


def _grid(video: VideoInfo, what: str) -> MapGrid:
    if video.grid is None:
        raise InputError(f"{what}: {video.name} lies on no map, so that coordinates of one mean nothing: pass pixels")
    return video.grid


def _to_pixels(
    grid: MapGrid, crs: str, x: NDArray[np.float64], y: NDArray[np.float64], what: str
) -> NDArray[np.float64]:
    east, north = project(as_crs(crs, f"{what}: crs"), grid.crs_wkt, x, y)
    a, _, c, _, e, f = grid.transform
    found = np.column_stack([(east - c) / a, (north - f) / e])
    if not np.isfinite(found).all():
        raise InputError(f"{what}: a point in {crs} cannot be placed on the grid")
    return found
