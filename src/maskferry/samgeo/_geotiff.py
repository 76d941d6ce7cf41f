"""Georeferenced pictures, which samgeo reads and this face does not yet: recognised, and refused in clear words."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

from PIL import TiffImagePlugin

from maskferry.errors import InputError

__all__ = ["refuse_crs", "refuse_geotiff"]

GEO_TAGS = (33550, 34264, 34735)  # ModelPixelScale, ModelTransformation, GeoKeyDirectory (OGC GeoTIFF 1.1)


def refuse_crs(**given: str | None) -> None:
    for name, crs in given.items():
        if crs is not None:
            raise InputError(
                f"{name}: expected None, got {crs!r}: series of GeoTIFFs, which coordinates of maps belong to, cannot "
                "be read yet; pass pixels"
            )


def refuse_geotiff(path: Path) -> None:
    """Series of GeoTIFFs are more than pictures: bands, no-data, a stretch for the whole series."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    first = next((p for p in files if p.suffix.lower() in (".tif", ".tiff") and p.is_file()), None)
    if first is not None and _is_geotiff(first):
        raise InputError(
            f"{path}: a series of GeoTIFFs cannot be read yet ({first.name} is one): choose three bands, bring all "
            "files to 8 bit by one common stretch, and save them as a folder of plain PNG or TIFF pictures"
        )


def _is_geotiff(path: Path) -> bool:
    """Whether the first directory of a TIFF file carries a georeference; Pillow refuses most of their pixels."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = file.read(8)
            if 43 in header[2:4]:  # BigTIFF
                header += file.read(8)
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
    except (OSError, SyntaxError, ValueError, struct.error):
        return False  # whoever opens it says what is wrong with it
    return any(tag in tags for tag in GEO_TAGS)
