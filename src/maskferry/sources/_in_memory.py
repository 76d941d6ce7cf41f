"""Frames that the caller has in memory or makes one by one: an array, a list of pictures, any iterable of them."""

from __future__ import annotations

import itertools
from collections.abc import Generator, Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import foreign
from maskferry.closing import Closing
from maskferry.data import Frame, FrameInfo, Image, VideoInfo
from maskferry.errors import InputError, SourceError
from maskferry.sources._checks import check_indices

__all__ = ["ArraySource", "StreamSource"]


_ADVICE = "a stream can be read once, forward: track forward only, or save it as a video first and open that"


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
            self._pictures = [_as_array(picture, f"frames[{i}]") for i, picture in enumerate(frames)]
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
        return numbered_frame(self.info.check_frame(index), self.info.rate)

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
        with foreign("frames"):
            self._pictures = iter(pictures)
        self._read = False
        first = next(self._pictures, None)
        if first is None:
            raise InputError("frames: expected at least one picture, got an iterable that is empty")
        self._first = _as_array(first, "frames[0]")
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
        return numbered_frame(self.info.check_frame(index), self.info.rate)

    def _iterate(self, wanted: Sequence[int]) -> Generator[Frame]:
        pictures = enumerate(itertools.chain([self._first], self._pictures))
        for index in wanted:
            picture = next((picture for i, picture in pictures if i == index), None)
            if picture is None:
                return
            try:
                array = _as_array(picture, f"frames[{index}]")
                check_picture(array, f"frames[{index}]", self.info.size_hw)
            except InputError as err:
                raise SourceError(f"the stream changed: {err}", frame=index) from err
            yield Frame(numbered_frame(index, self.info.rate), to_rgb(array))

    def close(self) -> None:
        """Close the generator, where it is one. May be called twice."""
        self._read = True
        if callable(close := getattr(self._pictures, "close", None)):
            close()


def _as_array(picture: Any, what: str) -> NDArray[Any]:  # noqa: ANN401
    with foreign(what):
        return np.asarray(picture)


def numbered_frame(index: int, rate: Fraction | None) -> FrameInfo:
    """The row of a frame that has no name of its own: its index, six digits."""
    return FrameInfo(index, None if rate is None else float(index / rate), f"{index:06d}")


def check_picture(picture: NDArray[Any], what: str, size_hw: tuple[int, ...] | None = None) -> None:
    """Check that a picture is uint8, (H, W, 3) or (H, W), and of the size of the first.

    Raises:
        InputError: it is not; the message says what to do.
    """
    if picture.dtype != np.uint8:
        advice = {
            "f": "multiply by 255 where they are in [0, 1], round, and use .astype(numpy.uint8)",
            "b": "for black and white pictures pass 255 * frames.astype('uint8'); masks are given to the tracker",
        }.get(picture.dtype.kind, "bring all frames to 0..255 by one common scale and use .astype(numpy.uint8)")
        raise InputError(f"{what}: expected dtype uint8, got {picture.dtype}: {advice}")
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] != 3) or not picture.size:
        advice = ""
        if picture.ndim == 3 and picture.shape[2] == 4:
            advice = ": drop the fourth channel, frames[..., :3]"
        elif picture.ndim == 3 and picture.shape[0] in (1, 3):
            advice = ": put the channels last, numpy.moveaxis(frames, -3, -1)"
        raise InputError(f"{what}: expected RGB (H, W, 3) or grey (H, W), got shape {picture.shape}{advice}")
    if size_hw is not None and picture.shape[:2] != size_hw:
        height, width = size_hw
        raise InputError(
            f"{what} is {picture.shape[1]}x{picture.shape[0]}, but the first frame is {width}x{height}: "
            "all frames must have one size"
        )


def to_rgb(picture: NDArray[np.uint8]) -> Image:
    """RGB (H, W, 3) of a picture that `check_picture` has passed; a read-only view of it where that is possible."""
    if picture.ndim == 2:
        return np.repeat(picture[:, :, np.newaxis], 3, axis=2)
    view = picture.view()
    view.flags.writeable = False
    return view
