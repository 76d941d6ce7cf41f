"""What a run has to do: its prompts, its range and its engine checked, its jobs written down."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from maskferry.data import Source
from maskferry.errors import InputError
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal
from maskferry.tracks._pending import RUN, note_run
from maskferry.tracks._planner import Direction, plan
from maskferry.tracks._spans import Prompted

__all__ = ["prepare"]


def prepare(
    journal: Journal,
    source: Source,
    engine: str,
    direction: Direction = "both",
    frame_range: FrameRange | None = None,
    *,
    backward_only: bool = False,
) -> None:
    """Write down what is to be done. Spans that are done, or under way, are left as they are.

    Args:
        journal: with its prompts.
        source: says how long the video is, and whether it can be read backward.
        engine: name of the engine that will do it.
        direction: see `plan`.
        frame_range: what part of the video; all of it by default.
        backward_only: only the backward passes; the others are written down by a later call.

    Raises:
        InputError: no prompts, a range outside the video, a stream that would have to be read backward, or a run of
            another engine that is under way.
    """
    frames = (frame_range or FrameRange()).within(source.info.frame_count)
    with journal.transaction():
        prompted = journal.prompted
        _check_prompts(prompted.seeds, frames)
        _forget_outdated_spans(journal, prompted)
        _check_engine(journal, engine)
        jobs = plan(prompted.seeds, direction, frames, [one.job for one in journal.jobs.all()], prompted.absences)
        if backward_only:
            jobs = [job for job in jobs if job.backward]
        if not source.seekable and any(job.backward for job in jobs):
            raise InputError(
                "this video is a stream, which cannot be read backward, and an object was prompted after its first "
                'frame: use direction="forward", or save the stream to a file first'
            )
        if journal.notes.get(RUN) is None:  # what was given up to here is the run's own
            journal.edits.forget_all()
        if jobs:
            journal.edits.forget_undone()
            journal.jobs.add(jobs, engine)
        note_run(journal.notes, direction, frames)


def _check_prompts(seeds: Mapping[int, Collection[int]], frames: FrameRange) -> None:
    if not seeds:
        raise InputError("there is nothing to track yet: add a mask first (add_mask_prompt)")
    if not any(frames.start <= seed < frames.stop for own in seeds.values() for seed in own):
        raise InputError(f"no object is prompted inside frames {frames.start} to {frames.stop - 1}")


def _check_engine(journal: Journal, engine: str) -> None:
    """Refuse to finish with one engine what another one has begun."""
    unfinished = journal.jobs.unfinished()
    if unfinished and unfinished[0].engine != engine:
        raise InputError(
            f"these tracks were begun with engine {unfinished[0].engine!r} and are not finished: resume with that one, "
            f"or start over with {engine!r} (overwrite)"
        )


def _forget_outdated_spans(journal: Journal, prompted: Prompted) -> None:
    """Forget spans of earlier jobs that the prompts, as they are now, do not call for any more."""
    for stored in journal.jobs.all():
        limits, backward = stored.job.frame_range, stored.job.backward
        objects = {span.object_id for span in stored.job.spans}
        keys = {span.key for i in objects for span in prompted.spans(i, limits, backward=backward)}
        if not keys.issuperset(span.key for span in stored.job.spans):
            journal.jobs.keep_spans(stored.id, keys)
