"""Georeferenced pictures, which samgeo reads and this face does not yet: recognised, and refused in clear words."""

from __future__ import annotations

from pathlib import Path

from maskferry.errors import InputError
from maskferry.sources import is_geotiff

__all__ = ["refuse_crs", "refuse_geotiff"]


def refuse_crs(**given: str | None) -> None:
    """Refuse coordinates of maps.

    Args:
        given: {argument: the coordinate reference system}; None where it was not given.

    Raises:
        InputError: one was given.
    """
    for name, crs in given.items():
        if crs is not None:
            raise InputError(
                f"{name}: expected None, got {crs!r}: series of GeoTIFFs, which coordinates of maps belong to, cannot "
                "be read yet; pass pixels"
            )


def refuse_geotiff(path: Path) -> None:
    """Refuse georeferenced pictures: a series of them is more than pictures (bands, no-data, one stretch for all).

    Args:
        path: a file or a folder; of a folder the first TIFF file decides.

    Raises:
        InputError: it holds a GeoTIFF.
    """
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        first = next((p for p in files if p.suffix.lower() in (".tif", ".tiff") and p.is_file()), None)
    except OSError:  # whoever opens it says why
        return
    if first is not None and is_geotiff(first):
        raise InputError(
            f"{path}: a series of GeoTIFFs cannot be read yet ({first.name} is one): choose three bands, bring all "
            "files to 8 bit by one common stretch, and save them as a folder of plain PNG or TIFF pictures"
        )
