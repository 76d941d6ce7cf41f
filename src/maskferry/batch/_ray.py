"""``RayRunner``: workers on a Ray cluster, an actor each (extra ``ray``).

Ray starts processes where there is room, and says when they are gone; it restarts nothing and tries nothing again: that
a video is given out a second time is decided by the driver alone. Of masks and pictures nothing goes through Ray.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from maskferry.batch._ray_worker import RayWorker, remove_scratch
from maskferry.batch._runner import Event, Failed, Lost, Progress, Ready, Settings, Task, event_of
from maskferry.batch._stores import open_store, read_staged
from maskferry.errors import EngineError, InputError, MaskferryError, MissingExtraError

__all__ = ["RayRunner"]

ASK_EVERY = 1.0
"""Seconds between two questions how far an attempt is."""

COUNT_EVERY = 5.0
"""Seconds between two looks at how large the cluster is."""

PATIENCE = 10.0
"""Seconds that the cluster's head has to answer, and workers to remove what they have on their disks."""

PATIENCE_WITH_NODES = 1.0
"""Seconds that a machine has to answer, when one of its workers does not."""

MOST_DEATHS = 3
"""Actors that may die before they are ready, one after the other, where no other one lives."""

PAUSE = 10.0
"""Seconds until another one is started, after so many."""

SAY_EVERY = 60.0
"""Seconds without any worker after which that is said, again and again."""

TOKEN_HINT = "; where the cluster asks for a token, set RAY_AUTH_MODE=token, or give --ray auto on one of its machines"
"""Of itself Ray shows its token only to a cluster that it has found itself."""

_log = logging.getLogger(__name__)


class RayRunner:
    """Workers on a Ray cluster; see `Runner`."""

    def __init__(
        self,
        address: str = "auto",
        workers: int | None = None,
        *,
        cpus: float = 1,
        gpus: float = 0,
        memory: float | None = None,
        runtime_env: Mapping[str, Any] | Path | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            address: of the cluster's head, ``HOST:PORT``; "auto" for the one that this process was started in.
            workers: how many; None for as many as the cluster has room for, also while it grows and shrinks.
            cpus: of each worker.
            gpus: of each worker; 0.5 lets two share one.
            memory: GB of each worker, as Ray counts it; None for no claim.
            runtime_env: of Ray, for the workers; or a JSON file of it.

        Raises:
            InputError: the address is one of a Ray client.
            MissingExtraError: Ray is not installed.
        """
        if address.startswith("ray://"):
            raise InputError(
                f"--ray {address}: a Ray client ends with its connection. Run the driver in the cluster: "
                "ray job submit --address http://HEAD:8265 -- maskferry batch MANIFEST -o OUT --ray auto"
            )
        if cpus < 0 or gpus < 0 or (memory is not None and memory <= 0) or not (cpus or gpus):
            raise InputError("--cpus, --gpus, --memory: expected what one worker needs, above 0")
        self._ray = _import_ray()
        self._address, self._fixed = address, workers
        self._env = _read_runtime_env(runtime_env) if isinstance(runtime_env, Path) else dict(runtime_env or {})
        self._needs: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus}
        if memory is not None:
            self._needs["memory"] = int(memory * 1e9)
        self._actors: dict[str, Any] = {}
        self._beginning: dict[Any, str] = {}
        self._working: dict[Any, tuple[str, Task]] = {}
        self._asked: dict[Any, str] = {}
        self._ask_at: dict[str, float] = {}
        self._ready: dict[str, tuple[str, int | None]] = {}  # Ray's id of the machine, process
        self._gone: set[str] = set()
        self._cleaning: list[Any] = []
        self._news: list[Event] = []
        self._count_at = self._say_at = 0.0
        self._started = self._deaths = 0
        self._is_mine = False

    def start(self, settings: Settings) -> None:
        """As `Runner.start`.

        Raises:
            InputError: there is no cluster at the address, or it has another version of Ray or Python.
        """
        self._settings = settings
        ray = self._ray
        if not ray.is_initialized():
            _require_answer(self._address)
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ray.init(
                        address=self._address,
                        log_to_driver=False,
                        logging_level=logging.ERROR,
                        runtime_env=self._env or None,
                    )
            except (ConnectionError, RuntimeError, ValueError) as err:
                hint = "" if self._address == "auto" or "RAY_AUTH_MODE" in os.environ else TOKEN_HINT
                raise InputError(f"--ray {self._address}: {err}{hint}") from err
            self._is_mine = True
        control = ray.method(concurrency_group="control")
        methods = {name: control(getattr(RayWorker, name)) for name in ("progress", "stop")}
        methods["do"] = ray.method(concurrency_group="work")(RayWorker.do)
        cls = type("MaskferryWorker", (RayWorker,), methods)
        options: dict[str, Any] = {"concurrency_groups": {"work": 1, "control": 4}, **self._needs}
        if self._env and not self._is_mine:  # the connection was made without it
            options["runtime_env"] = self._env
        self._class = ray.remote(max_restarts=0, max_task_retries=0, **options)(cls)
        self._say_at = time.monotonic() + SAY_EVERY
        self._keep_count()

    # --- how many ---------------------------------------------------------------------------------------------------

    def _keep_count(self) -> None:
        """Have as many workers as there is room for, or as are wanted."""
        self._count_at = time.monotonic() + COUNT_EVERY
        wanted = self._fixed if self._fixed is not None else max(1, self._room())
        while len(self._actors) < wanted:
            self._start_one()
        waiting = [ref for ref in self._beginning if self._fixed is None]
        for ref in waiting[: max(0, len(self._actors) - wanted)]:  # for machines that have gone
            self._drop(self._beginning[ref])

    def _room(self) -> int:
        """How many workers fit on the machines that live."""
        found = 0
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        for node in self._ray.nodes():
            if node["Alive"]:
                there = node["Resources"]
                fits = [there.get(names[key], 0) / need for key, need in self._needs.items() if need]
                found += int(min(fits))
        return found

    def _start_one(self) -> None:
        self._started += 1
        name = f"ray-{self._started}"
        actor = self._class.remote(asdict(self._settings), name)
        self._actors[name] = actor
        self._beginning[actor.facts.remote()] = name

    # --- what is done -----------------------------------------------------------------------------------------------

    def submit(self, worker: str, task: Task) -> None:
        """As `Runner.submit`."""
        actor = self._actors.get(worker)
        if actor is not None:
            self._working[actor.do.remote(asdict(task))] = worker, task
            self._ask_at[worker] = time.monotonic() + ASK_EVERY

    def stop(self, worker: str, attempt: str) -> None:
        """As `Runner.stop`."""
        actor = self._actors.get(worker)
        if actor is not None:
            actor.stop.remote(attempt)

    def kill(self, worker: str) -> None:
        """As `Runner.kill`."""
        if worker in self._actors:
            self._lose(worker, "killed", "the worker was killed")

    def wait(self, timeout: float) -> list[Event]:
        """As `Runner.wait`.

        Raises:
            EngineError: workers die before they are ready.
        """
        now = time.monotonic()
        if now >= self._count_at:
            self._keep_count()
        self._say_that_none_is_there(now)
        for worker, due in list(self._ask_at.items()):
            if now >= due and worker in self._actors:
                self._asked[self._actors[worker].progress.remote()] = worker
                del self._ask_at[worker]
        refs = [*self._beginning, *self._working, *self._asked]
        if refs and not self._news:
            ready, _ = self._ray.wait(refs, num_returns=1, timeout=timeout, fetch_local=True)
            if ready:  # and whatever else has come meanwhile
                ready, _ = self._ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=True)
            for ref in ready:
                self._take(ref)
        elif not refs and not self._news:
            time.sleep(timeout)
        events, self._news = self._news, []
        return events

    def _take(self, ref: Any) -> None:  # noqa: ANN401
        if ref in self._beginning:
            self._take_beginning(ref, self._beginning.pop(ref))
        elif ref in self._working:
            worker, task = self._working.pop(ref)
            self._ask_at.pop(worker, None)
            try:
                self._news.append(self._event(self._ray.get(ref), task))
            except self._ray.exceptions.RayTaskError as err:
                self._news.append(Failed(worker, task.attempt, "error", type(err).__name__, str(err)[:2000]))
            except self._ray.exceptions.RayError as err:
                self._lose(worker, self._why(worker, err), f"the worker was lost: {_first_line(err)}")
        elif ref in self._asked:
            worker = self._asked.pop(ref)
            with suppress(self._ray.exceptions.RayError):  # the work itself will tell
                told = self._ray.get(ref)
                if told is not None:
                    self._news.append(Progress(worker, *told))
            if any(worker == busy for busy, _ in self._working.values()):
                self._ask_at[worker] = time.monotonic() + ASK_EVERY

    def _event(self, message: dict[str, Any], task: Task) -> Event:
        """What a worker has answered; what it has left out is read in OUT."""
        if message.get("staged", 0) is not None:
            return event_of(message)
        try:
            return event_of(message | {"staged": read_staged(open_store(self._settings.out), task.place, task.attempt)})
        except MaskferryError as err:
            return Failed(message["worker"], task.attempt, "error", type(err).__name__, str(err))

    def _take_beginning(self, ref: Any, worker: str) -> None:  # noqa: ANN401
        try:
            node, node_id, facts = self._ray.get(ref)
        except self._ray.exceptions.RayError as err:
            self._deaths += 1
            if self._deaths >= MOST_DEATHS and not self._ready:
                raise EngineError(f"workers die as they start: {_first_line(err)}") from err
            self._lose(worker, "node", f"the worker could not begin: {_first_line(err)}")
            return
        self._deaths = 0
        self._ready[worker] = node_id, facts.get("pid")
        self._news.append(Ready(worker, node, facts))

    def _why(self, worker: str, err: Exception) -> Literal["killed", "node"]:
        """Whether a worker has died on a machine that lives on.

        Ray finds out late that a machine is gone; until then it only says that it cannot reach the worker. Whether the
        machine's own process (raylet) answers is asked here.
        """
        node_id, _ = self._ready.get(worker, (None, None))
        found = next((n for n in self._ray.nodes() if n["NodeID"] == node_id and n["Alive"]), None)
        if found is None or node_id in self._gone:
            return "node"
        if isinstance(err, self._ray.exceptions.ActorUnavailableError):
            refusal = _refusal(found["NodeManagerAddress"], int(found["NodeManagerPort"]), PATIENCE_WITH_NODES)
            if refusal is not None:
                self._gone.add(str(node_id))
                return "node"
        return "killed"

    def _lose(self, worker: str, why: Literal["killed", "node"], message: str) -> None:
        node_id, pid = self._ready.get(worker, (None, None))
        self._drop(worker)
        if why == "killed" and pid is not None:
            self._clean(worker, str(node_id), pid)
        self._news.append(Lost(worker, why, message))
        if self._deaths < MOST_DEATHS:
            self._keep_count()
        else:  # machines that kill whatever starts are not asked all the time
            self._count_at = time.monotonic() + PAUSE

    def _drop(self, worker: str) -> None:
        for ref in [ref for ref, (busy, _) in self._working.items() if busy == worker]:
            del self._working[ref]
        for ref in [ref for ref, name in self._beginning.items() if name == worker]:
            del self._beginning[ref]
        self._ask_at.pop(worker, None)
        self._ready.pop(worker, None)
        actor = self._actors.pop(worker, None)
        if actor is not None:
            with suppress(Exception):
                self._ray.kill(actor, no_restart=True)

    def _clean(self, worker: str, node_id: str, pid: int) -> None:
        """Have removed what a worker that was killed has left on its machine's disk."""
        there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False)
        remove = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(remove_scratch)
        self._cleaning.append(remove.remote(asdict(self._settings), worker, pid))

    def _say_that_none_is_there(self, now: float) -> None:
        """Tell whoever waits that no machine has room for a worker, or that those that have do not begin."""
        if self._ready or not self._actors:
            self._say_at = now + SAY_EVERY
        elif now >= self._say_at:
            self._say_at = now + SAY_EVERY
            needs = ", ".join(f"{value:g} {key.removeprefix('num_')}" for key, value in self._needs.items() if value)
            _log.warning("no worker has begun yet: each needs %s, the cluster has room for %d", needs, self._room())

    def close(self) -> None:
        """As `Runner.close`."""
        busy = {worker for worker, _ in self._working.values()}
        with suppress(Exception):
            last = [self._actors[name].close.remote() for name in self._ready if name not in busy]
            self._ray.wait([*last, *self._cleaning], num_returns=len(last) + len(self._cleaning), timeout=PATIENCE)
        for worker in list(self._actors):
            self._drop(worker)
        if self._is_mine:
            self._ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address at which nothing listens: Ray itself would wait for minutes.

    Raises:
        InputError: it is one.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal():
        refusal = _refusal(host.strip("[]"), int(port), PATIENCE)
        if refusal is not None:
            raise InputError(f"--ray {address}: no head of a Ray cluster answers there: {refusal}") from refusal


def _refusal(host: str, port: int, patience: float) -> Exception | None:
    """Why nothing answers at an address; None where something does."""
    try:
        socket.create_connection((host, port), timeout=patience).close()
    except (OSError, OverflowError) as err:
        return err
    return None


def _read_runtime_env(path: Path) -> dict[str, Any]:
    """Ray's runtime environment of a JSON file.

    Raises:
        InputError: it is none.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputError(f"--runtime-env {path}: expected a JSON file: {err}") from err
    if not isinstance(found, dict):
        raise InputError(f"--runtime-env {path}: expected a JSON object, got {type(found).__name__}")
    return found


def _first_line(err: Exception) -> str:
    return next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__)[:300]


def _import_ray() -> Any:  # noqa: ANN401
    try:
        import ray
        import ray.exceptions
    except ImportError as err:
        raise MissingExtraError("--ray needs Ray: pip install 'maskferry[ray]'") from err
    return ray
