"""Doing a run: which jobs are left, and one pass after the other over them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass

from maskferry.association._scheduler import DetectorScheduler
from maskferry.data import FrameMasks, Source
from maskferry.engines.base import Engine
from maskferry.errors import InputError
from maskferry.run._pass import Pass, note_damage
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal
from maskferry.tracks._planner import Direction, plan

__all__ = ["Progress", "never", "prepare", "run"]


@dataclass(frozen=True, slots=True)
class Progress:
    """One finished step of a run.

    Attributes:
        done: steps finished, of this run.
        total: steps of this run in all; None while the length of the video is unknown.
        frame: index of the frame that was just finished.
        backward: which way the pass goes.
        masks: what was found on it; between two prompts, before the answers of both directions are merged.
    """

    done: int
    total: int | None
    frame: int
    backward: bool
    masks: FrameMasks


def never() -> bool:
    """For runs that nobody cancels."""
    return False


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


def run(
    journal: Journal,
    source: Source,
    engine: Engine,
    *,
    cancelled: Callable[[], bool] = never,
    scheduler: DetectorScheduler | None = None,
) -> Generator[Progress]:
    """Do the jobs that are not done, one frame at each turn of the generator.

    Closing the generator, or ``cancelled()`` becoming true, stops between two frames; a later call resumes behind the
    last finished frame and gives the same masks as if nothing had happened.

    With a ``scheduler``, a detector runs now and then in forward passes: its finds correct objects, bring lost ones
    back, and begin new ones.

    Warns:
        DamagedSourceWarning: the video cannot be read on; what came before is kept, and `Tracks.stopped_at` says so.

    Raises:
        EngineError: the engine failed. Finished frames are kept.
    """
    passes = [Pass(journal, source, engine, stored, scheduler) for stored in journal.jobs.unfinished()]
    journal.note_damage(None)
    if scheduler is not None and journal.detector_state is not None:
        scheduler.restore(journal.detector_state)
    try:
        if (yield from _steps(passes, cancelled)):
            _check_length(journal, source)
    finally:
        journal.frames.mark_returns()


def _steps(passes: list[Pass], cancelled: Callable[[], bool]) -> Generator[Progress, None, bool]:
    """Make the passes; returns whether all of them were made."""
    total = None if any(one.endless for one in passes) else sum(one.steps_left for one in passes)
    done = 0
    for one in passes:
        with closing(one.steps(cancelled)) as steps:
            for masks in steps:
                done += 1
                yield Progress(done, total, masks.frame, one.job.backward, masks)
        if cancelled():
            return False
    return True


def _check_length(journal: Journal, source: Source) -> None:
    """Say so where the video was read to its end, but the end is not where its header puts it."""
    count, announced = source.info.frame_count, source.announced_frame_count
    if count is not None and announced is not None and count < announced:
        note_damage(journal, source, f"stopped before frame {count}: the file announces {announced} frames")
