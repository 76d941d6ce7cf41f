"""One reading of a file of somebody else: what is known beforehand, and what is left out of it, counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from maskferry.errors import InputError, LeftOutWarning

__all__ = ["Reading", "Target"]


def _unnamed(name: str) -> int | None:
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """The video that masks are for, as far as it is known.

    Attributes:
        size_hw: (height, width) in pixels; None where it is not known.
        frame_count: None where it is not known.
        frame_named: gives the index of the frame whose picture has this file name, with folders and suffix or without;
            None where no frame is called so, or several are.
    """

    size_hw: tuple[int, int] | None = None
    frame_count: int | None = None
    frame_named: Callable[[str], int | None] = _unnamed


@dataclass(slots=True)
class Reading:
    """What a reader is told, and what it tells.

    Attributes:
        where: how messages call the file.
        target: the video that its masks are for.
        strict: refuse the file rather than leave something out.
        left_out: {what: [how many, where it was first]}.
        notes: how it was read, in a sentence each, where it could be read in another way too.
    """

    where: str
    target: Target = field(default_factory=Target)
    strict: bool = False
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, what: str, at: str, *, count: int = 1) -> None:
        """Count something that is in the file and does not come out of it.

        Args:
            what: the kind of thing, in the plural: "boxes without a mask".
            at: which one, as errors call it.
            count: how many.

        Raises:
            InputError: nothing may be left out.
        """
        if self.strict:
            raise InputError(f"{at}: {what} are left out, which strict reading refuses")
        known, first = self.left_out.get(what, (0, at))
        self.left_out[what] = known + count, first

    def note(self, text: str) -> None:
        """Say how the file is read, once for each text."""
        if text not in self.notes:
            self.notes.append(text)

    @property
    def told(self) -> list[str]:
        """What was left out, a line for each kind: "3 boxes without a mask (the first: annotations[4])"."""
        return [f"{count} {what} (the first: {first})" for what, (count, first) in self.left_out.items()]

    def warn(self, stacklevel: int = 2) -> None:
        """Give one warning of all that was left out; none where nothing was."""
        if self.left_out:
            message = f"{self.where}: left out: {'; '.join(self.told)}"
            warnings.warn(LeftOutWarning(message), stacklevel=stacklevel + 1)
