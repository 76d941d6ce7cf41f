"""A worker of `LocalRunner`: the process. It ends at once when its input ends, which is when its driver has gone."""

from __future__ import annotations

import json
import os
import queue
import threading
from typing import IO, Any

from maskferry.batch._runner import Event, Ready, Settings, Task, message_of
from maskferry.batch._worker import Worker
from maskferry.child_processes import own_pipes

__all__ = ["main"]


def main() -> None:
    """Carry out what is said, one video after the other."""
    lines, say = own_pipes()
    first = json.loads(lines.readline())
    name, node = first["name"], first["node"]

    def tell(event: Event) -> None:
        say(message_of(event))

    try:
        worker = Worker(Settings.of(first["settings"]), name, node)
        facts = worker.facts()
    except Exception as err:
        tell(Ready(name, node, {"error": f"{type(err).__name__}: {err}"}))
        lines.read()
        return
    tasks: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, worker, tasks), daemon=True).start()
    tell(Ready(name, node, facts))
    while (task := tasks.get()) is not None:
        tell(worker.do(Task.of(task), tell))
    worker.close()


def _listen(lines: IO[bytes], worker: Worker, tasks: queue.SimpleQueue[dict[str, Any] | None]) -> None:
    """Take what is said; without anybody who says anything, end: nothing is written any more."""
    for line in lines:
        message = json.loads(line)
        if "task" in message:
            tasks.put(message["task"])
        elif "stop" in message:
            worker.stop(message["stop"])
        else:
            tasks.put(None)
            return
    os._exit(1)


if __name__ == "__main__":
    main()
