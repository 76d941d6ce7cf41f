"""What a run has to do: its prompts, its range and its engine checked, its jobs written down."""

from __future__ import annotations

from maskferry.data import Source
from maskferry.errors import InputError
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal
from maskferry.tracks._planner import Direction, plan

__all__ = ["prepare"]


def prepare(
    journal: Journal, source: Source, engine: str, direction: Direction = "both", frame_range: FrameRange | None = None
) -> None:
    """Write down what is to be done. Spans that are done, or under way, are left as they are.

    Args:
        journal: with its prompts.
        source: says how long the video is, and whether it can be read backward.
        engine: name of the engine that will do it.
        direction: see `plan`.
        frame_range: what part of the video; all of it by default.

    Raises:
        InputError: no prompts, a range outside the video, a stream that would have to be read backward, or a run of
            another engine that is under way.
    """
    frames = (frame_range or FrameRange()).within(source.info.frame_count)
    seeds = journal.prompts.prompt_frames()
    _check_prompts(seeds, frames)
    _forget_outdated_spans(journal, seeds)
    _check_engine(journal, engine)
    jobs = plan(seeds, direction, frames, [stored.job for stored in journal.jobs.all()])
    if not source.seekable and any(job.backward for job in jobs):
        raise InputError(
            "this video is a stream, which cannot be read backward, and an object was prompted after its first frame: "
            'use direction="forward", or save the stream to a file first'
        )
    journal.jobs.add(jobs, engine)


def _check_prompts(seeds: dict[int, list[int]], frames: FrameRange) -> None:
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


def _forget_outdated_spans(journal: Journal, seeds: dict[int, list[int]]) -> None:
    """Forget spans of earlier jobs that the prompts, as they are now, do not call for any more."""
    for stored in journal.jobs.all():
        valid = plan(seeds, "both", stored.job.frame_range) + plan(seeds, "backward", stored.job.frame_range)
        keys = {span.key for job in valid if job.backward == stored.job.backward for span in job.spans}
        journal.jobs.keep_spans(stored.id, keys)
