"""`open_series`: georeferenced pictures of one place at several dates, as the frames of a video."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from maskferry._maps import grids
from maskferry._maps.grids import Bounds
from maskferry._maps.projections import as_crs, project, project_bounds, rasterio, same_crs
from maskferry.data import MapGrid, SeriesFile, SeriesRecipe, Stretch, VideoInfo
from maskferry.errors import InputError, MaskferryWarning
from maskferry.limits import check_size_hw, check_stretch
from maskferry.sources._checks import parse_rate
from maskferry.sources._dates import DatesOption
from maskferry.sources._raster_file import RasterHeader, placed, read_header, sample
from maskferry.sources._series_files import Bands, choose_bands, list_series
from maskferry.sources._series_source import SeriesSource
from maskferry.sources._stretch import describe, full_range, spread

__all__ = ["Resampling", "SeriesStretch", "open_series"]

log = logging.getLogger(__name__)

Resampling = Literal["nearest", "bilinear", "cubic", "average"]
"""How files on other grids are warped."""

SeriesStretch = str | Stretch | tuple[float, float, Literal["percent"]]
"""See `open_series`."""

_PERCENT = (2.0, 98.0)
_MOST_SIDE = 512  # pixels of a file that are looked at for the stretch, each way
_LARGEST_RATIO = 4


def open_series(  # noqa: PLR0913
    what: Any,  # noqa: ANN401
    *,
    dates: DatesOption | None = None,
    bands: Bands | None = None,
    stretch: SeriesStretch = "auto",
    nodata: float | None = None,
    grid: str | Path = "first",
    resampling: Resampling = "bilinear",
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    resolution: float | None = None,
    rate: float | str | Fraction | None = None,
) -> SeriesSource:
    """Open georeferenced pictures as frames on one map grid. Needs the extra "geo".

    Args:
        what: a folder (its .tif and .tiff files), a pattern such as "scenes/*_B4.tif", paths, {date: path}, or one
            file with a band for each date.
        dates: a date for each file, in their natural order; a pattern of `datetime.strptime` for their names; or a CSV
            file with the columns file and date. By default the tag ACQUISITIONDATETIME, else the names, else the
            tag TIFFTAG_DATETIME; the first that has one for every file. Frames come by date; ``time`` is the seconds
            since the first one.
        bands: three for red, green and blue, or one for grey; numbers from 1, or the bands' descriptions.
        stretch: how samples become 8 bits, by one line for each band, the same on all dates. "auto" leaves 8 bits as
            they are, and shows the 2nd percentile of the series' valid samples as black and the 98th as white. "none"
            shows the whole range. (low, high), or (low, high, "percent").
        nodata: a value that is no data, besides what the files say.
        grid: "first" for the grid of the first date; "union" or "intersection" of all, on the lattice of the first;
            or a raster file, whose grid is taken. Files on that lattice are taken as they are, to the bit; others are
            warped, with a warning.
        resampling: how they are warped.
        bounds: (left, bottom, right, top): only this part, in whole pixels.
        bounds_crs: what they are in; by default the grid's own.
        resolution: the size of a pixel, in map units, instead of the first file's.
        rate: frames per second of films; by default they show two dates a second.

    Raises:
        MissingExtraError: rasterio is not installed.
        InputError: a file has no CRS, lies elsewhere, has pixels of more than four times another size, or is placed by
            control points alone; the first grid is rotated; dates are equal or some are missing; a band is not there;
            all pixels are no data; or an option is wrong. It names the file.
        SourceError: a file is not there, or cannot be read.

    Warns:
        MaskferryWarning: files are warped, as they are not on the grid; it names each.
    """
    rasterio()
    if resampling not in get_args(Resampling):
        raise InputError(f"resampling: expected one of {', '.join(get_args(Resampling))}, got {resampling!r}")
    exact = None if rate is None else parse_rate(rate)
    listed = list_series(what, dates)
    headers = [listed.headers[_key(listed.headers, file)] for file in listed.files]
    each = list({id(header): header for header in headers}.values())
    chosen = (1, 1, 1) if listed.files[0].band else choose_bands(each, bands)
    place = _grid(each, grid, bounds, bounds_crs, resolution)
    height, width = each[0].size_hw if place is None else (place.height, place.width)
    check_size_hw(height, width, "series")
    path = _path(what, listed.files)
    info = VideoInfo(width, height, exact, len(headers), Path(path).name, path, grid=place)
    recipe = SeriesRecipe(listed.files, chosen, None, nodata, resampling)
    found = _stretch(stretch, recipe, each, info.name)
    _say_what_is_warped(each, place)
    return SeriesSource(info, replace(recipe, stretch=found))


def _key(headers: dict[str, RasterHeader], file: SeriesFile) -> str:
    return next(key for key in headers if os.path.abspath(key) == file.path)  # noqa: PTH100


def _path(what: Any, files: Sequence[SeriesFile]) -> str:  # noqa: ANN401
    if isinstance(what, str | Path) and Path(what).exists():
        return str(what)
    return os.path.commonpath([os.path.dirname(file.path) for file in files])  # noqa: PTH120


# --- the grid ---------------------------------------------------------------------------------------------------------


def _grid(
    headers: Sequence[RasterHeader],
    how: str | Path,
    bounds: Sequence[float] | None,
    bounds_crs: str | None,
    resolution: float | None,
) -> MapGrid | None:
    """The grid of all frames; None where no file has one, and all have one size."""
    without = [header for header in headers if header.grid is None]
    if len(without) == len(headers):
        return _without_grid(headers, how, bounds, resolution)
    if without:
        raise InputError(
            f"{without[0].path.name} has no CRS, so that nobody knows where it lies: give it one (gdal_edit.py -a_srs "
            "EPSG:...), or leave it out"
        )
    found = _base(headers, how)
    if grids.is_rotated(found.transform):
        raise InputError(
            f"{headers[0].path.name}: its rows are not parallel to the axes of its map: warp it first (gdalwarp), or "
            "give another file's grid"
        )
    if resolution is not None:
        if not resolution > 0:
            raise InputError(f"resolution: expected map units above 0, got {resolution}")
        found = grids.resampled(found, float(resolution))
    all_bounds = [_bounds_in(header, found) for header in headers]
    if how in ("union", "intersection"):
        found = grids.common(found, all_bounds, how)  # type: ignore[arg-type]
    if bounds is not None:
        found = _cut(found, bounds, bounds_crs)
    for header, own in zip(headers, all_bounds, strict=True):
        _check_overlap(header, own, found)
        if resolution is None:
            _check_pixel_size(header, found)
    return found


def _without_grid(
    headers: Sequence[RasterHeader], how: str | Path, bounds: object, resolution: object
) -> MapGrid | None:
    other = next((h for h in headers if h.size_hw != headers[0].size_hw), None)
    if other is not None:
        raise InputError(f"{other.path.name} has no CRS and another size than {headers[0].path.name}")
    if how != "first" or bounds is not None or resolution is not None:
        raise InputError(f"grid: {headers[0].path.name} has no CRS: grid, bounds and resolution need one")
    return None


def _base(headers: Sequence[RasterHeader], how: str | Path) -> MapGrid:
    first = headers[0].grid
    assert first is not None
    if how in ("first", "union", "intersection"):
        return first
    if not Path(how).is_file():
        raise InputError(f"grid: expected first, union, intersection or a raster file, got {str(how)!r:.80}")
    own = read_header(Path(how)).grid
    if own is None:
        raise InputError(f"grid: {how} has no CRS")
    return own


def _bounds_in(header: RasterHeader, grid: MapGrid) -> Bounds:
    own = header.grid
    assert own is not None
    if same_crs(own.crs_wkt, grid.crs_wkt):
        return grids.bounds_of(own)
    return project_bounds(own.crs_wkt, grid.crs_wkt, grids.bounds_of(own))


def _cut(grid: MapGrid, bounds: Sequence[float], crs: str | None) -> MapGrid:
    if len(bounds) != 4 or not all(np.isfinite(bounds)) or not (bounds[0] < bounds[2] and bounds[1] < bounds[3]):
        raise InputError(f"bounds: expected left, bottom, right, top, got {tuple(bounds)}")
    box = Bounds(*map(float, bounds))
    if crs is not None:
        box = project_bounds(as_crs(crs, "bounds_crs"), grid.crs_wkt, box)
    return grids.common(grid, [grids.bounds_of(grid), box], "intersection")


def _check_overlap(header: RasterHeader, own: Bounds, grid: MapGrid) -> None:
    box = grids.bounds_of(grid)
    if not (own.left < box.right and box.left < own.right and own.bottom < box.top and box.bottom < own.top):
        raise InputError(
            f"{header.path.name} shows nothing of the grid: it lies at {_shown(own)}, the grid at {_shown(box)}: leave "
            "it out, or take grid='union'"
        )


def _shown(box: Bounds) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in box) + ")"


def _check_pixel_size(header: RasterHeader, grid: MapGrid) -> None:
    sizes = _own_pixel(header, grid), grids.pixel_size(grid.transform)
    for own, wanted in zip(*sizes, strict=True):
        if max(own / wanted, wanted / own) > _LARGEST_RATIO * 1.001:
            raise InputError(
                f"{header.path.name} has pixels of {own:.4g} map units, the grid of {wanted:.4g}, more than "
                f"{_LARGEST_RATIO} times apart: leave it out, or say the size of pixels (resolution)"
            )


def _own_pixel(header: RasterHeader, grid: MapGrid) -> tuple[float, float]:
    """The size of a file's pixels in the grid's units, where the two meet."""
    own = header.grid
    assert own is not None
    if same_crs(own.crs_wkt, grid.crs_wkt):
        return grids.pixel_size(own.transform)
    a, b, c, d, e, f = own.transform
    col, row = own.width / 2, own.height / 2
    steps = np.array([[col, row], [col + 1, row], [col, row + 1]])
    x, y = project(
        own.crs_wkt, grid.crs_wkt, a * steps[:, 0] + b * steps[:, 1] + c, d * steps[:, 0] + e * steps[:, 1] + f
    )
    width, height = np.hypot(x[1] - x[0], y[1] - y[0]), np.hypot(x[2] - x[0], y[2] - y[0])
    return float(width), float(height)


def _say_what_is_warped(headers: Sequence[RasterHeader], grid: MapGrid | None) -> None:
    told = [f"{header.path.name} ({_why(header, grid)})" for header in headers if placed(header, grid) is None]
    if told:
        message = f"not on the grid of the series, and warped to it: {', '.join(told)}"
        warnings.warn(MaskferryWarning(message), stacklevel=3)


def _why(header: RasterHeader, grid: MapGrid | None) -> str:
    assert grid is not None and header.grid is not None
    if not same_crs(header.grid.crs_wkt, grid.crs_wkt):
        return f"CRS {as_crs(header.grid.crs_wkt, 'crs').to_string():.40}"
    offset = grids.offset_of(header.grid, grid)
    if offset is None:
        return f"pixels of {grids.pixel_size(header.grid.transform)[0]:.6g}"
    return f"off by {offset.col - round(offset.col):+.3f}, {offset.row - round(offset.row):+.3f} pixels"


# --- the stretch ------------------------------------------------------------------------------------------------------


def _stretch(
    option: SeriesStretch, recipe: SeriesRecipe, headers: Sequence[RasterHeader], name: str
) -> tuple[Stretch, Stretch, Stretch] | None:
    """What is shown as black and as white in each of the three bands; None where nothing is stretched."""
    kind, numbers = _parse(option)
    used = {
        h.dtypes[(f.band or b) - 1]
        for h in headers
        for f in recipe.files
        for b in recipe.bands
        if (f.band or b) <= len(h.dtypes)
    }
    if kind in ("auto", "none") and used == {"uint8"}:
        return None
    if kind == "fixed":
        return (numbers, numbers, numbers)
    samples = _samples(recipe, name)
    found = []
    for values in samples:
        if kind == "none":
            low, high = full_range([values])
        else:
            low, high = (float(np.percentile(values, part, method="nearest")) for part in numbers)
            if not low < high:
                low, high = float(values.min()), float(values.max())
        found.append((low, high) if low < high else (low, low + 1))
    red, green, blue = found
    told = "; ".join(
        f"band {band}: {describe(one)}" for band, one in dict(zip(recipe.bands, found, strict=True)).items()
    )
    log.info("%s: one stretch for all dates; %s", name, told)
    return red, green, blue


def _parse(option: SeriesStretch) -> tuple[str, Stretch]:
    """("auto", "none", "fixed" or "percent"; its two numbers)."""
    if isinstance(option, str):
        if option in ("auto", "none"):
            return option, _PERCENT
        parts: list[Any] = option.split(",")
        try:
            option = (float(parts[0]), float(parts[1]), *(part.strip() for part in parts[2:]))
        except (ValueError, IndexError) as err:
            raise InputError(f"stretch: expected auto, none, LOW,HIGH or LOW,HIGH,percent, got {option!r:.60}") from err
    numbers = tuple(option)
    if len(numbers) == 3 and numbers[2] == "percent":
        low, high = check_stretch(numbers[:2], "stretch")
        if not 0 <= low < high <= 100:
            raise InputError(f"stretch: expected percents from 0 to 100, got {low:g} and {high:g}")
        return "percent", (low, high)
    return "fixed", check_stretch(option, "stretch")


def _samples(recipe: SeriesRecipe, name: str) -> list[np.ndarray[Any, np.dtype[Any]]]:
    """Valid samples of each of the three bands, of up to 16 dates."""
    gathered: list[list[Any]] = [[], [], []]
    for i in spread(len(recipe.files)):
        file = recipe.files[i]
        bands = [file.band] * 3 if file.band else list(recipe.bands)
        each = sorted(set(bands))
        found = dict(zip(each, sample(Path(file.path), each, _MOST_SIDE, recipe.nodata), strict=True))
        for channel, band in enumerate(bands):
            gathered[channel].append(found[band])
    values = [np.concatenate(parts) for parts in gathered]
    for band, own in zip(recipe.bands, values, strict=True):
        if not own.size:
            raise InputError(f"{name}: band {band} holds nothing but no data (NaN, nodata or masked) on all dates")
    return values
