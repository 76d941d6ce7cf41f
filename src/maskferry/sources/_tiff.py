"""What the tags of a TIFF file say, without decoding it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["first_directory", "is_geotiff"]

_GEO_TAGS = {33550, 34264, 34735}
"""ModelPixelScale, ModelTransformation, GeoKeyDirectory (OGC GeoTIFF 1.1, annex B)."""

_SHORT = 3
"""The type of a whole number of 16 bits; those of 32 are read otherwise."""

_CLASSIC, _BIG = 42, 43
"""The second field of a TIFF and of a BigTIFF, which holds more than 4 GB (TIFF 6.0, section 2; BigTIFF)."""


def is_geotiff(path: Path) -> bool:
    """Whether a file is a TIFF whose first picture carries a georeference; false where it cannot be read."""
    return bool(_GEO_TAGS & first_directory(path).keys())


def first_directory(path: Path) -> dict[int, int]:
    """{tag: value} of a TIFF's first picture, of tags with one whole number; of others the value means nothing.

    Empty where the file is no TIFF or cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _read_tags(file)
    except (OSError, ValueError, OverflowError, struct.error):
        return {}


def _read_tags(file: BinaryIO) -> dict[int, int]:
    """The first directory; empty where the file is no TIFF.

    Raises:
        struct.error: the file ends before the directory does.
    """
    order = {b"II": "<", b"MM": ">"}.get(file.read(2))
    if order is None:
        return {}
    (version,) = _read(file, f"{order}H")
    if version == _CLASSIC:
        (start,) = _read(file, f"{order}I")
        count_format, entry_size, place = f"{order}H", 12, 8
    elif version == _BIG:
        _, _, start = _read(file, f"{order}HHQ")
        count_format, entry_size, place = f"{order}Q", 20, 12
    else:
        return {}
    file.seek(start)
    (count,) = _read(file, count_format)
    entries = file.read(entry_size * min(count, 2**16))
    found = {}
    for at in range(0, len(entries) // entry_size * entry_size, entry_size):
        tag, kind = struct.unpack_from(f"{order}HH", entries, at)
        (value,) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", entries, at + place)
        found[tag] = value
    return found


def _read(file: BinaryIO, code: str) -> tuple[int, ...]:
    return struct.unpack(code, file.read(struct.calcsize(code)))
