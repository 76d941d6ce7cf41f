"""From prompts to jobs: which passes over which frames are still to be made. Pure: no frames, no engine, no files."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Literal, get_args

from maskferry._arguments import show
from maskferry.errors import InputError
from maskferry.tracks._jobs import FrameRange, Job, Span

__all__ = ["Absences", "Direction", "plan", "spans_of"]

Direction = Literal["both", "forward", "backward"]
"""Which passes a run makes through the video."""

SpanKey = tuple[int, int, int | None]
"""See `Span.key`."""

Absences = Mapping[int, Collection[tuple[int, int]]]
"""{object id: stretches, first frame and frame to end before, on which the object is said not to be there}."""

NO_ABSENCES: Absences = MappingProxyType({})


def plan(
    seeds: Mapping[int, Collection[int]],
    direction: Direction,
    frame_range: FrameRange,
    known: Iterable[Job] = (),
    absences: Absences = NO_ABSENCES,
) -> list[Job]:
    """Which passes are still to be made.

    Args:
        seeds: {object id: frames on which it was prompted}.
        direction: "both" fills gaps from both sides; "forward" and "backward" from one side only, so that a seed
            never acts on the past, or on the future.
        frame_range: resolved (`FrameRange.within`). Seeds outside it are left out.
        known: earlier jobs, finished or under way, whose spans are not planned again.
        absences: where objects are not; no span enters or crosses one.

    Returns:
        Jobs, forward ones first; the second of two directions merges with the results of the first.

    Raises:
        InputError: an unknown direction.
    """
    if not isinstance(direction, str) or direction not in get_args(Direction):
        raise InputError(f"direction: expected one of {', '.join(get_args(Direction))}, got {show(direction)}")
    done: dict[bool, set[SpanKey]] = {False: set(), True: set()}
    for job in known:
        if job.frame_range == frame_range:
            done[job.backward] |= {span.key for span in job.spans}
    jobs: list[Job] = []
    for backward in (False, True):
        if direction != ("forward" if backward else "backward"):
            spans = spans_of(seeds, direction, frame_range, backward=backward, filled=done[True], absences=absences)
            jobs += _group((s for s in spans if s.key not in done[backward]), frame_range, backward=backward)
    return jobs


def spans_of(
    seeds: Mapping[int, Collection[int]],
    direction: Direction,
    frame_range: FrameRange,
    *,
    backward: bool,
    filled: Collection[SpanKey] = (),
    absences: Absences = NO_ABSENCES,
) -> Iterable[Span]:
    """All spans of one direction; ``filled`` are the backward ones of earlier jobs. The rest as for `plan`."""
    for object_id, frames in seeds.items():
        frames, walls = set(frames), absences.get(object_id, ())
        for seed, until in _stretches(frames, walls, frame_range, backward=backward, alone=direction == "backward"):
            between = until is not None and until in frames
            second = between and (backward or (object_id, until, seed) in filled)
            yield Span(object_id, seed, until, blend=direction == "both" and second)


def _stretches(
    seeds: Collection[int],
    walls: Collection[tuple[int, int]],
    frame_range: FrameRange,
    *,
    backward: bool,
    alone: bool,
) -> Iterable[tuple[int, int | None]]:
    """(seed, until) of one object in one direction."""
    inside = {s for s in seeds if frame_range.start <= s < frame_range.stop}
    ends = sorted(inside.union(stop - 1 if backward else start for start, stop in walls))
    for seed in sorted(inside):
        place = bisect_left(ends, seed) - 1 if backward else bisect_right(ends, seed)
        if 0 <= place < len(ends):
            until = ends[place]
            if not backward or alone or until in inside or until < seed - 1:
                yield seed, until
        elif not backward or alone or seed > frame_range.start:  # the forward pass, if there is one, sees the seed
            yield seed, None


def _group(spans: Iterable[Span], frame_range: FrameRange, *, backward: bool) -> Iterable[Job]:
    """Put spans that touch into one job; those far from one another are passes of their own."""
    reach = {span: span.reach(frame_range, backward=backward) for span in spans}
    groups: list[list[Span]] = []
    end = -1
    for span in sorted(reach, key=lambda span: (reach[span], span.object_id)):
        low, high = reach[span]
        if low > end:
            groups.append([])
        groups[-1].append(span)
        end = max(end, high)
    for group in groups:
        in_order = sorted(group, key=lambda span: (-span.seed if backward else span.seed, span.object_id))
        yield Job(backward, frame_range, tuple(in_order))
