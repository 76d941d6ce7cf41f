"""Frames that are in memory already: one array, or a list of pictures."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.closing import Closing
from maskferry.data import Frame, FrameInfo, Image, VideoInfo
from maskferry.errors import InputError
from maskferry.sources._checks import check_indices, check_picture, to_rgb
from maskferry.sources._frame_info import check_index, numbered_frame

__all__ = ["ArraySource"]


class ArraySource(Closing):
    """Pictures in memory. Frames are views of the caller's data wherever these are RGB already.

    Attributes:
        info: size, rate, number of frames; no path.
        seekable: True.
    """

    seekable = True
    announced_frame_count: int | None = None

    def __init__(self, frames: NDArray[np.uint8] | Sequence[Any], *, rate: Fraction | None = None) -> None:
        """Check all pictures; none is copied.

        Args:
            frames: uint8 RGB (T, H, W, 3), grey (T, H, W) or one picture (H, W, 3); or a sequence of pictures, each
                (H, W, 3) or (H, W).
            rate: frames per second; without it frames have no time.

        Raises:
            InputError: no frames, another dtype, shape or number of channels, or pictures of several sizes.
        """
        if isinstance(frames, np.ndarray):
            self._pictures = list(_split(frames))
        else:
            self._pictures = [np.asarray(picture) for picture in frames]
        if not self._pictures:
            raise InputError("frames: expected at least one picture, got none")
        for i, picture in enumerate(self._pictures):
            check_picture(picture, f"frames[{i}]", self._pictures[0].shape[:2])
        height, width = self._pictures[0].shape[:2]
        self.info = VideoInfo(width, height, rate, len(self._pictures), "array")

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Give these frames; see `Source.frames`."""
        wanted = check_indices(indices, self.info.frame_count)
        return (self._frame(index) for index in wanted)

    def frame_info(self, index: int) -> FrameInfo:
        """A frame's row of the frame table; see `Source.frame_info`."""
        return numbered_frame(check_index(index, self.info), self.info.rate)

    def _frame(self, index: int) -> Frame:
        image: Image = to_rgb(self._pictures[index])
        return Frame(numbered_frame(index, self.info.rate), image)

    def close(self) -> None:
        """Nothing to free: the data are the caller's."""


def _split(array: NDArray[Any]) -> NDArray[Any]:
    """(T, H, W, 3) or (T, H, W) of any array."""
    if array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        return array
    if array.ndim in (2, 3):
        return array[np.newaxis]
    raise InputError(
        f"frames: expected RGB (T, H, W, 3), grey (T, H, W) or one picture (H, W, 3), got shape {array.shape}"
    )
