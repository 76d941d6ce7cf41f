"""What a source of frames promises."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from maskferry.data import Frame, VideoInfo

__all__ = ["Source", "VideoLike"]


class Source(Protocol):
    """Frames by index, decoded when asked for and never all in memory.

    Attributes:
        info: size, rate, frame count, name.
        announced_frame_count: how many frames a file's header promises, more than ``info.frame_count`` where the file
            was cut short; None where nothing is promised.
        seekable: whether frames can be read in any order and again. A stream is not: it can be read once, forward.
    """

    info: VideoInfo
    announced_frame_count: int | None
    seekable: bool

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """Decode these frames, lazily.

        Args:
            indices: strictly ascending or strictly descending, each inside the video. A stream, whose length is
                unknown, takes an ascending range past its end and stops where it ends.

        Returns:
            A generator; closing it stops whatever decodes ahead.

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


VideoLike = str | Path | Source | Any
"""A file, a folder, a URL, an array (T, H, W, 3), a list of arrays, an iterable of frames, or a `Source`."""
