"""What edits ask for before they change anything."""

from __future__ import annotations

from collections.abc import Sequence

from maskferry._arguments import whole
from maskferry.errors import InputError
from maskferry.tracks._journal import Journal

__all__ = ["has_mask", "object_number", "pin_where_tracked", "require_mask"]


def object_number(value: int) -> int:
    """An object's id as a plain number.

    Raises:
        InputError: it is no whole number.
    """
    return whole(value, "object id")


def require_mask(journal: Journal, object_id: int, frame: int) -> None:
    """Refuse an object that has no mask on a frame."""
    if not has_mask(journal, object_id, frame):
        raise InputError(f"object {object_id} has no mask on frame {frame}")


def has_mask(journal: Journal, object_id: int, frame: int) -> bool:
    """Whether an object has a mask on a frame."""
    row = journal.frames.get(frame, [object_id]).get(object_id)
    return row is not None and row.rle.area > 0


def pin_where_tracked(journal: Journal, frame: int, objects: Sequence[int]) -> None:
    """Make the masks of a frame prompts, where they are none yet."""
    for i in objects:
        row = journal.frames.get(frame, [i]).get(i)
        if row is not None and row.rle.area and not journal.prompts.has_prompt(frame, i):
            journal.prompts.pin(frame, i, row.rle)
