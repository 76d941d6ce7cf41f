"""``raster_to_vector`` with samgeo's signature."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskferry.formats import write_polygons
from maskferry.samgeo._messages import explain_unused, say

__all__ = ["raster_to_vector"]


def raster_to_vector(
    source: str | Path,
    output: str | Path,
    simplify_tolerance: float | None = None,
    dst_crs: str | None = None,
    open_args: Mapping[str, Any] | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> None:
    """Write the polygons of a raster of labels, such as `SamGeo3Video.save_masks` makes; the column is ``value``.

    A file of an earlier call is replaced. For polygons by object and date, with areas, of all dates in one file, see
    `maskferry.export` with the format "gpkg".

    Args:
        source: a georeferenced raster.
        output: ends in .gpkg or .geojson.
        simplify_tolerance: simplify outlines by at most so much, in map units; by default they are exact.
        dst_crs: what the polygons are in; by default that of the raster.
        open_args: accepted and not used.
        kwargs: accepted and not used; they are options of geopandas.

    Raises:
        MissingExtraError: rasterio, pyogrio or shapely is not installed.
        InputError: the raster cannot be read or has no CRS, or the output ends otherwise.
        OutputExistsError: a file that maskferry did not write is in the way.
        OutputError: it cannot be written.
    """
    unused = {"open_args": "rasters are opened as they are"} if open_args else {}
    explain_unused(**unused, **dict.fromkeys(kwargs, "it is an option of geopandas"))
    count = write_polygons(Path(source), Path(output), tolerance=simplify_tolerance, crs=dst_crs, overwrite=True)
    say(f"Saved {count} polygon(s) to {output}.")
