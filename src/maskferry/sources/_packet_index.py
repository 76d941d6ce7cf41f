"""The packet index of a video file: which packet is which frame, when it is shown, and where decoding can start.

Packets are numbered in the order of the file (their *ordinal*), frames in the order in which they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from maskferry.sources._packets import Packets

__all__ = ["PacketIndex", "index_of"]


@dataclass(frozen=True, slots=True, eq=False)
class PacketIndex:
    """Where each frame of a video is.

    Attributes:
        pts: int64 (P,), of each packet, in the stream's time base.
        sizes: int64 (P,), bytes of each packet.
        frame_of: int64 (P,), the frame that each packet holds; -1 where none is shown.
        shown_pts: int64 (F,), of each frame, strictly ascending; None where the file's timestamps say no times.
        entries: int64 (E,), ordinals at which decoding can start, ascending; the first is 0.
        entry_frames: int64 (E,), the first frame that comes out right from each entry, ascending; the first is 0.
        first_key: the frame of the first keyframe; those before it may need others from before a cut.
        packed: whether some packets hold two frames, of which the second comes out with the next packet.
        seekable: whether the timestamps tell the packets at the entries from all others.
        damaged: the file could not be read to its end.
    """

    pts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    frame_of: NDArray[np.int64]
    shown_pts: NDArray[np.int64] | None
    entries: NDArray[np.int64]
    entry_frames: NDArray[np.int64]
    first_key: int = 0
    packed: bool = False
    seekable: bool = True
    damaged: bool = False

    @property
    def frame_count(self) -> int:
        """Number of frames that are shown."""
        return int(self.frame_of.max(initial=-1)) + 1

    @property
    def is_in_file_order(self) -> bool:
        """Whether frames are shown in the very order in which they are stored."""
        shown = self.frame_of[self.frame_of >= 0]
        return bool((np.diff(shown) > 0).all())

    def entry_of(self, frame: int) -> int:
        """Number of the last entry from which ``frame`` can be decoded."""
        return int(np.searchsorted(self.entry_frames, frame, side="right")) - 1

    def without_first(self, count: int) -> PacketIndex:
        """The index without the first ``count`` frames, which a recording cut in mid-stream cannot show."""
        frame_of = np.where(self.frame_of < count, -1, self.frame_of - count)
        shown = None if self.shown_pts is None else self.shown_pts[count:]
        return replace(self, frame_of=frame_of, shown_pts=shown, entry_frames=np.maximum(self.entry_frames - count, 0))

    def from_the_start_only(self) -> PacketIndex:
        """The index of a video that can be decoded from its first packet only."""
        return replace(self, entries=self.entries[:1], entry_frames=self.entry_frames[:1])


def index_of(packets: Packets, order: NDArray[np.int64], shown_pts: NDArray[np.int64] | None) -> PacketIndex:
    """Make the index of packets whose order is known.

    Args:
        packets: of the file.
        order: int64 (F,), the ordinals of the packets that hold a frame, in the order in which these are shown.
        shown_pts: int64 (F,), when they are shown; None where that is not known.
    """
    frame_of = np.full(len(packets), -1, dtype=np.int64)
    frame_of[order] = np.arange(len(order))
    keyframes = np.flatnonzero(packets.keys & (frame_of >= 0))
    key_frames = frame_of[keyframes]
    good = _is_entry(keyframes, key_frames, order, len(packets))
    starts_with_key = not len(keyframes) or bool(packets.keys[: keyframes[0]].any())  # one that is not shown
    return PacketIndex(
        packets.pts,
        packets.sizes,
        frame_of,
        shown_pts,
        entries=np.append(0, keyframes[good]),
        entry_frames=np.append(0, key_frames[good]),
        first_key=0 if starts_with_key else int(key_frames[0]),
        packed=packets.packed,
        seekable=packets.are_told_apart,
        damaged=packets.damaged,
    )


def _is_entry(
    keyframes: NDArray[np.int64], key_frames: NDArray[np.int64], order: NDArray[np.int64], packet_count: int
) -> NDArray[np.bool_]:
    """Which keyframes decoding can start at: no frame shown after such a one is stored before it.

    Args:
        keyframes: int64 (K,), their ordinals.
        key_frames: int64 (K,), the frames that they hold.
        order: int64 (F,), the ordinal of each frame.
        packet_count: of the file.

    Returns:
        bool (K,). The first packet of the file is not among them, as it is always an entry.
    """
    earliest_from_here_on = np.minimum.accumulate(order[::-1])[::-1]
    earliest = np.append(earliest_from_here_on, packet_count)[key_frames]
    good: NDArray[np.bool_] = (earliest >= keyframes) & (keyframes > 0)
    return good
