"""PNG pictures that are empty but for a box; writing one takes as long as the box is large, not the picture.

Above and below the box there are nothing but zeros. They are not compressed anew for every picture: stretches of them
are kept compressed, each with a full flush at its end, after which what follows depends on nothing before (RFC 1951),
and put together as they are needed. Of the standard (ISO/IEC 15948) the filter Up is used, which on cut-outs gives
smaller files than what Pillow chooses.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskferry._own_files import SOFTWARE
from maskferry.data import FrameInfo
from maskferry.files import atomic_path
from maskferry.formats._images import INFO_KEY, info_text

__all__ = ["write_boxed"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGBA = 0, 6  # types of colour
_UP = 2  # type of filter: each row as the difference to the row above
_LEVEL = 3  # of compression: from here on, time grows faster than files shrink
_RAW = -15  # window bits of a deflate stream without header
_PIECE = 20  # the longest stretch of zeros that is kept has 2 ** this many
_ADLER_BASE = 65521


def write_boxed(
    path: Path,
    part: NDArray[np.uint8],
    corner_xy: tuple[int, int],
    size_hw: tuple[int, int],
    *,
    info: FrameInfo | None = None,
    overwrite: bool = False,
) -> None:
    """Write a picture of ``size_hw`` that is 0 everywhere but in a box.

    Args:
        path: ends in .png; written atomically.
        part: what is in the box: grey (h, w) or RGBA (h, w, 4), uint8. It must lie inside of the picture.
        corner_xy: where its upper left pixel lies.
        size_hw: of the whole picture, in pixels.
        info: row of the frame table, which the file carries along, see `images.read_frame_info`.
        overwrite: replace a file.

    Raises:
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    height, width = size_hw
    header = struct.pack(">IIBBBBB", width, height, 8, _RGBA if part.ndim == 3 else _GREY, 0, 0, 0)
    text = f"Software\0{SOFTWARE}" if info is None else f"{INFO_KEY}\0{info_text(info)}"
    told = (b"tEXt", text.encode("latin-1"))
    chunks = [(b"IHDR", header), told, (b"IDAT", _compress(part, corner_xy, size_hw)), (b"IEND", b"")]
    with atomic_path(path, overwrite=overwrite) as file:
        file.write_bytes(_SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _compress(part: NDArray[np.uint8], corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> bytes:
    """The pixels as a zlib stream (RFC 1950)."""
    rows = _filtered_rows(part, corner_xy[0], size_hw[1])
    above = corner_xy[1] * rows.shape[1]
    below = (size_hw[0] - corner_xy[1] - len(rows)) * rows.shape[1]
    inside = rows.tobytes()
    encoder = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    deflated = encoder.compress(inside) + encoder.flush(zlib.Z_FULL_FLUSH)
    checksum = _adler_of_zeros(zlib.adler32(inside, _adler_of_zeros(1, above)), below)
    end = b"\x03\x00"  # a last block with nothing in it
    return b"\x78\x01" + _zeros(above) + deflated + _zeros(below) + end + struct.pack(">I", checksum)


def _filtered_rows(part: NDArray[np.uint8], x: int, width: int) -> NDArray[np.uint8]:
    """The rows of the box, each as wide as the picture and led by its type of filter."""
    flat = part.reshape(len(part), -1)
    depth = part.shape[2] if part.ndim == 3 else 1
    rows = np.zeros((len(part), 1 + width * depth), dtype=np.uint8)
    rows[:, 0] = _UP
    inside = rows[:, 1 + x * depth : 1 + x * depth + flat.shape[1]]
    inside[:] = flat
    inside[1:] -= flat[:-1]  # the row above the box is empty, and the one below has no filter
    return rows


def _zeros(count: int) -> bytes:
    """``count`` zeros, deflated, ending at a full byte, and not the last of the stream."""
    pieces, rest = divmod(count, 1 << _PIECE)
    return _power_of_zeros(_PIECE) * pieces + b"".join(_power_of_zeros(i) for i in range(_PIECE) if rest >> i & 1)


@cache
def _power_of_zeros(exponent: int) -> bytes:
    encoder = zlib.compressobj(9, zlib.DEFLATED, _RAW)
    return encoder.compress(bytes(1 << exponent)) + encoder.flush(zlib.Z_FULL_FLUSH)


def _adler_of_zeros(checksum: int, count: int) -> int:
    """Adler-32 after ``count`` more zeros."""
    low, high = checksum & 0xFFFF, checksum >> 16
    return (high + count * low) % _ADLER_BASE << 16 | low
