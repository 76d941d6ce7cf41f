"""A raster of labels -> polygons of its values: what samgeo's ``raster_to_vector`` does."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from maskferry._maps.outlines import densify
from maskferry._maps.projections import as_crs, project, rasterio
from maskferry._own_files import COMMENT
from maskferry.errors import InputError, MissingExtraError, OutputError
from maskferry.files import output

__all__ = ["write_polygons"]

_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}


def write_polygons(
    raster: Path, path: Path, *, tolerance: float | None = None, crs: str | None = None, overwrite: bool = False
) -> int:
    """Write a polygon for each connected part of each value other than 0 and no data, along the edges of pixels.

    Args:
        raster: a georeferenced raster, whose first band is read.
        path: ends in .gpkg or .geojson; GeoJSON is in longitude and latitude.
        tolerance: simplify outlines by at most so much, in map units; by default they are exact.
        crs: what the polygons are in; by default that of the raster.
        overwrite: replace a file that maskferry wrote.

    Returns:
        How many polygons there are.

    Raises:
        MissingExtraError: rasterio, pyogrio or shapely is not installed.
        InputError: the raster cannot be read or has no CRS, or the path ends otherwise.
        OutputExistsError: there is a file.
        OutputError: it cannot be written.
    """
    rio = rasterio()
    driver = _DRIVERS.get(path.suffix.lower())
    if driver is None:
        raise InputError(f"{path}: expected a name that ends in {' or '.join(_DRIVERS)}")
    try:
        import pyogrio
        import shapely
    except ModuleNotFoundError as err:
        raise MissingExtraError("polygons need pyogrio and shapely: pip install 'maskferry[geo]'") from err
    shapes, values, own = _polygons(rio, raster)
    target = "OGC:CRS84" if driver == "GeoJSON" else crs
    geometry = shapely.simplify(shapes, tolerance) if tolerance else np.asarray(shapes, object)
    if target is not None and as_crs(target, "crs") != own:
        geometry = _projected(geometry, own, target)
    with output(path, reads=[raster], overwrite=overwrite) as part:
        if driver == "GeoJSON":
            part.write_text(_geojson(geometry, values), encoding="utf-8")
            return len(values)
        try:
            pyogrio.raw.write(
                part,
                geometry=shapely.to_wkb(geometry),
                field_data=[np.asarray(values, np.float64)],
                fields=["value"],
                geometry_type="Polygon",
                crs=as_crs(target or own, "crs").to_wkt(version="WKT2_2019"),
                driver=driver,
                layer=path.stem,
                layer_options={"DESCRIPTION": COMMENT},
            )
        except pyogrio.errors.DataSourceError as err:
            raise OutputError(f"{path} cannot be written: {err}") from err
    return len(values)


def _polygons(rio: Any, raster: Path) -> tuple[list[Any], list[float], Any]:  # noqa: ANN401
    """(polygons of shapely, the value of each, the CRS)."""
    import shapely
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            file = rio.open(raster)
        with file:
            if file.crs is None:
                raise InputError(f"{raster} has no CRS, so that nobody knows where it lies")
            band, valid = file.read(1), file.read_masks(1) != 0
            found = list(rio.features.shapes(band, mask=valid & (band != 0), transform=file.transform))
            return [shapely.geometry.shape(shape) for shape, _ in found], [value for _, value in found], file.crs
    except (RasterioError, ValueError) as err:
        raise InputError(f"{raster} cannot be read as a raster of labels: {err}") from err


def _projected(geometry: Any, source: Any, target: str) -> Any:  # noqa: ANN401
    import shapely

    length = float(np.ptp(shapely.get_coordinates(geometry), axis=0).max()) / 256 if len(geometry) else 1.0
    return shapely.transform(
        densify(geometry, length or 1.0),
        lambda xy: np.column_stack(project(source, target, xy[:, 0], xy[:, 1])),
    )


def _geojson(geometry: Any, values: list[float]) -> str:  # noqa: ANN401
    import shapely

    features = [
        json.dumps({"type": "Feature", "geometry": shapely.geometry.mapping(shape), "properties": {"value": value}})
        for shape, value in zip(geometry, values, strict=True)
    ]
    head = f'{{"type": "FeatureCollection", "description": "{COMMENT}", "features": [\n'
    return head + ",\n".join(features) + "\n]}\n"
