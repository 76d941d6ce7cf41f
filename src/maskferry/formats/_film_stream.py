"""What every film is encoded with: its clock, its stream of pictures, sides of even length, errors of the encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.container
import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry._staging import final_path
from maskferry.data import Frame, FrameMasks, VideoInfo
from maskferry.errors import InputError, OutputError

__all__ = ["MOST_TICKS", "Clock", "add_stream", "check_picture", "pad_to_even", "translate_av_errors"]

MOST_TICKS = 65_535
"""In a second, by the standard of MPEG-4 Part 2."""


@contextmanager
def translate_av_errors(path: Path) -> Iterator[None]:
    """Turn what the encoder says while ``path`` is written into an `OutputError`."""
    try:
        yield
    except av.FFmpegError as err:
        if isinstance(err, OSError) and err.errno and err.errno < 10_000:  # the disk's own, see files.py
            raise
        raise OutputError(f"cannot encode {final_path(path)}: {err}") from err


class Clock:
    """Times of frames -> ticks of the film."""

    def __init__(self, video: VideoInfo, rate: Fraction | None, *, needs_times: bool) -> None:
        self.start = 0.0  # of the first frame, seconds
        self.rate = rate or video.rate
        self._fixed = rate is not None
        self._needs_times = needs_times
        self._count = 0
        self._last = -1
        if self.rate is not None and self.rate.numerator > 1_000_000:  # made of a float: no clock ticks so fast
            self.rate = self.rate.limit_denominator(1001)
        numerator = (self.rate or Fraction(1)).numerator
        self.ticks = numerator * max(1, MOST_TICKS // numerator)

    def tick(self, frame: Frame) -> int:
        """When the next frame is shown, in ticks from the start of the film."""
        time = None if self._fixed else frame.info.time
        if time is None:
            if self._needs_times:
                raise InputError(f"frame {frame.index} has no time: the sound cannot be put under it")
            if self.rate is None:
                raise InputError(f"frame {frame.index} has no time and the video no rate: say how fast, with rate")
            tick = round(self._count * self.ticks / self.rate)
        else:
            if not self._count:
                self.start = time
            tick = round((time - self.start) * self.ticks)
        if tick <= self._last:
            raise InputError(f"frame {frame.index}: expected a time after that of the frame before it, got {time} s")
        self._count, self._last = self._count + 1, tick
        return tick


def add_stream(
    out: av.container.OutputContainer, codec: str, clock: Clock, size_hw: tuple[int, int], pix_fmt: str
) -> av.VideoStream:
    """Make the film's stream of pictures, with BT.709 colours.

    Args:
        out: the film.
        codec: the name of an encoder that this build of PyAV has.
        clock: gives the rate (25 frames per second where there is none) and the length of a tick.
        size_hw: of the pictures, in pixels, even.
        pix_fmt: FFmpeg's name of the pixel format.
    """
    stream = cast(av.VideoStream, out.add_stream(codec, rate=clock.rate or Fraction(25)))
    stream.height, stream.width = size_hw
    stream.pix_fmt = pix_fmt
    stream.time_base = stream.codec_context.time_base = Fraction(1, clock.ticks)
    _declare_bt709(stream.codec_context)
    return stream


def _declare_bt709(context: av.VideoCodecContext) -> None:
    """Write into the film what its colours are; players guess otherwise, by its size, and often wrong."""
    context.colorspace = context.color_primaries = context.color_trc = 1  # ITU-T H.273
    context.color_range = 1  # limited


def check_picture(frame: Frame, masks: FrameMasks, video: VideoInfo) -> None:
    """Refuse a picture of another size than the video's, or with the masks of another frame.

    Raises:
        InputError: it is so.
    """
    if frame.image.shape[:2] != video.size_hw or frame.index != masks.frame:
        raise InputError(
            f"frame {frame.index}: expected a picture of {video.size_hw} (height, width) with its own masks, got "
            f"{frame.image.shape[:2]} with the masks of frame {masks.frame}"
        )


def pad_to_even(pixels: NDArray[np.uint8], border: int) -> NDArray[np.uint8]:
    """Pixels, uint8 (H, W, C), whose sides of odd length have got one more row or column, below or on the right.

    Args:
        pixels: a picture.
        border: of OpenCV: ``cv2.BORDER_REPLICATE`` repeats the last row or column, ``cv2.BORDER_CONSTANT`` adds zeros.
    """
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:
        padded = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, border, value=(0, 0, 0, 0))
        pixels = np.asarray(padded, dtype=np.uint8)
    return np.ascontiguousarray(pixels)
