"""Which files are a series, in which order, with which dates, and which of their bands are shown."""

from __future__ import annotations

import glob
import itertools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from maskferry.data import SeriesFile
from maskferry.errors import InputError, SourceError
from maskferry.images import natural_key
from maskferry.sources._dates import DatesOption, dates_of, parse_date
from maskferry.sources._raster_file import RasterHeader, read_header

__all__ = ["Bands", "Listed", "choose_bands", "list_series", "raster_files"]

log = logging.getLogger(__name__)

Bands = Sequence[int | str]
"""Numbers from 1, or descriptions of bands: three, or one for grey."""

SUFFIXES = (".tif", ".tiff")

_Frame = tuple[Path, int | None, datetime | None]
"""Its file, its band where the file has a band for each date, and its date."""


class Listed(NamedTuple):
    """The frames of a series in order, and what each of their files says."""

    files: tuple[SeriesFile, ...]
    headers: dict[str, RasterHeader]


def raster_files(what: Any) -> list[Path]:  # noqa: ANN401
    """The files that are meant by a folder, a glob, one file or a list of them, in natural order.

    Of a folder only .tif and .tiff files count, in any case; what lies beside them, and hidden files, are left out.

    Raises:
        InputError: it is none of these.
        SourceError: there are none, or one of them is not there.
    """
    if isinstance(what, Sequence) and not isinstance(what, str | bytes):
        paths = [Path(item) for item in what if isinstance(item, str | Path)]
        if len(paths) != len(what) or not paths:
            raise InputError("series: expected a list of paths of GeoTIFFs")
    elif isinstance(what, str | Path):
        paths = _named(Path(what).expanduser())
    else:
        raise InputError(f"series: expected a folder, a pattern, paths or {{date: path}}, got {type(what).__name__}")
    for path in paths:
        if not path.is_file():
            raise SourceError(f"{path} does not exist: check the path (the working folder is {Path.cwd()})")
    return paths


def _named(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [p for p in path.iterdir() if not p.name.startswith(".") and p.suffix.lower() in SUFFIXES]
        paths = [p for p in found if p.is_file()]
    else:
        paths = [Path(name) for name in glob.glob(str(path)) if os.path.isfile(name)]  # noqa: PTH207, PTH113
        paths = [p for p in paths if not p.name.startswith(".") and p.suffix.lower() in SUFFIXES]
    if not paths:
        raise SourceError(f"{path}: there is no .tif or .tiff file: expected a folder, a pattern or paths of GeoTIFFs")
    return sorted(paths, key=natural_key)


def list_series(what: Any, dates: DatesOption | None) -> Listed:  # noqa: ANN401
    """The frames that are meant, by date, or in natural order where there are no dates.

    Raises:
        InputError: two frames have one date, only some have one, or the caller's dates do not fit.
        SourceError: a file is not there, or cannot be read.
    """
    if isinstance(what, Mapping):
        if dates is not None:
            raise InputError("dates: the series is given as {date: file}, which names the dates; leave dates out")
        pairs = [(parse_date(key, "series"), Path(value)) for key, value in what.items()]
        what, dates = [path for _, path in pairs], [date.isoformat() for date, _ in pairs]
    paths = raster_files(what)
    headers = {str(path): read_header(path) for path in paths}
    stack = headers[str(paths[0])] if len(paths) == 1 else None
    if stack is not None and (found := _dates_of_bands(stack, dates)):
        frames: list[_Frame] = [(paths[0], band, date) for band, date in enumerate(found, 1)]
    else:
        known = dates_of(paths, dates, _tags(headers))
        frames = [(path, None, None if known is None else known[i]) for i, path in enumerate(paths)]
    if frames[0][2] is not None:
        frames.sort(key=lambda frame: frame[2] or datetime.min)
        _check_each_once(frames)
    return Listed(tuple(_file(path, date, band) for path, band, date in frames), headers)


def _tags(headers: Mapping[str, RasterHeader]) -> dict[str, Callable[[Path], str | None]]:
    return {
        "acquisition": lambda path: headers[str(path)].acquired,
        "written": lambda path: headers[str(path)].written,
    }


def _dates_of_bands(header: RasterHeader, dates: DatesOption | None) -> list[datetime] | None:
    """The dates of a file whose bands are the frames: the caller says one for each, or every description is one."""
    count = len(header.names)
    if count < 2:
        return None
    if dates is not None and not isinstance(dates, str | Path):
        if len(dates) != count:
            return None
        return [parse_date(value, f"dates[{i}]") for i, value in enumerate(dates)]
    try:
        return [parse_date(name, "band") for name in header.names]
    except InputError:
        return None


def _check_each_once(frames: Sequence[_Frame]) -> None:
    for (path, _, date), (other, _, following) in itertools.pairwise(frames):
        if date == following:
            raise InputError(
                f"dates: {path.name} and {other.name} have one date, {date:%Y-%m-%d %H:%M:%S}: leave one out, merge "
                "them, or say other dates"
            )


def _file(path: Path, date: datetime | None, band: int | None) -> SeriesFile:
    found = path.stat()
    return SeriesFile(os.path.abspath(path), found.st_size, found.st_mtime_ns, date, band)  # noqa: PTH100


def choose_bands(headers: Sequence[RasterHeader], bands: Bands | None) -> tuple[int, int, int]:
    """The bands for red, green and blue.

    Args:
        headers: of all files.
        bands: what the caller says; None for those that the files call so, else 1, 2, 3; one band is grey, of two the
            first is red and blue.

    Raises:
        InputError: a file has no such band.
        SourceError: a band holds complex numbers.
    """
    first = headers[0]
    if bands is None:
        found = _by_color(first)
        if first.colors[found[0] - 1] == "palette":
            raise InputError(
                f"bands: band {found[0]} of {first.path.name} holds indices of a palette, no brightness: make colours "
                "of them (gdal_translate -expand rgb), or say the band if its values are what you want"
            )
    else:
        found = [_number(band, first) for band in ([bands] if isinstance(bands, str | int) else bands)]
        if len(found) not in (1, 3):
            raise InputError(f"bands: expected three bands for red, green and blue, or one for grey, got {list(bands)}")
    red, green, blue = found * 3 if len(found) == 1 else found
    for header in headers:
        count = len(header.dtypes)
        for band in (red, green, blue):
            if not 1 <= band <= count:
                raise InputError(f"bands: {header.path.name} has bands 1 to {count}, got {band}")
            if _kind(header.dtypes[band - 1]) not in "uif":
                raise SourceError(f"{header.path}: band {band} holds {header.dtypes[band - 1]}, no picture")
    return red, green, blue


def _kind(dtype: str) -> str:
    """u, i, f or c: what numpy calls a kind of number."""
    return {"u": "u", "i": "i", "f": "f"}.get(dtype[0], "c")


def _by_color(header: RasterHeader) -> list[int]:
    colors = header.colors
    if all(color in colors for color in ("red", "green", "blue")):
        return [colors.index(color) + 1 for color in ("red", "green", "blue")]
    shown = [i for i, color in enumerate(colors, 1) if color != "alpha"]
    if len(shown) == 2:
        return [shown[0], shown[1], shown[0]]
    return shown[:1] if len(shown) < 3 else shown[:3]


def _number(band: int | str, header: RasterHeader) -> int:
    if isinstance(band, str) and not band.strip().isdecimal():
        if band not in header.names:
            known = ", ".join(name for name in header.names if name) or "none"
            raise InputError(f"bands: {header.path.name} has no band called {band!r:.60}; it names {known:.200}")
        return header.names.index(band) + 1
    try:
        return int(band)
    except (TypeError, ValueError) as err:
        raise InputError(f"bands: expected a number from 1 or a name, got {band!r:.60}") from err
