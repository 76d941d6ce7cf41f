"""A film of the result: MP4, with the masks drawn over the frames and the sound of the original.

The picture is H.264 in yuv420p (BT.709, limited range), which everything plays. Sides of odd length, which that cannot
hold, get one more row or column, a copy of the last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.container
import cv2
import numpy as np

from maskferry.data import Frame, FrameMasks, Image, VideoInfo
from maskferry.drawing import draw_overlay
from maskferry.errors import InputError, OutputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._sound import Sound

__all__ = ["Clock", "check_picture", "declare_bt709", "translate_av_errors", "write_film"]

log = logging.getLogger(__name__)

_ENCODERS = ("libx264", "libopenh264", "h264", "mpeg4")  # the first that this build of PyAV has
_MOST_TICKS = 65_535  # in a second, by the standard of MPEG-4 Part 2


def write_film(
    video: VideoInfo,
    frames: Iterable[tuple[Frame, FrameMasks]],
    path: Path,
    *,
    rate: Fraction | None = None,
    draw: Callable[[Image, FrameMasks], Image] = draw_overlay,
    audio_from: Path | None = None,
    overwrite: bool = False,
) -> int:
    """Draw and encode frame by frame; one is held at a time.

    Without ``rate``, every frame is shown at its own time: a film of a video with a variable rate stays in step with
    it, and so does one of a part of a video or of every n-th frame. The film starts with its first frame. Times are
    kept to a 32,000th of a second or better, those of a constant rate such as 30000/1001 exactly.

    Args:
        video: the video; its size, and its rate, which is taken where frames have no time.
        frames: pictures and what is on them, in the order of time.
        path: ends in .mp4; written atomically.
        rate: frames per second; the frames then follow each other at this rate, whatever their times.
        draw: makes the picture, all of one size; give `functools.partial(draw_overlay, alpha=0.4)` for another look.
        audio_from: a file whose first audio stream is put under the film, usually the video itself: copied where MP4
            can hold its codec, otherwise encoded as AAC; cut to the part that the film shows. A file without sound
            is logged.
        overwrite: replace a file.

    Returns:
        The number of frames written.

    Raises:
        InputError: no frames, a frame of another size than the video, times that do not ascend, no rate available, a
            path that is no .mp4, or sound with a ``rate`` or without times (it would not be in step).
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable, or the encoder failed.
    """
    if path.suffix.lower() != ".mp4":
        raise InputError(f"expected a path that ends in .mp4, got {path}")
    if rate is not None and rate <= 0:
        raise InputError(f"rate: expected frames per second above 0, got {rate}")
    if audio_from is not None and rate is not None:
        raise InputError("audio_from with a rate: the sound would run away from the picture; leave the rate out")
    check_free(path, overwrite=overwrite)
    with ExitStack() as stack:
        sound = stack.enter_context(Sound.open(audio_from)) if audio_from is not None else None
        clock = Clock(video, rate, needs_times=sound is not None)
        part = stack.enter_context(atomic_path(path, overwrite=overwrite))
        stack.enter_context(translate_av_errors(path))
        options = {"movflags": "+faststart", "movie_timescale": str(clock.ticks)}
        out = stack.enter_context(av.open(str(part), "w", format="mp4", options=options))
        return _encode(out, video, frames, clock, draw, sound)


@contextmanager
def translate_av_errors(path: Path) -> Iterator[None]:
    """Turn what the encoder says while ``path`` is written into an `OutputError`."""
    try:
        yield
    except av.FFmpegError as err:
        if isinstance(err, OSError) and err.errno and err.errno < 10_000:  # the disk's own, see files.py
            raise
        raise OutputError(f"cannot encode {path}: {err}") from err


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
        self.ticks = numerator * max(1, _MOST_TICKS // numerator)

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


def _encode(
    out: av.container.OutputContainer,
    video: VideoInfo,
    frames: Iterable[tuple[Frame, FrameMasks]],
    clock: Clock,
    draw: Callable[[Image, FrameMasks], Image],
    sound: Sound | None,
) -> int:
    stream: av.VideoStream | None = None
    count, tick, step = 0, 0, round(clock.ticks / (clock.rate or 25))
    for frame, masks in frames:
        before, tick = tick, clock.tick(frame)
        step = tick - before if count and not clock.rate else step
        picture = _picture(frame, masks, video, draw)
        if stream is None:
            stream = _add_stream(out, picture, clock)
            if sound is not None:
                sound.add_to(out)
        if (picture.height, picture.width) != (stream.height, stream.width):
            raise InputError(f"draw: expected one size for all pictures, got another on frame {frame.index}")
        picture.pts, picture.time_base = tick, Fraction(1, clock.ticks)
        out.mux(stream.encode(picture))
        if sound is not None:
            sound.mux_until(Fraction(tick, clock.ticks), clock.start)
        count += 1
    if stream is None:
        raise InputError("a film needs at least one frame, got none")
    out.mux(stream.encode())
    if sound is not None:
        sound.mux_until(Fraction(tick + step, clock.ticks), clock.start)
        sound.finish()
    return count


def declare_bt709(context: av.VideoCodecContext) -> None:
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


def _picture(
    frame: Frame, masks: FrameMasks, video: VideoInfo, draw: Callable[[Image, FrameMasks], Image]
) -> av.VideoFrame:
    check_picture(frame, masks, video)
    drawn = draw(frame.image, masks)
    if drawn.ndim != 3 or drawn.shape[2] != 3 or drawn.dtype != np.uint8:
        raise InputError(f"draw: expected RGB, uint8 (H, W, 3), got {drawn.dtype} {drawn.shape}")
    return av.VideoFrame.from_ndarray(_even(drawn), format="rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")


def _add_stream(out: av.container.OutputContainer, picture: av.VideoFrame, clock: Clock) -> av.VideoStream:
    name = next(name for name in _ENCODERS if name in av.codecs_available and _can_encode(name))
    rate = clock.rate or Fraction(25)
    stream = cast(av.VideoStream, out.add_stream(name, rate=rate))
    context = stream.codec_context
    stream.height, stream.width = picture.height, picture.width
    stream.pix_fmt = "yuv420p"
    if name == "mpeg4":
        log.warning("this build of PyAV cannot encode H.264: the film is MPEG-4 Part 2, which not every player shows")
        clock.ticks = min(clock.ticks, _MOST_TICKS)
    if name == "libx264":
        stream.options = {"crf": "20", "preset": "veryfast"}
    else:
        stream.bit_rate = max(500_000, round(0.15 * picture.width * picture.height * rate))
    stream.time_base = context.time_base = Fraction(1, clock.ticks)
    declare_bt709(context)
    return stream


def _can_encode(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except ValueError:
        return False


def _even(image: Image) -> Image:
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        image = np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8)
    return np.ascontiguousarray(image)
