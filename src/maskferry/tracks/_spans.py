"""Which spans are done after prompts have changed. Pure: no frames, no engine, no files.

An edit changes prompts, and with them the spans that they call for. What had been tracked before it counts as tracked
after it; what had not is still to be done. So one takes down, before an edit, the frames on which each object is still
to be tracked (`undone_frames`), follows them through the edit, and decides after it for each span that is called for
now whether it is done, goes on in the job that is under way, or is to be planned (`sort_spans`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from maskferry.tracks._intervals import Interval, intersect, subtract, touches, unite
from maskferry.tracks._jobs import FrameRange, Job, Span, StoredJob
from maskferry.tracks._planner import Absences, Direction, spans_of

__all__ = ["Prompted", "SortedSpans", "Undone", "sort_spans", "undone_frames"]

Key = tuple[FrameRange, bool, int]
"""A range that was tracked, whether backward, and an object."""

Undone = dict[Key, list[Interval]]
"""The frames on which objects are still to be tracked, of what their prompts call for."""

Seeds = Mapping[int, Collection[int]]


@dataclass(frozen=True, slots=True)
class Prompted:
    """What objects are prompted with.

    Attributes:
        seeds: {object id: its prompt frames}.
        absences: where objects are said not to be.
    """

    seeds: Seeds
    absences: Absences = field(default_factory=dict)

    def spans(self, object_id: int, frame_range: FrameRange, *, backward: bool) -> list[Span]:
        """Every span of one object in one direction that some run would have to do."""
        seeds = {object_id: self.seeds.get(object_id, ())}
        found: dict[tuple[int, int, int | None], Span] = {}
        directions: tuple[Direction, Direction] = ("both", "backward" if backward else "forward")
        for direction in directions:
            for span in spans_of(seeds, direction, frame_range, backward=backward, absences=self.absences):
                found.setdefault(span.key, span)
        return list(found.values())


def undone_frames(stored: Sequence[StoredJob], prompted: Prompted, objects: Collection[int]) -> Undone:
    """The frames on which objects are still to be tracked, in each direction of each range that was tracked."""
    found: Undone = {}
    for frame_range, backward in _passes(stored):
        own = [one for one in stored if (one.job.frame_range, one.job.backward) == (frame_range, backward)]
        for i in objects:
            spans = prompted.spans(i, frame_range, backward=backward)
            called = [span.reach(frame_range, backward=backward) for span in spans]
            done = [part for one in own for span in one.job.spans if span.object_id == i for part in _done(one, span)]
            found[frame_range, backward, i] = subtract(called, done)
    return found


def _done(stored: StoredJob, span: Span) -> list[Interval]:
    reach = span.reach(stored.job.frame_range, backward=stored.job.backward)
    return subtract([reach], [stored.left(span)])


def _passes(stored: Sequence[StoredJob]) -> list[tuple[FrameRange, bool]]:
    ranges = dict.fromkeys(one.job.frame_range for one in stored)
    return [(frame_range, backward) for frame_range in ranges for backward in (False, True)]


@dataclass(slots=True)
class SortedSpans:
    """Spans that prompts call for, and that need not be planned.

    Attributes:
        done: {(range, backward): spans that count as done}.
        under_way: {job id: spans that go on in that job}.
    """

    done: dict[tuple[FrameRange, bool], list[Span]] = field(default_factory=dict)
    under_way: dict[int, list[Span]] = field(default_factory=dict)

    def jobs(self, stored: Sequence[StoredJob], objects: Collection[int]) -> list[Job]:
        """What is known when these spans take the place of those that ``objects`` have in stored jobs."""
        known = []
        for one in stored:
            others = [span for span in one.job.spans if span.object_id not in objects]
            spans = (*others, *self.under_way.get(one.id, ()))
            known.append(Job(one.job.backward, one.job.frame_range, spans))
        known += [Job(backward, frame_range, tuple(spans)) for (frame_range, backward), spans in self.done.items()]
        return known


def sort_spans(
    stored: Sequence[StoredJob],
    prompted: Prompted,
    undone: Undone,
    changed: Mapping[int, Collection[int]] = MappingProxyType({}),
    *,
    goes_on: bool = True,
) -> SortedSpans:
    """Decide for each span of some objects whether it is done, or under way. All others are to be planned.

    Args:
        stored: the jobs before the edit.
        prompted: what is prompted after the edit.
        undone: the frames that are still to be tracked after the edit, of the objects that it changes.
        changed: {object id: frames on which its prompt was added, replaced or removed}; spans that begin, end or lie
            there are to be done again.
        goes_on: the objects are, in the session of a job that is under way, still the same.
    """
    found = SortedSpans()
    for (frame_range, backward, i), frames in undone.items():
        fresh = set(changed.get(i, ()))
        live = _live_job(stored, frame_range, i, backward=backward) if goes_on else None
        for span in prompted.spans(i, frame_range, backward=backward):
            reach = span.reach(frame_range, backward=backward)
            inside = any(reach[0] <= frame < reach[1] for frame in fresh)  # its own seed, too
            if live is not None and not inside and _continues(live, span, reach, frames):
                found.under_way.setdefault(live.id, []).append(_as_before(live, span))
            elif not inside and span.until not in fresh and not touches(frames, *reach):
                found.done.setdefault((frame_range, backward), []).append(span)
    return found


def _live_job(
    stored: Sequence[StoredJob], frame_range: FrameRange, object_id: int, *, backward: bool
) -> StoredJob | None:
    """The job under way that has come to this object."""
    for one in stored:
        is_it = (one.job.frame_range, one.job.backward) == (frame_range, backward)
        if is_it and not one.done and one.position is not None and _left(one, object_id):
            return one
    return None


def _left(stored: StoredJob, object_id: int) -> list[Interval]:
    return unite([stored.left(span) for span in stored.job.spans if span.object_id == object_id])


def _continues(live: StoredJob, span: Span, reach: Interval, undone: Sequence[Interval]) -> bool:
    """Whether what is left to do of a span is just what the job under way has left to do of it."""
    left = intersect(_left(live, span.object_id), [reach])
    return bool(left) and not subtract(intersect(undone, [reach]), left)


def _as_before(live: StoredJob, span: Span) -> Span:
    """The span, merged with the other direction's answer only where the job did so before."""
    blend = any(own.blend and (own.object_id, own.until) == (span.object_id, span.until) for own in live.job.spans)
    return Span(span.object_id, span.seed, span.until, blend)
