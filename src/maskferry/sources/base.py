"""What a source of frames promises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

from maskferry.data import Frame, VideoInfo

__all__ = ["Source"]


class Source(Protocol):
    """Frames by index, decoded when asked for and never all in memory.

    Attributes:
        info: size, rate, frame count, name.
        seekable: whether frames can be read in any order and again. A stream is not: it can be read once, forward.
    """

    info: VideoInfo
    seekable: bool

    def frames(self, indices: Sequence[int]) -> Iterator[Frame]:
        """Decode these frames, lazily.

        Args:
            indices: strictly ascending or strictly descending, each inside the video. A stream, whose length is
                unknown, takes an ascending range past its end and stops where it ends.

        Raises:
            InputError: at once, not at the first frame: an index is outside the video, the order is neither
                ascending nor descending, or a stream is asked to go back.
            SourceError: while iterating: a frame cannot be decoded; ``err.frame`` is its index. Every frame before
                it has been given.
        """
        ...

    def close(self) -> None:
        """Free what the source holds. May be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
