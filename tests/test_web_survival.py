"""What survives: edits while a pass runs, stopped and killed workers and servers, drafts, other programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from maskferry import Rle, Tracks
from maskferry.web import serve
from web_tools import COUNT, SLOW_HOLD, Client, block, coco, make_run, rows_of


@pytest.fixture
def out(tmp_path):
    return make_run(tmp_path)


@pytest.fixture
def page(out):
    with serve(out) as server:
        client = Client(server)
        client.look()
        yield client


@pytest.fixture
def slow_worker(tmp_path, monkeypatch):
    """Let the workers' engine hold take 20 ms a frame."""
    folder = tmp_path / "patch"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW_HOLD)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", str(folder) + (os.pathsep + before if before else ""))


# --- while it runs --------------------------------------------------------------------------------------------------


def test_edits_while_it_runs(slow_worker, out):
    with serve(out) as server:
        page = Client(server)
        page.look()
        page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
        base = page.revision
        assert page.send("POST", "jobs", {}).status == 202
        page.wait_for(lambda run: run["job"]["state"] == "running" and run["job"]["done"] > 3)
        assert page.send("POST", "jobs", {}).status == 409
        # what is tracked meanwhile is no conflict, even of the very object
        assert page.send("PATCH", "objects/1", {"label": "tram"}, revision=base).status == 200
        assert page.send("PUT", "objects/1/seeds/45", {"mask": coco(25)}).status == 200
        run = page.wait_for(lambda run: run["job"]["state"] == "idle")
        assert run["pending"]["steps"] == 0
        assert run["objects"][0]["seeds"] == [0, 30, 45]
        # a mask is given where the one below it has just been tracked again
        stale = page.send("PUT", "objects/1/seeds/40", {"mask": coco(22)}, revision=base)
        assert (stale.status, stale.json["objects"]) == (409, [1])
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert (tracks[45].mask(1) == block(25)).all()
        assert (tracks[30].mask(1) == block(20)).all()


def test_stop_goes_on_or_is_taken_back(slow_worker, out):
    before = rows_of(out)
    with serve(out) as server:
        page = Client(server)
        page.look()
        page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
        shown = page.look()["pending"]["steps"]
        page.send("POST", "jobs", {})
        page.wait_for(lambda run: run["job"]["done"] > 3)
        assert page.raw("DELETE", "/api/v1/jobs/current").status == 202
        run = page.wait_for(lambda run: run["job"]["state"] == "stopped")
        assert run["pending"]["steps"] + run["pending"]["done"] == shown
        assert not run["tracks"]["finished"]
        assert page.finish()["job"]["state"] == "idle"
        page.send("POST", "undo", {})
    assert rows_of(out) == before


def test_news_as_they_come(slow_worker, out):
    with serve(out) as server:
        page = Client(server)
        revision = page.look()["revision"]
        with page.events(revision) as events:
            name, hello = next(events)
            assert (name, hello["revision"], hello["changes"]) == ("hello", revision, {})
            page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
            page.send("POST", "jobs", {})
            seen, states, last = {}, [], 0
            for name, data in events:
                if name == "queue" and "idle" in states and data["state"] == "ready":
                    break
                if name == "revision":
                    assert data["revision"] > last
                    last = data["revision"]
                    for i, stretches in data["changes"].items():
                        seen.setdefault(i, []).extend(stretches)
                if name == "job":
                    states.append(data["state"])
            assert set(seen) == {"1"}
            assert {frame for a, b in seen["1"] for frame in range(a, b)} >= set(range(1, COUNT)) - {0}
            # each message says how things are when it is sent: a worker that starts at once is never seen starting
            assert states[0] in ("starting", "running")
            assert "running" in states
        with page.events(revision) as events:
            assert next(events)[1]["changes"]["1"]


# --- what dies ------------------------------------------------------------------------------------------------------

needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")


@pytest.mark.slow
@needs_kill
def test_a_killed_worker_loses_nothing(slow_worker, out, tmp_path):
    (tmp_path / "whole").mkdir()
    whole = make_run(tmp_path / "whole")
    with serve(whole) as server:
        other = Client(server)
        other.look()
        other.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
        other.finish()
    with serve(out) as server:
        page = Client(server)
        page.look()
        page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
        page.send("POST", "jobs", {})
        page.wait_for(lambda run: run["job"]["done"] > 5)
        os.kill(server.worker_pid, signal.SIGKILL)
        run = page.wait_for(lambda run: run["job"]["state"] == "died")
        assert run["job"]["problem"]["kind"] == "WorkerError"
        assert "SIGKILL" in run["job"]["problem"]["message"]
        assert run["pending"]["done"] > 5
        assert page.send("PATCH", "objects/2", {"label": "tram"}).status == 200  # by a new one
        assert page.send("POST", "undo", {}).status == 200
        assert page.finish()["job"]["state"] == "idle"
    assert rows_of(out) == rows_of(whole)


@pytest.mark.slow
@needs_kill
def test_an_edit_during_which_the_worker_dies_is_said_to_be_unknown(slow_worker, out):
    with serve(out) as server:
        page = Client(server)
        page.look()
        page.send("PATCH", "objects/1", {"label": "tram"})
        os.kill(server.worker_pid, signal.SIGSTOP)
        killer = threading.Timer(0.5, os.kill, (server.worker_pid, signal.SIGKILL))
        killer.start()
        found = page.send("PATCH", "objects/1", {"label": "bus"})
        killer.join()
        assert (found.status, found.json["kind"]) == (503, "WorkerError")
        assert page.look()["objects"][0]["label"] == "tram"


SERVER = """
import sys
from maskferry.web import serve
server = serve(sys.argv[1])
print(server.port, server.url.partition("#token=")[2], server.worker_pid, flush=True)
server.wait()
"""


@pytest.mark.slow
@needs_kill
def test_a_killed_server_loses_nothing(slow_worker, out):
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(out)], stdout=subprocess.PIPE, text=True)
    port, token, _ = process.stdout.readline().split()
    page = Client(SimpleNamespace(port=int(port), address=f"http://127.0.0.1:{port}/", url=f"x#token={token}"))
    page.look()
    page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
    page.send("PUT", "drafts/2/7", {"mask": coco(50), "revision": page.revision, "client": "a"})
    shown = page.look()["pending"]["steps"]
    page.send("POST", "jobs", {})
    page.wait_for(lambda run: run["job"]["done"] > 5)
    process.kill()
    process.wait()
    process.stdout.close()
    end = time.monotonic() + 30  # the worker comes to the end of its frame
    while (out / ".tracks.sqlite.lock").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    with serve(out) as server:
        page = Client(server)
        run = page.look()
        assert run["pending"]["done"] > 5
        assert run["pending"]["steps"] + run["pending"]["done"] == shown
        assert {span["object"] for span in run["pending"]["spans"]} == {1}
        assert [(d["object"], d["frame"]) for d in run["drafts"]] == [(2, 7)]
        assert page.get("drafts/2/7").json["mask"] == coco(50)
        assert page.finish()["job"]["done"] == run["pending"]["steps"]
        assert page.send("DELETE", "drafts/2/7").status == 200
        assert run["history"]["undo"][-1] == "correct 1 on frame 30"
    assert sorted(path.name for path in out.iterdir()) == ["tracks.sqlite"]


def test_nothing_is_left_beside_the_tracks(out):
    with serve(out) as server:
        page = Client(server)
        page.look()
        page.send("PUT", "objects/1/seeds/30", {"mask": coco(20)})
        page.finish()
    assert [path.name for path in out.iterdir()] == ["tracks.sqlite"]
    assert (out / "tracks.sqlite").read_bytes()[18] == 1  # at rest: in rollback mode


def test_a_run_of_another_program_is_named(out, tmp_path):
    with serve(out) as server:
        page = Client(server)
        page.look()
        with Tracks.open(out / "tracks.sqlite") as tracks, tracks.database.holding():
            found = page.send("PATCH", "objects/1", {"label": "tram"})
            assert (found.status, found.json["kind"], found.json["pid"]) == (423, "RunningElsewhereError", os.getpid())
            page.send("POST", "jobs", {})
        assert page.send("PATCH", "objects/1", {"label": "tram"}).status == 200


def test_drafts_of_two_tabs(page, out):
    mask, base = coco(50), page.revision
    assert page.send("PUT", "drafts/1/7", {"mask": mask, "revision": base, "client": "a"}).status == 200
    assert page.send("PUT", "drafts/1/7", {"mask": coco(51), "revision": base, "client": "a"}).status == 200
    found = page.send("PUT", "drafts/1/7", {"mask": mask, "revision": base, "client": "b"})
    assert (found.status, found.json["kind"], found.json["client"]) == (409, "DraftError", "a")
    assert page.get("drafts/1/7").json["mask"] == coco(51)
    empty = Rle.empty((96, 128)).to_coco()
    taken = {"mask": empty, "revision": base, "client": "b", "over": True}
    assert page.send("PUT", "drafts/1/7", taken).status == 200
    assert page.get("drafts/1/7").json["mask"] == empty
    assert page.send("PUT", "drafts/0/8", {"mask": mask, "revision": base, "client": "a"}).status == 200
    assert page.get("drafts/3/3").status == 404
    assert page.look()["revision"] == base
    (out / ".tracks.sqlite.drafts" / "5-5.json").write_text(json.dumps({"object": 5}))
    (out / ".tracks.sqlite.drafts" / "x.json").write_text("{")
    assert [(d["object"], d["frame"], d["client"]) for d in page.look()["drafts"]] == [(0, 8, "a"), (1, 7, "b")]
