"""What a run would have to do, before anything is given or written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from maskferry.tracks._edit_checks import object_number
from maskferry.tracks._jobs import Job, Span
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
    """

    spans: tuple[PreviewSpan, ...]
    steps: int


def preview(tracks: Tracks, prompts: Iterable[tuple[int, int] | ObjectPrompt] = ()) -> Preview:
    """What the next run would have to do if objects were prompted so; nothing is written.

    Args:
        tracks: what is there.
        prompts: (object id, frame) of each, or the prompts themselves; an id that there is not yet is a new object.

    Raises:
        InputError: a frame is outside the video.
    """
    journal = Journal(tracks)
    now = journal.prompted
    changed: dict[int, set[int]] = {}
    for prompt in prompts:
        object_id, frame = prompt if isinstance(prompt, tuple) else (prompt.object_id, prompt.frame)
        changed.setdefault(object_number(object_id), set()).add(tracks.video.check_frame(frame))
    seeds = {i: set(now.seeds.get(i, ())) | changed.get(i, set()) for i in {*now.seeds, *changed}}
    then = Prompted(seeds, now.absences)
    stored = journal.jobs.all()
    spans = sort_spans(stored, then, undone_frames(stored, now, changed), changed)
    direction, frame_range = last_run(journal.notes, tracks.video)
    jobs = plan(seeds, direction, frame_range, spans.jobs(stored, changed), now.absences)
    found = [_preview_span(job, span) for job in jobs for span in job.spans]
    steps = sum(len(job.frames()) for job in jobs)
    for one in stored:
        kept = (*(s for s in one.job.spans if s.object_id not in changed), *spans.under_way.get(one.id, ()))
        left = [PreviewSpan(span.object_id, *one.left(span), one.job.backward) for span in kept]
        left = [part for part in left if part.start < part.stop]
        if left:
            first, stop = min(part.start for part in left), max(part.stop for part in left)
            steps += sum(first <= frame < stop for frame in replace(one.job, spans=kept).frames())
        found += left
    return Preview(tuple(found), steps)


def _preview_span(job: Job, span: Span) -> PreviewSpan:
    return PreviewSpan(span.object_id, *span.reach(job.frame_range, backward=job.backward), job.backward)
