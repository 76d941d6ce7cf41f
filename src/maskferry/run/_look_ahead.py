"""Showing a session frames before it steps into them, in groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from maskferry.data import Frame
from maskferry.engines.base import LooksAhead, Session

__all__ = ["looking_ahead"]


def looking_ahead(session: Session, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames; to a session that looks ahead, each group is shown before it comes to the group before."""
    if not isinstance(session, LooksAhead):
        yield from frames
        return

    def show() -> list[Frame]:
        group = list(islice(frames, session.ahead))
        if group and session.ahead > 1:
            session.look_ahead(group)
        return group

    group = show()
    while group:
        following = show()
        yield from group
        group = following
