"""Which files maskferry has written, told by what is in them, never by their names.

Only such files may be replaced or removed. No more of a file is read than its head, its tail and what these point to.
"""

from __future__ import annotations

import csv
import io
import os
import re
import sqlite3
import stat
import struct
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from maskferry._held_open import reading

__all__ = ["COMMENT", "SOFTWARE", "TRACKS_ID", "OwnKind", "own_kind"]

SOFTWARE = "maskferry"
"""The program, where a kind of file has a field for it: pictures, PDF and SVG."""

COMMENT = "written by maskferry"
"""What stands in a file that has a field for remarks: films, JSON, XML."""

TRACKS_ID = 0x6D666779
"""The ``application_id`` of a tracks file: "mfgy"."""

_HEAD = 1 << 16  # bytes
_TAIL = 1 << 20
_FOOTER = 1 << 24  # of Parquet: it holds the frame table


class OwnKind(StrEnum):
    """What a file of ours is."""

    tracks = "tracks"
    """A tracks file, which no export may replace."""
    frame = "frame"
    """A file about one frame, as folders of label maps, masks, cut-outs and LabelMe files hold."""
    other = "other"


def own_kind(path: Path) -> OwnKind | None:
    """What of ours a file is; None where it is not ours, is no file, or cannot be read. Links are followed."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with reading(path) as file:
            head = file.read(_HEAD)
            for place, magic, recognize in _BY_MAGIC:
                if head.startswith(magic, place):
                    return recognize(file, head)
            if head.startswith(b"SQLite format 3\0"):
                return _of_sqlite(head, path)
            return _of_text(file, head, path)
    except (OSError, ValueError, struct.error):
        return None


# --- pictures -------------------------------------------------------------------------------------------------------


def _of_png(file: BinaryIO, head: bytes) -> OwnKind | None:
    place = 8
    while place + 8 <= len(head):
        length, kind = struct.unpack_from(">I4s", head, place)
        if kind in (b"IDAT", b"IEND"):
            return None
        key, _, value = head[place + 8 : place + 8 + length].partition(b"\0")
        if kind == b"tEXt" and key == b"maskferry" and value.startswith(b'{"index": '):
            return OwnKind.frame
        if kind == b"tEXt" and (key, value) == (b"Software", SOFTWARE.encode()):
            return OwnKind.other
        place += length + 12
    return None


def _of_tiff(file: BinaryIO, head: bytes) -> OwnKind | None:
    order = "<" if head.startswith(b"II") else ">"
    texts = _texts_of_tiff(file, order, struct.unpack_from(f"{order}I", head, 4)[0])
    if re.match(rb'\{"index": \d+, "time": [^"]+, "name": "', texts.get(270, b"")):
        return OwnKind.frame
    return OwnKind.other if texts.get(305, b"").rstrip(b"\0") == SOFTWARE.encode() else None


def _texts_of_tiff(file: BinaryIO, order: str, place: int) -> dict[int, bytes]:
    """{tag: text} of the first directory: its description and its software."""
    file.seek(place)
    (count,) = struct.unpack(f"{order}H", file.read(2))
    entries = file.read(12 * min(count, 1000))
    found = {}
    for tag, kind, length, value in struct.iter_unpack(f"{order}HHI4s", entries[: len(entries) // 12 * 12]):
        if kind == 2 and tag in (270, 305):
            file.seek(struct.unpack(f"{order}I", value)[0])
            found[tag] = file.read(min(length, _HEAD)) if length > 4 else value
    return found


def _of_jpeg(file: BinaryIO, head: bytes) -> OwnKind | None:
    place = 2
    while place + 4 <= len(head):
        marker, length = struct.unpack_from(">HH", head, place)
        if marker == 0xFFFE and head[place + 4 : place + 2 + length] == SOFTWARE.encode():
            return OwnKind.other
        if marker == 0xFFDA or marker < 0xFFC0:  # the picture itself
            return None
        place += length + 2
    return None


# --- films ----------------------------------------------------------------------------------------------------------


def _of_mp4(file: BinaryIO, head: bytes) -> OwnKind | None:
    for start, end in _boxes(file, b"moov", 0, os.fstat(file.fileno()).st_size):
        for place, stop in _boxes(file, b"udta", start, end):
            file.seek(place)
            return OwnKind.other if COMMENT.encode() in file.read(min(stop - place, _HEAD)) else None
    return None


def _boxes(file: BinaryIO, wanted: bytes, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the contents of boxes of a kind (ISO/IEC 14496-12) begin and end, among the first hundred."""
    for _ in range(100):
        file.seek(start)
        header = file.read(16)
        if start >= end or len(header) < 8:
            return
        size, kind = struct.unpack_from(">I4s", header)
        inside = 8
        if size == 1 and len(header) == 16:
            size, inside = struct.unpack_from(">Q", header, 8)[0], 16
        if size < inside:
            return
        if kind == wanted:
            yield start + inside, min(start + size, end)
        start += size


def _of_webm(file: BinaryIO, head: bytes) -> OwnKind | None:
    before_pictures = head.partition(b"\x1f\x43\xb6\x75")[0]  # Matroska's Cluster
    is_ours = b"COMMENT" in before_pictures and COMMENT.encode() in before_pictures
    return OwnKind.other if is_ours else None


# --- tables and documents -------------------------------------------------------------------------------------------


def _of_sqlite(head: bytes, path: Path) -> OwnKind | None:
    if head[68:72] == TRACKS_ID.to_bytes(4, "big"):
        return OwnKind.tracks
    return OwnKind.other if head[68:72] == b"GPKG" and _is_our_geopackage(path) else None


def _is_our_geopackage(path: Path) -> bool:
    """Whether the file's list of layers says of each that it is ours."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        found = connection.execute("SELECT description FROM gpkg_contents LIMIT 100").fetchall()
    except sqlite3.Error:
        return False
    finally:
        connection.close()
    return bool(found) and all(row == (COMMENT,) for row in found)


def _of_parquet(file: BinaryIO, head: bytes) -> OwnKind | None:
    end = file.seek(-8, os.SEEK_END)
    (length,) = struct.unpack("<I", file.read(4))
    file.seek(max(0, end - min(length, _FOOTER)))
    key = b"\x18\x09maskferry\x18"  # a key and its value, as Thrift's compact protocol writes them
    return OwnKind.other if key in file.read(_FOOTER) else None


def _of_pdf(file: BinaryIO, head: bytes) -> OwnKind | None:
    return OwnKind.other if f"/Creator ({SOFTWARE})".encode() in head + _tail(file) else None


def _of_text(file: BinaryIO, head: bytes, path: Path) -> OwnKind | None:
    if _LABELME.match(head):
        return OwnKind.frame if b'\n "maskferry": {\n' in _tail(file) else None
    if any(pattern.match(head) for pattern in _HEADS_OF_TEXT) or _is_frame_table(head):
        return OwnKind.other
    if head.startswith(b"<?xml") and b"<svg" in head:
        return OwnKind.other if f"<dc:title>{SOFTWARE}</dc:title>".encode() in head else None
    if any(_all_lines(pattern, head) for pattern in _LINES_OF_TEXT):  # as every program writes them
        return OwnKind.other if _has_frame_table(path) else None
    return None


def _tail(file: BinaryIO) -> bytes:
    file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
    return file.read(_TAIL)


def _whole_lines(head: bytes) -> bytes:
    return head if len(head) < _HEAD else head[: head.rfind(b"\n") + 1]


def _all_lines(pattern: re.Pattern[bytes], head: bytes) -> bool:
    lines = _whole_lines(head).split(b"\n")
    return not lines.pop() and all(pattern.fullmatch(line) for line in lines)


def _has_frame_table(path: Path) -> bool:
    """Whether the frame table lies beside it, which maskferry writes with every file of lines."""
    with path.with_name(f"{path.stem}.frames.csv").open("rb") as file:
        return _is_frame_table(file.read(_HEAD))


def _is_frame_table(head: bytes) -> bool:
    """Whether this is a frame table, to the last cell."""
    if not head.startswith((b"index,time,name\r\n", b"index,time,name,number\r\n")):
        return False
    text = _whole_lines(head).decode("utf-8", "surrogateescape")
    try:
        head_row, *rows = csv.reader(io.StringIO(text, newline=""))
    except csv.Error:
        return False
    width = len(head_row)
    return text.endswith("\r\n") and all(
        len(row) == width and row[0].isdecimal() and _is_time(row[1]) and all(map(str.isdecimal, row[3:]))
        for row in rows
    )


def _is_time(cell: str) -> bool:
    try:
        return not cell or float(cell) >= 0 or float(cell) < 0
    except ValueError:
        return False


_LABELME = re.compile(rb'\{\n "version": "5\.5\.0",\n "flags": \{\},\n "shapes": \[')  # LabelMe itself indents by two

_HEADS_OF_TEXT = [
    re.compile(rb'\{"info": \{"description": "written by maskferry"\},\n'),  # COCO, YouTube-VIS
    re.compile(rb'\[\{"data": \{"video": "(?:[^"\\]|\\.)*"\}, "meta": \{"maskferry": \{"width": '),  # Label Studio
    re.compile(rb'\{\n  "comment": "written by maskferry",\n'),  # scores
    re.compile(rb'<\?xml version="1\.0" encoding="utf-8"\?>\n<!-- written by maskferry -->\n<annotations>\n'),  # CVAT
    re.compile(rb'\{"type": "FeatureCollection", "description": "written by maskferry", "features": \[\n'),
    re.compile(rb"object_id,label,date,frame,name,state,score,area_px,area_m2,area_ha,observed,change_m2,change_"),
    re.compile(
        rb"frame,time,name,object_id,label,state,score,area,x1,y1,x2,y2,centroid_x,centroid_y(?:,fidelity)?\r\n"
    ),
]

_LINES_OF_TEXT = [
    re.compile(rb"\d+,\d+,\d+,\d+,\d+,\d+,\d+\.?\d*(?:e-?\d+)?,-1,-1,-1"),  # MOT
    re.compile(rb"\d+ \d+ \d+ \d+ \d+ [!-~]+"),  # MOTS
]

_Recognize = Callable[[BinaryIO, bytes], OwnKind | None]

_BY_MAGIC: list[tuple[int, bytes, _Recognize]] = [
    (0, b"\x89PNG\r\n\x1a\n", _of_png),
    (0, b"II*\0", _of_tiff),
    (0, b"MM\0*", _of_tiff),
    (0, b"\xff\xd8\xff", _of_jpeg),
    (4, b"ftyp", _of_mp4),
    (0, b"\x1a\x45\xdf\xa3", _of_webm),
    (0, b"PAR1", _of_parquet),
    (0, b"%PDF-", _of_pdf),
]
