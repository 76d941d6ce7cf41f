"""`RayRunner` with a Ray that does as the test says: what is told of workers that die, and when others are started."""

from __future__ import annotations

import json
import logging
import socket
from types import SimpleNamespace

import pytest

from maskferry.batch import Failed, Lost, RayRunner, Ready, Settings, Staged, Task, _ray
from maskferry.batch._ray_worker import MOST_BYTES, remove_scratch, shortened
from maskferry.batch._runner import message_of
from maskferry.errors import EngineError, InputError

TASK = Task("a", "a.1.0", "a", "a.mp4", ((0, "a.png"),))


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class OutOfMemoryError(RayError):
    pass


class ActorDiedError(RayError):
    pass


class ActorUnavailableError(RayError):
    pass


class Ref:
    """What an actor will return."""

    done = False

    def ends(self, value: object) -> None:
        self.done, self.value = True, value


class Actor:
    """Remembers what it was asked, {method: the last answer that is waited for}."""

    def __init__(self, options, arguments) -> None:
        self.options, self.arguments = options, arguments
        self.refs: dict[str, Ref] = {}
        self.killed = False

    def __getattr__(self, name):
        def remote(*_) -> Ref:
            self.refs[name] = Ref()
            return self.refs[name]

        return SimpleNamespace(remote=remote)


class FakeRay:
    """As much of Ray as is used."""

    exceptions = SimpleNamespace(
        RayError=RayError, RayTaskError=RayTaskError, ActorUnavailableError=ActorUnavailableError
    )
    util = SimpleNamespace(
        scheduling_strategies=SimpleNamespace(NodeAffinitySchedulingStrategy=lambda node_id, soft: (node_id, soft))
    )

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.cleaned: list[tuple] = []
        self.there = [node("n0")]

    def is_initialized(self) -> bool:
        return True

    def method(self, **_):
        return lambda function: function

    def remote(self, **options):
        def actor(*arguments) -> Actor:
            self.actors.append(Actor(options, arguments))
            return self.actors[-1]

        def clean(settings, name, pid) -> Ref:
            self.cleaned.append((options["scheduling_strategy"], name, pid))
            return Ref()

        return lambda what: SimpleNamespace(remote=clean if what is remove_scratch else actor)

    def wait(self, refs, *, num_returns, timeout, fetch_local=True):
        return [ref for ref in refs if ref.done], [ref for ref in refs if not ref.done]

    def get(self, ref):
        if isinstance(ref.value, Exception):
            raise ref.value
        return ref.value

    def kill(self, actor, *, no_restart) -> None:
        assert no_restart
        actor.killed = True

    def nodes(self):
        return self.there


def node(name: str, *, alive: bool = True, cpus: float = 1, port: int = 1) -> dict:
    there = {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus}}
    return there | {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port}


@pytest.fixture
def ray(monkeypatch) -> FakeRay:
    found = FakeRay()
    monkeypatch.setattr(_ray, "_import_ray", lambda: found)
    return found


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(str(tmp_path), "hold")


def begin(ray: FakeRay, settings: Settings, **options) -> RayRunner:
    """A runner whose one worker works at `TASK`."""
    runner = RayRunner("auto", 1, **options)
    runner.start(settings)
    ray.actors[0].refs["facts"].ends(("host-n0", "n0", {"pid": 7}))
    assert runner.wait(0) == [Ready("ray-1", "host-n0", {"pid": 7})]
    runner.submit("ray-1", TASK)
    return runner


def lost(ray: FakeRay, runner: RayRunner, err: Exception) -> str:
    """Why a worker whose work ended so was lost; it is killed, and another one started."""
    ray.actors[-1].refs["do"].ends(err)
    (event,) = runner.wait(0)
    assert isinstance(event, Lost)
    assert ray.actors[-2].killed
    assert ray.actors[-1].arguments[1] == "ray-2"
    assert not ray.actors[-1].killed
    return event.why


def test_actors_are_never_restarted_nor_their_work_repeated(ray, settings):
    begin(ray, settings, gpus=0.5, memory=2)
    options = ray.actors[0].options
    assert (options["max_restarts"], options["max_task_retries"]) == (0, 0)
    assert (options["num_cpus"], options["num_gpus"], options["memory"]) == (1, 0.5, 2_000_000_000)


def test_out_of_memory_is_the_workers_death_whatever_the_message_says_of_nodes(ray, settings):
    runner = begin(ray, settings)
    assert lost(ray, runner, OutOfMemoryError("1 worker(s) were killed due to the node running low on memory.")) == (
        "killed"
    )
    assert ray.cleaned == [(("n0", False), "ray-1", 7)]


@pytest.mark.parametrize("there", [[], [node("n0", alive=False)], [node("n1")]])
def test_the_machine_is_gone(ray, settings, there):
    runner = begin(ray, settings)
    ray.there = there
    assert lost(ray, runner, ActorDiedError("The actor died unexpectedly before finishing this task.")) == "node"
    assert not ray.cleaned


def test_a_worker_that_cannot_be_reached_on_a_machine_that_answers(ray, settings):
    with socket.create_server(("127.0.0.1", 0)) as raylet:
        ray.there = [node("n0", port=raylet.getsockname()[1])]
        runner = begin(ray, settings)
        assert lost(ray, runner, ActorUnavailableError("The actor is unavailable")) == "killed"


def test_a_worker_that_cannot_be_reached_on_a_machine_that_does_not_answer(ray, settings):
    runner = begin(ray, settings)  # Ray still takes it for alive
    assert lost(ray, runner, ActorUnavailableError("The actor is unavailable")) == "node"


def test_a_worker_that_is_killed_before_it_is_ready_is_lost_once(ray, settings):
    runner = RayRunner("auto", 1)
    runner.start(settings)
    runner.kill("ray-1")
    ray.actors[0].refs["facts"].ends(ActorDiedError("killed"))
    assert [type(event) for event in runner.wait(0)] == [Lost]
    assert runner.wait(0) == []
    assert len(ray.actors) == 2


def test_workers_that_die_as_they_start_end_a_run_that_has_no_other(ray, settings):
    runner = RayRunner("auto", 1)
    runner.start(settings)
    for _ in range(2):
        ray.actors[-1].refs["facts"].ends(ActorDiedError("no such library"))
        runner.wait(0)
    ray.actors[-1].refs["facts"].ends(ActorDiedError("no such library"))
    with pytest.raises(EngineError, match="die as they start: no such library"):
        runner.wait(0)


def test_workers_that_die_as_they_start_do_not_stop_those_that_work(ray, settings, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_ray.time, "monotonic", lambda: clock.now)
    runner = RayRunner("auto", 2)
    runner.start(settings)
    ray.actors[0].refs["facts"].ends(("host-n0", "n0", {}))
    runner.wait(0)
    for _ in range(3):
        ray.actors[-1].refs["facts"].ends(ActorDiedError("no such library"))
        assert [type(event) for event in runner.wait(0)] == [Lost]
    assert len(ray.actors) == 4  # no more for now
    clock.now += _ray.PAUSE
    runner.wait(0)
    assert len(ray.actors) == 5
    assert not ray.actors[0].killed


def test_the_number_of_workers_follows_the_cluster(ray, settings, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_ray.time, "monotonic", lambda: clock.now)
    ray.there = [node("n0", cpus=5), node("n1", cpus=2, alive=False)]
    runner = RayRunner("auto", cpus=2)
    runner.start(settings)
    assert len(ray.actors) == 2
    ray.there = [node("n0", cpus=5), node("n1", cpus=2)]
    clock.now += _ray.COUNT_EVERY
    runner.wait(0)
    assert len(ray.actors) == 3
    ray.there = [node("n0", cpus=5)]
    clock.now += _ray.COUNT_EVERY
    runner.wait(0)
    assert sum(actor.killed for actor in ray.actors) == 1


def test_no_room_for_any_worker_is_said(ray, settings, monkeypatch, caplog):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(_ray.time, "monotonic", lambda: clock.now)
    runner = RayRunner("auto", 2, cpus=64)
    runner.start(settings)
    with caplog.at_level(logging.WARNING, "maskferry"):
        runner.wait(0)
        assert not caplog.messages
        clock.now += _ray.SAY_EVERY
        runner.wait(0)
        runner.wait(0)
    assert caplog.messages == ["no worker has begun yet: each needs 64 cpus, the cluster has room for 0"]


def test_a_runtime_env_reaches_workers_of_a_connection_that_was_there(ray, settings):
    begin(ray, settings, runtime_env={"env_vars": {"A": "1"}})
    assert ray.actors[0].options["runtime_env"] == {"env_vars": {"A": "1"}}


def test_a_runtime_env_that_is_none(ray, tmp_path):
    for text, fault in (("[]", "object"), ("{", "JSON file")):
        (tmp_path / "env.json").write_text(text)
        with pytest.raises(InputError, match=fault):
            RayRunner("auto", runtime_env=tmp_path / "env.json")


@pytest.mark.parametrize("needs", [{"cpus": 0}, {"gpus": -1}, {"memory": 0}])
def test_workers_that_need_nothing_are_refused(ray, needs):
    with pytest.raises(InputError, match="above 0"):
        RayRunner("auto", **needs)


def test_close_before_start_and_twice(ray, settings):
    runner = RayRunner("auto", 1)
    runner.close()
    runner = begin(ray, settings)
    runner.close()
    runner.close()
    assert ray.actors[0].killed


# --- what an actor returns --------------------------------------------------------------------------------------------


def test_what_is_too_long_to_be_returned_is_read_in_out(ray, settings, tmp_path):
    staged = {"id": "a", "files": {f"{k:06}.png": [1, "0" * 64] for k in range(500)}}
    message = shortened(message_of(Staged("ray-1", TASK.attempt, staged)))
    assert len(json.dumps(message)) < MOST_BYTES
    runner = begin(ray, settings)
    ray.actors[0].refs["do"].ends(message)
    (event,) = runner.wait(0)
    assert isinstance(event, Failed)
    assert "cannot be read" in event.message

    folder = tmp_path / ".batch" / "staging" / TASK.attempt
    folder.mkdir(parents=True)
    (folder / "staged.json").write_text(json.dumps(staged))
    runner.submit("ray-1", TASK)
    ray.actors[0].refs["do"].ends(message)
    assert runner.wait(0) == [Staged("ray-1", TASK.attempt, staged)]


@pytest.mark.parametrize("letter", ["x", "ü", "\x00"])
def test_a_long_log_and_message_are_cut(letter):
    log = tuple(f"{k} {letter * 900}" for k in range(50))
    event = Failed("ray-1", "a.1.0", "error", "ValueError", letter * 100_000, 3, log)
    message = shortened(message_of(event))
    assert len(json.dumps(message)) <= MOST_BYTES
    assert message["message"].startswith(letter * 100)
    assert message["log"] == list(log[len(log) - len(message["log"]) :])
    assert message["log"] or letter == "\x00"
    short = message_of(Failed("ray-1", "a.1.0", "error", "ValueError", letter, 3, log[:1]))
    assert shortened(short) == short
