"""The lock of a path: one holder at a time, whoever it is, and none after its process has died."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from maskferry._locks import Lock, lock_path, locked
from maskferry.errors import OutputError, RunningElsewhereError

HOLD = """
import sys, time
from pathlib import Path
from maskferry._locks import Lock
lock = Lock(Path(sys.argv[1]), "a run")
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of tmp_path/x."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_another_process_is_named(tmp_path, holder):
    with pytest.raises(RunningElsewhereError, match=rf"a run holds it, in process {holder.pid} on ") as caught:
        Lock(tmp_path / "x", "an edit").acquire()
    assert (caught.value.host, caught.value.pid) == (socket.gethostname(), holder.pid)
    assert isinstance(caught.value, BlockingIOError)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_it_dies_with_its_process(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / "x", "an edit"):
        assert str(os.getpid()) in lock_path(tmp_path / "x").read_text(encoding="utf-8")


def test_one_holder_in_a_process_too(tmp_path):
    with locked(tmp_path / "x", "a run"):
        with pytest.raises(RunningElsewhereError, match="in this process"):
            Lock(tmp_path / "x", "an edit").acquire()
        with locked(tmp_path / "y", "another"):
            pass


def test_nothing_is_left(tmp_path):
    lock = Lock(tmp_path / "x", "a run")
    lock.acquire()
    assert lock.is_held
    lock.release()
    lock.release()
    assert not lock.is_held
    assert not list(tmp_path.iterdir())


def test_patience(tmp_path):
    first = Lock(tmp_path / "x", "an edit")
    first.acquire()
    threading.Timer(0.1, first.release).start()
    with locked(tmp_path / "x", "an edit", patience=10):
        pass


def test_many_take_turns(tmp_path):
    """Removing the lock file never lets two in."""
    inside, most = [], []

    def work():
        for _ in range(20):
            with locked(tmp_path / "x", "an edit", patience=60):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 80
    assert max(most) == 1


def test_a_foreign_file_of_that_name_is_kept(tmp_path):
    lock_path(tmp_path / "x").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="is no lock of maskferry"):
        Lock(tmp_path / "x", "a run").acquire()
    assert lock_path(tmp_path / "x").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_of_that_name_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    lock_path(tmp_path / "x").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot be made"):
        Lock(tmp_path / "x", "a run").acquire()
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(OutputError, match="cannot be made"):
        Lock(tmp_path / "missing" / "x", "a run").acquire()


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and limits")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_disk_without_room_for_the_lock(tmp_path):
    from kills import limited

    code, said = limited(Lock(tmp_path / "x", "a run").acquire, 0)
    assert code == 1
    assert said.startswith("OutputError: ")
    assert "run again" in said
    assert list(tmp_path.iterdir()) == []
