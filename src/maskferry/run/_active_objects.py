"""``ActiveObjects``: which objects a pass has to find on the frame that it has come to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maskferry.data import FrameMasks, ObjectMask, State
from maskferry.rle import Rle
from maskferry.tracks._jobs import Job, Span

__all__ = ["ActiveObjects"]


class ActiveObjects:
    """Which objects a pass has to find on the frame that it has come to.

    Attributes:
        spans: {object id: its span}.
        suspended: ids of those that the session does not follow: lost, until a detection shows them.
    """

    def __init__(self, job: Job, passed: Sequence[int], suspended: Iterable[int] = ()) -> None:
        """Begin a pass, or resume one.

        Args:
            job: what the pass has to find.
            passed: its frames that are finished.
            suspended: ids of objects that were suspended there.
        """
        self.spans: dict[int, Span] = {}
        self.suspended = set(suspended)
        self._backward = job.backward
        self._starts: dict[int, list[Span]] = {}
        for span in job.spans:
            self._starts.setdefault(span.seed, []).append(span)
        self._ahead = set(self._starts)
        for frame in passed:
            self.pass_by(frame)

    @property
    def followed(self) -> set[int]:
        """Ids of the objects that the session is to follow."""
        return self.spans.keys() - self.suspended

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to find on any later frame."""
        return not self.spans and not self._ahead

    def enter(self, frame: int) -> list[Span]:
        """Come to a frame: spans that end before it leave, spans that begin there are added and returned."""
        starting = self.pass_by(frame)
        self.begin(starting)
        return starting

    def pass_by(self, frame: int) -> list[Span]:
        """The same for a frame that is finished already: what has been suspended since stays so."""
        for object_id, span in list(self.spans.items()):
            if span.until is not None and (frame <= span.until if self._backward else frame >= span.until):
                del self.spans[object_id]
        starting = self._starts.get(frame, [])
        self._ahead.discard(frame)
        self.spans.update((span.object_id, span) for span in starting)
        return starting

    def begin(self, spans: Iterable[Span]) -> None:
        """These spans are to be found from here on."""
        for span in spans:
            self.spans[span.object_id] = span
            self.suspended.discard(span.object_id)

    def with_suspended(self, masks: FrameMasks) -> FrameMasks:
        """The same masks, with an empty one for each object that is suspended."""
        missing = self.suspended & self.spans.keys()
        if not missing:
            return masks
        empty = Rle.empty(masks.size_hw)
        rows = [row for row in masks if row.object_id not in missing]
        rows += [ObjectMask(i, empty, 0.0, State.LOST) for i in missing]
        return FrameMasks(masks.frame, masks.size_hw, tuple(sorted(rows, key=lambda row: row.object_id)))
