"""A video file opened by FFmpeg (PyAV): its video stream, the packets, and decoding one packet.

While decoding, a packet's pts is replaced by its *ordinal*, its number in the order of the file; FFmpeg hands it on to
the frame, so that every decoded frame names its packet, whatever the codec reorders and whatever the timestamps look
like.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from maskferry._ffmpeg import open_alone
from maskferry.errors import SourceError
from maskferry.limits import most_pixels, size_problem

__all__ = ["decode_packet", "open_video", "packets_of"]

_COVER = 0x400
"""AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h): a sound file's cover. PyAV tells dispositions since 14."""

_TEXT_AND_PICTURES = ("tty", "image2", "_pipe")
"""Ends of the names of FFmpeg's demuxers that make a "video" of a text file or of a single picture."""

_WITHOUT_PIXELS = {"skip_idct": "all", "skip_loop_filter": "all"}
"""Options of FFmpeg's decoders that leave out work which decides no frame's order."""


@contextmanager
def open_video(path: Path, *, for_order: bool = False) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file's video stream for decoding on several threads. Everything of it must be used inside the block.

    Args:
        path: the file.
        for_order: only the order of the decoded frames matters, not their pixels, which saves time.

    Raises:
        SourceError: there is no such file, it is empty, no video, or has no video stream.
    """
    container = _open_container(path)
    with container:
        streams = [s for s in container.streams.video if not _is_cover(s)]
        if not streams:
            raise SourceError(f"{path} has no video stream, only sound or data: pass a video file")
        stream = streams[0]
        if stream.codec_context is None:
            raise SourceError(f"{path}: this FFmpeg has no decoder for the video; convert it to H.264")
        if stream.codec_context.width and (
            problem := size_problem(stream.codec_context.width, stream.codec_context.height)
        ):
            raise SourceError(f"{path}: {problem}")
        limits = {"max_pixels": str(most_pixels())}  # frames may be larger than the header says
        stream.codec_context.options = limits | (_WITHOUT_PIXELS if for_order else {})
        stream.codec_context.thread_type = "AUTO"
        yield container, stream


def _is_cover(stream: VideoStream) -> bool:
    disposition = getattr(stream, "disposition", 0)  # an int only from PyAV 17.1 on
    return bool(int(getattr(disposition, "value", disposition)) & _COVER)


def _open_container(path: Path) -> InputContainer:
    if not path.is_file():
        raise SourceError(f"{path} does not exist: check the path (the working folder is {Path.cwd()})")
    if not path.stat().st_size:
        raise SourceError(f"{path} is empty (0 bytes): copy or download it again")
    try:
        container = open_alone(path)
    except SourceError:
        raise
    except Exception as err:  # FFmpeg's own, and what Python makes of a damaged header
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
