"""Numbering the frames of a video in the order in which they are shown.

The timestamps tell it where they can be trusted. Many cannot: streams with B-frames that were copied from a file
without timestamps count in decode order, AVI and ASF have no presentation times, and FFmpeg guesses them wrongly where
frames are packed. What the decoder gives is compared with them, and where they disagree it decides.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskferry.errors import SourceError
from maskferry.sources._container import decode_packet, open_video, packets_of
from maskferry.sources._packet_index import PacketIndex, index_of
from maskferry.sources._packets import NO_PTS, Clock, Packets, read_packets

__all__ = ["scan_packets"]

log = logging.getLogger(__name__)

_REORDER_LIMIT = 64
"""Frames are shown at most this many packets from where they are stored (H.264 and H.265 allow 16)."""

_CHECKED_PACKETS = 256
"""How many packets are decoded to learn whether the decoder gives frames in the order of their timestamps."""

_BUILDS_ON_LAST = frozenset({"apng", "gif", "webp"})
"""Codecs whose pictures are painted over the one before, whatever their keyframe flags say."""

_NEVER_GUESSED = frozenset({"h264", "hevc", "vvc"})
"""Codecs with B-frames whose presentation times FFmpeg never makes up from the order in which they are stored."""

_MOST_EQUAL_TIMES = 0.1
"""Share of frames that may have the time of another one; above it, the timestamps say no times."""


def scan_packets(path: Path) -> PacketIndex:
    """Read all packets of a video, without decoding it where its timestamps tell the order of the frames.

    Raises:
        SourceError: the file cannot be opened as a video, or holds no frame.
    """
    with open_video(path) as (container, stream):
        packets = read_packets(path, container, stream)
        codec = stream.codec_context.codec.name
        may_reorder = _may_reorder(stream)
    if not packets.shown.any():
        raise SourceError(f"{path} holds no video frame: it is damaged or was never finished; record or copy it again")
    index = _number_by_pts(packets)
    if index is not None and may_reorder and (codec not in _NEVER_GUESSED or index.is_in_file_order):
        index = index if _is_confirmed(path, index) else None
    if index is None:
        log.info("%s: the timestamps do not tell the order of the frames; decoding it once to number them", path)
        index = _number_by_decoding(path, packets)
    return index.from_the_start_only() if codec in _BUILDS_ON_LAST else index


def _may_reorder(stream: VideoStream) -> bool:
    """Whether frames may be stored in another order than that in which they are shown."""
    return stream.codec_context.codec.reorder and bool(stream.codec_context.has_b_frames)


def _number_by_pts(packets: Packets) -> PacketIndex | None:
    """Number the frames by their timestamps; None where these are missing, double, start anew or are out of order."""
    stored = np.flatnonzero(packets.shown)  # ordinals of the frames, in the order of the file
    order = stored[np.argsort(packets.pts[stored], kind="stable")]  # the same, in the order in which they are shown
    shown_pts = packets.pts[order]
    missing = shown_pts[0] == NO_PTS
    double = (np.diff(shown_pts) == 0).any()
    far_out_of_order = np.abs(order - stored).max() > _REORDER_LIMIT
    if missing or double or far_out_of_order or packets.time_goes_back:
        return None
    return index_of(packets, order, _times_in(packets, order))


def _is_confirmed(path: Path, index: PacketIndex) -> bool:
    """Whether the decoder gives the first frames in the order that their timestamps say."""
    order, _ = _decode_order(path, min(len(index.pts), _CHECKED_PACKETS))
    frames = index.frame_of[order]
    return bool((np.diff(frames[frames >= 0]) > 0).all())


def _number_by_decoding(path: Path, packets: Packets) -> PacketIndex:
    """Number the frames in the order in which the decoder gives them."""
    order, lost = _decode_order(path, len(packets))
    if lost:
        log.warning("%s is damaged: %d packets cannot be decoded and are left out", path, lost)
        packets = replace(packets, damaged=True)
    order = order[packets.shown[order]]
    return index_of(packets, order, _times_in(packets, order))


def _decode_order(path: Path, packet_count: int) -> tuple[NDArray[np.int64], int]:
    """Decode the first packets of a video.

    Returns:
        (ordinals of the packets in the order in which their frames come out, int64 (F,), number of packets that could
        not be decoded after the first frame).
    """
    order: list[int] = []
    lost = 0
    with open_video(path, for_order=True) as (container, stream):
        packets = zip(range(packet_count), packets_of(container, stream), strict=False)
        for ordinal, packet in itertools.chain(packets, [(-1, None)]):
            try:
                frames = decode_packet(stream, packet, ordinal)
            except SourceError:
                if order:
                    lost += 1
                continue
            order += [frame.pts for frame in frames if frame.pts is not None]
    return np.array(order, dtype=np.int64), lost


def _times_in(packets: Packets, order: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """When frames are shown whose order is known, int64 (F,), strictly ascending; None where that is not known."""
    if packets.clock is Clock.NONE:
        return None
    pts = packets.pts[order]
    steps = np.diff(pts)
    if packets.clock is Clock.DECODING or (pts == NO_PTS).any() or (steps < 0).any():
        return _turns(packets, order)
    if (steps > 0).all():
        return pts
    return None if np.mean(steps == 0) > _MOST_EQUAL_TIMES else _apart(pts, packets.time_base)


def _turns(packets: Packets, order: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """When frames are shown whose timestamps count in decode order, int64 (F,); None where they do not ascend.

    A frame is shown when its turn comes, as soon as the packets that it needs are decoded.
    """
    stored = np.sort(order)
    clocks = packets.dts[stored], packets.pts[stored]
    for clock in clocks if packets.clock is Clock.DECODING else reversed(clocks):
        if clock[0] != NO_PTS and (np.diff(clock) > 0).all():
            ranks = np.argsort(np.argsort(order))  # of the frames, in the order of the file
            delay = int((ranks - np.arange(len(order))).max())
            step = max(1, int(np.median(np.diff(clock)))) if len(clock) > 1 else 1
            return np.concatenate([clock[delay:], clock[-1] + step * np.arange(1, delay + 1)])
    return None


def _apart(pts: NDArray[np.int64], time_base: Fraction) -> NDArray[np.int64]:
    """Timestamps of which some are equal, each at least a millisecond after the one before."""
    least = max(1, round(Fraction(1, 1000) / time_base)) if time_base else 1
    steps = least * np.arange(len(pts))
    apart: NDArray[np.int64] = np.maximum.accumulate(pts - steps) + steps
    return apart
