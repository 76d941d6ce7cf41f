"""A video file opened by FFmpeg (PyAV): its video stream, the packets, and decoding one packet.

While decoding, a packet's pts is replaced by its *ordinal*, its number in the order of the file; FFmpeg hands it on to
the frame, so that every decoded frame names its packet, whatever the codec reorders and whatever the timestamps look
like.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from maskferry.errors import SourceError
from maskferry.limits import most_pixels, size_problem

__all__ = ["decode_packet", "open_video", "packets_of"]

_COVER = 0x400
"""AV_DISPOSITION_ATTACHED_PIC (libavformat/avformat.h): a sound file's cover. PyAV tells dispositions since 14."""

_TEXT_AND_PICTURES = ("tty", "image2", "_pipe")
"""Ends of the names of FFmpeg's demuxers that make a "video" of a text file or of a single picture."""

_OTHERS = frozenset(
    {
        *("avisynth", "concat", "dash", "data", "ffmetadata", "hls", "image2", "imf", "ipmovie", "libopenmpt", "mlv"),
        *("segment", "smoothstreaming", "stream_segment", "tee", "vapoursynth", "vobsub"),
        *("rtp", "rtsp", "sap", "sdp"),
        *("alsa", "bluray", "dvdvideo", "fbdev", "jack", "kmsgrab", "lavfi", "libcdio", "libdc1394", "oss", "pulse"),
        *("v4l2", "video4linux2", "x11grab", "xcbgrab"),
    }
)
"""Demuxers that open other files, devices or the network, or that run scripts."""

_LISTS = (
    (b"#EXTM3U", "a playlist (HLS)"),
    (b"ffconcat", "a list of files (ffconcat)"),
    (b"<MPD", "a playlist (DASH)"),
    (b"<SmoothStreamingMedia", "a playlist (Smooth Streaming)"),
    (b"<CompositionPlaylist", "a playlist (IMF)"),
    (b"<AssetMap", "a list of files (IMF)"),
    (b"<smil", "a playlist (SMIL)"),
    (b"<asx", "a playlist (ASX)"),
    (b"[playlist]", "a playlist (PLS)"),
    (b"[Reference]", "a playlist (ASF)"),
    (b"v=0\r\n", "a description of streams (SDP)"),
    (b"v=0\n", "a description of streams (SDP)"),
    (b"RTSPtext", "a reference to another file (QuickTime)"),
    (b"# VobSub", "an index of subtitles (VobSub)"),
)
"""How files begin that hold no frames, but name others; elements of XML may stand anywhere in the beginning."""

_LIST_SUFFIXES = {
    ".m3u8": "a playlist (HLS)",
    ".m3u": "a playlist",
    ".ffconcat": "a list of files (ffconcat)",
    ".mpd": "a playlist (DASH)",
    ".sdp": "a description of streams (SDP)",
    ".avs": "a script (AviSynth)",
    ".vpy": "a script (VapourSynth)",
}

_LENIENT: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
"""Titles that are no UTF-8 are no reason to refuse a video; from 19 on PyAV thinks so by itself."""


@contextmanager
def open_video(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a file's video stream for decoding on several threads. Everything of it must be used inside the block.

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
        stream.codec_context.options = {"max_pixels": str(most_pixels())}  # frames may be larger than the header says
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
    refuse_lists(path)
    try:
        container: InputContainer = av.open(f"file:{path}", options=_options(), **_LENIENT)
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


def _options() -> dict[str, str]:
    """What FFmpeg may do: open this file and no other, with demuxers that need no other, and no frame beyond limits."""
    return {"protocol_whitelist": "file", "format_whitelist": _own_formats(), "max_pixels": str(most_pixels())}


@cache
def _own_formats() -> str:
    """FFmpeg's demuxers that read one file; those of lists, scripts and descriptions of streams are left out."""
    return ",".join(sorted(name for name in av.formats_available if not _OTHERS & set(name.split(","))))


def refuse_lists(path: Path) -> None:
    """Refuse a file that names others, here or on the network, in place of holding frames.

    Raises:
        SourceError: it is one, by its content or its name.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")
    except OSError as err:
        raise SourceError(f"{path} cannot be read: {err.strerror or err}") from err
    kind = next(
        (kind for mark, kind in _LISTS if mark in head and (mark.startswith(b"<") or head.startswith(mark))), None
    )
    kind = kind or _LIST_SUFFIXES.get(path.suffix.lower())
    if kind is not None:
        raise SourceError(
            f"{path} is {kind}: it names other files or addresses, which are not opened for it: pass the video itself"
        )


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
