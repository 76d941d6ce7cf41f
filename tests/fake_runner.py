"""Workers that do nothing but what a script says, on a clock that nobody waits for; for tests of the driver."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

from maskferry._version import __version__
from maskferry.batch import Event, Failed, Lost, Progress, Ready, Settings, Staged, Stopped, Task
from maskferry.batch._stores import STAGED, FolderStore

__all__ = ["FakeRunner", "stage"]


def stage(store: FolderStore, task: Task, worker: str, **more: object) -> dict[str, object]:
    """Publish an attempt as a worker does; what its `Staged` says."""
    staged = {
        "id": task.id,
        "attempt": task.attempt,
        "place": task.place,
        "fingerprint": task.fingerprint,
        "kinds": [],
        "stopped_at": None,
        "files": {"tracks.sqlite": [len(task.id), ""]},
        "worker": worker,
        **more,
    }
    folder = store.folder / ".batch" / "staging" / task.attempt
    folder.mkdir(parents=True)
    (folder / "tracks.sqlite").write_text(task.id)
    (folder / STAGED).write_text(json.dumps(staged))
    return staged


class FakeRunner:
    """See `Runner`.

    Attributes:
        now: seconds; `clock` gives them.
        tasks: all that was submitted, in order: (worker, task).
        workers: names of those that live.
    """

    def __init__(
        self,
        out: Path,
        fate: Callable[[str, Task], str],
        *,
        workers: int = 3,
        nodes: int = 2,
        facts: dict[str, object] | None = None,
    ) -> None:
        """Start nothing.

        Args:
            out: the output folder.
            fate: what becomes of a task on a worker: "staged", "killed", "node", "zombie", "stopped", "stuck", or the
                cause of a failure.
            workers: how many.
            nodes: on how many machines.
            facts: what workers say of themselves, where it is not what the driver wants.
        """
        self._store, self._fate, self._count, self._nodes = FolderStore(out), fate, workers, nodes
        self._facts = facts or {}
        self.now = 0.0
        self.tasks: list[tuple[str, Task]] = []
        self.workers: dict[str, str] = {}
        self._events: list[Event] = []
        self._busy: dict[str, Task] = {}
        self._zombies: list[tuple[str, Task]] = []
        self._started = 0
        self.closed = False

    def clock(self) -> float:
        return self.now

    def start(self, settings: Settings) -> None:
        self._settings = settings
        for _ in range(self._count):
            self._add()

    def _add(self) -> None:
        name, node = f"w{self._started}", f"n{self._started % self._nodes}"
        self._started += 1
        self.workers[name] = node
        facts = {
            "maskferry": __version__,
            "python": platform.python_version(),
            "engine": None,
            "nonce": self._settings.nonce,
        }
        self._events.append(Ready(name, node, facts | self._facts))

    def submit(self, worker: str, task: Task) -> None:
        assert worker in self.workers, "the driver gives work to a worker that is gone"
        assert worker not in self._busy, "the driver gives work to a worker that is busy"
        self.tasks.append((worker, task))
        self._busy[worker] = task

    def wait(self, timeout: float) -> list[Event]:
        self.now += timeout
        for worker, task in list(self._busy.items()):
            self._do(worker, task)
        for worker, task in self._zombies:  # they finish after all
            self._events.append(Staged(worker, task.attempt, stage(self._store, task, worker)))
        self._zombies.clear()
        events, self._events = self._events, []
        return events

    def _do(self, worker: str, task: Task) -> None:
        fate = self._fate(worker, task)
        if fate == "stuck":
            return
        del self._busy[worker]
        if fate == "staged":
            self._events.append(Progress(worker, task.attempt, 1, 2))
            self._events.append(Staged(worker, task.attempt, stage(self._store, task, worker)))
        elif fate == "stopped":
            self._events.append(Stopped(worker, task.attempt))
        elif fate in ("killed", "node", "zombie"):
            if fate == "zombie":
                self._zombies.append((worker, task))
            self._lose(worker, "killed" if fate == "killed" else "node")
        else:
            self._events.append(Failed(worker, task.attempt, fate, "SomeError", f"{fate}!"))

    def _lose(self, worker: str, why: str) -> None:
        del self.workers[worker]
        self._events.append(Lost(worker, why, "gone"))
        self._add()

    def stop(self, worker: str, attempt: str) -> None:
        task = self._busy.pop(worker, None)
        if task is not None:
            self._events.append(Stopped(worker, attempt))

    def kill(self, worker: str) -> None:
        self._busy.pop(worker, None)
        if worker in self.workers:
            self._lose(worker, "killed")

    def close(self) -> None:
        self.closed = True
