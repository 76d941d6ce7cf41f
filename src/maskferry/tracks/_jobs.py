"""What a run has to do, as values: `Span`, `FrameRange` and `Job`.

Every prompt is a *seed* of its object. Between two seeds of one object lies a gap, which the forward pass fills from
the seed before and the backward pass from the seed after; before the first seed there is only the backward pass, after
the last one only the forward pass. One such stretch of one object in one direction is a `Span`. Spans of one direction
that touch are done together, in one pass: a `Job`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from maskferry._arguments import whole
from maskferry.errors import InputError

__all__ = ["ENDLESS", "FrameRange", "Job", "Span", "StoredJob", "count_up_to"]

ENDLESS = 1 << 62
"""Where a stream's last frame would be: past anything that is ever read."""


@dataclass(frozen=True, slots=True)
class FrameRange:
    """The frames that a run covers: every stride-th from start, before stop; seeds inside are always added.

    Attributes:
        start: first frame index.
        stop: frame index to end before.
        stride: 1 for every frame.
    """

    start: int = 0
    stop: int = ENDLESS
    stride: int = 1

    def within(self, frame_count: int | None) -> FrameRange:
        """The same range, ended where the video ends.

        Raises:
            InputError: the range is empty or begins outside the video.
        """
        if frame_count is not None:
            whole(frame_count, "frame_count", least=0)
        start, last, stride = whole(self.start, "start"), whole(self.stop, "stop"), whole(self.stride, "stride")
        if not 1 <= stride <= ENDLESS:
            raise InputError(f"stride: expected 1 or more, got {stride}")
        stop = min(last, ENDLESS if frame_count is None else frame_count)
        if not 0 <= start < stop:
            length = "an unknown number of" if frame_count is None else frame_count
            end = "the end" if last == ENDLESS else last
            raise InputError(f"frames {start} to {end}: expected a range inside the video's {length} frames")
        return FrameRange(start, stop, stride)


@dataclass(frozen=True, slots=True)
class Span:
    """One object, from one of its seeds to the next one in the direction of the pass.

    Attributes:
        object_id: the object.
        seed: the frame of the seed; its own mask is known.
        until: the frame of the seed at the other end, not included; None where there is none.
        blend: whether the other direction has filled this span before, so that the answers are merged.
    """

    object_id: int
    seed: int
    until: int | None
    blend: bool = False

    @property
    def key(self) -> tuple[int, int, int | None]:
        """What makes it the same span again."""
        return self.object_id, self.seed, self.until

    def reach(self, job_range: FrameRange, *, backward: bool) -> tuple[int, int]:
        """First frame and the frame to end before; its seed is included, the seed at the other end is not."""
        if backward:
            return (job_range.start if self.until is None else self.until + 1), self.seed + 1
        return self.seed, job_range.stop if self.until is None else self.until


@dataclass(frozen=True, slots=True)
class Job:
    """One pass of one session.

    Attributes:
        backward: frames descend.
        frame_range: resolved.
        spans: what it has to find, by seed in the order of the pass, then by object id.
    """

    backward: bool
    frame_range: FrameRange
    spans: tuple[Span, ...]

    def frames(self) -> Sequence[int]:
        """The frames to read, in the order of the pass: the range's, and the seeds."""
        reach = [span.reach(self.frame_range, backward=self.backward) for span in self.spans]
        start, stop = min(low for low, _ in reach), max(high for _, high in reach)
        first, stride = self.frame_range.start, self.frame_range.stride
        grid = range(first + max(0, -(-(start - first) // stride)) * stride, stop, stride)
        seeds = {span.seed for span in self.spans if span.seed not in grid}
        if seeds:
            return sorted(seeds.union(grid), reverse=self.backward)
        return grid[::-1] if self.backward else grid


@dataclass(frozen=True, slots=True)
class StoredJob:
    """A job and how far it has come.

    Attributes:
        id: its key in the store.
        engine: name of the engine that began it.
        job: what it has to do.
        position: the last frame, in the order of the pass, that is finished; None before the first.
        snapshot_frame: the frame after which the session's state was saved last; None where it was not.
        done: nothing is left to do.
    """

    id: int
    engine: str
    job: Job
    position: int | None
    snapshot_frame: int | None
    done: bool

    def left(self, span: Span) -> tuple[int, int]:
        """What is left to do of one of its spans: first frame, and the frame to end before."""
        low, high = span.reach(self.job.frame_range, backward=self.job.backward)
        if self.done:
            return high, high
        if self.position is None:
            return low, high
        return (low, min(high, self.position)) if self.job.backward else (max(low, self.position + 1), high)


def count_up_to(frames: Sequence[int], frame: int | None) -> int:
    """How many frames come up to and with this one, in the order of the pass."""
    if frame is None:
        return 0
    if len(frames) > 1 and frames[0] > frames[-1]:
        return bisect_right(frames, -frame, key=lambda index: -index)
    return bisect_right(frames, frame)
