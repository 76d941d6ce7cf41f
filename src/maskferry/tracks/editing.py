"""Changing tracks by hand after the fact; every change can be undone and done again, across processes.

`rename`, `remove`, `merge`, `split` and `swap` change names and ids, never pixels, and cause no work: what was tracked
counts as tracked, what was not is tracked later. `pin` makes a tracked mask a prompt, which ends what a correction on
one side of it recomputes. `absent` says that an object is not there. `remove_prompt` takes a mask back that was given.
Adding and replacing masks (`MaskTracker.add_mask_prompt`) are edits, too.

`undo` and `redo` exchange rows and compute nothing; what was tracked after a correction goes with it. The last
`KEPT_EDITS` edits can be undone. What is given before the first run begins is the run's own: it is not undone after
that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from maskferry._arguments import whole
from maskferry.errors import InputError
from maskferry.tracks._edit_store import KEPT_EDITS
from maskferry.tracks._intervals import clip, intersect, unite
from maskferry.tracks._jobs import Job, Span
from maskferry.tracks._journal import Journal
from maskferry.tracks._pending import last_run
from maskferry.tracks._planner import plan
from maskferry.tracks._spans import Prompted, Undone, sort_spans, undone_frames
from maskferry.tracks._tracks import Tracks

__all__ = [
    "KEPT_EDITS",
    "Preview",
    "PreviewSpan",
    "absent",
    "history",
    "merge",
    "pin",
    "preview",
    "redo",
    "remove",
    "remove_prompt",
    "rename",
    "split",
    "swap",
    "undo",
    "unpin",
]

EVERY_FRAME = 1 << 62


def _object(value: int) -> int:
    return whole(value, "object id")


# --- ids and names ----------------------------------------------------------------------------------------------------


def rename(tracks: Tracks, object_id: int, label: str | None) -> None:
    """Give an object another name, or none.

    Raises:
        UnknownObjectError: no such object.
    """
    if not (label is None or isinstance(label, str)):
        raise InputError(f"label: expected a text or None, got {label!r}")
    object_id = _object(object_id)
    journal = Journal(tracks)
    with journal.edit(f"rename {object_id}", [object_id], is_light=True):
        journal.prompts.set_label(object_id, label)


def remove(tracks: Tracks, object_id: int) -> None:
    """Take an object away. Its id is not given again by itself.

    Raises:
        UnknownObjectError: no such object.
    """
    object_id = _object(object_id)
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
    keep, other = _object(keep), _object(other)
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
    object_id, frame = _object(object_id), tracks.video.check_frame(frame)
    journal = Journal(tracks)
    with journal.transaction():
        journal.prompts.require(object_id)
        _require_mask(journal, object_id, frame)
        (new,) = journal.prompts.ids(None, 1)
        follow = _exchanged({object_id: new, new: object_id}, frame)
        with journal.edit(f"split {object_id} at {frame}", [object_id], [new], follow=follow, goes_on=False):
            journal.prompts.add_object(new, tracks.labels.get(object_id))
            _pin_ends(journal, [object_id])
            _pin_where_tracked(journal, frame, [object_id])
            journal.frames.move(object_id, new, frame)
            journal.prompts.move(object_id, new, frame)
    return new


def swap(tracks: Tracks, first: int, second: int, frame: int) -> None:
    """Exchange the ids of two objects from a frame on, as after look-alikes have crossed.

    Raises:
        UnknownObjectError: no such object.
        InputError: both are the same, or none has a mask on that frame.
    """
    first, second, frame = _object(first), _object(second), tracks.video.check_frame(frame)
    _check_two(first, second)
    journal = Journal(tracks)
    with journal.transaction():
        journal.prompts.require(first, second)
        if not any(_has_mask(journal, i, frame) for i in (first, second)):
            raise InputError(f"neither object {first} nor object {second} has a mask on frame {frame}")
        follow = _exchanged({first: second, second: first}, frame)
        what = f"swap {first} and {second} from {frame}"
        with journal.edit(what, [first, second], follow=follow, goes_on=False):
            _pin_ends(journal, [first, second])
            _pin_where_tracked(journal, frame, [first, second])
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
                    _pin_where_tracked(journal, seen, [span.object_id])


def _pin_where_tracked(journal: Journal, frame: int, objects: Sequence[int]) -> None:
    """Make the masks of a frame prompts, where they are none yet."""
    for i in objects:
        row = journal.frames.get(frame, [i]).get(i)
        if row is not None and row.rle.area and not journal.prompts.has_prompt(frame, i):
            journal.prompts.pin(frame, i, row.rle)


# --- prompts ----------------------------------------------------------------------------------------------------------


def pin(tracks: Tracks, object_id: int, frame: int) -> None:
    """Make a tracked mask a prompt, without any work: what is corrected on one side leaves the other alone.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no mask on that frame, or a prompt already.
    """
    object_id, frame = _object(object_id), tracks.video.check_frame(frame)
    journal = Journal(tracks)
    with journal.edit(f"pin {object_id} on frame {frame}", [object_id], is_light=True):
        _require_mask(journal, object_id, frame)
        if journal.prompts.has_prompt(frame, object_id):
            raise InputError(f"object {object_id} has a prompt on frame {frame} already")
        _pin_where_tracked(journal, frame, [object_id])


def unpin(tracks: Tracks, object_id: int, frame: int) -> None:
    """Take a pin away, without any work.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no pin on that frame, or no other prompt.
    """
    object_id, frame = _object(object_id), tracks.video.check_frame(frame)
    journal = Journal(tracks)
    with journal.edit(f"unpin {object_id} on frame {frame}", [object_id], is_light=True):
        if not journal.prompts.is_pin(frame, object_id):
            raise InputError(f"object {object_id} has no pin on frame {frame}; a mask that was given: remove_prompt")
        _take_away(journal, object_id, frame)


def remove_prompt(tracks: Tracks, object_id: int, frame: int) -> None:
    """Take back what an object was prompted with on a frame; the next run tracks into that frame from its neighbours.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no prompt on that frame, or no other one (see `remove`).
    """
    object_id, frame = _object(object_id), tracks.video.check_frame(frame)
    journal = Journal(tracks)
    what = f"remove the prompt of {object_id} on frame {frame}"
    with journal.edit(what, [object_id], changed={object_id: [frame]}):
        if not journal.prompts.has_prompt(frame, object_id):
            raise InputError(f"object {object_id} has no prompt on frame {frame}")
        _take_away(journal, object_id, frame)
        journal.frames.withdraw(object_id, frame)


def _take_away(journal: Journal, object_id: int, frame: int) -> None:
    if journal.prompts.prompt_frames().get(object_id) == [frame]:
        raise InputError(
            f"object {object_id} has no other prompt than that on frame {frame}: remove the object instead"
        )
    journal.prompts.take_away(frame, object_id)


def absent(tracks: Tracks, object_id: int, start: int, stop: int) -> None:
    """Say that an object is not there: it is lost on these frames, and nothing is tracked into or across them.

    Masks that it has behind these frames stay, and the first of them is pinned. Where a run has not come behind them
    yet, the object is not tracked there before it is given a mask there.

    Args:
        tracks: what to change.
        object_id: the object.
        start: first frame.
        stop: the frame to end before.

    Raises:
        UnknownObjectError: no such object.
        InputError: the frames are outside the video, or a mask was given on one of them.
    """
    object_id, start = _object(object_id), tracks.video.check_frame(start)
    tracks.video.check_frame(whole(stop, "stop") - 1)
    if stop <= start:
        raise InputError(f"absent: expected a frame to end before that is behind frame {start}, got {stop}")
    journal = Journal(tracks)
    with journal.edit(f"object {object_id} is absent on frames {start} to {stop - 1}", [object_id]):
        inside = [f for f in journal.prompts.prompt_frames().get(object_id, ()) if start <= f < stop]
        given = [f for f in inside if not journal.prompts.is_pin(f, object_id)]
        if given:
            raise InputError(
                f"object {object_id} has a mask that was given on frame {given[0]}: remove that first (remove_prompt)"
            )
        for frame in inside:
            _take_away(journal, object_id, frame)
        own = journal.prompts.absences().get(object_id, [])
        behind = journal.frames.nearest_seen(object_id, stop, backward=True)
        if behind is not None:
            _pin_where_tracked(journal, behind, [object_id])
        journal.prompts.set_absences(object_id, unite(own, [(start, stop)]))
        journal.frames.put_absent(object_id, [info.info.index for info in tracks.frames(start, stop)])


# --- looking ahead, and back ------------------------------------------------------------------------------------------


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


def preview(tracks: Tracks, prompts: Iterable[tuple[int, int]] = ()) -> Preview:
    """What the next run would have to do if objects were prompted so; nothing is written.

    Args:
        tracks: what is there.
        prompts: (object id, frame) of each; an id that there is not yet is a new object.

    Raises:
        InputError: a frame is outside the video.
    """
    journal = Journal(tracks)
    now = journal.prompted
    changed: dict[int, set[int]] = {}
    for object_id, frame in prompts:
        changed.setdefault(_object(object_id), set()).add(tracks.video.check_frame(frame))
    seeds = {i: set(now.seeds.get(i, ())) | changed.get(i, set()) for i in {*now.seeds, *changed}}
    then = Prompted(seeds, now.absences)
    stored = journal.jobs.all()
    spans = sort_spans(stored, then, undone_frames(stored, now, changed), changed)
    direction, frame_range = last_run(journal.notes, tracks.video)
    jobs = plan(seeds, direction, frame_range, spans.jobs(stored, changed), now.absences)
    found = [_preview_span(job, span) for job in jobs for span in job.spans]
    steps = sum(len(job.frames()) for job in jobs)
    for one in stored:
        kept = [s for s in one.job.spans if s.object_id not in changed] + spans.under_way.get(one.id, [])
        parts = [(span.object_id, *one.left(span)) for span in kept]
        found += [PreviewSpan(*part, one.job.backward) for part in parts if part[1] < part[2]]
        steps += max((stop for _, _, stop in parts), default=0) - min((start for _, start, _ in parts), default=0)
    return Preview(tuple(found), steps)


def _preview_span(job: Job, span: Span) -> PreviewSpan:
    return PreviewSpan(span.object_id, *span.reach(job.frame_range, backward=job.backward), job.backward)


def history(tracks: Tracks) -> list[str]:
    """The edits that can be undone, for people, the oldest first."""
    return [edit.what for edit in Journal(tracks).edits.all()]


def undo(tracks: Tracks) -> str | None:
    """Take the last edit back: every row that it has changed is as it was before, to the byte.

    Masks that were tracked or given for its objects since then go with it; `redo` brings them back.

    Returns:
        What was undone, for people; None where there is nothing to undo.
    """
    return Journal(tracks).undo()


def redo(tracks: Tracks) -> str | None:
    """Do again what was undone last. A new edit, and a run that has something to do, end what can be done again.

    Returns:
        What was done again, for people; None where there is nothing.
    """
    return Journal(tracks).redo()


def _require_mask(journal: Journal, object_id: int, frame: int) -> None:
    if not _has_mask(journal, object_id, frame):
        raise InputError(f"object {object_id} has no mask on frame {frame}")


def _has_mask(journal: Journal, object_id: int, frame: int) -> bool:
    row = journal.frames.get(frame, [object_id]).get(object_id)
    return row is not None and row.rle.area > 0


def _check_two(first: int, second: int) -> None:
    if first == second:
        raise InputError(f"expected two objects, got {first} twice")
