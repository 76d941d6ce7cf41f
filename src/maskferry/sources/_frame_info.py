"""Rows of the frame table, known without decoding."""

from __future__ import annotations

from fractions import Fraction

from maskferry.data import FrameInfo, Source, VideoInfo
from maskferry.sources._checks import check_indices

__all__ = ["check_index", "frame_info_of", "time_at"]


def frame_info_of(source: Source, index: int) -> FrameInfo:
    """A frame's row of the frame table, also of a source written before `Source.frame_info` was part of the protocol.

    Such a source decodes the frame, and a stream of that kind is read by it.

    Args:
        source: any source.
        index: 0-based.

    Raises:
        InputError: the frame is outside the video, or the source is a stream that cannot go there.
        SourceError: the frame had to be decoded and could not be.
    """
    if hasattr(source, "frame_info"):
        return source.frame_info(index)
    return Source.frame_info(source, index)


def check_index(index: int, video: VideoInfo) -> int:
    """Check what `Source.frame_info` is asked for; gives a plain int back.

    Raises:
        InputError: the index is no whole number, or outside the video.
    """
    return check_indices([index], video.frame_count)[0]


def time_at(index: int, rate: Fraction | None) -> float | None:
    """When a frame is shown at a constant rate, in seconds; None where there is no rate."""
    return None if rate is None else float(index / rate)
