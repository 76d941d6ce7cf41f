"""The driver of a batch, with workers that a script plays: whatever happens, every video ends once."""

from __future__ import annotations

import itertools
import json
import shutil
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_runner import FakeRunner
from maskferry.batch import BatchOptions, drive, plan
from maskferry.batch import _driver as driver_module
from maskferry.batch._run_lock import RunLock
from maskferry.batch._stores import FolderStore
from maskferry.errors import InputError, OutputError, RunningElsewhereError

COUNT = 5


@pytest.fixture
def folder(tmp_path):
    return make(tmp_path)


def make(folder: Path, count: int = COUNT) -> Path:
    """A manifest of videos that nobody opens."""
    (folder / "mask.png").write_bytes(PNG)
    (folder / "v.mp4").touch()
    rows = [{"id": f"v{k}", "video": "v.mp4", "masks": "mask.png", "frames": 10 + k} for k in range(count)]
    (folder / "videos.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def a_picture() -> bytes:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (4, 4), 1).save(file, "PNG")
    return file.getvalue()


PNG = a_picture()


def run(folder: Path, fate, *, cancelled=lambda: False, facts=None, workers=3, **options):
    """(outcome, runner, what was told) of a run."""
    wanted = BatchOptions(engine="hold", kinds=(), **options)
    made = plan(folder / "videos.jsonl", folder / "out", wanted)
    runner = FakeRunner(folder / "out", fate, facts=facts, workers=workers)
    told = Told()
    try:
        outcome = drive(made, runner, watch=told, cancelled=cancelled, clock=runner.clock)
    finally:
        made.close()
    assert runner.closed
    return outcome, runner, told


class Told:
    def __init__(self):
        self.finished_videos, self.notes = [], []

    def finished(self, video, state, detail):
        self.finished_videos.append((video, state, detail))

    def moved(self, counts, running):
        assert all(number >= 0 for number in counts.values())

    def say(self, text):
        self.notes.append(text)


def receipts(folder: Path) -> dict[str, dict]:
    return {p.parent.name: json.loads(p.read_text()) for p in sorted((folder / "out").glob("*/receipt.json"))}


def failures(folder: Path) -> dict[str, dict]:
    return {p.stem: json.loads(p.read_text()) for p in sorted((folder / "out/.batch/failures").glob("*.json"))}


# --- any order of events ----------------------------------------------------------------------------------------------

FATES = st.sampled_from(
    ["staged", "staged", "killed", "node", "zombie", "input", "network", "error", "stuck", "environment", "stopped"]
)


@settings(max_examples=60, deadline=None)
@given(
    fates=st.lists(FATES, max_size=40),
    cancel_at=st.one_of(st.none(), st.integers(0, 30)),
    workers=st.integers(1, 5),
)
def test_every_video_ends_as_one_receipt_or_one_failure(fates, cancel_at, workers):
    folder = Path(tempfile.mkdtemp())
    try:
        make(folder)
        script, asked = iter(fates), 0

        def cancelled():
            nonlocal asked
            asked += 1
            return cancel_at is not None and asked > cancel_at

        def fate(worker, task):
            return next(script, "staged")

        outcome, _, told = run(folder, fate, cancelled=cancelled, workers=workers, stall=30)
        done, failed = set(receipts(folder)), set(failures(folder))
        assert not done & failed
        assert outcome.counts["done"] == len(done)
        assert outcome.counts["failed"] == len(failed)
        assert outcome.counts["pending"] == COUNT - len(done) - len(failed)
        assert Counter(video for video, *_ in told.finished_videos) == Counter(done | failed)
        if outcome.why is None:
            assert len(done | failed) == COUNT
        before = receipts(folder)
        again, runner, _ = run(folder, lambda worker, task: "staged", workers=workers)  # the same command goes on
        assert again.counts["pending"] == 0
        assert {task.id for _, task in runner.tasks} == {f"v{k}" for k in range(COUNT)} - done - failed
        assert all(receipts(folder)[name] == receipt for name, receipt in before.items())
        assert not list((folder / "out/.batch").glob("staging/*"))
        assert not (folder / "out/.batch/lock").exists()
    finally:
        shutil.rmtree(folder)


# --- one cause after the other ----------------------------------------------------------------------------------------


def once(what: str, video: str = "v1", times: int = 1):
    """A fate: the first attempts at one video end so, all others are staged."""
    seen: dict[str, int] = defaultdict(int)

    def fate(worker, task):
        seen[task.id] += 1
        return what if task.id == video and seen[task.id] <= times else "staged"

    return fate


def test_a_lost_worker_is_told_once(folder):
    *_, told = run(folder, once("node"))
    assert len([note for note in told.notes if note.startswith("v1, attempt 1: ")]) == 1


@pytest.mark.parametrize(
    ("what", "times", "state", "attempts"),
    [
        ("input", 1, "failed", 1),
        ("error", 1, "done", 2),
        ("error", 2, "failed", 2),
        ("killed", 1, "done", 2),
        ("killed", 2, "failed", 2),
        ("stuck", 100, "done", 2),
        ("network", 3, "done", 4),
        ("network", 4, "failed", 4),
        ("node", 10, "done", 11),
        ("node", 11, "failed", 11),
        ("zombie", 1, "done", 2),
    ],
)
def test_what_is_tried_again(folder, what, times, state, attempts):
    fate = once(what, times=times)
    if what == "stuck":
        first = []

        def fate(worker, task):
            if task.id == "v1" and (not first or first[0] == task.attempt):
                first[:] = [task.attempt]
                return "stuck"
            return "staged"

    outcome, runner, _ = run(folder, fate, stall=20)
    assert sum(task.id == "v1" for _, task in runner.tasks) == attempts
    assert outcome.attempts == COUNT - 1 + attempts
    assert outcome.counts[state] == (1 if state == "failed" else COUNT)
    assert outcome.exit_code == (1 if state == "failed" else 0)
    if state == "failed":
        failure = failures(folder)["v1"]
        assert (failure["cause"], failure["attempts"], failure["line"]) == (what, attempts, 2)
        assert failure["message"]


def test_a_zombie_commits_nothing(folder):
    outcome, runner, _ = run(folder, once("zombie", "v4"))
    (first, zombie), *_ = [(worker, task) for worker, task in runner.tasks if task.id == "v4"]
    receipt = receipts(folder)["v4"]
    assert receipt["attempt"] != zombie.attempt
    assert receipt["worker"] != first
    assert outcome.counts["done"] == COUNT


def test_a_video_that_killed_its_worker_gets_the_machine_for_itself(folder):
    alone = {}

    def fate(worker, task):
        if task.id == "v2":
            if task.id not in alone:
                alone[task.id] = 0
                return "killed"
            node = runner_of[0].workers[worker]
            others = [w for w in runner_of[0]._busy if runner_of[0].workers[w] == node and w != worker]
            assert not others
        return "staged"

    runner_of = []
    options = BatchOptions(engine="hold", kinds=())
    made = plan(folder / "videos.jsonl", folder / "out", options)
    runner = FakeRunner(folder / "out", fate, workers=4)
    runner_of.append(runner)
    assert drive(made, runner, clock=runner.clock).counts["done"] == COUNT
    assert runner.tasks[-1][1].id == "v2"  # after all others


def test_faults_of_the_network_are_waited_for(folder):
    times = []

    def fate(worker, task):
        if task.id == "v1":
            times.append(made[0].now)
            return "network"
        return "staged"

    made = []
    the_plan = plan(folder / "videos.jsonl", folder / "out", BatchOptions(engine="hold", kinds=()))
    runner = FakeRunner(folder / "out", fate)
    made.append(runner)
    drive(the_plan, runner, clock=runner.clock)
    waits = [b - a for a, b in itertools.pairwise(times)]
    assert len(times) == 4
    assert all(wait >= least for wait, least in zip(waits, driver_module.BACK_OFF, strict=True))


def test_a_full_disk_fails_no_video(folder):
    outcome, runner, told = run(folder, lambda worker, task: "environment")
    assert outcome.counts == {"pending": COUNT, "done": 0, "damaged": 0, "failed": 0}
    assert outcome.exit_code == 1
    assert len(runner.tasks) <= 3  # those that were begun already
    assert "the same command goes on" in outcome.why
    assert len(told.notes) == 1
    assert run(folder, lambda worker, task: "staged")[0].exit_code == 0


def test_five_that_fail_alike_stop_the_run(tmp_path):
    make(tmp_path, 30)
    outcome, runner, _ = run(tmp_path, lambda worker, task: "error")
    assert outcome.counts["failed"] < 10
    assert "failed alike: error!" in outcome.why
    assert len(runner.tasks) < 20


def test_wrong_inputs_do_not_stop_the_run(tmp_path):
    make(tmp_path, 30)
    outcome, *_ = run(tmp_path, lambda worker, task: "input")
    assert (outcome.counts["failed"], outcome.why) == (30, None)


def test_the_longest_are_begun_first(folder):
    _, runner, _ = run(folder, lambda worker, task: "staged", workers=1)
    assert [task.id for _, task in runner.tasks] == [f"v{k}" for k in reversed(range(COUNT))]


def test_failures_are_tried_again_when_that_is_asked_for_or_the_input_has_changed(folder):
    run(folder, once("input"))
    outcome, runner, _ = run(folder, lambda worker, task: "staged")
    assert (outcome.counts["failed"], runner.tasks) == (1, [])
    outcome, runner, _ = run(folder, lambda worker, task: "staged", retry_failed=True)
    assert (outcome.counts["failed"], len(runner.tasks)) == (0, 1)
    assert not failures(folder)
    shutil.rmtree(folder / "out")
    run(folder, once("input"))
    (folder / "v.mp4").write_bytes(b"another")
    assert run(folder, lambda worker, task: "staged", overwrite=True)[0].counts["failed"] == 0


# --- workers that are not what the driver is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"maskferry": "0.0.1"}, "has maskferry 0.0.1"),
        ({"python": "2.7.18"}, "Python 2.7.18"),
        ({"nonce": None}, "does not see"),
        ({"engine": "no weights"}, "cannot run the engine hold: no weights"),
        ({"error": "ImportError: numpy"}, "cannot begin: ImportError: numpy"),
    ],
)
def test_a_worker_that_differs_is_refused(folder, facts, message):
    with pytest.raises(InputError, match=message):
        run(folder, lambda worker, task: "staged", facts=facts)
    assert not receipts(folder)


def test_a_worker_that_differs_and_comes_later_gets_no_work(folder):
    options = BatchOptions(engine="hold", kinds=())
    told = Told()
    made = plan(folder / "videos.jsonl", folder / "out", options)

    def fate(worker, task):
        runner._facts = {"python": "2.7.18"}
        return "node" if task is runner.tasks[0][1] else "staged"

    runner = FakeRunner(folder / "out", fate, workers=2, nodes=3)
    assert drive(made, runner, watch=told, clock=runner.clock).counts["done"] == COUNT
    assert {worker for worker, _ in runner.tasks} <= {"w0", "w1"}
    assert any("it gets no work" in note for note in told.notes)


# --- two drivers ------------------------------------------------------------------------------------------------------


def test_one_driver_at_a_time(folder):
    lock = RunLock(FolderStore(folder / "out"))
    lock.acquire(take_over=False)
    with pytest.raises(RunningElsewhereError, match="take-over"):
        run(folder, lambda worker, task: "staged")
    assert run(folder, lambda worker, task: "staged", take_over=True)[0].exit_code == 0
    with pytest.raises(RunningElsewhereError, match="taken"):
        lock.check()


def test_a_driver_that_was_taken_over_commits_nothing_more(folder):
    committed = []

    def fate(worker, task):
        committed[:] = list(receipts(folder))
        if len(committed) == 2:
            RunLock(FolderStore(folder / "out")).acquire(take_over=True)
        return "staged"

    with pytest.raises(RunningElsewhereError):
        run(folder, fate, workers=1)
    assert len(receipts(folder)) == 2


@pytest.mark.parametrize("holder", [{"host": "elsewhere", "time": 0, "pid": 1}, {}, {"host": None}])
def test_the_lock_of_a_dead_driver_is_no_obstacle(folder, holder):
    path = folder / "out/.batch/lock"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(holder))
    assert run(folder, lambda worker, task: "staged")[0].exit_code == 0


# --- what the disk does -----------------------------------------------------------------------------------------------


def test_a_disk_that_is_full_when_the_driver_commits(folder, monkeypatch):
    import errno

    def no_room(*args, **more):
        raise OutputError("no room left", errno=errno.ENOSPC)

    monkeypatch.setattr(FolderStore, "commit", no_room)
    outcome, *_ = run(folder, lambda worker, task: "staged")
    assert (outcome.counts["failed"], outcome.counts["pending"]) == (0, COUNT)
    monkeypatch.undo()
    assert run(folder, lambda worker, task: "staged")[0].counts["done"] == COUNT


def test_what_did_not_arrive_whole_is_not_committed(folder, monkeypatch):
    whole = FolderStore.files
    cut = []

    def files(self, place, attempt):
        found = whole(self, place, attempt)
        if place == "v3" and not cut:
            cut.append(attempt)
            return dict.fromkeys(found, 1)
        return found

    monkeypatch.setattr(FolderStore, "files", files)
    outcome, *_ = run(folder, lambda worker, task: "staged")
    assert outcome.attempts == COUNT + 1
    assert receipts(folder)["v3"]["attempt"] not in cut
