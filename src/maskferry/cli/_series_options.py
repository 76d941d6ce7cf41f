"""The options of ``track`` that are about series of georeferenced pictures."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from maskferry.errors import InputError

__all__ = [
    "Bands",
    "Bounds",
    "BoundsCrs",
    "Dates",
    "Grid",
    "IdField",
    "LabelField",
    "Nodata",
    "Resampling",
    "ResamplingOption",
    "Resolution",
    "frame_or_date",
    "series_options",
]


class Resampling(StrEnum):
    """`sources.open_series`."""

    nearest = "nearest"
    bilinear = "bilinear"
    cubic = "cubic"
    average = "average"


def _option(name: str, metavar: str, text: str) -> Any:  # noqa: ANN401
    return typer.Option(name, metavar=metavar, help=f"Of GeoTIFFs: {text}", show_default=False)


Dates = Annotated[
    str | None,
    _option(
        "--dates",
        "DATES",
        "a CSV file with the columns file and date, a pattern for the names such as scene_%Y%m%d, or dates separated "
        "by commas, in the order of the files.  [default: what the files or their names say]",
    ),
]
Bands = Annotated[
    str | None,
    _option(
        "--bands",
        "R,G,B",
        "the bands for red, green and blue, or one for grey: numbers from 1, or names.  [default: those that the file "
        "calls so, or 1,2,3]",
    ),
]
Nodata = Annotated[float | None, _option("--nodata", "VALUE", "a value that is no data, besides what the files say.")]
Grid = Annotated[
    str | None,
    _option(
        "--grid",
        "first|union|intersection|FILE",
        "the grid of all dates: that of the first, the lattice of the first over all of them or over what they share, "
        "or that of a raster file.  [default: first]",
    ),
]
ResamplingOption = Annotated[
    Resampling | None,
    typer.Option(
        "--resampling",
        show_default=False,
        help="Of GeoTIFFs: how files on other grids are warped.  [default: bilinear]",
    ),
]
Bounds = Annotated[
    str | None, _option("--bounds", "LEFT,BOTTOM,RIGHT,TOP", "only this part, in map units of the grid.")
]
BoundsCrs = Annotated[str | None, _option("--bounds-crs", "CRS", "what --bounds are in, such as EPSG:4326.")]
Resolution = Annotated[
    float | None, _option("--resolution", "UNITS", "the size of a pixel, in map units.  [default: the first file's]")
]
IdField = Annotated[
    str | None,
    typer.Option(
        "--id-field",
        metavar="COLUMN",
        show_default=False,
        help="Of polygons: the column of ids.  [default: object_id or id, else they are numbered]",
    ),
]
LabelField = Annotated[
    str | None,
    typer.Option(
        "--label-field",
        metavar="COLUMN",
        show_default=False,
        help="Of polygons: the column of names.  [default: label or name]",
    ),
]


def frame_or_date(text: str | None, option: str, *, least: int = 0) -> int | str | None:
    """A frame's number, or its date as it was written; it is looked up when the series is open.

    >>> frame_or_date("12", "--frame"), frame_or_date("2020-01-21", "--frame")
    (12, '2020-01-21')
    """
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and int(text) >= least:
        return int(text)
    if len(text) >= 10 and text[:4].isdecimal() and text[4] == "-":
        return text
    raise InputError(
        f"{option}: expected a frame's number from {least}, or its date such as 2020-01-21, got {text!r:.60}"
    )


def series_options(
    dates: str | None,
    bands: str | None,
    nodata: float | None,
    grid: str | None,
    resampling: Resampling | None,
    bounds: tuple[str | None, str | None],
    resolution: float | None,
) -> dict[str, Any]:
    """The arguments of `sources.open_series` that somebody chose.

    Raises:
        InputError: the bounds are no four numbers.
    """
    given = {
        "dates": _dates(dates),
        "bands": None if bands is None else [part.strip() for part in bands.split(",")],
        "nodata": nodata,
        "grid": grid,
        "resampling": None if resampling is None else resampling.value,
        "bounds": _bounds(bounds[0]),
        "bounds_crs": bounds[1],
        "resolution": resolution,
    }
    return {name: value for name, value in given.items() if value is not None}


def _dates(text: str | None) -> str | list[str] | None:
    is_list = text is not None and "%" not in text and not text.lower().endswith(".csv")
    return [part.strip() for part in text.split(",")] if is_list and text is not None else text


def _bounds(text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError as err:
        raise InputError(f"--bounds: expected LEFT,BOTTOM,RIGHT,TOP, got {text!r:.80}") from err
    if len(numbers) != 4:
        raise InputError(f"--bounds: expected LEFT,BOTTOM,RIGHT,TOP, got {text!r:.80}")
    return numbers
