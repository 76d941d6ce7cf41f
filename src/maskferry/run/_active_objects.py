"""``Roster``: which objects a pass has to find on the frame that it has come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maskferry.data import FrameMasks, ObjectMask, State
from maskferry.rle import Rle
from maskferry.tracks._jobs import Job, Span

__all__ = ["Roster"]


class Roster:
    """Which objects a pass has to find on the frame that it has come to.

    Attributes:
        current: {object id: its span}.
        retired: those of them that the session does not follow: lost, until a detection shows them.
    """

    def __init__(self, job: Job, passed: Sequence[int], retired: Iterable[int] = ()) -> None:
        self.current: dict[int, Span] = {}
        self.retired = set(retired)
        self._backward = job.backward
        self._starts: dict[int, list[Span]] = {}
        for span in job.spans:
            self._starts.setdefault(span.seed, []).append(span)
        for frame in passed:
            self.pass_by(frame)

    @property
    def followed(self) -> set[int]:
        """Ids of the objects that the session is to follow."""
        return self.current.keys() - self.retired

    def enter(self, frame: int) -> list[Span]:
        """Come to a frame: spans that end before it leave, spans whose seed it is begin and are returned."""
        starting = self.pass_by(frame)
        self.begin(starting)
        return starting

    def pass_by(self, frame: int) -> list[Span]:
        """The same for a frame that is finished: what was retired since stays so."""
        for object_id, span in list(self.current.items()):
            if span.until is not None and (frame <= span.until if self._backward else frame >= span.until):
                del self.current[object_id]
        starting = self._starts.get(frame, [])
        self.current.update((span.object_id, span) for span in starting)
        return starting

    def begin(self, spans: Iterable[Span]) -> None:
        """These spans are to be found from here on."""
        for span in spans:
            self.current[span.object_id] = span
            self.retired.discard(span.object_id)

    def with_retired(self, masks: FrameMasks) -> FrameMasks:
        """The same, with a row for each object that is lost because the session does not follow it."""
        gone = self.retired & self.current.keys()
        if not gone:
            return masks
        empty = Rle.empty(masks.size_hw)
        rows = [row for row in masks if row.object_id not in gone]
        rows += [ObjectMask(i, empty, 0.0, State.LOST) for i in gone]
        return FrameMasks(masks.frame, masks.size_hw, tuple(sorted(rows, key=lambda row: row.object_id)))
