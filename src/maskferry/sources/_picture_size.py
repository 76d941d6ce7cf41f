"""The size and depth of a picture by its header, of the kinds that Pillow may not read as they are and OpenCV does."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

from maskferry.sources._tiff import read_pages

__all__ = ["jpeg2000_depth", "size_in_header"]

_HEAD = 2**16
"""Bytes in which the size must stand."""

Size = tuple[int, int] | None
"""(width, height) in pixels."""


def size_in_header(path: Path) -> Size:
    """(width, height) in pixels as the file says it, without decoding; None where it is of no kind known here."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    for magic, read in _READERS:
        if head.startswith(magic):
            try:
                return read(head)
            except (struct.error, ValueError, IndexError):
                return None
    return _tiff(path) if head[:2] in (b"II", b"MM") else None


def jpeg2000_depth(path: Path) -> int:
    """Bits a sample of a JPEG 2000 file (ISO 15444-1, I.5.3.1: the box ihdr); 8 where it does not say."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    at = head.find(b"ihdr")
    depth = head[at + 14] if 0 <= at < len(head) - 14 else 7
    return 8 if depth == 255 else (depth & 127) + 1


def _jpeg2000(head: bytes) -> Size:
    height, width = struct.unpack_from(">II", head, head.index(b"ihdr") + 4)
    return width, height


def _tiff(path: Path) -> Size:
    pages, _ = read_pages(path, most=1)
    return pages[0].size_wh if pages and all(pages[0].size_wh) else None


def _png(head: bytes) -> Size:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _bmp(head: bytes) -> Size:
    width, height = struct.unpack_from("<ii", head, 18)
    return abs(width), abs(height)


def _sun(head: bytes) -> Size:
    width, height = struct.unpack_from(">II", head, 4)
    return width, height


def _hdr(head: bytes) -> Size:
    """Radiance: "-Y 480 +X 640" behind an empty line, with the axes in either order."""
    found = re.search(rb"\n([-+])([XY]) (\d{1,9}) [-+]([XY]) (\d{1,9})\s", head)
    if found is None:
        return None
    sides = {found[2]: int(found[3]), found[4]: int(found[5])}
    return sides[b"X"], sides[b"Y"]


def _exr(head: bytes) -> Size:
    """OpenEXR: the attribute dataWindow, a box of whole numbers, both ends included."""
    at = head.index(b"dataWindow\0box2i\0") + 17
    left, top, right, bottom = struct.unpack_from("<4i", head, at + 4)
    return right - left + 1, bottom - top + 1


def _pnm(head: bytes) -> Size:
    words = re.sub(rb"#[^\n]*", b"", head[:1024]).split()
    return int(words[1]), int(words[2])


def _pam(head: bytes) -> Size:
    found = dict(re.findall(rb"\n(WIDTH|HEIGHT) (\d{1,9})", head[:1024]))
    return int(found.get(b"WIDTH", 0)), int(found.get(b"HEIGHT", 0))


_READERS: tuple[tuple[bytes, Callable[[bytes], Size]], ...] = (
    (b"\x89PNG", _png),
    (b"\0\0\0\x0cjP  ", _jpeg2000),
    (b"BM", _bmp),
    (b"\x59\xa6\x6a\x95", _sun),
    (b"#?", _hdr),
    (b"\x76\x2f\x31\x01", _exr),
    *((b"P%d" % kind, _pnm) for kind in range(1, 7)),
    (b"PF", _pnm),
    (b"Pf", _pnm),
    (b"P7", _pam),
)
