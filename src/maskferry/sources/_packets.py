"""What a container says of a video's packets, read without decoding them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskferry.sources._container import packets_of

__all__ = ["NO_PTS", "Packets", "read_packets"]

log = logging.getLogger(__name__)

NO_PTS = np.iinfo(np.int64).min
"""Stands for a timestamp that is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """The packets of a video that hold data, in the order of the file.

    Attributes:
        pts: int64 (P,), when they are shown, in the stream's time base; `NO_PTS` where that is not said.
        dts: int64 (P,), when they are decoded, likewise.
        sizes: int64 (P,), bytes.
        shown: bool (P,), whether the packet holds a frame that is shown.
        keys: bool (P,), whether the packet is marked as a keyframe.
        damaged: the file could not be read to its end.
        time_base: seconds of a tick of the timestamps; 0 where that is not known.
    """

    pts: NDArray[np.int64]
    dts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    shown: NDArray[np.bool_]
    keys: NDArray[np.bool_]
    damaged: bool
    time_base: Fraction

    def __len__(self) -> int:
        """The number of packets."""
        return len(self.pts)

    @property
    def have_own_times(self) -> bool:
        """Whether each packet has a pts that no other has."""
        return len(np.unique(self.pts)) == len(self.pts) and not (self.pts == NO_PTS).any()

    @property
    def time_goes_back(self) -> bool:
        """Whether the clock starts anew somewhere, as in recordings that were joined."""
        dts = self.dts[self.dts != NO_PTS]
        return bool((np.diff(dts) < 0).any())


def read_packets(path: Path, container: InputContainer, stream: VideoStream) -> Packets:
    """Read on to the end, or to the damage; packets at the end that are cut short are left out."""
    is_vp8 = stream.codec_context.codec.name == "vp8"
    rows: list[tuple[int, int, int, bool, bool]] = []
    damaged = False
    cut_short = 0  # how many of the last packets
    try:
        for packet in packets_of(container, stream):
            pts = NO_PTS if packet.pts is None else packet.pts
            dts = NO_PTS if packet.dts is None else packet.dts
            shown = not packet.is_discard and not (is_vp8 and _is_hidden_vp8(packet))
            rows.append((pts, dts, packet.size, shown, packet.is_keyframe))
            cut_short = cut_short + 1 if packet.is_corrupt else 0
    except av.error.FFmpegError as err:
        log.warning("%s is damaged after %d packets (%s): what comes before is used", path, len(rows), err)
        damaged = True
    whole = rows[: len(rows) - cut_short]
    pts_column, dts_column, sizes, shown_column, keys = np.array(whole, dtype=np.int64).reshape(-1, 5).T.copy()
    time_base = Fraction(stream.time_base or 0)
    return Packets(pts_column, dts_column, sizes, shown_column != 0, keys != 0, damaged or cut_short > 0, time_base)


def _is_hidden_vp8(packet: Packet[VideoStream]) -> bool:
    """Whether a VP8 packet holds a reference that is never shown (RFC 6386, section 9.1: the show_frame bit)."""
    return not memoryview(packet)[0] & 0x10
