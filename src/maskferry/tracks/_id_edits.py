"""Edits of names and ids: what was tracked stays, under other ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from maskferry.errors import InputError
from maskferry.tracks._edit_checks import has_mask, object_number, pin_where_tracked, require_mask
from maskferry.tracks._intervals import clip, intersect, unite
from maskferry.tracks._journal import Journal
from maskferry.tracks._spans import Undone
from maskferry.tracks._tracks import Tracks

__all__ = ["merge", "remove", "rename", "split", "swap"]

EVERY_FRAME = 1 << 62


def rename(tracks: Tracks, object_id: int, label: str | None) -> None:
    """Give an object another name, or none.

    Raises:
        UnknownObjectError: no such object.
    """
    if not (label is None or isinstance(label, str)):
        raise InputError(f"label: expected a text or None, got {label!r}")
    object_id = object_number(object_id)
    journal = Journal(tracks)
    with journal.edit(f"rename {object_id}", [object_id], is_light=True):
        journal.prompts.set_label(object_id, label)


def remove(tracks: Tracks, object_id: int) -> None:
    """Take an object away. Its id is not given again by itself.

    Raises:
        UnknownObjectError: no such object.
    """
    object_id = object_number(object_id)
    journal = Journal(tracks)
    with journal.edit(f"remove {object_id}", [object_id]):
        journal.drop_object(object_id)


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
    keep, other = object_number(keep), object_number(other)
    _check_two(keep, other)
    journal = Journal(tracks)

    def follow(undone: Undone) -> Undone:
        found = dict(undone)
        for frame_range, backward, _ in undone:
            both = undone[frame_range, backward, keep], undone[frame_range, backward, other]
            found[frame_range, backward, keep] = intersect(*both)
            found[frame_range, backward, other] = []
        return found

    with journal.edit(f"merge {other} into {keep}", [keep, other], follow=follow):
        absences = journal.prompts.absences()
        journal.frames.merge(keep, other)
        journal.prompts.merge(keep, other)
        journal.drop_object(other)
        both_absent = intersect(absences.get(keep, ()), absences.get(other, ()))
        if absences.get(keep):
            journal.prompts.set_absences(keep, both_absent)


def split(tracks: Tracks, object_id: int, frame: int) -> int:
    """Say that from a frame on it is another object.

    Returns:
        The new object's id; it has the same name.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no mask on that frame, or none before it.
    """
    object_id, frame = object_number(object_id), tracks.video.check_frame(frame)
    journal = Journal(tracks)
    with journal.transaction():
        journal.prompts.require(object_id)
        require_mask(journal, object_id, frame)
        (new,) = journal.prompts.ids(None, 1)
        follow = _exchanged({object_id: new, new: object_id}, frame)
        with journal.edit(f"split {object_id} at {frame}", [object_id], [new], follow=follow, goes_on=False):
            journal.prompts.add_object(new, tracks.labels.get(object_id))
            _pin_ends(journal, [object_id])
            pin_where_tracked(journal, frame, [object_id])
            journal.frames.move(object_id, new, frame)
            journal.prompts.move(object_id, new, frame)
    return new


def swap(tracks: Tracks, first: int, second: int, frame: int) -> None:
    """Exchange the ids of two objects from a frame on, as after look-alikes have crossed.

    Raises:
        UnknownObjectError: no such object.
        InputError: both are the same, or none has a mask on that frame.
    """
    first, second, frame = object_number(first), object_number(second), tracks.video.check_frame(frame)
    _check_two(first, second)
    journal = Journal(tracks)
    with journal.transaction():
        journal.prompts.require(first, second)
        if not any(has_mask(journal, i, frame) for i in (first, second)):
            raise InputError(f"neither object {first} nor object {second} has a mask on frame {frame}")
        follow = _exchanged({first: second, second: first}, frame)
        what = f"swap {first} and {second} from {frame}"
        with journal.edit(what, [first, second], follow=follow, goes_on=False):
            _pin_ends(journal, [first, second])
            pin_where_tracked(journal, frame, [first, second])
            journal.frames.swap(first, second, frame)
            journal.prompts.swap(first, second, frame)


def _exchanged(others: Mapping[int, int], frame: int) -> Callable[[Undone], Undone]:
    """What is still to be tracked from ``frame`` on is so for the other object."""

    def follow(undone: Undone) -> Undone:
        found = dict(undone)
        for (frame_range, backward, i), own in undone.items():
            late = clip(undone[frame_range, backward, others[i]], frame, EVERY_FRAME) if i in others else []
            found[frame_range, backward, i] = unite(clip(own, 0, frame), late)
        return found

    return follow


def _pin_ends(journal: Journal, objects: Sequence[int]) -> None:
    """Pin the masks from which a run under way will have to go on, under other ids."""
    for stored in journal.jobs.unfinished():
        position, backward = stored.position, stored.job.backward
        for span in stored.job.spans if position is not None else ():
            low, high = span.reach(stored.job.frame_range, backward=backward)
            if span.object_id in objects and position is not None and low <= position < high:
                seen = journal.frames.nearest_seen(span.object_id, position, backward=backward)
                if seen is not None and low <= seen < high:
                    pin_where_tracked(journal, seen, [span.object_id])


def _check_two(first: int, second: int) -> None:
    if first == second:
        raise InputError(f"expected two objects, got {first} twice")
