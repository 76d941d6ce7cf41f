"""Video frames of more than 8 bits a sample: their samples as they are stored, and the stretch of a whole video."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from maskferry.data import Stretch, StretchOption
from maskferry.errors import SourceError
from maskferry.sources._decoder import Decoder
from maskferry.sources._ordered_reader import OrderedReader
from maskferry.sources._packet_index import PacketIndex
from maskferry.sources._stretch import choose_stretch, spread, thin, warn_if_unused

__all__ = ["deep_samples", "find_stretch"]

_FROM_KEYFRAME = 60
"""Frames that are decoded at most to get to one that is sampled."""

_LOW_CONTRAST = 8
"""Part of the range that grey in the brightness of YUV fills less than, to be taken for measurements: at 8 bits fewer
than 32 levels would be left of it."""

_NEUTRAL = 128
"""Part of the range by which the colour of YUV differs at most in a grey picture."""


def deep_samples(frame: VideoFrame) -> NDArray[Any] | None:
    """The samples of a frame as they are stored: grey (H, W), RGB (H, W, 3), of YUV the brightness (H, W).

    None of formats of 8 bits, and of rare ones that are left to the decoder.
    """
    name = frame.format.name
    if _depth(frame) <= 8 or any(plane.line_size < 0 for plane in frame.planes):
        return None
    if name.startswith("gbr"):
        return np.concatenate([_plane(frame, i) for i in (2, 0, 1)], axis=2)
    if name.startswith(("rgb", "bgr")):
        return _plane(frame, 0)[:, :, [0, 1, 2] if name.startswith("rgb") else [2, 1, 0]]
    return _plane(frame, 0)[:, :, 0] if name.startswith(("gray", "ya")) or _is_planar_yuv(name) else None


def find_stretch(path: Path, index: PacketIndex, first: VideoFrame, option: StretchOption) -> Stretch | None:
    """One stretch for a whole video; None where frames are left to the decoder's conversion.

    That is right for 8 bits, and for films in YUV, whose depth serves fine shades. YUV without colour and of low
    contrast is taken for grey.

    Args:
        path: of the video.
        index: of its packets.
        first: any frame of it: where this one needs no stretch, no more are decoded.
        option: see `open_source`.
    """
    if option == "none":
        return None
    frames: list[NDArray[Any]] = []
    for frame in _sampled(path, index, first):
        samples = deep_samples(frame)
        if samples is None or _has_colour(frame):
            frames = []
            break
        frames.append(thin(samples))
    if not frames or (option == "auto" and _is_planar_yuv(first.format.name) and not _is_low_contrast(frames, first)):
        warn_if_unused(option, path.name)
        return None
    return choose_stretch(option, frames, path.name)


def _sampled(path: Path, index: PacketIndex, first: VideoFrame) -> Iterator[VideoFrame]:
    """The first frame, then some of the whole video, near its keyframes; without those that cannot be decoded or are of
    another kind."""
    yield first
    with Decoder(path, index) as decoder:
        reader = OrderedReader(path, index, decoder, sum(plane.buffer_size for plane in first.planes))
        for number in _picks(index)[1:]:
            try:
                shown = [found for found in reader.read([number]) if found is not None]
            except SourceError:
                continue
            for _, frame in shown:
                if (frame.width, frame.height, frame.format.name) == (first.width, first.height, first.format.name):
                    yield frame


def _picks(index: PacketIndex) -> list[int]:
    wanted = set()
    for frame in spread(index.frame_count):
        key = int(index.entry_frames[index.entry_of(frame)])
        wanted.add(key + min(frame - key, _FROM_KEYFRAME) if frame > key else frame)
    return sorted(wanted)


def _depth(frame: VideoFrame) -> int:
    return max((component.bits for component in frame.format.components), default=0)


def _is_planar_yuv(name: str) -> bool:
    return re.match(r"yuva?4\d\dp|p[024]1[0-6]|nv20", name) is not None


def _plane(frame: VideoFrame, number: int) -> NDArray[Any]:
    """(H, W, C) of a plane with samples of 16 or 32 bits; of p010 and its like, the colours are interleaved."""
    name, plane = frame.format.name, frame.planes[number]
    kind, size = "f" if re.search(r"f(16|32)[lb]e$", name) else "u", 4 if _depth(frame) > 16 else 2
    samples = np.frombuffer(memoryview(plane), dtype=f"{'>' if name.endswith('be') else '<'}{kind}{size}")
    channels = 1
    if not frame.format.is_planar:
        channels = len(frame.format.components)
    elif number and len(frame.planes) == 2:
        channels = 2
    rows: NDArray[Any] = samples.reshape(-1, plane.line_size // size)[: plane.height, : plane.width * channels]
    return rows.reshape(plane.height, plane.width, channels)


def _has_colour(frame: VideoFrame) -> bool:
    """Whether a frame is YUV whose planes of colour differ from place to place."""
    if not _is_planar_yuv(frame.format.name):
        return False
    planes = [_plane(frame, number) for number in range(1, min(3, len(frame.planes)))]
    return any(int(np.ptp(plane)) * _NEUTRAL > _full(frame) for plane in planes)


def _is_low_contrast(frames: list[NDArray[Any]], first: VideoFrame) -> bool:
    values = np.concatenate(frames)
    low, high = np.percentile(values, (2, 98))
    return bool((high - low) * _LOW_CONTRAST < _full(first))


def _full(frame: VideoFrame) -> int:
    """The range of YUV samples as they are stored: in some formats in the upper bits of 16."""
    is_upper = re.search(r"^p[024]|msb", frame.format.name) is not None
    return 1 << (16 if is_upper else _depth(frame))
