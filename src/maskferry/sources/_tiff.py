"""What the tags of a TIFF file say, without decoding it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_geotiff"]

_GEO_TAGS = {33550, 34264, 34735}
"""ModelPixelScale, ModelTransformation, GeoKeyDirectory (OGC GeoTIFF 1.1, annex B)."""

_CLASSIC, _BIG = 42, 43
"""The second field of a TIFF and of a BigTIFF, which holds more than 4 GB (TIFF 6.0, section 2; BigTIFF)."""


def is_geotiff(path: Path) -> bool:
    """Whether a file is a TIFF whose first picture carries a georeference; false where it cannot be read."""
    try:
        with path.open("rb") as file:
            return bool(_GEO_TAGS & _read_tags(file))
    except (OSError, struct.error):
        return False


def _read_tags(file: BinaryIO) -> set[int]:
    """Tags of the first directory; empty where the file is no TIFF.

    Raises:
        struct.error: the file ends before the directory does.
    """
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        return set()
    (version,) = _read(file, f"{order}H")
    if version == _CLASSIC:
        (start,) = _read(file, f"{order}I")
        count_format, entry_size = f"{order}H", 12
    elif version == _BIG:
        _, _, start = _read(file, f"{order}HHQ")
        count_format, entry_size = f"{order}Q", 20
    else:
        return set()
    file.seek(start)
    (count,) = _read(file, count_format)
    entries = file.read(entry_size * min(count, 2**16))
    whole = len(entries) // entry_size * entry_size
    return {struct.unpack_from(f"{order}H", entries, at)[0] for at in range(0, whole, entry_size)}


def _read(file: BinaryIO, code: str) -> tuple[int, ...]:
    return struct.unpack(code, file.read(struct.calcsize(code)))
