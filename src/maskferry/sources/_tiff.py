"""What the tags of a TIFF file say, without decoding it: its pages, and whether it is georeferenced."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

__all__ = ["TiffPage", "description", "is_geotiff", "read_pages", "with_first_page"]

_GEO_TAGS = {33550, 34264, 34735}
"""ModelPixelScale, ModelTransformation, GeoKeyDirectory (OGC GeoTIFF 1.1, annex B)."""

_SUBFILE, _OLD_SUBFILE, _WIDTH, _HEIGHT, _BITS = 254, 255, 256, 257, 258
_DESCRIPTION, _ORIENTATION, _SAMPLE_FORMAT = 270, 274, 339

_TURN_SIDES = (5, 6, 7, 8)
"""Orientations that exchange width and height."""

_REDUCED_OR_MASK = 0b101
"""Bits of the tag NewSubfileType: another resolution of a picture, and its mask."""

_OLD_REDUCED = 2
"""The same in the old tag SubfileType."""

_SIGNED, _FLOAT = 2, 3

_TYPES = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""{type of a tag: its code}, of whole numbers."""

_CLASSIC, _BIG = 42, 43
"""The second field of a TIFF and of a BigTIFF, which holds more than 4 GB (TIFF 6.0, section 2; BigTIFF)."""

_LONGEST_TEXT = 2**24


@dataclass(frozen=True, slots=True)
class TiffPage:
    """A page of a TIFF file.

    Attributes:
        number: its place in the file, from 0.
        offset: where its directory is.
        tags: {tag: its first value}; of tags that are no whole numbers, where they are.
        for_pillow: whether Pillow reads such a file; a big-endian BigTIFF it takes for a classic one.
    """

    number: int
    offset: int
    tags: Mapping[int, int]
    for_pillow: bool = True

    @property
    def is_frame(self) -> bool:
        """Whether it is a picture of its own: no smaller copy of another one, and no mask."""
        return not self.tags.get(_SUBFILE, 0) & _REDUCED_OR_MASK and self.tags.get(_OLD_SUBFILE) != _OLD_REDUCED

    @property
    def size_wh(self) -> tuple[int, int]:
        """(width, height) as stored; 0 where it does not say."""
        return self.tags.get(_WIDTH, 0), self.tags.get(_HEIGHT, 0)

    @property
    def upright_hw(self) -> tuple[int, int]:
        """(height, width) after its orientation is applied."""
        width, height = self.size_wh
        return (width, height) if self.tags.get(_ORIENTATION) in _TURN_SIDES else (height, width)

    @property
    def is_deep(self) -> bool:
        """Whether samples are other than whole numbers from 0 to 255."""
        return self.tags.get(_BITS, 1) > 8 or self.tags.get(_SAMPLE_FORMAT, 1) in (_SIGNED, _FLOAT)


def is_geotiff(path: Path) -> bool:
    """Whether a file is a TIFF whose first picture carries a georeference; false where it cannot be read."""
    pages, _ = read_pages(path, most=1)
    return bool(pages and _GEO_TAGS & pages[0].tags.keys())


def read_pages(path: Path, *, most: int = 2**31) -> tuple[list[TiffPage], bool]:
    """The pages of a TIFF file in their order, and whether there must be more, which cannot be read.

    Args:
        path: the file; of one that is no TIFF, or cannot be opened, there are no pages.
        most: no more are read.
    """
    pages: list[TiffPage] = []
    try:
        with path.open("rb") as file:
            layout = _Layout.of(file)
            if layout is None:
                return [], False
            seen: set[int] = set()
            offset, end = layout.first(file), os.fstat(file.fileno()).st_size
            while offset and len(pages) < most:
                if offset in seen or offset >= end:
                    return pages, True
                seen.add(offset)
                tags, following = layout.directory(file, offset)
                pages.append(TiffPage(len(pages), offset, tags, layout != _Layout(">", big=True)))
                offset = following
    except (OSError, ValueError, OverflowError, struct.error):
        return pages, True
    return pages, False


def description(path: Path, page: TiffPage) -> str:
    """The text of the tag ImageDescription; empty where there is none."""
    if _DESCRIPTION not in page.tags:
        return ""
    try:
        with path.open("rb") as file:
            layout = _Layout.of(file)
            return "" if layout is None else layout.text(file, page.offset, _DESCRIPTION)
    except (OSError, ValueError, OverflowError, struct.error):
        return ""


def with_first_page(head: bytearray | memoryview, page: TiffPage) -> None:
    """Change the beginning of a TIFF file, in memory, so that it starts with this page."""
    order = "<" if bytes(head[:2]) == b"II" else ">"
    (version,) = struct.unpack_from(f"{order}H", head, 2)
    struct.pack_into(f"{order}{'Q' if version == _BIG else 'I'}", head, 8 if version == _BIG else 4, page.offset)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How numbers are written in a file.

    Attributes:
        order: of bytes, for `struct`.
        big: whether it is a BigTIFF.
    """

    order: str
    big: bool

    @classmethod
    def of(cls, file: BinaryIO) -> _Layout | None:
        """Of an open file; None where it is no TIFF."""
        head = file.read(4)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 4:
            return None
        (version,) = struct.unpack_from(f"{order}H", head, 2)
        return cls(order, version == _BIG) if version in (_CLASSIC, _BIG) else None

    def first(self, file: BinaryIO) -> int:
        """Where the first directory is."""
        file.seek(8 if self.big else 4)
        return self._number(file)

    def _number(self, file: BinaryIO) -> int:
        code = f"{self.order}{'Q' if self.big else 'I'}"
        (value,) = struct.unpack(code, file.read(struct.calcsize(code)))
        return int(value)

    def _entries(self, file: BinaryIO, offset: int) -> list[tuple[int, int, int, bytes]]:
        """(tag, type, count, the field of its value) of each entry; the file is left behind the last."""
        file.seek(offset)
        code = f"{self.order}{'Q' if self.big else 'H'}"
        (count,) = struct.unpack(code, file.read(struct.calcsize(code)))
        entry = struct.Struct(f"{self.order}HH{'Q8s' if self.big else 'I4s'}")
        data = file.read(entry.size * count) if count <= 2**16 else b""
        if not count or len(data) < entry.size * count:
            raise ValueError("the directory is cut off")
        return list(entry.iter_unpack(data))

    def directory(self, file: BinaryIO, offset: int) -> tuple[dict[int, int], int]:
        """The tags of a directory, and where the next one is."""
        entries = self._entries(file, offset)
        following = self._number(file)
        return {tag: self._first_value(file, tag, kind, count, field) for tag, kind, count, field in entries}, following

    def _first_value(self, file: BinaryIO, tag: int, kind: int, count: int, field: bytes) -> int:
        code = f"{self.order}{_TYPES.get(kind, 'I')}"
        size = struct.calcsize(code)
        if tag in (_BITS, _SAMPLE_FORMAT) and size * count > len(field):
            file.seek(self._place(field))
            field = file.read(size)
        (value,) = struct.unpack(code, field[:size])
        return int(value)

    def _place(self, field: bytes) -> int:
        (place,) = struct.unpack(f"{self.order}{'Q' if self.big else 'I'}", field)
        return int(place)

    def text(self, file: BinaryIO, offset: int, wanted: int) -> str:
        """The text of a tag; empty where the directory has none."""
        for tag, kind, count, field in self._entries(file, offset):
            if tag == wanted and kind in (2, 7):
                if count > len(field):
                    file.seek(self._place(field))
                    field = file.read(min(count, _LONGEST_TEXT))
                return field[:count].rstrip(b"\0").decode("utf-8", "replace")
        return ""
