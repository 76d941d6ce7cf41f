"""The driver: gives out videos, decides what is tried again, and commits what workers have staged.

Every row ends as one receipt or as one failure, whatever is lost on the way; what is neither at the end of a run is
pending, and the same command goes on with it.
"""

from __future__ import annotations

import json
import platform
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappop, heappush
from typing import Any, Protocol

from maskferry._version import __version__
from maskferry.batch._ledger import RowState
from maskferry.batch._manifest import Row
from maskferry.batch._plan import RUN_KEY, Plan, stamps_of
from maskferry.batch._run_lock import RunLock
from maskferry.batch._runner import (
    Cause,
    Event,
    Failed,
    Lost,
    Progress,
    Ready,
    Runner,
    Staged,
    Stopped,
    Task,
)
from maskferry.batch._stores import failure_key, saved_key
from maskferry.errors import InputError, MaskferryError, OutputError

__all__ = ["BatchWatch", "Outcome", "Running", "drive"]

BACK_OFF = (2.0, 8.0, 30.0)
"""Seconds before a video is tried again after a fault of the network."""

MOST_NODES = 10
"""Machines that may be lost under one video before it is given up."""

SAME_FAILURES = 5
"""Videos that fail alike, before any has been done, after which the run is stopped."""

TICK = 0.5
"""Seconds that the driver waits for news at most."""

PATIENCE = 60.0
"""Seconds that running attempts have to stop by themselves."""

TAKEN = 64
"""Rows that are taken from the ledger at once."""


@dataclass(frozen=True, slots=True)
class Running:
    """An attempt that goes on, for whoever watches.

    Attributes:
        id: of the video.
        worker: who works at it.
        done: steps that are done.
        total: steps in all; None while that is not known.
        seconds: since it began.
    """

    id: str
    worker: str
    done: int
    total: int | None
    seconds: float


class BatchWatch(Protocol):
    """Somebody who watches a run."""

    def finished(self, video: str, state: str, detail: dict[str, Any]) -> None:
        """A video is "done", "damaged" or "failed"; what its receipt or failure says."""
        ...

    def moved(self, counts: dict[str, int], running: list[Running]) -> None:
        """How far the run is, about twice a second."""
        ...

    def say(self, text: str) -> None:
        """Something that a person may want to know."""
        ...


@dataclass(slots=True)
class Outcome:
    """What a run has come to.

    Attributes:
        counts: how many videos are "done", "damaged", "failed" and "pending", of all runs into this OUT.
        attempts: that this run made.
        seconds: that it took.
        why: why it was stopped before its end; None where it was not.
        stopped: somebody asked for it.
    """

    counts: dict[str, int]
    attempts: int = 0
    seconds: float = 0.0
    why: str | None = None
    stopped: bool = False

    @property
    def exit_code(self) -> int:
        """0 all done; 1 something failed, is damaged or pending; 130 stopped by somebody."""
        if self.stopped:
            return 130
        return 0 if not any(self.counts[name] for name in ("damaged", "failed", "pending")) else 1


@dataclass(slots=True)
class _Attempt:
    row: Row
    task: Task
    node: str
    began: float
    moved: float
    done: int = 0
    total: int | None = None
    is_alone: bool = False


@dataclass(slots=True)
class _Charges:
    """What has happened to a row in this run."""

    attempts: int = 0
    network: int = 0
    deaths: int = 0
    errors: int = 0
    nodes: int = 0


@dataclass(slots=True)
class _Queue:
    """Rows that wait.

    Attributes:
        again: to be given out next.
        later: (when, line, row), after a fault of the network.
        alone: the last ones, each with its machine for itself.
    """

    again: deque[Row] = field(default_factory=deque)
    later: list[tuple[float, int, Row]] = field(default_factory=list)
    alone: deque[Row] = field(default_factory=deque)


def drive(
    plan: Plan,
    runner: Runner,
    *,
    watch: BatchWatch | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Carry out a plan.

    Args:
        plan: without faults.
        runner: what has the workers. It is closed in the end.
        watch: who is told how far it is.
        cancelled: whether somebody wants it to stop: attempts save what they have.
        clock: seconds; tests bring their own.

    Returns:
        What has become of it.

    Raises:
        InputError: the plan has faults, or workers differ from the driver.
        RunningElsewhereError: another driver works on OUT, or has taken it over.
        OutputError: OUT cannot be written to at all.
    """
    plan.require_sound()
    lock = RunLock(plan.store)
    lock.acquire(take_over=plan.options.take_over)
    try:
        plan.store.sweep()
        driver = _Driver(plan, runner, lock, watch or _Nobody(), cancelled, clock)
        try:
            return driver.run()
        finally:
            runner.close()
            with suppress(MaskferryError, OSError):
                lock.check()
                plan.store.sweep()
    finally:
        with suppress(MaskferryError, OSError):
            lock.release()


class _Nobody:
    """Watches nothing."""

    def finished(self, video: str, state: str, detail: dict[str, Any]) -> None:
        """As `BatchWatch.finished`."""

    def moved(self, counts: dict[str, int], running: list[Running]) -> None:
        """As `BatchWatch.moved`."""

    def say(self, text: str) -> None:
        """As `BatchWatch.say`."""


class _Driver:
    def __init__(
        self,
        plan: Plan,
        runner: Runner,
        lock: RunLock,
        watch: BatchWatch,
        cancelled: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._plan, self._runner, self._lock, self._watch = plan, runner, lock, watch
        self._cancelled, self._clock = cancelled, clock
        self._free: dict[str, str] = {}
        self._running: dict[str, _Attempt] = {}
        self._queue = _Queue()
        self._charges: dict[int, _Charges] = {}
        self._counts = dict(plan.ledger.counts())
        self._alike: dict[tuple[str, str], int] = {}
        self._attempts = self._done = 0
        self._why: str | None = None
        self._stopped = False
        self._stopped_at = 0.0
        self._told = float("-inf")
        self._refused: set[str] = set()

    def run(self) -> Outcome:
        """Until nothing is left, or the run is to stop."""
        began = self._clock()
        if self._has_work():
            self._plan.store.write(".batch/nonce", self._plan.settings.nonce.encode())
            self._plan.store.write(RUN_KEY, json.dumps(self._description()).encode())
            self._runner.start(self._plan.settings)
            self._loop()
        outcome = Outcome(self._numbers(), self._attempts, round(self._clock() - began, 3), self._why, self._stopped)
        self._tell(now=True)
        return outcome

    def _description(self) -> dict[str, Any]:
        plan = self._plan
        return {
            "maskferry": __version__,
            "manifest": plan.manifest.place,
            "videos": len(plan),
            "sharded": plan.is_sharded,
            "engine": plan.settings.engine,
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def _loop(self) -> None:
        while True:
            self._stop_if_wanted()
            if self._why is None:
                self._give_out()
            if not self._running and (self._why is not None or not self._has_work()):
                return
            for event in self._runner.wait(TICK):
                self._handle(event)
            self._end_what_is_stuck()
            self._lock.beat()
            self._tell()

    def _has_work(self) -> bool:
        waiting = self._queue.again or self._queue.later or self._queue.alone
        return bool(waiting or self._running or self._counts[RowState.pending])

    # --- giving out -------------------------------------------------------------------------------------------------

    def _give_out(self) -> None:
        while self._free:
            worker, node = next(iter(self._free.items()))
            if self._is_reserved(node):
                worker, node = next(((w, n) for w, n in self._free.items() if not self._is_reserved(n)), ("", ""))
                if not worker:
                    return
            row = self._next_row()
            if row is not None:
                self._give(worker, node, row, is_alone=False)
            elif not self._give_alone():
                return

    def _is_reserved(self, node: str) -> bool:
        return any(attempt.is_alone and attempt.node == node for attempt in self._running.values())

    def _next_row(self) -> Row | None:
        queue = self._queue
        while queue.later and queue.later[0][0] <= self._clock():
            queue.again.append(heappop(queue.later)[2])
        if not queue.again and self._counts[RowState.pending]:
            queue.again.extend(self._plan.ledger.take(TAKEN))
            self._counts[RowState.pending] -= len(queue.again)
            self._counts[RowState.running] += len(queue.again)
        return queue.again.popleft() if queue.again else None

    def _give_alone(self) -> bool:
        """Give out a video whose worker has died, where its machine does nothing else; whether it was done."""
        busy = {attempt.node for attempt in self._running.values()}
        worker = next((worker for worker, node in self._free.items() if node not in busy), None)
        if worker is None or not self._queue.alone:
            return False
        self._give(worker, self._free[worker], self._queue.alone.popleft(), is_alone=True)
        return True

    def _give(self, worker: str, node: str, row: Row, *, is_alone: bool) -> None:
        del self._free[worker]
        charges = self._charges.setdefault(row.line, _Charges())
        charges.attempts += 1
        self._attempts += 1
        task = self._plan.task(row, f"{row.id}.{charges.attempts}.{secrets.token_hex(4)}")
        now = self._clock()
        self._running[worker] = _Attempt(row, task, node, now, now, is_alone=is_alone)
        self._runner.submit(worker, task)

    # --- what happens -----------------------------------------------------------------------------------------------

    def _handle(self, event: Event) -> None:
        if isinstance(event, Ready):
            self._take_in(event)
            return
        if isinstance(event, Lost):
            self._free.pop(event.worker, None)
            attempt = self._running.pop(event.worker, None)
            if attempt is not None:
                self._lost(attempt, "node" if event.why == "node" else "killed", event.message)
            return
        attempt = self._running.get(event.worker)
        if attempt is None or attempt.task.attempt != event.attempt:
            if isinstance(event, Staged):  # of a worker that was given up
                self._plan.store.unstage(str(event.staged.get("place", "")), event.attempt)
            return
        if isinstance(event, Progress):
            attempt.moved, attempt.done, attempt.total = self._clock(), event.done, event.total
            return
        del self._running[event.worker]
        self._free[event.worker] = attempt.node
        if self._why is None and isinstance(event, Staged):
            self._give_out()  # the worker has something to do while its results are committed
        if isinstance(event, Staged):
            self._commit(attempt, event.staged)
        elif isinstance(event, Stopped):
            self._put_back(attempt.row)
        else:
            self._failed(attempt, event)

    def _take_in(self, event: Ready) -> None:
        """Let a worker work that is what the driver is.

        Raises:
            InputError: it is not, and nothing has begun yet.
        """
        problem = self._difference(event)
        if problem is None:
            self._free[event.worker] = event.node
            return
        if not self._attempts:
            raise InputError(problem)
        if event.node not in self._refused:
            self._watch.say(f"{problem}; it gets no work")
        self._refused.add(event.node)

    def _difference(self, event: Ready) -> str | None:
        """What sets a worker apart from the driver; None where nothing does."""
        facts, where = event.facts, f"the worker on {event.node}"
        if facts.get("error"):
            return f"{where} cannot begin: {facts['error']}"
        if facts["maskferry"] != __version__ or facts["python"] != platform.python_version():
            mine = f"maskferry {__version__} and Python {platform.python_version()}"
            return f"{where} has maskferry {facts['maskferry']} and Python {facts['python']}, the driver {mine}"
        if facts["nonce"] != self._plan.settings.nonce:
            return f"{where} does not see {self._plan.store.place}: give a folder that all machines share, or a URL"
        if facts["engine"]:
            return f"{where} cannot run the engine {self._plan.settings.engine}: {facts['engine']}"
        return None

    def _commit(self, attempt: _Attempt, staged: dict[str, Any]) -> None:
        plan, task, row = self._plan, attempt.task, attempt.row
        self._lock.check()
        sizes = {name: size for name, (size, _) in staged["files"].items()}
        there = plan.store.files(task.place, task.attempt) or {}
        if any(there.get(name) != size for name, size in sizes.items()):
            failed = Failed("", task.attempt, "error", "OutputError", "what was staged did not arrive whole")
            self._failed(attempt, failed)
            return
        charges = self._charges[row.line]
        receipt = staged | {
            "line": row.line,
            "video": row.video,
            "inputs": stamps_of([row.video, *(path for _, path in row.masks)]),
            "attempts": charges.attempts,
            "committed": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        replace = plan.options.overwrite or row.line in plan.extended
        try:
            if not plan.store.commit(task.place, task.attempt, json.dumps(receipt).encode(), replace=replace):
                text = f"{plan.store.place}/{task.place} has appeared while the video was tracked"
                self._failed(attempt, Failed("", task.attempt, "error", "OutputExistsError", text))
                return
            self._forget_traces(task)
        except OSError as err:
            self._environment(row, err)
            return
        self._done += 1
        self._finish(row, RowState.damaged if staged.get("stopped_at") else RowState.done, receipt)

    def _forget_traces(self, task: Task) -> None:
        """Remove what earlier attempts have left."""
        self._plan.store.delete(saved_key(task.id, task.fingerprint))
        self._plan.store.delete(failure_key(task.id))

    # --- what fails -------------------------------------------------------------------------------------------------

    def _lost(self, attempt: _Attempt, cause: Cause, message: str) -> None:
        self._plan.store.unstage(attempt.task.place, attempt.task.attempt)
        self._watch.say(f"{attempt.row.id}, attempt {self._charges[attempt.row.line].attempts}: {message}")
        if self._stopped:
            self._put_back(attempt.row)
            return
        self._failed(attempt, Failed("", attempt.task.attempt, cause, "WorkerLost", message, attempt.done))

    def _failed(self, attempt: _Attempt, event: Failed) -> None:
        row, charges = attempt.row, self._charges[attempt.row.line]
        if event.cause == "environment":
            self._environment(row, OutputError(event.message))
        elif event.cause == "node":
            charges.nodes += 1
            self._try_again(row, event, charges, charges.nodes <= MOST_NODES)
        elif event.cause == "network":
            charges.network += 1
            self._try_again(row, event, charges, charges.network <= self._plan.options.retries, is_later=True)
        elif event.cause in ("killed", "stalled"):
            charges.deaths += 1
            if charges.deaths == 1:
                self._queue.alone.append(row)
            else:
                self._give_up(row, event, charges)
        elif event.cause == "error":
            charges.errors += 1
            self._try_again(row, event, charges, charges.errors <= 1)
        else:
            self._give_up(row, event, charges)

    def _try_again(self, row: Row, event: Failed, charges: _Charges, may: bool, *, is_later: bool = False) -> None:
        if not may:
            self._give_up(row, event, charges)
        elif is_later:
            wait = BACK_OFF[min(charges.network, len(BACK_OFF)) - 1]
            heappush(self._queue.later, (self._clock() + wait, row.line, row))
        else:
            self._queue.again.appendleft(row)

    def _give_up(self, row: Row, event: Failed, charges: _Charges) -> None:
        failure = {
            "id": row.id,
            "line": row.line,
            "video": row.video,
            "cause": event.cause,
            "kind": event.kind,
            "message": event.message,
            "frame": event.frame,
            "attempts": charges.attempts,
            "log": list(event.log),
            "fingerprint": self._plan.task(row, "").fingerprint,
            "inputs": stamps_of([row.video, *(path for _, path in row.masks)]),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._lock.check()
        try:
            self._plan.store.write(failure_key(row.id), json.dumps(failure).encode())
        except OSError as err:
            self._environment(row, err)
            return
        self._finish(row, RowState.failed, failure)
        if event.cause != "input" and not self._done:
            kind = (event.cause, event.kind)
            self._alike[kind] = self._alike.get(kind, 0) + 1
            if self._alike[kind] >= SAME_FAILURES:
                self._drain(f"the first {SAME_FAILURES} videos failed alike: {event.message}")

    def _environment(self, row: Row, err: OSError) -> None:
        """The machine is at fault, not the video: give out nothing more."""
        self._put_back(row)
        self._drain(f"{err}; once that is mended, the same command goes on")

    def _drain(self, why: str) -> None:
        if self._why is None:
            self._why = why
            self._watch.say(f"no more videos are begun: {why}")

    def _put_back(self, row: Row) -> None:
        self._plan.ledger.set_state([row.line], RowState.pending)
        self._counts[RowState.running] -= 1
        self._counts[RowState.pending] += 1

    def _finish(self, row: Row, state: RowState, detail: dict[str, Any]) -> None:
        self._plan.ledger.set_state([row.line], state)
        self._counts[RowState.running] -= 1
        self._counts[state] += 1
        self._charges.pop(row.line, None)
        self._watch.finished(row.id, state.name, detail)

    # --- stopping ---------------------------------------------------------------------------------------------------

    def _stop_if_wanted(self) -> None:
        if self._stopped or not self._cancelled():
            return
        self._stopped, self._stopped_at = True, self._clock()
        self._drain("somebody asked for it")
        for worker, attempt in self._running.items():
            self._runner.stop(worker, attempt.task.attempt)

    def _end_what_is_stuck(self) -> None:
        now = self._clock()
        is_late = self._stopped and now - self._stopped_at > PATIENCE
        stuck = [w for w, a in self._running.items() if is_late or now - a.moved > self._plan.options.stall]
        for worker in stuck:
            attempt = self._running.pop(worker)
            self._runner.kill(worker)
            self._lost(attempt, "stalled", f"nothing moved for {now - attempt.moved:.0f} s")

    # --- news -------------------------------------------------------------------------------------------------------

    def _numbers(self) -> dict[str, int]:
        counts = {state.name: n for state, n in self._counts.items()}
        running = counts.pop("running")
        waiting = running - len(self._running)
        counts["pending"] += waiting
        return counts

    def _tell(self, *, now: bool = False) -> None:
        moment = self._clock()
        if not now and moment - self._told < TICK:
            return
        self._told = moment
        running = [Running(a.row.id, worker, a.done, a.total, moment - a.began) for worker, a in self._running.items()]
        self._watch.moved(self._numbers() | {"running": len(running)}, running)
