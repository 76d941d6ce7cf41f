"""Small test videos whose frames carry their own number, readable from the pixels after lossy coding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from maskferry.data import Image

GRID = 4  # 4 x 4 blocks, 16 bits
SIZE_HW = (96, 128)


def numbered_image(index: int, size_hw: tuple[int, int] = SIZE_HW) -> Image:
    """A picture (H, W, 3) that shows ``index`` as a grid of dark and bright blocks, most significant bit first."""
    bits = np.array([(index >> (GRID * GRID - 1 - k)) & 1 for k in range(GRID * GRID)]).reshape(GRID, GRID)
    height, width = size_hw
    rows, columns = np.arange(height) * GRID // height, np.arange(width) * GRID // width
    grey = np.where(bits[rows][:, columns] == 1, 205, 50).astype(np.uint8)
    grey += ((np.arange(width) + 3 * index) % 16).astype(np.uint8)  # something that moves
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_number(image: Image) -> int:
    """The index that `numbered_image` wrote."""
    height, width = image.shape[:2]
    number = 0
    for row in range(GRID):
        for column in range(GRID):
            y, x = height * row // GRID, width * column // GRID
            block = image[y + 4 : y + height // GRID - 4, x + 4 : x + width // GRID - 4]
            number = number * 2 + int(block.mean() > 128)
    return number


def make_clip(
    path: Path,
    count: int,
    *,
    codec: str = "libx264",
    size_hw: tuple[int, int] = SIZE_HW,
    rate: Fraction | int = 25,
    gop: int = 12,
    b_frames: int = 0,
    times: Sequence[Fraction | float] | None = None,
    rotation: int = 0,
    flip: bool = False,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    pix_fmt: str | None = None,
) -> Path:
    """Write a numbered video; the container is chosen by the suffix.

    Args:
        path: where to.
        count: number of frames.
        codec: an encoder of FFmpeg.
        size_hw: of the picture as it is shown, after rotation.
        rate: nominal frames per second.
        gop: distance of keyframes.
        b_frames: consecutive B-frames allowed.
        times: seconds of each frame, for a variable frame rate.
        rotation: degrees counter-clockwise, written as a display matrix that the player applies.
        flip: mirrored by the player, left to right, after it has rotated.
        options: of the encoder.
        container_options: of the muxer.
        pix_fmt: pixel format.
    """
    if codec == "libx264":
        options = {"preset": "ultrafast", "bf": str(b_frames), "sc_threshold": "0", **(options or {})}
    with av.open(str(path), "w", options=dict(container_options or {})) as container:
        stream = container.add_stream(codec, rate=Fraction(rate), options=dict(options or {}))
        stored = _before_rotation(numbered_image(0, size_hw), rotation, flip)
        stream.height, stream.width = stored.shape[:2]
        stream.pix_fmt = pix_fmt or _pix_fmt(codec)
        stream.codec_context.gop_size = gop
        stream.codec_context.max_b_frames = b_frames
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation or flip:
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            stream.set_display_rotation(rotation, hflip=flip)
        for index in range(count):
            image = _before_rotation(numbered_image(index, size_hw), rotation, flip)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _before_rotation(image: Image, rotation: int, flip: bool) -> Image:
    return np.rot90(image[:, ::-1] if flip else image, -rotation // 90)


def _pix_fmt(codec: str) -> str:
    return {"mjpeg": "yuvj420p", "gif": "rgb8", "png": "rgb24", "ffv1": "yuv420p"}.get(codec, "yuv420p")
