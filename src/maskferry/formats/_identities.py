"""Which masks of different pictures are one object, in files that say it by numbers or by names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from maskferry.formats._reading import Reading

__all__ = ["Seen", "identities"]


class Seen(NamedTuple):
    """A shape, or a mask, on a picture.

    Attributes:
        frame: the picture.
        label: the object's name; None where it has none.
        number: a group or the like that says which shapes are one object; None for a shape that stands alone.
    """

    frame: int
    label: str | None
    number: Hashable


def identities(seen: Sequence[Seen], reading: Reading) -> list[Hashable]:
    """A key for each of them, the same for what is one object.

    - The number alone is the object's, where no number has two names; otherwise number and name together are.
    - Without a number, a name that is there once on each picture is one object.
    - Otherwise each is an object of its own, of which the caller is warned where there are several pictures.
    """
    name_of: dict[Hashable, str | None] = {}
    by_number = all(name_of.setdefault(s.number, s.label) == s.label for s in seen if s.number is not None)
    by_name = _names_that_tell(seen)
    keys: list[Hashable] = []
    for i, item in enumerate(seen):
        if item.number is not None:
            keys.append(item.number if by_number else (item.label, item.number))
        else:
            keys.append(("named", item.label) if item.label in by_name else ("alone", i))
    _tell(seen, by_name, reading)
    return keys


def _names_that_tell(seen: Sequence[Seen]) -> set[str]:
    """The names that no picture has twice, of what has no number."""
    often = Counter((item.frame, item.label) for item in seen if item.number is None)
    twice = {label for (_, label), count in often.items() if count > 1}
    return {label for _, label in often if label is not None and label not in twice}


def _tell(seen: Sequence[Seen], by_name: set[str], reading: Reading) -> None:
    frames: dict[str | None, set[int]] = {}
    for item in seen:
        if item.number is None:
            frames.setdefault(item.label, set()).add(item.frame)
    several = [label for label, there in frames.items() if len(there) > 1]
    if any(label in by_name for label in several):
        reading.note("masks of one name on several pictures are one object, as no picture has that name twice")
    unsure = [f"{label!r:.40}" if label else "no name" for label in several if label not in by_name]
    if unsure:
        reading.doubt(
            f"which masks of several pictures are one object is not said ({', '.join(unsure[:3])}: several on one "
            "picture): each is an object of its own; give them ids (groups, tracks), or names that differ"
        )
