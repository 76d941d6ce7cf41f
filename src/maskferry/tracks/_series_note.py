"""What a tracks file says of a series of georeferenced pictures: its map grid, its dates and how it was opened."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from maskferry.data import MapGrid, SeriesFile, SeriesRecipe, VideoInfo

__all__ = ["check_series", "series_note", "series_of"]


def series_note(video: VideoInfo) -> str | None:
    """The text that is kept; None where the video is no series."""
    grid, recipe = video.grid, video.recipe
    if recipe is None:
        return None
    known = {
        "grid": None if grid is None else [grid.crs_wkt, *grid.transform],
        "bands": recipe.bands,
        "stretch": recipe.stretch,
        "nodata": None if recipe.nodata is None else repr(recipe.nodata),
        "resampling": recipe.resampling,
        "files": [
            [file.path, file.size, file.mtime_ns, file.date.isoformat() if file.date else None, file.band]
            for file in recipe.files
        ],
    }
    return json.dumps(known)


def series_of(video: VideoInfo, value: Any) -> VideoInfo:  # noqa: ANN401
    """A video with what `series_note` kept of it, as JSON; KeyError, TypeError and ValueError where that is damaged."""
    if value is None:
        return video
    grid, recipe = check_series(value)
    if len(recipe.files) != video.frame_count:
        raise ValueError(f"it names {len(recipe.files)} files for {video.frame_count} frames")
    wkt, *numbers = grid or (None,)
    place = None if wkt is None else MapGrid(wkt, tuple(numbers), video.width, video.height)
    return replace(video, grid=place, recipe=recipe)


def check_series(value: Any) -> tuple[tuple[Any, ...] | None, SeriesRecipe]:  # noqa: ANN401
    """(WKT and six numbers, recipe); KeyError, TypeError and ValueError where it is nothing that a run writes."""
    grid = value["grid"]
    if grid is not None:
        wkt, *numbers = grid
        if not isinstance(wkt, str) or len(numbers) != 6 or not all(map(math.isfinite, numbers)):
            raise ValueError(f"its map grid is {grid!r:.80}")
        grid = (wkt, *map(float, numbers))
    red, green, blue = (_whole(band) for band in value["bands"])
    stretch = value["stretch"]
    if stretch is not None:
        stretch = tuple((float(low), float(high)) for low, high in stretch)
        if len(stretch) != 3 or not all(low < high for low, high in stretch):
            raise ValueError(f"its stretch is {stretch!r:.80}")
    nodata = None if value["nodata"] is None else float(value["nodata"])
    if not isinstance(value["resampling"], str):
        raise ValueError("its resampling is no text")
    files = tuple(_file(*row) for row in value["files"])
    return grid, SeriesRecipe(files, (red, green, blue), stretch, nodata, value["resampling"])


def _file(path: Any, size: Any, mtime_ns: Any, date: Any, band: Any) -> SeriesFile:  # noqa: ANN401
    if not isinstance(path, str) or type(size) is not int or type(mtime_ns) is not int:
        raise ValueError(f"one of its files is {path!r:.80}")
    when = None if date is None else datetime.fromisoformat(date)
    if when is not None and when.tzinfo != UTC:
        raise ValueError(f"the date {date!r} is not in UTC")
    return SeriesFile(path, size, mtime_ns, when, None if band is None else _whole(band))


def _whole(value: Any) -> int:  # noqa: ANN401
    if type(value) is not int or value < 1:
        raise ValueError(f"expected the number of a band, got {value!r:.40}")
    return value
