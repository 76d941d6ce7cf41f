"""Edits of prompts: masks that are given and taken back, pins, and frames on which an object is said not to be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from maskferry._arguments import whole
from maskferry.data import FrameInfo, FrameLike, MaskPrompt
from maskferry.errors import InputError
from maskferry.rle import Rle
from maskferry.tracks._edit_checks import object_number, pin_where_tracked, require_mask
from maskferry.tracks._intervals import unite
from maskferry.tracks._journal import Journal
from maskferry.tracks._tracks import Tracks

__all__ = ["absent", "give", "give_all", "pin", "remove_prompt", "unpin"]


def give(
    tracks: Tracks,
    object_id: int | None,
    frame: int,
    mask: Rle,
    *,
    label: str | None = None,
    info: FrameInfo | None = None,
) -> int:
    """Give an object a mask on a frame, as `MaskTracker.add_mask_prompt` does with its video open.

    A mask or prompt that was given there before is replaced. The next run tracks from it.

    Args:
        tracks: what to change.
        object_id: an object that is there, or a new one's id; None for the next free one from 100.
        frame: index.
        mask: at the size of the video, with at least one pixel.
        label: a name; by default the one that it has.
        info: the frame's row of the frame table, where no run has come to that frame yet.

    Returns:
        The object's id.

    Raises:
        InputError: the mask is empty, damaged or of another size; the frame is outside the video, or nothing is known
            of it; the id is no whole number from 1.
    """
    journal = Journal(tracks)
    with journal.transaction():
        (number,) = journal.prompts.ids(None if object_id is None else [object_id], 1)
        give_all(tracks, frame, {number: mask}, labels={} if label is None else {number: label}, info=info)
    return number


def give_all(
    tracks: Tracks,
    frame: int,
    masks: Mapping[int, Rle],
    *,
    labels: Mapping[int, str] = MappingProxyType({}),
    info: FrameInfo | None = None,
) -> None:
    """Give several objects masks on one frame, as one edit, see `give`.

    Args:
        tracks: what to change.
        frame: index.
        masks: {object id: mask}.
        labels: {object id: name}.
        info: the frame's row of the frame table, where no run has come to that frame yet.

    Raises:
        InputError: as of `give`; nothing is given then.
    """
    frame = tracks.video.check_frame(frame)
    for mask in masks.values():
        _check_mask(mask, tracks.video.size_hw)
    wrong = [label for label in labels.values() if not isinstance(label, str)]
    if wrong:
        raise InputError(f"label: expected a text or None, got {wrong[0]!r}")
    if info is None and frame not in tracks:
        raise InputError(f"no run has come to frame {frame} yet: pass its row of the frame table (info)")
    if info is not None and info.index != frame:
        raise InputError(f"info: expected the row of frame {frame}, got that of {info.index}")
    journal = Journal(tracks)
    with journal.transaction():
        ids = journal.prompts.ids([*masks], len(masks))
        prompts = [MaskPrompt(frame, i, mask.decode()) for i, mask in zip(ids, masks.values(), strict=True)]
        if prompts:
            journal.add_prompts(prompts, info, labels)


def _check_mask(mask: Rle, size_hw: tuple[int, int]) -> None:
    if mask.size_hw != size_hw:
        raise InputError(f"mask: expected the video's size {size_hw}, (height, width), got {mask.size_hw}")
    if not mask.check().area:
        raise InputError("mask: expected at least one pixel, got an empty one; for an object that is not there: absent")


def pin(tracks: Tracks, object_id: int, frame: int) -> None:
    """Make a tracked mask a prompt, without any work: what is corrected on one side leaves the other alone.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no mask on that frame, or a prompt already.
    """
    object_id, frame = object_number(object_id), tracks.video.check_frame(frame)
    journal = Journal(tracks)
    with journal.edit(f"pin {object_id} on frame {frame}", [object_id], is_light=True):
        require_mask(journal, object_id, frame)
        if journal.prompts.has_prompt(frame, object_id):
            raise InputError(f"object {object_id} has a prompt on frame {frame} already")
        pin_where_tracked(journal, frame, [object_id])


def unpin(tracks: Tracks, object_id: int, frame: int) -> None:
    """Take a pin away, without any work.

    Raises:
        UnknownObjectError: no such object.
        InputError: it has no pin on that frame, or no other prompt.
    """
    object_id, frame = object_number(object_id), tracks.video.check_frame(frame)
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
    object_id, frame = object_number(object_id), tracks.video.check_frame(frame)
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


def absent(tracks: Tracks, object_id: int, start: FrameLike, stop: FrameLike) -> None:
    """Say that an object is not there: it is lost on these frames, and nothing is tracked into or across them.

    Masks that it has behind these frames stay, and the first of them is pinned. Where a run has not come behind them
    yet, the object is not tracked there before it is given a mask there.

    Args:
        tracks: what to change.
        object_id: the object.
        start: first frame; in a series also its date.
        stop: the frame to end before; in a series also its date.

    Raises:
        UnknownObjectError: no such object.
        InputError: the frames are outside the video, no frame has the date, or a mask was given on one of them.
    """
    object_id, start = object_number(object_id), tracks.video.check_frame(start)
    stop = _end(tracks, stop)
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
            pin_where_tracked(journal, behind, [object_id])
        journal.prompts.set_absences(object_id, unite(own, [(start, stop)]))
        journal.frames.put_absent(object_id, [info.info.index for info in tracks.frames(start, stop)])


def _end(tracks: Tracks, stop: FrameLike) -> int:
    """The index of a frame to end before, which may lie just behind the last frame where it is a number."""
    if isinstance(stop, str | date):
        return tracks.video.check_frame(stop)
    number = whole(stop, "stop")
    tracks.video.check_frame(number - 1)
    return number
