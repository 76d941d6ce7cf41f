"""Who watches a run: what it reports to, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Silent", "Update", "Watch"]


class Update(Protocol):
    """Takes how far something is."""

    def __call__(self, done: int, total: int | None, label: str | None = None) -> None:
        """Say what is done, and how much there is in all (None while that is unknown); and what, if it is new."""
        ...


class Watch(Protocol):
    """Somebody who watches a run: a terminal, a notebook, a log."""

    def bar(self, label: str) -> AbstractContextManager[Update]:
        """Something that takes time begins; it ends with the block."""
        ...

    def say(self, text: str) -> None:
        """Something that a person may want to know."""
        ...

    def stoppable(self) -> AbstractContextManager[Callable[[], bool]]:
        """Frames are tracked in the block; the callable says whether somebody wants them to stop."""
        ...


class Silent:
    """Nobody watches, and nobody stops it."""

    def bar(self, label: str) -> AbstractContextManager[Update]:
        """As `Watch.bar`."""
        return nullcontext(lambda done, total, label=None: None)

    def say(self, text: str) -> None:
        """As `Watch.say`."""

    def stoppable(self) -> AbstractContextManager[Callable[[], bool]]:
        """As `Watch.stoppable`."""
        return nullcontext(lambda: False)
