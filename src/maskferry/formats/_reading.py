"""One reading of a file of somebody else: what is known beforehand, and what is left out of it, counted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from maskferry.data import VideoInfo
from maskferry.errors import InputError, LeftOutWarning, MaskPlacementWarning

__all__ = ["Reading", "RecordError", "Target", "reading_of"]


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
        video: its map grid and its dates, where it has some; None where nothing is known.
    """

    size_hw: tuple[int, int] | None = None
    frame_count: int | None = None
    frame_named: Callable[[str], int | None] = _unnamed
    video: VideoInfo | None = None

    @property
    def is_known(self) -> bool:
        """Whether there is a video at all."""
        return self.size_hw is not None


class RecordError(InputError):
    """A record of a file that cannot be read, for a reason that concerns no other one.

    Attributes:
        what: the kind of thing, in the plural, as `Reading.leave_out` counts it.
        at: which one, as errors call it.
    """

    def __init__(self, what: str, at: str, why: str) -> None:
        super().__init__(f"{at}: {why}")
        self.what, self.at = what, at


@dataclass(slots=True)
class Reading:
    """What a reader is told, and what it tells.

    Attributes:
        where: how messages call the file.
        target: the video that its masks are for.
        strict: refuse the file rather than leave something out.
        first_frame: what a file of MOTS calls the video's first frame, where the caller says it.
        id_field: the column of ids in a file of polygons, where the caller says it.
        label_field: the column of names.
        kind: how the file is read, in a few words: "COCO", "a label map".
        left_out: {what: [how many, where it was first]}.
        notes: how it was read, in a sentence each, where it could be read in another way too.
        doubts: the notes of which the caller is warned, as masks may be on another frame, or of another object.
    """

    where: str
    target: Target = field(default_factory=Target)
    strict: bool = False
    first_frame: int | None = None
    id_field: str | None = None
    label_field: str | None = None
    kind: str = "masks"
    left_out: dict[str, tuple[int, str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def read_as(self, kind: str) -> None:
        """Say what the file is taken for; what was said last counts."""
        self.kind = kind

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
        known, first = self.left_out.get(what, (0, at.removeprefix(f"{self.where}:").lstrip()))
        self.left_out[what] = known + count, first

    @contextmanager
    def one_record(self) -> Iterator[None]:
        """Read one record inside; where it is `RecordError`, it is left out, and the others are read.

        Raises:
            RecordError: it is, and nothing may be left out.
        """
        try:
            yield
        except RecordError as err:
            if self.strict:
                raise
            self.leave_out(err.what, err.at)

    def note(self, text: str) -> None:
        """Say how the file is read, once for each text."""
        if text not in self.notes:
            self.notes.append(text)

    def doubt(self, text: str) -> None:
        """A note of which the caller is warned."""
        self.note(text)
        if text not in self.doubts:
            self.doubts.append(text)

    @contextmanager
    def at(self, where: object) -> Iterator[None]:
        """Call what is read inside so, where it is one of several files."""
        before, self.where = self.where, str(where)
        try:
            yield
        finally:
            self.where = before

    @property
    def told(self) -> list[str]:
        """What was left out, a line for each kind: "3 boxes without a mask (the first: annotations[4])"."""
        return [f"{count} {what} (the first: {first})" for what, (count, first) in self.left_out.items()]

    def warn(self, stacklevel: int = 2) -> None:
        """Give one warning of all that was left out, and one of all doubts; none where there is nothing."""
        if self.left_out:
            message = f"{self.where}: left out: {'; '.join(self.told)}"
            warnings.warn(LeftOutWarning(message), stacklevel=stacklevel + 1)
        if self.doubts:
            warnings.warn(MaskPlacementWarning(f"{self.where}: {'; '.join(self.doubts)}"), stacklevel=stacklevel + 1)


@contextmanager
def reading_of(where: str, reading: Reading | None) -> Iterator[Reading]:
    """The reading that a caller has; where he has none, one of its own, which warns when it is done."""
    if reading is not None:
        yield reading
        return
    reading = Reading(where)
    yield reading
    reading.warn(stacklevel=4)
