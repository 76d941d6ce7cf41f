"""One decoder over one video file: it can be put at any entry of the packet index, and names every frame it gives."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import av
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from maskferry.closing import Closing
from maskferry.errors import SourceError
from maskferry.sources._container import decode_packet, open_video, packets_of
from maskferry.sources._packet_index import PacketIndex

__all__ = ["Decoded", "Decoder"]

log = logging.getLogger(__name__)

Decoded = tuple[int, VideoFrame] | None
"""A frame's number and the frame; None now and then, so that whoever waits for a far frame can stop in between."""


_REFRESHES = 4
"""Entries by which decoding starts earlier in a stream with intra refresh; one wave does not always heal all."""

_PACKED = 2
"""Likewise where packets hold two frames: a keyframe's may hold one that needs frames from before it."""

_FARTHEST = 1000
"""Frames by which decoding starts earlier where the decoder gives none before."""

_HEALING = frozenset({"h264", "hevc"})
"""Codecs with intra refresh."""

_INTRA = (PictureType.I, PictureType.SI, PictureType.BI)


class Decoder(Closing):
    """Decodes from any entry of the index on. Belongs to one thread, from opening to closing.

    Not all that a container marks as a keyframe is one: some mark every packet. H.264 streams with intra refresh mark
    frames from which the picture is refreshed in stripes. Where the decoder leaves such a frame out or gives a
    predicted one, decoding starts earlier from then on: where an intra frame comes first, or some waves of refreshing.

    Attributes:
        undecodable: how many packets were no data that the decoder takes.
    """

    def __init__(self, path: Path, index: PacketIndex) -> None:
        self.undecodable = 0
        self._path = path
        self._index = index
        self._seekable = index.seekable
        self._in_file_order = index.is_in_file_order
        self._threaded = True
        self._earlier = _PACKED if index.packed else 0
        self._files = ExitStack()
        self._open()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._files.close()

    def _open(self) -> None:
        self._files.close()
        self._container, self._stream = self._files.enter_context(open_video(self._path))
        if not self._threaded:
            self._stream.codec_context.thread_count = 1
        codec = self._stream.codec_context.codec
        self._heals = codec.name in _HEALING
        self._makes_up_frames = codec.reorder  # without a type, in place of a reference that it lacks
        self._at_start = True

    def decode_from(self, entry: int, *, strict: bool = False) -> Iterator[Decoded]:
        """Decode from an entry of the index to the end, in the order in which frames are shown.

        What cannot be decoded is left out.

        Args:
            entry: its place in ``index.entries``.
            strict: leave out, too, frames that the decoder has patched up. Otherwise decoding runs on one thread from
                then on, so that what cannot be decoded takes no frame before it along.

        Raises:
            SourceError: while iterating: frames are shown in another order than the file's timestamps say.
        """
        if not strict and self._threaded:
            self._threaded = False
            self._open()
        start: int | None = max(entry - self._earlier, 0)
        while start is not None:
            start = yield from self._decode_soundly(entry, start, strict=strict)
            if start is not None:
                self._earlier = entry - start

    def _decode_soundly(self, entry: int, start: int, *, strict: bool) -> Generator[Decoded, None, int | None]:
        """Decode from an entry before the one that is wanted, or from that; leave out what may be wrong.

        Returns:
            None at the end; the entry to start from instead where it turns out that this one is no real one.
        """
        first = self._index.entry_frames[entry]
        is_sound = start == 0
        last = -1
        for frame in self._decode_packets(start):
            number = -1 if frame is None or frame.pts is None else int(self._index.frame_of[frame.pts])
            if frame is None or number < 0 or (strict and frame.is_corrupt):
                yield None
                continue
            if not is_sound:
                is_sound = number <= first and (self._is_intra(frame) or (start < entry and self._heals))
                if not is_sound and number >= first:
                    break
                if not is_sound:
                    continue
            if number < last and self._in_file_order:
                raise self._misnumbered(last)
            last = number
            yield number, frame
        is_too_far = self._heals and first - self._index.entry_frames[start] > _FARTHEST
        return None if is_sound or is_too_far else max(0, entry - max(_REFRESHES, 2 * (entry - start)))

    def _is_intra(self, frame: VideoFrame) -> bool:
        """Whether a frame needs no other, as far as its decoder tells."""
        return frame.pict_type in _INTRA or (frame.pict_type == PictureType.NONE and not self._makes_up_frames)

    def _misnumbered(self, number: int) -> SourceError:
        return SourceError(
            f"{self._path}: from frame {number} on, frames are shown in another order than the file's timestamps say; "
            "convert it to H.264 in MP4, with new timestamps",
            frame=number,
        )

    def _decode_packets(self, entry: int) -> Iterator[VideoFrame | None]:
        """Frames as they come from the decoder, None after each packet; what cannot be decoded is left out."""
        for ordinal, packet in self._packets_from(entry):
            try:
                yield from decode_packet(self._stream, packet, ordinal)
            except SourceError as err:
                self.undecodable += 1
                log.debug("%s: %s", self._path, err)
            yield None

    def _packets_from(self, entry: int) -> Iterator[tuple[int, Packet[VideoStream] | None]]:
        """The packets from an entry on with their ordinals, then None, which empties the decoder."""
        ordinal = int(self._index.entries[entry])
        try:
            if ordinal and self._index.packed:
                yield 0, self._first_packet()
            packets = self._seek(entry) if ordinal and self._seekable else None
            if packets is None:
                ordinal = 0 if self._index.packed else ordinal
                packets = self._skip_to(ordinal)
            yield from zip(range(ordinal, len(self._index.pts)), packets, strict=False)
        except av.error.FFmpegError as err:  # damaged here: the index, too, ended here
            log.debug("%s: %s", self._path, err)
        yield -1, None

    def _seek(self, entry: int) -> Iterator[Packet[VideoStream]] | None:
        """Let the container seek, and read on to the very packet; None where it does not get there.

        Containers differ in what they seek by (pts or dts) and how near they come, hence the check of each packet and
        the second try from the entry before.
        """
        self._at_start = False
        ordinal = self._index.entries[entry]
        pts, size = int(self._index.pts[ordinal]), int(self._index.sizes[ordinal])
        for target in (pts, int(self._index.pts[self._index.entries[entry - 1]])):
            try:
                self._container.seek(target, stream=self._stream)
            except av.error.FFmpegError as err:
                log.debug("%s: seek to %d: %s", self._path, target, err)
                continue
            packets = packets_of(self._container, self._stream)
            for packet in packets:
                if packet.pts == pts and packet.size == size:
                    return itertools.chain([packet], packets)
                if packet.pts is not None and packet.pts > pts:
                    break
        log.debug("%s: seeking fails in this file; reading it from the start instead", self._path)
        self._seekable = False
        return None

    def _first_packet(self) -> Packet[VideoStream]:
        """The file's first packet; it says that the stream is packed, which later ones need not repeat."""
        if not self._at_start:
            self._open()
        self._at_start = False
        return next(packets_of(self._container, self._stream))

    def _skip_to(self, ordinal: int) -> Iterator[Packet[VideoStream]]:
        """The packets from ``ordinal`` on, counted from the start of the file."""
        if not self._at_start:
            self._open()
        self._at_start = False
        return itertools.islice(packets_of(self._container, self._stream), ordinal, None)
