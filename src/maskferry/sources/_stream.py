"""Frames from any iterable of pictures, such as a generator or a camera: once, forward, without an end in sight."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from maskferry.closing import Closing
from maskferry.data import Frame, FrameInfo, VideoInfo
from maskferry.errors import InputError, SourceError
from maskferry.sources._checks import check_indices, check_picture, to_rgb
from maskferry.sources._frame_info import check_index, numbered_frame

__all__ = ["StreamSource"]

_ADVICE = "a stream can be read once, forward: track forward only, or save it as a video first and open that"


class StreamSource(Closing):
    """An iterable of pictures.

    Its first picture is taken when it is opened, to know the size, and given first when it is read.

    Attributes:
        info: size and rate; the number of frames is unknown.
        seekable: False.
    """

    seekable = False
    announced_frame_count: int | None = None

    def __init__(self, pictures: Iterable[Any], *, rate: Fraction | None = None) -> None:
        """Take the first picture.

        Args:
            pictures: uint8, RGB (H, W, 3) or grey (H, W) each.
            rate: frames per second; without it frames have no time.

        Raises:
            InputError: the iterable is empty, or its first item is no such picture.
        """
        self._pictures = iter(pictures)
        self._read = False
        first = next(self._pictures, None)
        if first is None:
            raise InputError("frames: expected at least one picture, got an iterable that is empty")
        self._first = np.asarray(first)
        check_picture(self._first, "frames[0]")
        height, width = self._first.shape[:2]
        self.info = VideoInfo(width, height, rate, None, "stream")

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Give these frames, ascending; others in between are dropped. Ends where the stream ends.

        Raises:
            InputError: the indices descend, or the stream has been read before.
            SourceError: while iterating: a picture of another size or kind.
        """
        wanted = check_indices(indices, None)
        if len(wanted) > 1 and wanted[0] > wanted[-1]:
            raise InputError(f"frames {wanted[0]} down to {wanted[-1]} were asked for, but {_ADVICE}")
        if self._read:
            raise InputError(f"this stream has been read already: {_ADVICE}")
        self._read = True
        return self._iterate(wanted)

    def frame_info(self, index: int) -> FrameInfo:
        """What is known of a frame before it comes: index, time and name; nothing is read.

        The end of a stream is unknown, so that every index from 0 has an answer.

        Raises:
            InputError: the index is no whole number from 0.
        """
        return numbered_frame(check_index(index, self.info), self.info.rate)

    def _iterate(self, wanted: Sequence[int]) -> Generator[Frame]:
        pictures = enumerate(itertools.chain([self._first], self._pictures))
        for index in wanted:
            picture = next((picture for i, picture in pictures if i == index), None)
            if picture is None:
                return
            array = np.asarray(picture)
            try:
                check_picture(array, f"frames[{index}]", self.info.size_hw)
            except InputError as err:
                raise SourceError(f"the stream changed: {err}", frame=index) from err
            yield Frame(numbered_frame(index, self.info.rate), to_rgb(array))

    def close(self) -> None:
        """Close the generator, where it is one. May be called twice."""
        self._read = True
        if callable(close := getattr(self._pictures, "close", None)):
            close()
