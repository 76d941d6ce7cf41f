"""A film of the result: MP4, with the masks drawn over the frames and the sound of the original.

The picture is H.264 in yuv420p (BT.709, limited range), which everything plays. Sides of odd length, which that cannot
hold, get one more row or column, a copy of the last.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import av.container
import cv2
import numpy as np

from maskferry._own_files import COMMENT
from maskferry._staging import final_path
from maskferry.data import Frame, FrameMasks, Image, VideoInfo
from maskferry.drawing import draw_overlay
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._film_stream import (
    MOST_TICKS,
    Clock,
    add_stream,
    check_picture,
    pad_to_even,
    translate_av_errors,
)
from maskferry.formats._sound import Sound

__all__ = ["write_film"]

log = logging.getLogger(__name__)

_ENCODERS = ("libx264", "libopenh264", "h264", "mpeg4")  # the first that this build of PyAV has


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
        raise InputError(f"expected a path that ends in .mp4, got {final_path(path)}")
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
        out.metadata["comment"] = COMMENT
        return _encode(out, video, frames, clock, draw, sound)


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
            stream = _add_streams(out, picture, clock, sound)
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


def _picture(
    frame: Frame, masks: FrameMasks, video: VideoInfo, draw: Callable[[Image, FrameMasks], Image]
) -> av.VideoFrame:
    check_picture(frame, masks, video)
    drawn = draw(frame.image, masks)
    if drawn.ndim != 3 or drawn.shape[2] != 3 or drawn.dtype != np.uint8:
        raise InputError(f"draw: expected RGB, uint8 (H, W, 3), got {drawn.dtype} {drawn.shape}")
    even = pad_to_even(drawn, cv2.BORDER_REPLICATE)
    return av.VideoFrame.from_ndarray(even, format="rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")


def _add_streams(
    out: av.container.OutputContainer, picture: av.VideoFrame, clock: Clock, sound: Sound | None
) -> av.VideoStream:
    """Make the film's streams before its first packet; the one of pictures is returned."""
    stream = _add_picture_stream(out, picture, clock)
    if sound is not None:
        sound.add_to(out)
    return stream


def _add_picture_stream(out: av.container.OutputContainer, picture: av.VideoFrame, clock: Clock) -> av.VideoStream:
    name = next(name for name in _ENCODERS if name in av.codecs_available and _can_encode(name))
    if name == "mpeg4":
        log.warning("this build of PyAV cannot encode H.264: the film is MPEG-4 Part 2, which not every player shows")
        clock.ticks = min(clock.ticks, MOST_TICKS)
    stream = add_stream(out, name, clock, (picture.height, picture.width), "yuv420p")
    if name == "libx264":
        stream.options = {"crf": "20", "preset": "veryfast"}
    else:
        stream.bit_rate = max(500_000, round(0.15 * picture.width * picture.height * (clock.rate or Fraction(25))))
    return stream


def _can_encode(name: str) -> bool:
    try:
        return av.Codec(name, "w").is_encoder
    except ValueError:
        return False
