"""The packet index of a video file: which packet is which frame, when it is shown, and where decoding can start.

Packets are numbered in the order of the file (their *ordinal*), frames in the order in which they are shown. While
decoding, a packet's pts is replaced by its ordinal; FFmpeg hands it on to the frame, so that every decoded frame names
its packet, whatever the codec reorders and whatever the timestamps look like.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from maskferry.errors import SourceError

__all__ = ["PacketIndex", "decode_packet", "open_video", "packets_of", "scan_packets"]

log = logging.getLogger(__name__)

_COVER = 0x400
"""AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h): a sound file's cover. PyAV tells dispositions since 14."""

_NO_PTS = np.iinfo(np.int64).min
_REORDER_LIMIT = 64
"""Frames are shown at most this many packets from where they are stored (H.264 and H.265 allow 16)."""

_BUILDS_ON_LAST = frozenset({"apng", "gif", "webp"})
"""Codecs whose pictures are painted over the one before, whatever their keyframe flags say."""

_TEXT_AND_PICTURES = ("tty", "image2", "_pipe")
"""Ends of the names of FFmpeg's demuxers that make a "video" of a text file or of a single picture."""


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


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file's video stream for decoding on several threads. Everything of it must be used inside the block.

    Raises:
        SourceError: there is no such file, it is empty, no video, or has no video stream.
    """
    container = _open_container(path)
    with container:
        streams = [s for s in container.streams.video if not int(getattr(s, "disposition", 0)) & _COVER]
        if not streams:
            raise SourceError(f"{path} has no video stream, only sound or data: pass a video file")
        stream = streams[0]
        if stream.codec_context is None:
            raise SourceError(f"{path}: this FFmpeg has no decoder for the video; convert it to H.264")
        stream.codec_context.thread_type = "AUTO"
        yield container, stream


_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
"""Titles that are no UTF-8 are no reason to refuse a video; from 19 on PyAV thinks so by itself."""


def _open_container(path: Path) -> InputContainer:
    if not path.is_file():
        raise SourceError(f"{path} does not exist: check the path (the working folder is {Path.cwd()})")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty (0 bytes): copy or download it again")
    try:
        container: InputContainer = av.open(f"file:{path}", **_LENIENT)
    except (av.error.FFmpegError, ValueError) as err:
        raise SourceError(
            f"{path} cannot be opened as a video ({err}): it is no video, or its beginning or its index is damaged; "
            "if it was copied or downloaded, do that again, otherwise try to repair it with "
            "`ffmpeg -i <file> -c copy repaired.mkv`"
        ) from err
    if container.format.name.endswith(_TEXT_AND_PICTURES):
        container.close()
        raise SourceError(f"{path} is a text file or a single picture, not a video: pass a video or a folder of images")
    return container


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """The stream's packets that hold data, in the order of the file; ends early where the file is damaged."""
    for packet in container.demux(stream):
        if packet.size:  # AVI has empty ones, for "as before"; the last of demux is empty too
            yield packet


def decode_packet(stream: VideoStream, packet: Packet[VideoStream] | None, ordinal: int = -1) -> list[VideoFrame]:
    """Decode a packet, or what the decoder still holds (None); each frame's pts is the ordinal of its packet.

    Raises:
        SourceError: the packet, or with several threads an earlier one, cannot be decoded; decoding may go on.
    """
    if packet is not None:
        packet.pts = ordinal
    try:
        return stream.codec_context.decode(packet)
    except av.error.EOFError:
        return []
    except av.error.FFmpegError as err:
        raise SourceError(f"packet {ordinal} cannot be decoded: {err}") from err


def scan_packets(path: Path) -> PacketIndex:
    """Read all packets of a video, without decoding it where its timestamps allow that."""
    pts, sizes, shown, keys, damaged = [], [], [], [], False
    with open_video(path) as (container, stream):
        codec = stream.codec_context.codec
        name = codec.name
        corrupt = 0  # how many of the last packets are cut short
        try:
            for packet in packets_of(container, stream):
                pts.append(_NO_PTS if packet.pts is None else packet.pts)
                sizes.append(packet.size)
                shown.append(not packet.is_discard and not (name == "vp8" and _is_hidden_vp8(packet)))
                keys.append(packet.is_keyframe)
                corrupt = corrupt + 1 if packet.is_corrupt else 0
        except av.error.FFmpegError as err:
            log.warning("%s is damaged after %d packets (%s): what comes before is used", path, len(pts), err)
            damaged = True
        reordered_avi = container.format.name == "avi" and codec.reorder and stream.codec_context.has_b_frames
    whole = len(pts) - corrupt
    pts, sizes, shown, keys = pts[:whole], sizes[:whole], shown[:whole], keys[:whole]
    if not any(shown):
        raise SourceError(f"{path} holds no video frame: it is damaged or was never finished; record or copy it again")
    index = _by_pts(np.array(pts), np.array(sizes), np.array(shown), np.array(keys))
    if index is None or (reordered_avi and (np.diff(index.frame_of) > 0).all()):  # AVI has no pts: FFmpeg counts up
        log.info("%s: the timestamps do not tell the order of the frames; decoding it once to number them", path)
        index = _by_decoding(path, np.array(pts), np.array(sizes), np.array(shown))
    elif name in _BUILDS_ON_LAST:
        index = replace(index, entries=index.entries[:1], entry_frames=index.entry_frames[:1])
    return replace(index, damaged=index.damaged or damaged or corrupt > 0)


def _is_hidden_vp8(packet: Packet[VideoStream]) -> bool:
    """Whether a VP8 packet holds a reference that is never shown (RFC 6386, section 9.1: the show_frame bit)."""
    return not memoryview(packet)[0] & 0x10


def _by_pts(
    pts: NDArray[np.int64], sizes: NDArray[np.int64], shown: NDArray[np.bool_], keys: NDArray[np.bool_]
) -> PacketIndex | None:
    """Number the frames by their timestamps; None where these are missing, double or too far out of order."""
    ordinals = np.flatnonzero(shown)
    order = ordinals[np.argsort(pts[ordinals], kind="stable")]
    shown_pts = pts[order]
    if shown_pts[0] == _NO_PTS or (np.diff(shown_pts) == 0).any() or np.abs(order - ordinals).max() > _REORDER_LIMIT:
        return None
    frame_of = np.full(len(pts), -1, dtype=np.int64)
    frame_of[order] = np.arange(len(order))
    entries = np.flatnonzero(keys & (pts != _NO_PTS))
    entry_frames = np.searchsorted(shown_pts, pts[entries])
    first_key = int(entry_frames[0]) if len(entries) else 0
    # An entry is good where no frame shown after it is stored before it.
    earliest_after = np.append(np.minimum.accumulate(order[::-1])[::-1], len(pts))
    good = (earliest_after[entry_frames] >= entries) & (entries > 0) & (entry_frames < len(order))
    entries, entry_frames = entries[good], entry_frames[good]
    entries = np.append(0, entries)
    return PacketIndex(pts, sizes, frame_of, shown_pts, entries, np.append(0, entry_frames), first_key)


def _by_decoding(path: Path, pts: NDArray[np.int64], sizes: NDArray[np.int64], shown: NDArray[np.bool_]) -> PacketIndex:
    """Number the frames in the order in which the decoder gives them; decoding can then start at the beginning only."""
    order: list[int] = []
    lost = 0
    with open_video(path) as (container, stream):
        packets = zip(range(len(pts)), packets_of(container, stream), strict=False)
        for ordinal, packet in itertools.chain(packets, [(-1, None)]):
            try:
                order += [f.pts for f in decode_packet(stream, packet, ordinal) if f.pts is not None]
            except SourceError:
                lost += bool(order)
    if lost:
        log.warning("%s is damaged: %d packets cannot be decoded and are left out", path, lost)
    order = [ordinal for ordinal in order if shown[ordinal]]
    frame_of = np.full(len(pts), -1, dtype=np.int64)
    frame_of[order] = np.arange(len(order))
    start = np.zeros(1, dtype=np.int64)
    return PacketIndex(pts, sizes, frame_of, None, start, start, damaged=lost > 0)
