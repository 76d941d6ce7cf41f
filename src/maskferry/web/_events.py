"""News for the page, as a stream of events: what changed in the tracks, how far the job is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from maskferry.child_processes import Message

__all__ = ["FOREVER", "News", "changes_json", "stream"]

QUIET = 15.0
"""Seconds after which a line says that the server lives."""

MOST_WAITING = 1000
"""Events that a reader may be behind before he is told to begin anew."""

FOREVER = (1 << 53) - 1
"""The largest number that a page can count to."""

Event = tuple[str, Message]


class News:
    """Gives every event to everyone who listens. Used in the server's event loop."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[Event | None]] = set()

    def tell(self, name: str, data: Message) -> None:
        """Give an event to all."""
        for listener in list(self._listeners):
            if listener.qsize() >= MOST_WAITING:
                self._listeners.discard(listener)
                listener.put_nowait(None)
            else:
                listener.put_nowait((name, data))

    def end(self) -> None:
        """Say goodbye to all."""
        self.tell("bye", {})
        for listener in self._listeners:
            listener.put_nowait(None)
        self._listeners.clear()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[asyncio.Queue[Event | None]]:
        """Events from now on; None ends them."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)


async def stream(news: News, hello: Callable[[], Message]) -> AsyncIterator[bytes]:
    """Events as a browser reads them (text/event-stream), after one that says how things stand."""
    async with news.listening() as queue:
        first = await asyncio.to_thread(hello)
        yield _line("hello", first)
        while True:
            try:
                event = await asyncio.wait_for(queue.get(), QUIET)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if event is None:
                return
            yield _line(*event)


def _line(name: str, data: Message) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def changes_json(changes: dict[int, list[tuple[int, int]]]) -> Message:
    """Stretches by object, with numbers that a page can hold."""
    return {str(i): [[start, min(stop, FOREVER)] for start, stop in own] for i, own in changes.items()}
