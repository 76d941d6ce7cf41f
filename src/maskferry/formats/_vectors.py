"""Objects of a series as polygons: GeoPackage in the grid's own CRS, GeoJSON in longitude and latitude."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.outlines import decimals_of, outline, to_lonlat
from maskferry._own_files import COMMENT
from maskferry._staging import final_path
from maskferry.data import FrameTracks, MapGrid, VideoInfo
from maskferry.errors import MissingExtraError, OutputError
from maskferry.files import atomic_path, check_free, translate_os_errors
from maskferry.formats._areas import changes
from maskferry.formats._map_rows import Footprints, MapRow, Valid, check_grid, map_rows
from maskferry.formats._qgis_style import STYLE

__all__ = ["FIELDS", "polygon_of", "visible", "write_geojson", "write_gpkg"]

FIELDS = (
    *("object_id", "label", "begin", "end", "frame", "source", "state", "score"),
    *("area_px", "area_m2", "observed"),
)

_AREAS = (
    *("object_id", "label", "begin", "end", "frame", "source", "state", "score"),
    *("area_px", "area_m2", "observed", "area_ha", "change_m2", "change_percent"),
)

_INTEGERS = frozenset({"object_id", "frame", "area_px"})
_TEXTS = frozenset({"label", "source", "state"})
_TIMES = frozenset({"begin", "end"})


def polygon_of(row: MapRow, grid: MapGrid) -> Any:  # noqa: ANN401
    """The MultiPolygon of shapely of an object on one date, along the edges of pixels."""
    found = row.rle.decode_crop()
    if found is None:
        return outline(grid, np.zeros((1, 1), np.bool_))
    return outline(grid, found[1], found[0][:2])


def visible(rows: Iterable[MapRow]) -> list[MapRow]:
    """Those that have a pixel."""
    return [row for row in rows if row.area_px]


def cells_of(row: MapRow) -> tuple[Any, ...]:
    """The values of `FIELDS`."""
    return (
        *(row.object_id, row.label or None, row.date, row.end, row.info.index, row.info.name, row.state.value),
        *(row.score, row.area_px, row.area_m2, row.observed),
    )


def write_gpkg(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    valid: Valid,
    footprints: Footprints,
    overwrite: bool = False,
) -> None:
    """Write a GeoPackage, date by date.

    The layer ``objects`` has a MultiPolygon for each visible object and date, in the grid's CRS, along the edges of
    pixels; ``begin`` is its date, ``end`` the next one. The table ``areas`` has every object on every date, as
    `_areas.write` does. QGIS finds a style, with colours by object, in the file.

    Raises:
        MissingExtraError: pyogrio is not installed.
        InputError: the video lies on no map, or has no dates.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    pyogrio = _pyogrio()
    grid = check_grid(video)
    rows = map_rows(video, frames, valid, footprints, labels)
    check_free(path, overwrite=overwrite)
    last: dict[int, float] = {}
    with atomic_path(path, overwrite=overwrite) as part:
        layers = _Layers(pyogrio, part, grid)
        for found in rows:
            layers.add(visible(found), [(*cells_of(row), row.area_m2 / 10_000, *changes(row, last)) for row in found])
        layers.finish()
        with translate_os_errors(path):
            _add_style(part)


class _Layers:
    """The two layers of a GeoPackage, which grow date by date."""

    def __init__(self, pyogrio: Any, path: Path, grid: MapGrid) -> None:  # noqa: ANN401
        self._pyogrio, self._path, self._grid = pyogrio, path, grid
        self._begun: set[str] = set()

    def add(self, shown: Sequence[MapRow], areas: Sequence[tuple[Any, ...]]) -> None:
        import shapely

        wkb = shapely.to_wkb([polygon_of(row, self._grid) for row in shown])
        if shown or "objects" not in self._begun:
            self._append("objects", FIELDS, [cells_of(row) for row in shown], np.asarray(wkb, object))
        if areas or "areas" not in self._begun:
            self._append("areas", _AREAS, areas, None)

    def finish(self) -> None:
        """Both layers are there, even of a series without a frame."""
        if not self._begun:
            self.add([], [])

    def _append(
        self, layer: str, fields: Sequence[str], rows: Sequence[tuple[Any, ...]], wkb: NDArray[Any] | None
    ) -> None:
        columns = [_column(name, [row[i] for row in rows]) for i, name in enumerate(fields)]
        spatial = wkb is not None
        options = {"layer_options": {"DESCRIPTION": COMMENT, "IDENTIFIER": layer}} if layer not in self._begun else {}
        if not self._begun:
            options["dataset_options"] = {"VERSION": "1.2"}
        try:
            self._pyogrio.raw.write(
                self._path,
                geometry=wkb,
                field_data=[values for values, _ in columns],
                field_mask=[missing for _, missing in columns],
                fields=list(fields),
                layer=layer,
                driver="GPKG",
                geometry_type="MultiPolygon" if spatial else None,
                crs=self._grid.crs_wkt if spatial else None,
                append=bool(self._begun),
                gdal_tz_offsets={name: np.full(len(rows), 100) for name in fields if name in _TIMES},
                **options,
            )
        except (self._pyogrio.errors.DataSourceError, self._pyogrio.errors.DataLayerError) as err:
            raise OutputError(f"{final_path(self._path)} cannot be written: {err}") from err
        self._begun.add(layer)


def _column(name: str, values: Sequence[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    """A column of a layer, and which of its cells are empty."""
    missing = np.array([value is None for value in values], np.bool_)
    if name in _TIMES:
        times = [
            np.datetime64("NaT", "ms") if v is None else np.datetime64(v.replace(tzinfo=None), "ms") for v in values
        ]
        return np.array(times, "datetime64[ms]"), None
    if name in _TEXTS:
        return np.array(values, object), None
    dtype = np.int64 if name in _INTEGERS else np.float64
    return np.array([0 if value is None else value for value in values], dtype), missing


def _add_style(path: Path) -> None:
    """The style that QGIS loads with the layer, in the table that it keeps styles in."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(
            "CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), "
            "f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), "
            "styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30), "
            "update_time DATETIME DEFAULT CURRENT_TIMESTAMP)"
        )
        file.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, "
            "styleQML, styleSLD, useAsDefault, description, owner, ui) VALUES ('', '', 'objects', 'geom', 'objects', "
            "?, '', 1, ?, '', '')",
            (STYLE, COMMENT),
        )
        file.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', ?, 0)",
            (COMMENT,),
        )


def write_geojson(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    valid: Valid,
    footprints: Footprints,
    overwrite: bool = False,
) -> None:
    """Write GeoJSON (RFC 7946): the objects of `write_gpkg` in longitude and latitude of WGS84.

    Edges are densified before they are projected; what crosses the antimeridian is split there.

    Raises:
        InputError: the video lies on no map, or has no dates.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    grid = check_grid(video)
    rows = map_rows(video, frames, valid, footprints, labels)
    check_free(path, overwrite=overwrite)
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8") as file:
        file.write(f'{{"type": "FeatureCollection", "description": "{COMMENT}", "features": [')
        for i, feature in enumerate(_features(rows, grid)):
            file.write(",\n" if i else "\n")
            file.write(json.dumps(feature, ensure_ascii=False))
        file.write("\n]}\n")


def _features(frames: Iterable[list[MapRow]], grid: MapGrid) -> Iterator[dict[str, Any]]:
    digits = decimals_of(grid)
    for rows in frames:
        for row in visible(rows):
            shape = to_lonlat(grid, polygon_of(row, grid))
            values = dict(zip(FIELDS, cells_of(row), strict=True))
            properties = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}
            geometry = {"type": "MultiPolygon", "coordinates": _rings(shape, digits)}
            yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _rings(shape: Any, digits: int) -> list[Any]:  # noqa: ANN401
    return [
        [np.round(np.asarray(ring.coords), digits).tolist() for ring in (part.exterior, *part.interiors)]
        for part in shape.geoms
    ]


def _pyogrio() -> Any:  # noqa: ANN401
    try:
        import pyogrio
        import pyogrio.raw
    except ModuleNotFoundError as err:
        raise MissingExtraError("GeoPackages need pyogrio: pip install 'maskferry[geo]'") from err
    return pyogrio
