"""What a container says of a video's packets, read without decoding them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskferry.sources._container import packets_of
from maskferry.sources._h264_fields import SecondFields

__all__ = ["NO_PTS", "Clock", "Packets", "read_packets"]

log = logging.getLogger(__name__)

NO_PTS = np.iinfo(np.int64).min
"""Stands for a timestamp that is missing."""

_VOP = b"\0\0\1\xb6"
"""Begins a frame of MPEG-4 Visual (ISO/IEC 14496-2, 6.2.5)."""

_NO_TIMESTAMPS = 0x80
"""AVFMT_NOTIMESTAMPS (libavformat/avformat.h): a raw stream, whose packets FFmpeg counts."""

_DECODE_TIMES_ONLY = frozenset({"asf", "avi"})
"""Containers that have no presentation times; what FFmpeg gives in their place is a guess."""


class Clock(Enum):
    """What the timestamps of a container's packets say."""

    SHOWING = "when a frame is shown"
    DECODING = "when a packet is decoded"
    NONE = "nothing: FFmpeg counts the packets of a raw stream"


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """The packets of a video that hold data, in the order of the file.

    Attributes:
        pts: int64 (P,), when they are shown, in the stream's time base; `NO_PTS` where that is not said.
        dts: int64 (P,), when they are decoded, likewise.
        sizes: int64 (P,), bytes.
        shown: bool (P,), whether the packet holds a frame that is shown.
        keys: bool (P,), whether the packet is marked as a keyframe.
        packed: whether some packets hold two frames, of which the second comes out with the next packet.
        damaged: the file could not be read to its end.
        clock: what the timestamps say.
        time_base: seconds of a tick of the timestamps; 0 where that is not known.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    shown: NDArray[np.bool_]
    keys: NDArray[np.bool_]
    packed: bool
    damaged: bool
    clock: Clock
    time_base: Fraction

    def __len__(self) -> int:
        """The number of packets."""
        return len(self.pts)

    @property
    def are_told_apart(self) -> bool:
        """Whether each packet has a pts of the file's own that no other has."""
        return self.clock is not Clock.NONE and NO_PTS not in self.pts and len(np.unique(self.pts)) == len(self)

    @property
    def time_goes_back(self) -> bool:
        """Whether the clock starts anew somewhere, as in recordings that were joined."""
        dts = self.dts[self.dts != NO_PTS]
        return bool((np.diff(dts) < 0).any())


def read_packets(path: Path, container: InputContainer, stream: VideoStream) -> Packets:
    """Read on to the end, or to the damage; packets at the end that are cut short are left out."""
    codec = stream.codec_context.codec.name
    rows: list[tuple[int, int, int, bool, bool]] = []
    packed = False
    fields = SecondFields(stream.codec_context.extradata or b"") if codec == "h264" else None
    damaged = False
    cut_short = 0  # how many of the last packets
    try:
        for packet in packets_of(container, stream):
            pts = NO_PTS if packet.pts is None else packet.pts
            dts = NO_PTS if packet.dts is None else packet.dts
            is_hidden = packet.is_discard or (codec == "vp8" and _is_hidden_vp8(packet))
            if fields is not None and fields.are_possible:
                is_hidden = fields.is_second(bytes(packet)) or is_hidden
            packed = packed or (codec == "mpeg4" and bytes(packet).count(_VOP) > 1)
            rows.append((pts, dts, packet.size, not is_hidden, packet.is_keyframe))
            cut_short = cut_short + 1 if packet.is_corrupt else 0
    except av.error.FFmpegError as err:
        log.warning("%s is damaged after %d packets (%s): what comes before is used", path, len(rows), err)
        damaged = True
    whole = rows[: len(rows) - cut_short]
    pts_column, dts_column, sizes, shown_column, keys = np.array(whole, dtype=np.int64).reshape(-1, 5).T.copy()
    return Packets(
        pts_column,
        dts_column,
        sizes,
        shown_column != 0,
        keys != 0,
        packed,
        damaged or cut_short > 0,
        _clock_of(container),
        Fraction(stream.time_base or 0),
    )


def _clock_of(container: InputContainer) -> Clock:
    if int(container.format.flags) & _NO_TIMESTAMPS:
        return Clock.NONE
    return Clock.DECODING if container.format.name in _DECODE_TIMES_ONLY else Clock.SHOWING


def _is_hidden_vp8(packet: Packet[VideoStream]) -> bool:
    """Whether a VP8 packet holds a reference that is never shown (RFC 6386, section 9.1: the show_frame bit)."""
    return not memoryview(packet)[0] & 0x10
