"""What a run was prompted with and asked for, for whoever shows or continues it."""

from __future__ import annotations

from typing import NamedTuple

from maskferry.tracks._job_store import JobStore
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal
from maskferry.tracks._notes import Notes
from maskferry.tracks._pending import last_run as _last_run
from maskferry.tracks._planner import Direction
from maskferry.tracks._tracks import Tracks

__all__ = ["LastRun", "ObjectPrompts", "last_run", "prompts"]


class ObjectPrompts(NamedTuple):
    """Where an object is prompted.

    Attributes:
        seeds: frames of masks, points and boxes that were given, ascending.
        pins: frames of tracked masks that were made prompts, ascending.
        absent: where it is said not to be: first frame, and the frame to end before.
    """

    seeds: list[int]
    pins: list[int]
    absent: list[tuple[int, int]]


class LastRun(NamedTuple):
    """What the last run was asked to cover; everything, where there was none.

    Attributes:
        direction: see `MaskTracker.propagate`.
        frames: its range.
        engine: name of the engine that tracked last; None where none did.
    """

    direction: Direction
    frames: FrameRange
    engine: str | None


def prompts(tracks: Tracks) -> dict[int, ObjectPrompts]:
    """{object id: where it is prompted}, for every object, by ascending id."""
    journal = Journal(tracks)
    found = {i: ObjectPrompts([], [], []) for i in tracks.object_ids}
    for object_id, frame, is_pin in journal.prompts.kinds():
        if object_id in found:
            own = found[object_id]
            (own.pins if is_pin else own.seeds).append(frame)
    for object_id, stretches in journal.prompts.absences().items():
        if object_id in found:
            found[object_id].absent.extend(stretches)
    return found


def last_run(tracks: Tracks) -> LastRun:
    """What the last run was asked to cover, and with which engine: how to go on with it."""
    direction, frames = _last_run(Notes(tracks.database), tracks.video)
    return LastRun(direction, frames, JobStore(tracks.database).engine())
