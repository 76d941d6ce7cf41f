"""One georeferenced file: what its header says, and its samples on a map grid, read a few rows at a time."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.grids import Offset, offset_of
from maskferry._maps.projections import rasterio, same_crs
from maskferry.data import MapGrid, Mask
from maskferry.errors import InputError, SourceError

__all__ = ["RasterHeader", "open_raster", "read_header", "sample", "windows"]

CACHE_BYTES = 64 << 20
"""GDAL's cache while frames are read; its own default is 5 % of the memory. A plain number is bytes."""

_PIECE_BYTES = 32 << 20
"""Samples that are read at once."""

_TOLERANCE = 0.01
"""Pixels, of the approximation by which GDAL warps; its default, 0.125, is off by as much."""


@dataclass(frozen=True, slots=True)
class RasterHeader:
    """What a file says before its samples are read.

    Attributes:
        path: the file.
        grid: where it lies; None where it has no CRS.
        size_hw: (height, width), pixels.
        dtypes: of each band.
        colors: of each band, its colour interpretation ("red", "gray", "alpha", ...).
        names: of each band, its description; "" where it has none.
        nodata: of each band.
        acquired: the tag ACQUISITIONDATETIME.
        written: the tag TIFFTAG_DATETIME.
    """

    path: Path
    grid: MapGrid | None
    size_hw: tuple[int, int]
    dtypes: tuple[str, ...]
    colors: tuple[str, ...]
    names: tuple[str, ...]
    nodata: tuple[float | None, ...]
    acquired: str | None
    written: str | None


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """A dataset of rasterio, with a small cache.

    Raises:
        SourceError: it cannot be opened, or read inside.
    """
    rio = rasterio()
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with rio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_DISABLE_READDIR_ON_OPEN="FALSE"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rio.open(path)
            with dataset:
                yield dataset
    except RasterioError as err:
        raise SourceError(f"{path} cannot be read: {err}") from err


def read_header(path: Path) -> RasterHeader:
    """Read what a file says of itself.

    Raises:
        SourceError: it cannot be opened.
        InputError: its place is given by control points or RPCs only.
    """
    with open_raster(path) as dataset:
        crs = dataset.crs
        if crs is None and (dataset.gcps[0] or dataset.rpcs):
            kind = "ground control points" if dataset.gcps[0] else "RPCs"
            raise InputError(
                f"{path} is placed by {kind} only, which no grid follows from: warp it first (gdalwarp -t_srs EPSG:...)"
            )
        size_hw = dataset.height, dataset.width
        grid = None
        if crs is not None:
            numbers = tuple(float(n) for n in tuple(dataset.transform)[:6])
            grid = MapGrid(crs.to_wkt(version="WKT2_2019"), numbers, dataset.width, dataset.height)  # type: ignore[arg-type]
        return RasterHeader(
            path,
            grid,
            size_hw,
            tuple(dataset.dtypes),
            tuple(color.name for color in dataset.colorinterp),
            tuple(text or "" for text in dataset.descriptions),
            tuple(dataset.nodatavals),
            dataset.tags(ns="IMAGERY").get("ACQUISITIONDATETIME"),
            dataset.tags().get("TIFFTAG_DATETIME"),
        )


def placed(header: RasterHeader, grid: MapGrid | None) -> Offset | None:
    """Where a file begins in a grid, where its pixels are the grid's; None where it has to be warped."""
    if grid is None or header.grid is None:
        return Offset(0, 0)
    if not same_crs(header.grid.crs_wkt, grid.crs_wkt):
        return None
    offset = offset_of(header.grid, grid)
    return offset if offset is not None and offset.is_whole else None


def sample(path: Path, bands: list[int], most: int, nodata: float | None) -> list[NDArray[Any]]:
    """The valid ones of at most ``most``² pixels of each band, evenly spread: (N,) each."""
    from rasterio.enums import Resampling

    with open_raster(path) as dataset:
        shape = (len(bands), min(most, dataset.height), min(most, dataset.width))
        samples = dataset.read(bands, out_shape=shape, resampling=Resampling.nearest)
        masks = dataset.read_masks(bands, out_shape=shape, resampling=Resampling.nearest)
    return [band[_valid(band, mask, nodata)] for band, mask in zip(samples, masks, strict=True)]


def windows(
    header: RasterHeader, bands: list[int], grid: MapGrid | None, nodata: float | None, resampling: str
) -> Iterator[tuple[int, int, NDArray[Any], Mask]]:
    """Read a file on a grid, some rows at a time.

    Args:
        header: of the file.
        bands: numbers from 1, each once.
        grid: where; None for the file's own pixels.
        nodata: a value that is no data, besides those that the file names.
        resampling: the name of how pixels are warped that are not the grid's.

    Returns:
        (first row, first column, samples (bands, h, w), valid (bands, h, w)): parts of the grid, top to bottom. What is
        in no part is not valid.
    """
    offset = placed(header, grid)
    if offset is not None:
        yield from _aligned(header, bands, grid, nodata, offset)
    else:
        assert grid is not None
        yield from _warped(header, bands, grid, nodata, resampling)


def _aligned(
    header: RasterHeader, bands: list[int], grid: MapGrid | None, nodata: float | None, offset: Offset
) -> Iterator[tuple[int, int, NDArray[Any], Mask]]:
    height, width = header.size_hw
    grid_hw = header.size_hw if grid is None else (grid.height, grid.width)
    row0, col0 = round(offset.row), round(offset.col)
    top, bottom = max(0, row0), min(grid_hw[0], row0 + height)
    left, right = max(0, col0), min(grid_hw[1], col0 + width)
    if top >= bottom or left >= right:
        return
    with open_raster(header.path) as dataset:
        for first, last in _pieces(dataset, bands, top, bottom, right - left, row0):
            window = ((first - row0, last - row0), (left - col0, right - col0))
            samples = dataset.read(bands, window=window)
            masks = dataset.read_masks(bands, window=window)
            yield first, left, samples, _valid(samples, masks, nodata)


def _warped(
    header: RasterHeader, bands: list[int], grid: MapGrid, nodata: float | None, resampling: str
) -> Iterator[tuple[int, int, NDArray[Any], Mask]]:
    from rasterio.enums import Resampling
    from rasterio.transform import Affine
    from rasterio.vrt import WarpedVRT

    with open_raster(header.path) as dataset:
        options: dict[str, Any] = {"UNIFIED_SRC_NODATA": "PARTIAL"}
        known = nodata if nodata is not None else header.nodata[bands[0] - 1]
        if known is None and np.dtype(header.dtypes[bands[0] - 1]).kind == "f":
            known = float("nan")
        if known is not None:
            options |= {"src_nodata": known, "nodata": known}
        elif "alpha" not in header.colors:
            options["add_alpha"] = True
        with WarpedVRT(
            dataset,
            crs=grid.crs_wkt,
            transform=Affine(*grid.transform),
            width=grid.width,
            height=grid.height,
            resampling=Resampling[resampling],
            tolerance=_TOLERANCE,
            warp_mem_limit=64,
            **options,
        ) as warped:
            for first, last in _pieces(warped, bands, 0, grid.height, grid.width, 0):
                window = ((first, last), (0, grid.width))
                samples = warped.read(bands, window=window)
                masks = warped.read_masks(bands, window=window)
                yield first, 0, samples, _valid(samples, masks, nodata)


def _pieces(dataset: Any, bands: list[int], top: int, bottom: int, width: int, row0: int) -> Iterator[tuple[int, int]]:  # noqa: ANN401
    """(first row, row to end before) of the grid: whole rows of the file's blocks, as many as fit."""
    block = dataset.block_shapes[0][0]
    bytes_of_row = width * sum(np.dtype(dataset.dtypes[band - 1]).itemsize + 2 for band in bands)
    rows = max(1, _PIECE_BYTES // bytes_of_row)
    if rows > block:
        rows -= rows % block
    first = top
    while first < bottom:
        last = min(bottom, first + rows)
        if block > 1 and last < bottom:
            last = max(first + 1, last - (last - row0) % block) if rows >= block else last
        yield first, last
        first = last


def _valid(samples: NDArray[Any], masks: NDArray[np.uint8], nodata: float | None) -> Mask:
    valid = np.asarray(masks != 0)
    if samples.dtype.kind == "f":
        valid &= np.isfinite(samples)
    if nodata is not None and not np.isnan(nodata):
        valid &= samples != nodata
    return valid
