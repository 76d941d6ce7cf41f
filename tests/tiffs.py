"""TIFF files of any samples and any number of pages, uncompressed, as TIFF 6.0 and BigTIFF have them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

_KINDS = {"u": 1, "i": 2, "f": 3}


def tiff_bytes(
    pages: Sequence[NDArray[Any]],
    order: str = "<",
    *,
    big: bool = False,
    tags: Mapping[int, Mapping[int, int]] | None = None,
    text: str = "",
) -> bytes:
    """A file of these pages, grey (H, W) or RGB (H, W, 3).

    Args:
        pages: of any type of samples.
        order: of bytes.
        big: a BigTIFF.
        tags: {page: {tag: value}}, more of them.
        text: the description of the first page.
    """
    word = "Q" if big else "I"
    head = struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else struct.pack(f"{order}HI", 42, 0)
    out = bytearray((b"II" if order == "<" else b"MM") + head)
    link = 8 if big else 4
    for number, samples in enumerate(pages):
        data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
        channels = samples.shape[2] if samples.ndim == 3 else 1
        place = len(out)
        out += data + bytes(-len(data) % 8)
        entries = [(256, samples.shape[1]), (257, samples.shape[0]), (259, 1), (262, 2 if channels > 1 else 1)]
        entries += [(273, place), (277, channels), (278, samples.shape[0]), (279, len(data))]
        entries += list((tags or {}).get(number, {}).items())
        fields = [
            (tag, struct.pack(f"{order}HH{word}{word}", tag, 16 if big else 4, 1, value)) for tag, value in entries
        ]
        for tag, value in ((258, samples.itemsize * 8), (339, _KINDS[samples.dtype.kind])):
            values = struct.pack(f"{order}{channels}H", *[value] * channels)
            fields.append((tag, _field(out, order, word, (tag, 3, channels), values)))
        if text and not number:
            written = text.encode() + b"\0"
            fields.append((270, _field(out, order, word, (270, 2, len(written)), written)))
        struct.pack_into(f"{order}{word}", out, link, len(out))
        out += struct.pack(f"{order}{'Q' if big else 'H'}", len(fields)) + b"".join(f for _, f in sorted(fields))
        link = len(out)
        out += struct.pack(f"{order}{word}", 0)
    return bytes(out)


def _field(out: bytearray, order: str, word: str, head: tuple[int, int, int], values: bytes) -> bytes:
    """An entry of a directory; values that are too long for it are put behind the others."""
    size = struct.calcsize(f"{order}{word}")
    if len(values) > size:
        place = len(out)
        out += values + bytes(-len(values) % 8)
        values = struct.pack(f"{order}{word}", place)
    return struct.pack(f"{order}HH{word}", *head) + values.ljust(size, b"\0")
