"""Whether what is given is a series of georeferenced pictures, told without rasterio."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskferry._maps.projections import is_installed, rasterio
from maskferry.errors import MaskferryWarning
from maskferry.sources._tiff import is_geotiff, read_pages

__all__ = ["is_series"]

_SUFFIXES = (".tif", ".tiff")
_SAMPLES = 277
"""The tag SamplesPerPixel."""


def is_series(source: Any) -> bool:  # noqa: ANN401
    """Whether `open_series` is to open it: a georeferenced TIFF, a folder, pattern or list of them, or {date: path}.

    Raises:
        MissingExtraError: rasterio is not installed, and the pictures are more than RGB of 8 bits.

    Warns:
        MaskferryWarning: rasterio is not installed: they are opened as plain pictures, without their place.
    """
    if isinstance(source, Mapping):
        return bool(source) and all(isinstance(path, str | os.PathLike) for path in source.values())
    path = _first_tiff(source)
    if path is None or not is_geotiff(path):
        return False
    if is_installed():
        return True
    if not _is_plain(path):
        rasterio()
    message = f"{path} lies on a map, of which nothing is kept without rasterio: pip install 'maskferry[geo]'"
    warnings.warn(MaskferryWarning(message), stacklevel=4)
    return False


def _first_tiff(source: Any) -> Path | None:  # noqa: ANN401
    if isinstance(source, list | tuple):
        return Path(source[0]) if source and all(_is_tiff_path(item) for item in source) else None
    if not isinstance(source, str | os.PathLike) or "://" in str(source):
        return None
    try:
        path = Path(source).expanduser()
        if path.is_dir():
            return next((p for p in sorted(path.iterdir()) if _is_tiff_path(p) and not p.name.startswith(".")), None)
        if path.is_file():
            return path if _is_tiff_path(path) else None
        if any(char in path.name for char in "*?["):
            return next((p for p in sorted(path.parent.glob(path.name)) if _is_tiff_path(p)), None)
    except (OSError, ValueError, RuntimeError):  # whoever opens it says why
        return None
    return None


def _is_tiff_path(item: Any) -> bool:  # noqa: ANN401
    return isinstance(item, str | os.PathLike) and str(item).lower().endswith(_SUFFIXES)


def _is_plain(path: Path) -> bool:
    pages, _ = read_pages(path, most=1)
    return bool(pages) and not pages[0].is_deep and pages[0].tags.get(_SAMPLES, 1) == 3
