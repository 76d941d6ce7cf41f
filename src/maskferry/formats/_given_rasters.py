"""A raster of masks that lies on the map -> the pixels of a series' grid, nearest neighbours."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.grids import offset_of
from maskferry._maps.projections import rasterio, same_crs
from maskferry.data import MapGrid
from maskferry.errors import InputError
from maskferry.formats._reading import Reading

__all__ = ["values_on_grid"]


def values_on_grid(path: Path, reading: Reading) -> NDArray[np.unsignedinteger[Any]] | None:
    """The values of a raster's first band on the grid of the series; 0 outside of it, and where it has no data.

    None where the series lies on no map, the file is no TIFF, has no CRS, or lies on the very grid: then it is a
    picture as any other.

    Raises:
        InputError: it lies elsewhere, or its values are no whole numbers from 0.
    """
    video = reading.target.video
    if video is None or video.grid is None or path.suffix.lower() not in (".tif", ".tiff"):
        return None
    rio, grid = rasterio(), video.grid
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            file = rio.open(path)
        with file:
            if file.crs is None or _is_there(file, grid):
                return None
            values = _warped(file, grid)
    except RasterioError as err:
        raise InputError(f"{path} cannot be read: {err}") from err
    if not values.any():
        raise InputError(f"{path}: nothing of it lies on the grid of {video.name}")
    reading.note("its pixels are not those of the series, and are taken from the nearest ones")
    return values


def _is_there(file: Any, grid: MapGrid) -> bool:  # noqa: ANN401
    own = MapGrid(file.crs.to_wkt(), tuple(file.transform)[:6], file.width, file.height)
    if (own.width, own.height) != (grid.width, grid.height) or not same_crs(own.crs_wkt, grid.crs_wkt):
        return False
    offset = offset_of(own, grid)
    return offset is not None and offset.is_whole and round(offset.col) == round(offset.row) == 0


def _warped(file: Any, grid: MapGrid) -> NDArray[np.unsignedinteger[Any]]:  # noqa: ANN401
    from rasterio.enums import Resampling
    from rasterio.transform import Affine
    from rasterio.vrt import WarpedVRT

    if np.dtype(file.dtypes[0]).kind not in "ui":
        raise InputError(f"{file.name}: expected whole numbers, object n as value n, got {file.dtypes[0]}")
    nodata = 0 if file.nodata is None else file.nodata
    options = {"resampling": Resampling.nearest, "tolerance": 0.01, "src_nodata": nodata, "nodata": nodata}
    place = {"transform": Affine(*grid.transform), "width": grid.width, "height": grid.height}
    with WarpedVRT(file, crs=grid.crs_wkt, **place, **options) as warped:
        values = np.asarray(warped.read(1))
    values[values == nodata] = 0
    if values.min() < 0:
        raise InputError(f"{file.name}: expected whole numbers from 0, got {values.min()}")
    return values.astype(np.uint8 if values.max() < 256 else np.uint16 if values.max() < 65_536 else np.uint32)
