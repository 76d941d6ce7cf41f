"""How a player turns a video: its display matrix."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from maskferry.data import Image

__all__ = ["Orientation", "read_orientation"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Orientation:
    """What is done to a stored picture before it is shown.

    Attributes:
        mirrored: left to right, before it is turned.
        quarter_turns: counter-clockwise, 0 to 3.
    """

    quarter_turns: int = 0
    mirrored: bool = False

    def apply(self, image: Image) -> Image:
        """The picture as it is shown, a view of the stored one."""
        if self.mirrored:
            image = image[:, ::-1]
        return np.rot90(image, self.quarter_turns) if self.quarter_turns else image

    def shown_hw(self, stored_hw: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the picture as it is shown."""
        height, width = stored_hw
        return (width, height) if self.quarter_turns % 2 else (height, width)


_ORIENTATIONS = {
    (1, 0, 0, 1): Orientation(0),
    (0, -1, 1, 0): Orientation(1),
    (-1, 0, 0, -1): Orientation(2),
    (0, 1, -1, 0): Orientation(3),
    (-1, 0, 0, 1): Orientation(0, mirrored=True),
    (0, 1, 1, 0): Orientation(1, mirrored=True),
    (1, 0, 0, -1): Orientation(2, mirrored=True),
    (0, -1, -1, 0): Orientation(3, mirrored=True),
}
"""By the signs of the matrix's a, b, c and d."""

_ALMOST_ZERO = 2**12
"""Of 16.16 fixed point: a sixteenth."""


def read_orientation(frame: VideoFrame) -> Orientation:
    """Read the display matrix of a decoded frame; a video to be shown at another angle than a right one is not turned.

    The matrix is 3x3 of 16.16 fixed point, row by row, and maps stored to shown pixels as (x, y, 1) * M, with y
    downward (FFmpeg, libavutil/display.h; ISO/IEC 14496-12, 8.2.2).
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(data, dtype=np.int32)[:5].tolist()
    found = _ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)))
    if found is None:
        log.warning("the video is to be shown at an odd angle, which is left out (display matrix %s)", (a, b, c, d))
        return Orientation()
    return found


def _sign(value: int) -> int:
    if abs(value) < _ALMOST_ZERO:
        return 0
    return 1 if value > 0 else -1
