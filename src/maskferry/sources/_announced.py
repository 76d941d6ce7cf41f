"""How many frames a video file announces: what it holds, and what it has lost where it was cut off.

A header's count of frames alone is no promise. It counts packets that an edit list leaves out, frames of an AVI that
were dropped on purpose, and what lies outside of a clip that was trimmed without coding it again. It says that frames
are missing only where the file is shorter than the container's own structure says.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from av.video.stream import VideoStream

from maskferry.sources._packet_index import PacketIndex

__all__ = ["announced_frames"]

_MOST_PARTS = 100_000
"""Parts of a file that are looked at, one after the other."""

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
"""Ids of Matroska's top-level elements (RFC 9559)."""


def announced_frames(path: Path, stream: VideoStream, index: PacketIndex) -> int | None:
    """How many frames the file would show if nothing of it were lost; None where it does not say."""
    if stream.frames:
        missing = round((stream.frames - len(index.pts)) * index.frame_count / len(index.pts))
    elif (end := _end_of_track(stream)) is not None and index.shown_pts is not None:
        seconds = end - int(index.shown_pts[-1]) * Fraction(stream.time_base or 0)
        missing = round(seconds * Fraction(stream.average_rate or 0)) - 1
    else:
        return None
    is_cut = missing > 0 and _is_cut_off(path)
    return index.frame_count + (missing if is_cut else 0)


def _end_of_track(stream: VideoStream) -> Fraction | None:
    """Where a track of Matroska ends, in seconds, as FFmpeg and mkvmerge write it into its tags."""
    parts = stream.metadata.get("DURATION", "").split(":")
    if len(parts) != 3:
        return None
    try:
        hours, minutes, seconds = (Fraction(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _is_cut_off(path: Path) -> bool:
    """Whether the container's structure reaches beyond the end of the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return any(end > size for end in _part_ends(file))


def _part_ends(file: BinaryIO) -> Iterator[int]:
    """Where each top-level part of an AVI, an MP4 or a Matroska file ends, as its own size says; nothing of others."""
    head = file.read(12)
    if head[:4] == b"RIFF":
        read_part = _read_riff
    elif int.from_bytes(head[:4]) == _EBML:
        read_part = _read_ebml
    elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        read_part = _read_box
    else:
        return
    start = 0
    for _ in range(_MOST_PARTS):
        file.seek(start)
        size = read_part(file)
        if not size:
            return
        start += size
        yield start


def _read_riff(file: BinaryIO) -> int:
    """Size of a RIFF chunk with its header; 0 where it is unknown, or none begins here."""
    head = file.read(8)
    size = int.from_bytes(head[4:], "little")
    return 8 + size if head[:4] == b"RIFF" and size not in (0, 0xFFFFFFFF) else 0  # not filled in


def _read_box(file: BinaryIO) -> int:
    """Size of a box (ISO/IEC 14496-12, 4.2); 0 where it reaches to the end of the file, or none begins here."""
    head = file.read(16)
    size = int.from_bytes(head[:4])
    if size == 1:
        size = int.from_bytes(head[8:])
    return size if size >= 8 and head[4:8].isalnum() else 0


def _read_ebml(file: BinaryIO) -> int:
    """Size of a top-level element with its header (RFC 8794); 0 where it is unknown, or none begins here."""
    head = file.read(12)
    if len(head) < 5 or int.from_bytes(head[:4]) not in (_EBML, _SEGMENT) or not head[4]:
        return 0
    width = 9 - head[4].bit_length()
    value = int.from_bytes(head[4 : 4 + width]) & ((1 << 7 * width) - 1)
    is_unknown = value == (1 << 7 * width) - 1
    return 0 if is_unknown else 4 + width + value
