"""Objects of a series as GeoParquet 1.1: WKB polygons in the grid's CRS, its definition as PROJJSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskferry._maps.projections import as_crs
from maskferry.data import FrameTracks, MapGrid, VideoInfo
from maskferry.files import COMMENT, atomic_path, check_free
from maskferry.formats._map_rows import Footprints, Valid, check_grid, map_rows
from maskferry.formats._parquet import load_pyarrow
from maskferry.formats._vectors import FIELDS, cells_of, polygon_of, visible

__all__ = ["write"]


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    valid: Valid,
    footprints: Footprints,
    overwrite: bool = False,
) -> None:
    """Write the objects of `_vectors.write_gpkg`, a group of rows for each date.

    Raises:
        MissingExtraError: pyarrow is not installed.
        InputError: the video lies on no map, or has no dates.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    import shapely

    pa, pq = load_pyarrow()
    grid = check_grid(video)
    rows = map_rows(video, frames, valid, footprints, labels)
    check_free(path, overwrite=overwrite)
    schema = _schema(pa)
    box: tuple[float, ...] | None = None
    with atomic_path(path, overwrite=overwrite) as part, pq.ParquetWriter(part, schema) as writer:
        for found in rows:
            shown = visible(found)
            shapes = [polygon_of(row, grid) for row in shown]
            columns = {name: [cells_of(row)[i] for row in shown] for i, name in enumerate(FIELDS)}
            columns["geometry"] = list(shapely.to_wkb(shapes))
            if shown:
                writer.write_table(pa.Table.from_pydict(columns, schema=schema))
                box = _around(box, tuple(map(float, shapely.total_bounds(shapes))))
        writer.add_key_value_metadata({b"geo": _metadata(grid, box), b"maskferry": COMMENT.encode()})


def _around(box: tuple[float, ...] | None, other: tuple[float, ...]) -> tuple[float, ...]:
    if box is None:
        return other
    return (*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:]))


def _schema(pa: Any) -> Any:  # noqa: ANN401
    time = pa.timestamp("ms", tz="UTC")
    kinds = {
        **dict.fromkeys(("object_id", "frame", "area_px"), pa.int64()),
        **dict.fromkeys(("score", "area_m2", "observed"), pa.float64()),
        **dict.fromkeys(("begin", "end"), time),
    }
    return pa.schema([*((name, kinds.get(name, pa.string())) for name in FIELDS), ("geometry", pa.binary())])


def _metadata(grid: MapGrid, box: tuple[float, ...] | None) -> bytes:
    column = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"],
        "crs": as_crs(grid.crs_wkt, "crs").to_dict(projjson=True),
        "edges": "planar",
        "orientation": "counterclockwise",
    }
    if box is not None:
        column["bbox"] = list(box)
    return json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}).encode()
