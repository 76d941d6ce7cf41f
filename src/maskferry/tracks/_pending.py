"""What is still to be tracked: spans that prompts call for and that no run has come to the end of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from maskferry.data import VideoInfo
from maskferry.errors import InputError
from maskferry.limits import MOST_FRAMES
from maskferry.tracks._database import Database
from maskferry.tracks._intervals import Interval, unite
from maskferry.tracks._job_store import JobStore
from maskferry.tracks._jobs import ENDLESS, FrameRange, Job
from maskferry.tracks._notes import Notes
from maskferry.tracks._planner import Direction, plan
from maskferry.tracks._prompt_store import PromptStore

__all__ = ["RUN", "Pending", "describe_pending", "last_run", "note_run", "pending_spans"]

RUN = "run"
"""Name of the note that says what the last run was asked to cover."""


class Pending(NamedTuple):
    """Frames on which an object is still to be tracked; masks that it has there are those of before.

    Attributes:
        object_id: the object.
        start: first frame.
        stop: the frame to end before; the video's length may be unknown, then it is very large.
    """

    object_id: int
    start: int
    stop: int


def note_run(notes: Notes, direction: Direction, frame_range: FrameRange) -> None:
    """Remember what the last run was asked to cover."""
    notes.set_json(RUN, [direction, frame_range.start, frame_range.stop, frame_range.stride])


def last_run(notes: Notes, video: VideoInfo) -> tuple[Direction, FrameRange]:
    """What the last run was asked to cover; everything, where there was none."""
    direction, start, stop, stride = notes.json(RUN, ["both", 0, video.frame_count or ENDLESS, 1])
    return direction, FrameRange(start, stop, stride)


def pending_spans(database: Database, video: VideoInfo) -> list[Pending]:
    """What is still to be tracked, by object and frame."""
    jobs, prompts, notes = JobStore(database), PromptStore(database, video), Notes(database)
    stored = jobs.all()
    direction, frame_range = last_run(notes, video)
    left: dict[int, list[Interval]] = {}
    for one in stored:
        for span in one.job.spans:
            left.setdefault(span.object_id, []).append(one.left(span))
    for job in planned([one.job for one in stored], prompts, direction, frame_range):
        for span in job.spans:
            left.setdefault(span.object_id, []).append(span.reach(frame_range, backward=job.backward))
    return [Pending(i, *part) for i in sorted(left) for part in unite(left[i])]


def planned(known: list[Job], prompts: PromptStore, direction: Direction, frame_range: FrameRange) -> list[Job]:
    """Jobs that a run like the last one would still add."""
    try:
        return plan(prompts.prompt_frames(), direction, frame_range, known, prompts.absences())
    except InputError:  # a direction of a newer maskferry
        return []


def describe_pending(pending: Sequence[Pending]) -> str:
    """What is still to be tracked, for people; at least one stretch."""
    first = pending[0]
    frames = f"frame {first.start} on" if first.stop > MOST_FRAMES else f"frames {first.start} to {first.stop - 1}"
    more = f", and {len(pending) - 1} more stretches," if len(pending) > 1 else ""
    return (
        f"these tracks are not finished: object {first.object_id} on {frames}{more} still has to be tracked; masks "
        "that are there are those of before the last change"
    )
