"""``LocalRunner``: workers on this machine, each a process of its own."""

from __future__ import annotations

import os
import platform
import queue
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from maskferry.batch._runner import Event, Lost, Progress, Ready, Settings, Task, event_of
from maskferry.child_processes import Child, Message
from maskferry.errors import EngineError, InputError

__all__ = ["LocalRunner", "scratch_of"]

MODULE = "maskferry.batch._local_worker"

MOST_DEATHS = 3
"""Workers that may die before they are ready, one after the other."""

PATIENCE = 5.0
"""Seconds that a worker has to remove its scratch when all is done."""


class LocalRunner:
    """Workers on this machine; see `Runner`."""

    def __init__(self, workers: int | None = None) -> None:
        """Start nothing yet.

        Args:
            workers: how many; None for one for every two CPUs.

        Raises:
            InputError: it is below 1.
        """
        if workers is not None and workers < 1:
            raise InputError(f"--workers: expected 1 or more, got {workers}")
        self._wanted = workers or max(1, _cpus() // 2)
        self._children: dict[str, Child] = {}
        self._news: queue.SimpleQueue[tuple[str, Message | None, str]] = queue.SimpleQueue()
        self._started = self._deaths = 0
        self._ready: set[str] = set()
        self._busy: set[str] = set()

    def start(self, settings: Settings) -> None:
        """As `Runner.start`."""
        self._settings = settings
        _clean(settings)
        for _ in range(self._wanted):
            self._start_one()

    def _start_one(self) -> None:
        self._started += 1
        name = f"{platform.node() or 'local'}-{self._started}"
        child = Child(
            MODULE,
            lambda message: self._news.put((name, message, "")),
            lambda how: self._news.put((name, None, how)),
        )
        self._children[name] = child
        child.say({"settings": asdict(self._settings), "name": name, "node": platform.node()})

    def submit(self, worker: str, task: Task) -> None:
        """As `Runner.submit`."""
        self._busy.add(worker)
        self._tell(worker, {"task": asdict(task)})

    def stop(self, worker: str, attempt: str) -> None:
        """As `Runner.stop`."""
        self._tell(worker, {"stop": attempt})

    def kill(self, worker: str) -> None:
        """As `Runner.kill`."""
        child = self._children.get(worker)
        if child is not None:
            child.process.kill()

    def _tell(self, worker: str, message: Message) -> None:
        child = self._children.get(worker)
        if child is not None:
            child.say(message)

    def wait(self, timeout: float) -> list[Event]:
        """As `Runner.wait`.

        Raises:
            EngineError: workers die before they are ready.
        """
        events: list[Event] = []
        end = time.monotonic() + timeout
        while not events or not self._news.empty():
            try:
                name, message, how = self._news.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if message is None:
                events.append(self._replace(name, how))
                continue
            event = event_of(message)
            if isinstance(event, Ready):
                self._ready.add(name)
                self._deaths = 0
            elif not isinstance(event, Progress):
                self._busy.discard(name)
            events.append(event)
        return events

    def _replace(self, name: str, how: str) -> Lost:
        child = self._children.pop(name)
        self._busy.discard(name)
        shutil.rmtree(scratch_of(self._settings, name, child.process.pid), ignore_errors=True)
        if name not in self._ready:
            self._deaths += 1
            if self._deaths >= MOST_DEATHS:
                raise EngineError(f"workers die as they start: {how}")
        self._start_one()
        return Lost(name, "killed", f"the worker died: {how}")

    def close(self) -> None:
        """As `Runner.close`."""
        children, self._children = self._children, {}
        for name, child in children.items():
            if name in self._busy:  # nobody waits for what it does
                child.process.kill()
            else:
                child.say({"end": True})
        for name, child in children.items():
            child.close(PATIENCE)
            shutil.rmtree(scratch_of(self._settings, name, child.process.pid), ignore_errors=True)


def scratch_of(settings: Settings, name: str, pid: int) -> Path:
    """The folder on the own disk that a worker works in."""
    folder = Path(settings.scratch) if settings.scratch else Path(tempfile.gettempdir())
    return folder / f"maskferry-batch-{pid}-{name}"


def _clean(settings: Settings) -> None:
    """Remove what workers of this machine have left whose processes are gone, with all of their driver's."""
    if os.name == "nt":
        return
    for folder in scratch_of(settings, "*", 0).parent.glob("maskferry-batch-*-*"):
        with suppress(ValueError, ProcessLookupError, PermissionError):
            pid = int(folder.name.split("-")[2])
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
