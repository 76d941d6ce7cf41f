"""Label maps on the map: a cloud-optimised GeoTIFF for each date, 0 is background, n is object n."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._maps.projections import rasterio
from maskferry._own_files import SOFTWARE
from maskferry._palettes import color_of
from maskferry._staging import final_path
from maskferry.data import FrameInfo, FrameTracks, MapGrid, VideoInfo
from maskferry.errors import OutputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._content import checked
from maskferry.formats._images import check_stem, info_text, picture_stem
from maskferry.formats._map_rows import Valid, check_grid, cut
from maskferry.masks import to_label_map

__all__ = ["write_maps"]

log = logging.getLogger(__name__)

_VOID = 255
"""An id that 8-bit label maps keep free, as DAVIS does."""


def write_maps(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    folder: Path,
    *,
    object_ids: Sequence[int],
    valid: Valid,
    overwrite: bool = False,
) -> list[Path]:
    """Write ``<name of the file>_mask.tif`` for every date, all of one type: 8, 16 or 32 bits, as the ids need it.

    Of objects that overlap the smallest is on top, which is counted and logged. The tags hold the date and the row of
    the frame table; in 8 bits there is a table of colours.

    Returns:
        The files, in order.

    Raises:
        InputError: the video lies on no map.
        OutputExistsError: the folder holds files, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    grid = check_grid(video)
    check_free(folder, overwrite=overwrite)
    largest = max(object_ids, default=0)
    dtype = np.uint8 if largest < _VOID else np.uint16 if largest <= 65_535 else np.uint32
    written: dict[Path, None] = {}
    shared = 0
    for tracks in checked(video, frames):
        masks = cut(tracks.masks, valid(tracks.info.index))
        labels = to_label_map(masks, dtype=dtype)
        shared += sum(row.rle.area for row in masks) - int(np.count_nonzero(labels))
        path = folder / f"{check_stem(picture_stem(tracks.info.name), tracks.info)}_mask.tif"
        if path in written:
            path = path.with_name(f"{path.stem}_{tracks.info.index:05d}.tif")
        with atomic_path(path, overwrite=overwrite) as part:
            _write_cog(part, labels, grid, tracks.info, object_ids)
        written[path] = None
    if shared:
        where = final_path(folder)
        log.warning("%s: objects overlap on %d pixels; a label map keeps the smallest of them", where, shared)
    return list(written)


def _write_cog(
    path: Path,
    labels: NDArray[np.unsignedinteger[Any]],
    grid: MapGrid,
    info: FrameInfo,
    object_ids: Sequence[int],
) -> None:
    rio = rasterio()
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy

    profile = {
        "driver": "GTiff",
        "dtype": labels.dtype,
        "count": 1,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs_wkt,
        "transform": rio.Affine(*grid.transform),
        "nodata": 0,
    }
    tags = {"TIFFTAG_IMAGEDESCRIPTION": info_text(info), "TIFFTAG_SOFTWARE": SOFTWARE}
    if info.date is not None:
        tags["TIFFTAG_DATETIME"] = f"{info.date:%Y:%m:%d %H:%M:%S}"
    try:
        with MemoryFile() as memory:
            with memory.open(**profile) as file:
                file.write(labels, 1)
                file.update_tags(**tags)
                if labels.dtype == np.uint8:
                    file.write_colormap(1, {0: (0, 0, 0, 0)} | {i: (*color_of(i), 255) for i in object_ids})
            with memory.open() as file:
                copy(file, path, driver="COG", COMPRESS="DEFLATE", OVERVIEW_RESAMPLING="NEAREST", BIGTIFF="IF_NEEDED")
    except RasterioError as err:
        raise OutputError(f"{final_path(path)} cannot be written: {err}") from err
