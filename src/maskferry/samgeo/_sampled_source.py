"""A video of which only every n-th frame is kept: what samgeo's ``frame_rate`` leaves of it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from maskferry.closing import Closing
from maskferry.data import Frame, FrameInfo, Source
from maskferry.errors import SourceError
from maskferry.sources import frame_info_of

__all__ = ["SampledSource"]


class SampledSource(Closing):
    """Every step-th frame of a video, numbered anew."""

    def __init__(self, source: Source, step: int) -> None:
        self._source, self._step = source, step
        self.seekable = source.seekable
        self.announced_frame_count = _count_kept(source.announced_frame_count, step)
        self.info = replace(
            source.info,
            rate=source.info.rate / step if source.info.rate is not None else None,
            frame_count=_count_kept(source.info.frame_count, step),
            path=None,  # opened again, it would have other frames
        )
        self.reads_from = source.info.path  # and must not be written over

    def frames(self, indices: Sequence[int]) -> Generator[Frame]:
        """As `Source.frames`."""
        return self._renumber_all(self._source.frames([i * self._step for i in indices]))

    def frame_info(self, index: int) -> FrameInfo:
        """As `Source.frame_info`."""
        return self._renumber(frame_info_of(self._source, index * self._step))

    def _renumber(self, info: FrameInfo) -> FrameInfo:
        return replace(info, index=info.index // self._step)

    def _renumber_all(self, frames: Generator[Frame]) -> Generator[Frame]:
        try:
            for frame in frames:
                yield Frame(self._renumber(frame.info), frame.image)
        except SourceError as err:
            if err.frame is not None:
                err.frame //= self._step
            raise
        finally:
            frames.close()

    def close(self) -> None:
        """Close the video. May be called twice."""
        self._source.close()


def _count_kept(count: int | None, step: int) -> int | None:
    """How many of ``count`` frames are left, the first of them included."""
    return None if count is None else -(-count // step)
