"""The edits that the worker makes, by the names that the server calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol

from maskferry.data import FrameInfo
from maskferry.errors import InputError
from maskferry.rle import Rle
from maskferry.tracker import MaskTracker
from maskferry.tracks import Tracks, editing
from maskferry.tracks.review import Moment, ObjectSummary, save_summaries, set_verdict

__all__ = ["EDITS", "Hand", "make_edit"]

Message = dict[str, Any]


class Hand(Protocol):
    """What edits are made with.

    Attributes:
        tracks: what is changed.
        tracker: the session, opened when it is first asked for.
    """

    @property
    def tracks(self) -> Tracks: ...

    @property
    def tracker(self) -> MaskTracker: ...

    def frame_info(self, frame: int) -> FrameInfo | None:
        """A frame's row of the frame table; None where the tracks have it."""
        ...


def make_edit(hand: Hand, name: str, values: Message, base: Message | None) -> Message:
    """Make an edit.

    Args:
        hand: what it is made with.
        name: of `EDITS`.
        values: its arguments, checked for their types.
        base: the revision that the user looked at, the ``objects`` that must not have been edited since (None for
            all), and the ``masks`` that must be the same; None where nothing is in the way.

    Raises:
        OutdatedError: somebody else has changed them.
        MaskferryError: see the edits.
    """
    if _needs_session(hand, name, values):
        hand.tracker  # noqa: B018  opened before the transaction begins, as it opens the tracks anew
    if base is None:
        guard: Any = nullcontext()
    else:
        masks = [(i, frame) for i, frame in base.get("masks", ())]
        guard = editing.based_on(hand.tracks, base["revision"], base["objects"], masks)
    with guard:
        found = EDITS[name](hand, **values) or {}
    return {"revision": hand.tracks.revision, **found}


def _needs_session(hand: Hand, name: str, values: Message) -> bool:
    """Whether an edit asks the engine, or for frames that no run has come to."""
    if name == "give" and not values.get("mask"):
        return True
    frames = [given["frame"] for given in values["frames"]] if name == "give_all" else [values.get("frame")]
    return name in ("give", "give_all") and any(frame not in hand.tracks for frame in frames)


def _mask(value: Message) -> Rle:
    height, width = value["size"]
    return Rle((height, width), value["counts"].encode())


def _give(  # noqa: PLR0913
    hand: Hand,
    object_id: int | None,
    frame: int,
    mask: Message | None = None,
    points: Sequence[Sequence[float]] | None = None,
    labels: Sequence[int] | None = None,
    box: Sequence[float] | None = None,
    text: str | None = None,
    label: str | None = None,
    pins: Sequence[int] = (),
    *,
    is_new: bool = False,
) -> Message:
    """Prompt an object, or a new one."""
    if is_new and object_id in hand.tracks.object_ids:
        raise InputError(f"there is an object {object_id} already: correct it, or give another id")
    existed = object_id is not None and frame in _seeds(hand, object_id)
    for pin in pins:
        editing.pin(hand.tracks, object_id or 0, pin)
    if text is not None:
        return {"ids": hand.tracker.generate_masks(text, frame, first_id=object_id), "existed": existed}
    if mask is not None:
        info = hand.frame_info(frame)
        number = editing.give(hand.tracks, object_id, frame, _mask(mask), label=label, info=info)
    elif box is not None:
        number = hand.tracker.add_box_prompt(box, object_id, frame, replace=True)
    else:
        number = hand.tracker.add_point_prompts(points or [], labels or [], object_id, frame, replace=True)
    if label is not None and hand.tracks.labels.get(number) != label:
        editing.rename(hand.tracks, number, label)
    return {"ids": [number], "existed": existed}


def _seeds(hand: Hand, object_id: int) -> list[int]:
    found = editing.prompts(hand.tracks).get(object_id)
    return [] if found is None else found.seeds


def _give_all(hand: Hand, frames: Sequence[Message], labels: dict[str, str]) -> Message:
    """Masks of a file, an edit for each frame."""
    ids: set[int] = set()
    for given in frames:
        masks = {int(i): _mask(mask) for i, mask in given["masks"].items()}
        names = {i: labels[str(i)] for i in masks if str(i) in labels}
        info = hand.frame_info(given["frame"])
        editing.give_all(hand.tracks, given["frame"], masks, labels=names, info=info)
        ids |= masks.keys()
    return {"ids": sorted(ids)}


def _set_verdict(hand: Hand, moments: Sequence[Message], answer: Any) -> None:  # noqa: ANN401
    for moment in moments:
        set_verdict(hand.tracks, Moment(**moment), answer)


def _save_review(hand: Hand, revision: int, summaries: Sequence[Message]) -> Message:
    """Keep a review, unless the tracks have changed since."""
    is_current = hand.tracks.revision == revision
    if is_current:
        save_summaries(hand.tracks, [ObjectSummary.from_dict(value) for value in summaries])
    return {"saved": is_current}


EDITS: dict[str, Callable[..., Message | None]] = {
    "give": _give,
    "give_all": _give_all,
    "rename": lambda hand, object_id, label: editing.rename(hand.tracks, object_id, label),
    "remove": lambda hand, object_id: editing.remove(hand.tracks, object_id),
    "remove_prompt": lambda hand, object_id, frame: editing.remove_prompt(hand.tracks, object_id, frame),
    "pin": lambda hand, object_id, frame: editing.pin(hand.tracks, object_id, frame),
    "unpin": lambda hand, object_id, frame: editing.unpin(hand.tracks, object_id, frame),
    "absent": lambda hand, object_id, start, stop: editing.absent(hand.tracks, object_id, start, stop),
    "merge": lambda hand, keep, other: editing.merge(hand.tracks, keep, other),
    "split": lambda hand, object_id, frame: {"id": editing.split(hand.tracks, object_id, frame)},
    "swap": lambda hand, first, second, frame: editing.swap(hand.tracks, first, second, frame),
    "undo": lambda hand: {"what": editing.undo(hand.tracks)},
    "redo": lambda hand: {"what": editing.redo(hand.tracks)},
    "verdict": _set_verdict,
    "save_review": _save_review,
}
