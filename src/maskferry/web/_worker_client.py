"""The server's end of the worker: started when it is needed, started again when it has died."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from maskferry.child_processes import Child, Message
from maskferry.errors import MaskferryError

__all__ = ["RefusedError", "WorkerClient", "WorkerDiedError"]

MODULE = "maskferry.web._worker"

PATIENCE = 60.0
"""Seconds that the worker has, when the server ends, to come to the end of its frame."""


class WorkerDiedError(MaskferryError):
    """The worker died before it answered: what was asked for is written as a whole, or not at all."""


class RefusedError(MaskferryError):
    """The worker refused what was asked for.

    Attributes:
        problem: its error, as `child_processes.describe` has it.
    """

    def __init__(self, problem: Message) -> None:
        super().__init__(problem["message"])
        self.problem = problem


class WorkerClient:
    """Asks the worker. Its methods are called in the server's event loop."""

    def __init__(self, settings: Message, heard: Callable[[Message], None]) -> None:
        """Start nothing yet.

        Args:
            settings: see `_worker.Worker`.
            heard: takes its news, in the event loop.
        """
        self._settings, self._heard = settings, heard
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._child: Child | None = None
        self._is_closed = False

    @property
    def pid(self) -> int | None:
        """The number of its process; None where there is none."""
        return None if self._child is None else self._child.process.pid

    def start(self) -> None:
        """Start it, where it does not run."""
        if self._child is not None or self._is_closed:
            return
        loop = asyncio.get_running_loop()

        def in_loop(function: Callable[..., None], *values: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(function, *values)

        child = Child(MODULE, lambda message: in_loop(self._take, message), lambda how: in_loop(self._end, child, how))
        self._child = child
        child.say(self._settings)

    async def ask(self, name: str, values: Message, base: Message | None = None) -> Message:
        """Have an edit made, see `_worker_edits.make_edit`.

        Raises:
            RefusedError: it was not made.
            WorkerDiedError: nobody knows.
        """
        self.start()
        number = next(self._numbers)
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self.say({"id": number, "do": name, "values": values, "base": base})
        return await future

    def say(self, command: Message) -> None:
        """Tell it something that needs no answer."""
        self.start()
        if self._child is None or not self._child.say(command):
            future = self._waiting.pop(command.get("id", 0), None)
            if future is not None:
                future.set_exception(WorkerDiedError("the worker has just ended: try again"))

    def close(self) -> None:
        """Let it come to the end of its frame, and end. Blocks."""
        self._is_closed = True
        if self._child is not None:
            self._child.close(PATIENCE)

    def _take(self, message: Message) -> None:
        if "id" not in message:
            self._heard(message)
            return
        future = self._waiting.pop(message["id"], None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(RefusedError(message["error"]))
        else:
            future.set_result(message["found"])

    def _end(self, child: Child, how: str) -> None:
        if self._child is not child:
            return
        self._child = None
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(WorkerDiedError(f"the worker died: {how}"))
        if not self._is_closed:
            self._heard({"event": "died", "how": how})
