"""The packet index of a video file: which packet is which frame, when it is shown, and where decoding can start.

Packets are numbered in the order of the file (their *ordinal*), frames in the order in which they are shown. Where
the timestamps can be trusted they tell which packet is which frame; otherwise the video is decoded once.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskferry.errors import SourceError
from maskferry.sources._container import decode_packet, open_video, packets_of

__all__ = ["PacketIndex", "scan_packets"]

log = logging.getLogger(__name__)

_NO_PTS = np.iinfo(np.int64).min
_REORDER_LIMIT = 64
"""Frames are shown at most this many packets from where they are stored (H.264 and H.265 allow 16)."""

_BUILDS_ON_LAST = frozenset({"apng", "gif", "webp"})
"""Codecs whose pictures are painted over the one before, whatever their keyframe flags say."""


@dataclass(frozen=True, slots=True, eq=False)
class PacketIndex:
    """Where each frame of a video is.

    Attributes:
        pts: int64 (P,), of each packet, in the stream's time base.
        sizes: int64 (P,), bytes of each packet.
        frame_of: int64 (P,), the frame that each packet holds; -1 where none is shown.
        shown_pts: int64 (F,), of each frame; None where the file's timestamps cannot be trusted.
        entries: int64 (E,), ordinals at which decoding can start, ascending; the first is 0.
        entry_frames: int64 (E,), the first frame that comes out right from each entry, ascending; the first is 0.
        first_key: the frame of the first keyframe; those before it may need others from before a cut.
        damaged: the file could not be read to its end.
    """

    pts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    frame_of: NDArray[np.int64]
    shown_pts: NDArray[np.int64] | None
    entries: NDArray[np.int64]
    entry_frames: NDArray[np.int64]
    first_key: int = 0
    damaged: bool = False

    @property
    def frame_count(self) -> int:
        """Number of frames that are shown."""
        return int(self.frame_of.max(initial=-1)) + 1

    def entry_of(self, frame: int) -> int:
        """Number of the last entry from which ``frame`` can be decoded."""
        return int(np.searchsorted(self.entry_frames, frame, side="right")) - 1

    def without_first(self, count: int) -> PacketIndex:
        """The index without the first ``count`` frames, which a recording cut in mid-stream cannot show."""
        frame_of = np.where(self.frame_of < count, -1, self.frame_of - count)
        shown = None if self.shown_pts is None else self.shown_pts[count:]
        return replace(self, frame_of=frame_of, shown_pts=shown, entry_frames=np.maximum(self.entry_frames - count, 0))


@dataclass(frozen=True, slots=True, eq=False)
class _Packets:
    """What the container says of the packets, in the order of the file.

    Attributes:
        pts: int64 (P,), in the stream's time base; `_NO_PTS` where there is none.
        sizes: int64 (P,), bytes.
        shown: bool (P,), whether the packet holds a frame that is shown.
        keys: bool (P,), whether the packet is marked as a keyframe.
        damaged: the file could not be read to its end.
    """

    pts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    shown: NDArray[np.bool_]
    keys: NDArray[np.bool_]
    damaged: bool


def scan_packets(path: Path) -> PacketIndex:
    """Read all packets of a video, without decoding it where its timestamps allow that.

    Raises:
        SourceError: the file cannot be opened as a video, or holds no frame.
    """
    with open_video(path) as (container, stream):
        packets = _read_packets(path, container, stream)
        codec = stream.codec_context.codec
        builds_on_last = codec.name in _BUILDS_ON_LAST
        is_avi = container.format.name == "avi"
        should_be_reordered = is_avi and codec.reorder and bool(stream.codec_context.has_b_frames)
    if not packets.shown.any():
        raise SourceError(f"{path} holds no video frame: it is damaged or was never finished; record or copy it again")
    index = _number_by_pts(packets)
    if index is not None and should_be_reordered and _is_in_file_order(index):
        index = None  # AVI has no pts: FFmpeg counts up
    if index is None:
        log.info("%s: the timestamps do not tell the order of the frames; decoding it once to number them", path)
        index = _number_by_decoding(path, packets)
    elif builds_on_last:
        index = replace(index, entries=index.entries[:1], entry_frames=index.entry_frames[:1])
    return replace(index, damaged=index.damaged or packets.damaged)


def _read_packets(path: Path, container: InputContainer, stream: VideoStream) -> _Packets:
    """Read on to the end, or to the damage; packets at the end that are cut short are left out."""
    is_vp8 = stream.codec_context.codec.name == "vp8"
    rows: list[tuple[int, int, bool, bool]] = []
    damaged = False
    cut_short = 0  # how many of the last packets
    try:
        for packet in packets_of(container, stream):
            pts = _NO_PTS if packet.pts is None else packet.pts
            shown = not packet.is_discard and not (is_vp8 and _is_hidden_vp8(packet))
            rows.append((pts, packet.size, shown, packet.is_keyframe))
            cut_short = cut_short + 1 if packet.is_corrupt else 0
    except av.error.FFmpegError as err:
        log.warning("%s is damaged after %d packets (%s): what comes before is used", path, len(rows), err)
        damaged = True
    whole = rows[: len(rows) - cut_short]
    pts_column, sizes, shown_column, keys = np.array(whole, dtype=np.int64).reshape(-1, 4).T.copy()
    return _Packets(pts_column, sizes, shown_column.astype(bool), keys.astype(bool), damaged or cut_short > 0)


def _is_hidden_vp8(packet: Packet[VideoStream]) -> bool:
    """Whether a VP8 packet holds a reference that is never shown (RFC 6386, section 9.1: the show_frame bit)."""
    return not memoryview(packet)[0] & 0x10


def _is_in_file_order(index: PacketIndex) -> bool:
    """Whether frames are shown in the very order in which they are stored."""
    return bool((np.diff(index.frame_of) > 0).all())


def _number_by_pts(packets: _Packets) -> PacketIndex | None:
    """Number the frames by their timestamps; None where these are missing, double or too far out of order."""
    stored = np.flatnonzero(packets.shown)  # ordinals of the frames, in the order of the file
    order = stored[np.argsort(packets.pts[stored], kind="stable")]  # the same, in the order in which they are shown
    shown_pts = packets.pts[order]
    missing = shown_pts[0] == _NO_PTS
    double = (np.diff(shown_pts) == 0).any()
    far_out_of_order = np.abs(order - stored).max() > _REORDER_LIMIT
    if missing or double or far_out_of_order:
        return None
    keyframes = np.flatnonzero(packets.keys & (packets.pts != _NO_PTS))
    key_frames = np.searchsorted(shown_pts, packets.pts[keyframes])
    good = _is_entry(keyframes, key_frames, order, len(packets.pts))
    return PacketIndex(
        packets.pts,
        packets.sizes,
        _frame_of(order, len(packets.pts)),
        shown_pts,
        entries=np.append(0, keyframes[good]),
        entry_frames=np.append(0, key_frames[good]),
        first_key=int(key_frames[0]) if len(key_frames) else 0,
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
    good: NDArray[np.bool_] = (earliest >= keyframes) & (keyframes > 0) & (key_frames < len(order))
    return good


def _number_by_decoding(path: Path, packets: _Packets) -> PacketIndex:
    """Number the frames in the order in which the decoder gives them; decoding can then start at the beginning only."""
    order, lost = _decode_order(path, len(packets.pts))
    if lost:
        log.warning("%s is damaged: %d packets cannot be decoded and are left out", path, lost)
    order = [ordinal for ordinal in order if packets.shown[ordinal]]
    frame_of = _frame_of(np.array(order, dtype=np.int64), len(packets.pts))
    start = np.zeros(1, dtype=np.int64)
    return PacketIndex(packets.pts, packets.sizes, frame_of, None, start, start, damaged=lost > 0)


def _decode_order(path: Path, packet_count: int) -> tuple[list[int], int]:
    """Decode the whole video.

    Returns:
        (ordinals of the packets in the order in which their frames come out, number of packets that could not be
        decoded after the first frame).
    """
    order: list[int] = []
    lost = 0
    with open_video(path) as (container, stream):
        packets = zip(range(packet_count), packets_of(container, stream), strict=False)
        for ordinal, packet in itertools.chain(packets, [(-1, None)]):
            try:
                frames = decode_packet(stream, packet, ordinal)
            except SourceError:
                if order:
                    lost += 1
                continue
            order += [frame.pts for frame in frames if frame.pts is not None]
    return order, lost


def _frame_of(order: NDArray[np.int64], packet_count: int) -> NDArray[np.int64]:
    """The frame of each packet, int64 (P,); -1 where none is shown."""
    frame_of = np.full(packet_count, -1, dtype=np.int64)
    frame_of[order] = np.arange(len(order))
    return frame_of
