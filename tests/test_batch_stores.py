"""Where results go: a folder and an object store keep the same promises; a whole run by way of an object store."""

from __future__ import annotations

import json
import time

import pytest

from batch_tools import clips
from maskferry.batch import BatchOptions, Event, LocalRunner, Ready, drive, plan, status, verify
from maskferry.batch._causes import cause_of
from maskferry.batch._stores import FolderStore, ObjectStore, is_remote, open_store, shown
from maskferry.batch._worker import Worker
from maskferry.errors import InputError, MissingExtraError, OutputError, SourceError

fsspec = pytest.importorskip("fsspec")

HOLD = BatchOptions(engine="hold", kinds=("csv",))


@pytest.fixture
def bucket():
    """An object store in memory."""
    name = f"memory://bucket{time.monotonic_ns()}"
    yield name
    fsspec.filesystem("memory").rm(name, recursive=True) if fsspec.filesystem("memory").exists(name) else None


@pytest.fixture(params=["folder", "objects"])
def store(request, tmp_path, bucket):
    return FolderStore(tmp_path / "out") if request.param == "folder" else ObjectStore(f"{bucket}/out")


def stage(store, folder, attempt="a.1", content="x"):
    made = folder / f"made{attempt}"
    (made / "sub").mkdir(parents=True)
    (made / "file").write_text(content)
    (made / "sub/file").write_text("y")
    store.stage(made, "a", attempt)


def test_what_is_written_is_read(store):
    assert store.read(".batch/lock") is None
    store.write(".batch/lock", b"1")
    store.write(".batch/lock", b"22")
    assert store.read(".batch/lock") == b"22"
    assert list(store.names(".batch")) == ["lock"]
    assert list(store.names("nowhere")) == []
    store.delete(".batch/lock")
    store.delete(".batch/lock")
    assert store.read(".batch/lock") is None


def test_what_is_there_is_not_created(store):
    assert store.create("key", b"mine")
    assert not store.create("key", b"yours")
    assert store.read("key") == b"mine"


def test_an_attempt_counts_once_it_is_committed(store, tmp_path):
    assert store.files("a", "a.1") is None
    stage(store, tmp_path)
    assert store.files("a", "a.1") == {"file": 1, "sub/file": 1}
    assert store.read("a/receipt.json") is None
    assert store.commit("a", "a.1", b'{"attempt": "a.1"}', replace=False)
    assert store.read("a/receipt.json") == b'{"attempt": "a.1"}'
    assert store.read(f"{store.prefix('a', 'a.1')}/sub/file") == b"y"


def test_a_second_attempt_is_not_committed_over_the_first(store, tmp_path):
    stage(store, tmp_path)
    stage(store, tmp_path, "a.2", "z")
    assert store.commit("a", "a.1", b"1", replace=False)
    if store.files("a", "a.2") is not None:  # an object store sweeps what lies beside a receipt
        assert not store.commit("a", "a.2", b"2", replace=False)
    assert store.read("a/receipt.json") == b"1"
    assert store.read(f"{store.prefix('a', 'a.1')}/file") == b"x"
    store.unstage("a", "a.2")
    assert store.files("a", "a.2") is None


def test_a_result_is_replaced_where_that_is_wanted(store, tmp_path):
    stage(store, tmp_path)
    assert store.commit("a", "a.1", b"1", replace=True)
    stage(store, tmp_path, "a.2", "z")
    assert store.commit("a", "a.2", b"2", replace=True)
    assert store.read("a/receipt.json") == b"2"
    assert store.read(f"{store.prefix('a', 'a.2')}/file") == b"z"
    assert not list(store.names(".batch/replaced"))


def test_files_come_back(store, tmp_path):
    (tmp_path / "one").write_text("1")
    store.put(tmp_path / "one", ".batch/saved/one")
    assert store.get(".batch/saved/one", tmp_path / "again")
    assert (tmp_path / "again").read_text() == "1"
    assert not store.get(".batch/saved/two", tmp_path / "other")
    stage(store, tmp_path)
    store.commit("a", "a.1", b"1", replace=False)
    (tmp_path / "whole").mkdir()
    assert store.get(store.prefix("a", "a.1"), tmp_path / "whole")
    assert (tmp_path / "whole/sub/file").read_text() == "y"


def test_a_driver_that_is_killed_between_two_renames(tmp_path):
    store = FolderStore(tmp_path / "out")
    stage(store, tmp_path)
    store.commit("a", "a.1", b'{"place": "a"}', replace=False)
    aside = tmp_path / "out/.batch/replaced/a.2"
    aside.parent.mkdir(parents=True)
    (tmp_path / "out/a").rename(aside)
    store.sweep()
    assert store.read("a/receipt.json") == b'{"place": "a"}'
    assert not (tmp_path / "out/.batch/replaced").exists()


# --- places -----------------------------------------------------------------------------------------------------------


def test_places():
    assert not is_remote("films/a.mp4")
    assert not is_remote("file:///films/a.mp4")
    assert is_remote("s3://bucket/a.mp4")
    assert is_remote("https://host/a.mp4")
    for place in ("zip::s3://b/a.zip", "simplecache::gs://b", "sftp://host/a", "s3://b/a::zip"):
        with pytest.raises(InputError):
            is_remote(place)


def test_secrets_are_not_shown():
    assert shown("https://me:secret@host:8/a.mp4?X-Amz-Signature=abc#x") == "https://host:8/a.mp4"
    with pytest.raises(InputError) as err:
        open_store("https://me:secret@host/out?token=abc")
    assert "secret" not in str(err.value)
    assert "abc" not in str(err.value)


def test_a_missing_extra_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"maskferry\[remote\]"):
        open_store("s3://bucket/out")


# --- causes -----------------------------------------------------------------------------------------------------------


class HttpError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@pytest.mark.parametrize(
    ("err", "place", "cause"),
    [
        (InputError("no mask"), "a.mp4", "input"),
        (SourceError("no video"), "a.mp4", "input"),
        (SourceError("connection reset by peer"), "https://host/a.mp4", "network"),
        (SourceError("404"), "https://host/a.mp4", "input"),
        (ConnectionResetError(), "s3://b/a.mp4", "network"),
        (ConnectionResetError(), "a.mp4", "error"),
        (HttpError(503), "s3://b/a.mp4", "network"),
        (HttpError(429), "s3://b/a.mp4", "network"),
        (HttpError(403), "s3://b/a.mp4", "error"),
        (OutputError("no room", errno=28), "a.mp4", "environment"),
        (OSError(28, "no room"), "a.mp4", "environment"),
        (MissingExtraError("torch"), "a.mp4", "environment"),
        (MemoryError(), "a.mp4", "killed"),
        (ZeroDivisionError(), "a.mp4", "error"),
    ],
)
def test_causes(err, place, cause):
    assert cause_of(err, [place]) == cause


def test_the_cause_of_an_error_is_looked_for_below_it():
    try:
        try:
            raise OSError(28, "no room")
        except OSError as err:
            raise SourceError("cannot be cached") from err
    except SourceError as err:
        assert cause_of(err, ["a.mp4"]) == "environment"


# --- a whole run ------------------------------------------------------------------------------------------------------


class HereRunner:
    """One worker in this very process: object stores in memory are seen by nobody else."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._worker: Worker | None = None

    def start(self, settings):
        self._worker = Worker(settings, "here", "this")
        self._events.append(Ready("here", "this", self._worker.facts()))

    def submit(self, worker, task):
        self._events.append(self._worker.do(task, self._events.append))

    def wait(self, timeout):
        events, self._events = self._events, []
        if not events:
            time.sleep(0.01)
        return events

    def stop(self, worker, attempt):
        self._worker.stop(attempt)

    def kill(self, worker):
        raise AssertionError

    def close(self):
        if self._worker is not None:
            self._worker.close()


@pytest.fixture
def remote(tmp_path, bucket):
    """Three clips in an object store, and a manifest of them: (manifest, out, fsspec's file system)."""
    films = clips(tmp_path, 3)
    system = fsspec.filesystem("memory")
    system.put(f"{films}/", f"{bucket}/films/", recursive=True)
    rows = [{"video": f"{bucket}/films/c0{k}.mp4", "masks": f"{bucket}/films/c0{k}.png"} for k in range(3)]
    (tmp_path / "videos.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "videos.jsonl", f"{bucket}/out", system


def run(manifest, out):
    made = plan(manifest, out, HOLD)
    try:
        return drive(made, HereRunner())
    finally:
        made.close()


def test_a_run_by_way_of_an_object_store(remote):
    manifest, out, system = remote
    assert (run(manifest, out).counts["done"], status(out)["done"]) == (3, 3)
    receipt = json.loads(system.cat_file(f"{out}/c01/receipt.json"))
    assert sorted(name.rpartition("/")[2] for name in system.find(f"{out}/c01/{receipt['attempt']}")) == [
        "staged.json",
        "tracks.csv",
        "tracks.sqlite",
    ]
    assert not any(problems for _, problems in verify(out))
    assert run(manifest, out).attempts == 0
    system.pipe_file(f"{out}/c01/{receipt['attempt']}/tracks.csv", b"other")
    assert {name for name, problems in verify(out) if problems} == {"c01"}


def test_a_manifest_in_an_object_store(remote):
    _, out, system = remote
    beside = f"{out[:-4]}/films/videos.jsonl"
    system.pipe_file(beside, b'{"video": "c01.mp4", "masks": "c01.png"}')
    assert run(beside, out).counts["done"] == 1
    assert system.exists(f"{out}/c01/receipt.json")
    with pytest.raises(InputError, match="there is no such object"):
        plan(f"{out}/none.jsonl", out, HOLD)


def test_puts_that_fail_and_puts_that_come_twice(remote, monkeypatch):
    manifest, out, system = remote
    real, calls = type(system).put_file, []

    def put_file(self, path, key, *args, **more):
        calls.append(key)
        if len(calls) in (1, 6):
            raise ConnectionResetError("reset by peer")
        real(self, path, key, *args, **more)
        real(self, path, key, *args, **more)

    monkeypatch.setattr(type(system), "put_file", put_file)
    monkeypatch.setattr("maskferry.batch._driver.BACK_OFF", (0.0,))
    outcome = run(manifest, out)
    assert outcome.counts["done"] == 3
    assert outcome.attempts > 3
    assert not any(problems for _, problems in verify(out))


def test_an_object_that_is_missing_fails_its_video_alone(remote):
    manifest, out, system = remote
    system.rm(system._strip_protocol(f"{out[:-4]}/films/c01.mp4"))
    outcome = run(manifest, out)
    assert (outcome.counts["done"], outcome.counts["failed"]) == (2, 1)
    assert status(out)["failures"]["c01"].startswith("input: memory://")


def test_workers_that_do_not_see_out(remote):
    manifest, out, _ = remote
    made = plan(manifest, out, HOLD)
    with pytest.raises(InputError, match="does not see"):
        drive(made, LocalRunner(1))
    made.close()


def test_scratch_is_limited(remote):
    manifest, out, _ = remote
    made = plan(manifest, out, BatchOptions(engine="hold", kinds=(), scratch_limit=100))
    outcome = drive(made, HereRunner())
    made.close()
    assert outcome.counts["failed"] == 3
    assert "raise --scratch-limit" in status(out)["failures"]["c00"]
