"""Changing tracks by hand after the fact: merge, split, swap, rename, remove; each can be undone.

An edit changes ids, never pixels. Prompts follow their masks, and where a track is cut its mask becomes a prompt, so
that a later correction on one side leaves the other alone. What was tracked counts as tracked: an edit alone makes
`MaskTracker.propagate` do nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from maskferry.data import MaskPrompt
from maskferry.errors import InputError
from maskferry.tracks._journal import Journal
from maskferry.tracks._planner import plan
from maskferry.tracks._tracks import Tracks

__all__ = ["merge", "remove", "rename", "split", "swap", "undo"]


def rename(tracks: Tracks, object_id: int, label: str | None) -> None:
    """Give an object another name, or none.

    Raises:
        UnknownObjectError: no such object.
    """
    with _edit(tracks, f"rename {object_id}", [object_id]) as journal:
        journal.prompts.set_label(object_id, label)


def remove(tracks: Tracks, object_id: int) -> None:
    """Take an object away. Its id is not given again by itself.

    Raises:
        UnknownObjectError: no such object.
    """
    with _edit(tracks, f"remove {object_id}", [object_id]) as journal:
        journal.remove_object(object_id)


def merge(tracks: Tracks, keep: int, other: int) -> None:
    """Say that two objects are one. Where both have a mask, that of ``keep`` stays.

    Args:
        tracks: what to change.
        keep: the id that stays.
        other: the id that goes.

    Raises:
        UnknownObjectError: no such object.
        InputError: both are the same.
    """
    _check_two(keep, other)
    with _edit(tracks, f"merge {other} into {keep}", [keep, other]) as journal:
        journal.frames.merge(keep, other)
        journal.prompts.merge(keep, other)
        journal.remove_object(other)


def split(tracks: Tracks, object_id: int, frame: int) -> int:
    """Say that from a frame on it is another object.

    Returns:
        The new object's id; it has the same name.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no mask on that frame.
    """
    journal = Journal(tracks)
    journal.prompts.require(object_id)
    if not _has_mask(journal, object_id, frame):
        raise InputError(f"object {object_id} has no mask on frame {frame}")
    (new,) = journal.prompts.ids(None, 1)
    with _edit(tracks, f"split {object_id} at {frame}", [object_id], [new]) as journal:
        journal.prompts.add_object(new, tracks.labels.get(object_id))
        _make_prompts(journal, frame, [object_id])
        _move(journal, object_id, new, frame)
    return new


def swap(tracks: Tracks, first: int, second: int, frame: int) -> None:
    """Exchange the ids of two objects from a frame on, as after look-alikes have crossed.

    Raises:
        UnknownObjectError: no such object.
        InputError: both are the same, or none has a mask on that frame.
    """
    _check_two(first, second)
    if not any(_has_mask(Journal(tracks), i, frame) for i in (first, second)):
        raise InputError(f"neither object {first} nor object {second} has a mask on frame {frame}")
    with _edit(tracks, f"swap {first} and {second} from {frame}", [first, second]) as journal:
        _make_prompts(journal, frame, [first, second])
        nobody = -1
        _move(journal, first, nobody, frame)
        _move(journal, second, first, frame)
        _move(journal, nobody, second, frame)


def undo(tracks: Tracks) -> str | None:
    """Take the last edit back.

    Masks that were tracked or given for its objects since then go with it.

    Returns:
        What was undone, for people; None where there is nothing to undo.
    """
    return Journal(tracks).edits.restore_last()


@contextmanager
def _edit(tracks: Tracks, what: str, objects: Sequence[int], new: Sequence[int] = ()) -> Iterator[Journal]:
    """Keep what is there before an edit; afterwards say that everything is still tracked.

    ``new`` are the ids of objects that the edit makes.
    """
    journal = Journal(tracks)
    journal.prompts.require(*objects)
    with journal.transaction():
        journal.edits.record(what, objects, new)
        yield journal
        _count_as_tracked(journal, [*objects, *new])
        journal.frames.mark_returns()


def _count_as_tracked(journal: Journal, objects: Sequence[int]) -> None:
    """The spans that the objects' prompts call for now are those of jobs that are done."""
    seeds = {i: own for i, own in journal.prompts.prompt_frames().items() if i in objects}
    stored = journal.jobs.all()
    for i in objects:
        journal.jobs.drop_spans(i)
    for frame_range in {job.job.frame_range for job in stored}:
        backward = any(job.job.backward for job in stored if job.job.frame_range == frame_range)
        for job in plan(seeds, "both" if backward else "forward", frame_range):
            journal.jobs.add([job], stored[0].engine, done=True)


def _make_prompts(journal: Journal, frame: int, objects: Sequence[int]) -> None:
    """Make the masks of a frame prompts, where they are none yet."""
    for i in objects:
        row = journal.frames.get(frame, [i]).get(i)
        if row is not None and row.rle.area and journal.prompts.get(frame, i) is None:
            journal.add_prompts([MaskPrompt(frame, i, row.rle.decode())])


def _move(journal: Journal, source: int, target: int, frame: int) -> None:
    journal.frames.move(source, target, frame)
    journal.prompts.move(source, target, frame)


def _has_mask(journal: Journal, object_id: int, frame: int) -> bool:
    row = journal.frames.get(frame, [object_id]).get(object_id)
    return row is not None and row.rle.area > 0


def _check_two(first: int, second: int) -> None:
    if first == second:
        raise InputError(f"expected two objects, got {first} twice")
