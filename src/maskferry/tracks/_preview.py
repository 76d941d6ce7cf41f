"""What a run would have to do, before anything is given or written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from maskferry.tracks._edit_checks import object_number, require_mask
from maskferry.tracks._jobs import Job, Span, count_up_to
from maskferry.tracks._journal import Journal
from maskferry.tracks._pending import last_run
from maskferry.tracks._planner import plan
from maskferry.tracks._prompt_store import ObjectPrompt
from maskferry.tracks._spans import Prompted, sort_spans, undone_frames
from maskferry.tracks._tracks import Tracks

__all__ = ["Preview", "PreviewSpan", "preview"]


@dataclass(frozen=True, slots=True)
class PreviewSpan:
    """A stretch that would be tracked.

    Attributes:
        object_id: the object.
        start: first frame.
        stop: the frame to end before.
        backward: whether the pass goes backward.
    """

    object_id: int
    start: int
    stop: int
    backward: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would have to do.

    Attributes:
        spans: what would be tracked.
        steps: how many frames the engine would step through, over all passes.
        done: how many steps were made already of jobs that are not finished.
    """

    spans: tuple[PreviewSpan, ...]
    steps: int
    done: int = 0


def preview(
    tracks: Tracks,
    prompts: Iterable[tuple[int, int] | ObjectPrompt] = (),
    pins: Iterable[tuple[int, int]] = (),
) -> Preview:
    """What the next run would have to do if objects were prompted so; nothing is written.

    Args:
        tracks: what is there.
        prompts: (object id, frame) of each, or the prompts themselves; an id that there is not yet is a new object.
        pins: (object id, frame) of tracked masks that would be pinned before.

    Raises:
        InputError: a frame is outside the video, or there is no mask to be pinned.
    """
    journal = Journal(tracks)
    now = journal.prompted
    changed: dict[int, set[int]] = {}
    for prompt in prompts:
        object_id, frame = prompt if isinstance(prompt, tuple) else (prompt.object_id, prompt.frame)
        changed.setdefault(object_number(object_id), set()).add(tracks.video.check_frame(frame))
    pinned = _pinned(journal, pins)
    touched = {*changed, *pinned}
    seeds = {i: {*now.seeds.get(i, ()), *changed.get(i, ()), *pinned.get(i, ())} for i in {*now.seeds, *touched}}
    then = Prompted(seeds, now.absences)
    stored = journal.jobs.all()
    spans = sort_spans(stored, then, undone_frames(stored, now, touched), changed)
    direction, frame_range = last_run(journal.notes, tracks.video)
    jobs = plan(seeds, direction, frame_range, spans.jobs(stored, touched), now.absences)
    found = [_preview_span(job, span) for job in jobs for span in job.spans]
    steps, done = sum(len(job.frames()) for job in jobs), 0
    for one in stored:
        kept = (*(s for s in one.job.spans if s.object_id not in touched), *spans.under_way.get(one.id, ()))
        left = [PreviewSpan(span.object_id, *one.left(span), one.job.backward) for span in kept]
        left = [part for part in left if part.start < part.stop]
        if left:
            first, stop = min(part.start for part in left), max(part.stop for part in left)
            steps += sum(first <= frame < stop for frame in replace(one.job, spans=kept).frames())
            done += count_up_to(one.job.frames(), one.position)
        found += left
    return Preview(tuple(found), steps, done)


def _pinned(journal: Journal, pins: Iterable[tuple[int, int]]) -> dict[int, set[int]]:
    """{object id: frames}, each with a mask that can be pinned."""
    found: dict[int, set[int]] = {}
    for object_id, frame in pins:
        number, frame = object_number(object_id), journal.tracks.video.check_frame(frame)
        require_mask(journal, number, frame)
        found.setdefault(number, set()).add(frame)
    return found


def _preview_span(job: Job, span: Span) -> PreviewSpan:
    return PreviewSpan(span.object_id, *span.reach(job.frame_range, backward=job.backward), job.backward)
