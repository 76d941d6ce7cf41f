"""Files opened by FFmpeg (PyAV), alone: no other file, no device and no address is opened for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer

from maskferry.errors import SourceError
from maskferry.limits import most_pixels

__all__ = ["open_alone"]

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

_MAJOR = int(av.__version__.split(".")[0])

_LENIENT: dict[str, Any] = {} if _MAJOR >= 19 else {"metadata_errors": "replace"}
"""Titles that are no UTF-8 are no reason to refuse a video; from 19 on PyAV thinks so by itself."""


def open_alone(path: Path) -> InputContainer:
    """Open a file for reading.

    Raises:
        SourceError: it names other files in place of holding frames.
        Exception: whatever PyAV raises.
    """
    _refuse_lists(path)
    container: InputContainer = av.open(f"file:{path}", **_options(), **_LENIENT)
    return container


def _options() -> dict[str, Any]:
    """What FFmpeg may do: open this file and no other, with demuxers that need no other, and no frame beyond limits.

    Before 18, PyAV's options for streams end the process where a header names no streams, as in FLV: the limit then
    holds for the decoder alone, which is told so where it is opened.
    """
    options = {"protocol_whitelist": "file", "format_whitelist": _own_formats(), "max_pixels": str(most_pixels())}
    return {"options" if _MAJOR >= 18 else "container_options": options}


@cache
def _own_formats() -> str:
    """FFmpeg's demuxers that read one file; those of lists, scripts and descriptions of streams are left out."""
    return ",".join(sorted(name for name in av.formats_available if not _OTHERS & set(name.split(","))))


def _refuse_lists(path: Path) -> None:
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
