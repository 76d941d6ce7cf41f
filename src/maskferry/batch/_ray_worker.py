"""A worker of `RayRunner`: what runs in the actor. Of masks and pictures nothing goes through Ray."""

from __future__ import annotations

import json
import platform
import shutil
from typing import Any

from maskferry.batch._local import scratch_of
from maskferry.batch._runner import Event, Progress, Settings, Task, message_of

__all__ = ["MOST_BYTES", "RayWorker", "remove_scratch"]

MOST_BYTES = 10_000
"""Of what an actor returns, as JSON: Ray hands that over at once, and keeps it in no object store."""


class RayWorker:
    """What runs in the actor. One method of the group ``work`` at a time; those of ``control`` beside it."""

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        self._settings, self._name = settings, name
        self._progress: tuple[str, int, int | None] | None = None
        self._worker: Any = None

    def facts(self) -> tuple[str, str, dict[str, Any]]:
        """(Machine, Ray's id of it, facts), see `Ready`. What keeps the worker from beginning is among the facts."""
        import ray

        node_id = ray.get_runtime_context().get_node_id()
        node = f"{platform.node()}-{node_id[:8]}"
        try:
            from maskferry.batch._worker import Worker

            self._worker = Worker(Settings.of(self._settings), self._name, node)
            return node, node_id, self._worker.facts()
        except Exception as err:
            return node, node_id, {"error": f"{type(err).__name__}: {err}"}

    def do(self, task: dict[str, Any]) -> dict[str, Any]:
        """Carry out a task; what became of it, as a message of at most `MOST_BYTES`."""

        def tell(event: Event) -> None:
            if isinstance(event, Progress):
                self._progress = event.attempt, event.done, event.total

        self._progress = None
        return shortened(message_of(self._worker.do(Task.of(task), tell)))

    def progress(self) -> tuple[str, int, int | None] | None:
        """(Attempt, steps that are done, steps in all) of what goes on."""
        return self._progress

    def stop(self, attempt: str) -> None:
        """Stop an attempt after its frame."""
        if self._worker is not None:
            self._worker.stop(attempt)

    def close(self) -> None:
        """Remove the scratch."""
        if self._worker is not None:
            self._worker.close()


def remove_scratch(settings: dict[str, Any], name: str, pid: int) -> None:
    """On its machine, remove what a worker has left that was killed."""
    shutil.rmtree(scratch_of(Settings.of(settings), name, pid), ignore_errors=True)


def shortened(message: dict[str, Any]) -> dict[str, Any]:
    """A message of at most `MOST_BYTES`.

    What was staged, which has a line for each file and object, is left out where it is too long: it lies in OUT. Of an
    error's message the beginning is kept, of a log the end.
    """
    if _size(message) <= MOST_BYTES:
        return message
    if "staged" in message:
        return message | {"staged": None}
    log: list[str] = []
    short = message | {"message": _cut(message["message"], MOST_BYTES // 4), "log": log}
    for line in reversed(message["log"]):
        log.insert(0, line)
        if _size(short) > MOST_BYTES:
            del log[0]
            break
    return short


def _cut(text: str, most: int) -> str:
    """The beginning of a text, in at most so many bytes of JSON."""
    while len(json.dumps(text)) > most:
        text = f"{text[: len(text) * 3 // 4 - 2]}…"
    return text


def _size(message: dict[str, Any]) -> int:
    return len(json.dumps(message))
