"""Polygons on the map (GeoPackage, GeoJSON, shapefile, FlatGeobuf, GeoDataFrame) -> prompts on the grid of a series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.areas import pixel_metres
from maskferry._maps.grids import bounds_of, pixel_size
from maskferry._maps.outlines import densify, mask_of
from maskferry._maps.projections import as_crs, project, rasterio, same_crs
from maskferry.data import MapGrid, Mask, MaskPrompt, State, VideoInfo
from maskferry.errors import InputError, MissingExtraError
from maskferry.formats._given_files import Found
from maskferry.formats._map_rows import check_grid
from maskferry.formats._reading import Reading

__all__ = ["VECTOR_SUFFIXES", "read_features", "read_vectors"]

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".shp", ".fgb")

_IDS, _LABELS = ("object_id", "id"), ("label", "name")
_DATES = ("begin", "date", "datetime")
_MOST_BOW = 0.05
"""Pixels that a straight edge may be off by in another CRS."""
_EARTH_RADIUS = 6.4e6  # metres


class _Feature(NamedTuple):
    """A row of a layer: its place in the file, its geometry of shapely, and its values by name."""

    where: str
    geometry: Any
    values: dict[str, Any]


def read_vectors(path: Path, frame: int | None, reading: Reading) -> Found:
    """Read the polygons of a file.

    Ids come from the column that the caller names, else ``object_id`` or ``id`` where these are whole numbers from 1,
    else they are 1 to N; polygons of one id are one object. Names come from the column that he names, else ``label`` or
    ``name``. Where he says no frame, a column of dates (``begin``, ``date`` or ``datetime``) does. Of a file that
    maskferry wrote only masks that were given are taken. A pixel belongs to a polygon if its centre lies in it.

    Args:
        path: the file; of several layers, ``objects`` or the first with polygons.
        frame: the one that the caller says.
        reading: the series, and what is left out.

    Raises:
        MissingExtraError: pyogrio is not installed.
        InputError: the video lies on no map; the file has no CRS, no such column, points or lines, a polygon that
            covers no pixel, nothing on the grid, or a date that the series has not. It names the feature.
    """
    pyogrio = _pyogrio()
    import shapely

    reading.read_as("polygons on the map")
    try:
        layer = _layer(pyogrio, path)
        meta, ids, wkb, columns = pyogrio.raw.read(path, layer=layer, return_fids=True, datetime_as_string=True)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as err:
        raise InputError(f"{path} cannot be read as a file of polygons: {err}") from err
    names = [str(name) for name in meta["fields"]]
    rows = zip(*(column.tolist() for column in columns), strict=True) if names else ((),) * len(wkb)
    features = [
        _Feature(f"feature {fid}", shape, dict(zip(names, row, strict=True)))
        for fid, shape, row in zip(ids, shapely.from_wkb(wkb), rows, strict=True)
    ]
    return read_features(features, meta["crs"], frame, reading)


def read_features(
    features: Iterable[tuple[str, Any, dict[str, Any]]],
    crs: Any,  # noqa: ANN401
    frame: int | None,
    reading: Reading,
) -> Found:
    """Polygons -> prompts, see `read_vectors`.

    Args:
        features: (how errors call it, geometry of shapely, {column: value}).
        crs: what coordinates are in; None where nobody knows.
        frame: the one that the caller says.
        reading: the series, and what is left out.
    """
    found = _own_given([_Feature(at, shape, _plain(values)) for at, shape, values in features])
    video = reading.target.video
    if video is None:
        raise InputError(f"{reading.where}: polygons need the series that they are for (the VIDEO, --video)")
    grid = check_grid(video)
    if not crs:
        raise InputError(f"{reading.where} has no CRS, so that nobody knows where its polygons lie: give it one")
    if not found:
        raise InputError(f"{reading.where} holds no feature: expected at least one polygon")
    numbers, counted = _numbers(found, reading)
    names = _column(found, reading.label_field, _LABELS, reading)
    masks: dict[tuple[int, int], Mask] = {}
    labels: dict[int, str] = {}
    for i, feature in enumerate(found):
        mask = _mask(feature, crs, grid, reading)
        if mask is None:
            continue
        key = (_frame(feature, found, frame, video, reading), numbers[i])
        masks[key] = masks[key] | mask if key in masks else mask
        if names is not None and (text := feature.values[names]) not in (None, ""):
            labels.setdefault(numbers[i], str(text))
    if not masks:
        raise InputError(f"{reading.where}: nothing of it lies on the grid of {video.name}")
    return Found(
        [MaskPrompt(*key, mask) for key, mask in sorted(masks.items(), key=lambda pair: pair[0])], labels, counted
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Values as Python has them; None for what is missing."""
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return {name: value if value == value else None for name, value in plain.items()}  # NaN and NaT


def _pyogrio() -> Any:  # noqa: ANN401
    rasterio()
    try:
        import pyogrio
        import pyogrio.raw
        import shapely  # noqa: F401
    except ModuleNotFoundError as err:
        raise MissingExtraError("polygons need pyogrio and shapely: pip install 'maskferry[geo]'") from err
    return pyogrio


def _layer(pyogrio: Any, path: Path) -> str:  # noqa: ANN401
    layers = [(str(name), kind) for name, kind in pyogrio.list_layers(path)]
    shapes = [name for name, kind in layers if kind is not None]
    if not shapes:
        raise InputError(f"{path} has no layer of polygons")
    return "objects" if "objects" in shapes else shapes[0]


def _own_given(features: list[_Feature]) -> list[_Feature]:
    """Of a file that maskferry wrote, the masks that were given, where there are any."""
    is_own = bool(features) and {"object_id", "begin", "state", "source", "area_px"} <= features[0].values.keys()
    given = [feature for feature in features if is_own and feature.values["state"] == State.GIVEN.value]
    return given or features


def _column(features: list[_Feature], said: str | None, known: Sequence[str], reading: Reading) -> str | None:
    there = list(features[0].values) if features else []
    if said is not None and said not in there:
        raise InputError(f"{reading.where} has no column {said!r}: it has {', '.join(there) or 'none'}")
    return said or next((name for name in known if name in there), None)


def _numbers(features: list[_Feature], reading: Reading) -> tuple[list[int], bool]:
    """The id of each feature, and whether they are only counted."""
    name = _column(features, reading.id_field, _IDS, reading)
    values = [None if name is None else feature.values[name] for feature in features]
    if all(_is_id(value) for value in values) and values:
        return [int(value) for value in values], False  # type: ignore[arg-type]
    if reading.id_field is not None:
        i = next(i for i, value in enumerate(values) if not _is_id(value))
        raise InputError(
            f"{reading.where}: {features[i].where}: expected a whole number from 1 in {name!r}, got {values[i]!r:.40}"
        )
    return list(range(1, len(features) + 1)), True


def _is_id(value: Any) -> bool:  # noqa: ANN401
    return (
        not isinstance(value, bool)
        and isinstance(value, int | float)
        and math.isfinite(value)
        and value == int(value)
        and 1 <= value < 1 << 31
    )


def _frame(feature: _Feature, all_: list[_Feature], said: int | None, video: VideoInfo, reading: Reading) -> int:
    """The caller's frame, else that of the feature's date, else the first."""
    if said is not None:
        return said
    name = _column(all_, None, _DATES, reading)
    value = None if name is None else feature.values[name]
    if value is None or value == "" or video.dates is None:
        return 0
    day = _day(value)
    try:
        return video.check_frame(day)
    except InputError as err:
        advice = "say its frame (FRAME=PATH, or frame_idx in Python) if that date means something else"
        raise InputError(f"{reading.where}: {feature.where}: {err}: {advice}") from err


def _day(value: Any) -> str | date:  # noqa: ANN401
    """A date as the series is asked for it: midnight stands for the whole day."""
    if isinstance(value, str):
        text: str = value.strip()
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return text
    if isinstance(value, datetime):
        return value.date() if value.time() == datetime.min.time() else value
    return value if isinstance(value, date) else str(value)


def _mask(feature: _Feature, crs: Any, grid: MapGrid, reading: Reading) -> Mask | None:  # noqa: ANN401
    """The pixels of a polygon; None where it lies outside of the grid."""
    import shapely

    shape, at = feature.geometry, f"{reading.where}: {feature.where}"
    if shape is None or shape.is_empty:
        reading.leave_out("features without a geometry", at)
        return None
    if shape.geom_type not in ("Polygon", "MultiPolygon"):
        raise InputError(f"{at} is a {shape.geom_type}; expected polygons: buffer points and lines first")
    box = shapely.box(*bounds_of(grid))
    shape = _on_grid(shape, crs, grid, at)
    if not shapely.intersects(box, shapely.box(*shape.bounds)):
        reading.leave_out("polygons outside of the grid", at)
        return None
    mask = mask_of(grid, shape)
    if mask.any():
        if not shapely.contains(box, shapely.box(*shape.bounds)):
            reading.note(f"{feature.where} reaches beyond the grid and is cut off there")
        return mask
    width, height = pixel_size(grid.transform)
    if shape.area < width * height or shapely.contains(box, shape):
        raise InputError(
            f"{at} covers the centre of no pixel ({shape.area:.4g} square units; a pixel has {width * height:.4g}): "
            "take finer pixels (resolution), or leave it out"
        )
    reading.leave_out("polygons outside of the grid", at)
    return None


def _on_grid(shape: Any, crs: Any, grid: MapGrid, at: str) -> Any:  # noqa: ANN401
    """A polygon in the grid's CRS; its edges are densified, as straight ones bow."""
    import shapely

    source = as_crs(crs, f"{at}: crs")
    if same_crs(source, grid.crs_wkt):
        return shape
    metres = math.sqrt(_EARTH_RADIUS * _MOST_BOW * min(pixel_metres(grid)))
    longest = metres / (111_320 if source.is_geographic else source.linear_units_factor[1])

    def placed(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(project(source, grid.crs_wkt, xy[:, 0], xy[:, 1]))

    found = shapely.transform(densify(shape, longest), placed)
    if not np.isfinite(shapely.get_coordinates(found)).all():
        raise InputError(f"{at} cannot be placed in the CRS of the grid")
    return found
