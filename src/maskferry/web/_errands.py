"""One task in a process of its own, so that the server goes on answering: a review, a file that is read or written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from maskferry.child_processes import Child, Message
from maskferry.web._worker_client import RefusedError, WorkerDiedError

__all__ = ["run_errand"]

MODULE = "maskferry.web._task"


async def run_errand(name: str, values: Message, heard: Callable[[Message], None] = lambda _: None) -> Message:
    """Have a task done.

    Args:
        name: of `_tasks.TASKS`.
        values: its arguments.
        heard: takes how far it is, in the event loop.

    Raises:
        RefusedError: it failed.
        WorkerDiedError: its process died.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Message] = loop.create_future()

    def take(message: Message) -> None:
        if "found" not in message and "error" not in message:
            heard(message)
        elif not done.done():
            if "found" in message:
                done.set_result(message["found"])
            else:
                done.set_exception(RefusedError(message["error"]))

    def end(how: str) -> None:
        if not done.done():
            done.set_exception(WorkerDiedError(f"the process of this task died: {how}"))

    def in_loop(function: Callable[..., None]) -> Callable[..., None]:
        def call(value: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(function, value)

        return call

    child = Child(MODULE, in_loop(take), in_loop(end))
    child.say({"task": name, "values": values})
    try:
        return await done
    finally:
        child.process.kill()  # it has said what it found, or nobody wants it any more
        await asyncio.to_thread(child.close)
