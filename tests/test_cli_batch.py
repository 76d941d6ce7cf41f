"""``maskferry batch`` as it is typed: what it refuses, what it prints, and its exit codes."""

from __future__ import annotations

import json
import sys

import pytest

from batch_tools import clips
from cli_tools import one_json, run
from maskferry.batch import BatchOptions, LocalRunner
from maskferry.batch import run as run_batch


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Two clips that were tracked: (films, out)."""
    films = clips(tmp_path_factory.mktemp("cli"), 2)
    run_batch(films, films.parent / "out", BatchOptions(engine="hold", kinds=("csv",)), runner=LocalRunner(1))
    return films, films.parent / "out"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("films",), "where to? give the folder for the results with -o"),
        (("-o", "out"), "what is to be tracked?"),
        (("films", "-o", "out", "--status"), "leave the manifest out"),
        (("-o", "out", "--status", "--verify"), "give one of them"),
        (("-o", "nowhere", "--status"), "no run of maskferry batch lies there"),
        (("-o", "nowhere", "--verify"), "no run of maskferry batch lies there"),
        (("nowhere.jsonl", "-o", "out"), "no such manifest"),
        (("films", "-o", "out", "--cpus", "2"), "are for a cluster: give --ray"),
        (("films", "-o", "out", "--engine", "none"), "no engine 'none'"),
        (("films", "-o", "out", "--detector", "os:none"), "expected MODULE:NAME of a function"),
        (("films", "-o", "out", "--detector", "os:sep"), "expected a function that takes a frame, got str"),
        (("films", "-o", "out", "--every", "3"), "--every says how often"),
        (("films", "-o", "out", "--engine", "hold", "--text", "car"), "takes no words"),
        (("films", "-o", "out", "--stall", "0"), "expected seconds above 0"),
        (("films", "-o", "out", "--write", "everything"), "--write: expected"),
        (("films", "-o", "https://host/out"), "nothing can be written there"),
        (("films", "-o", "films/c00.mp4"), "is a file: expected a folder"),
        (("films", "-o", "out", "--ray", "ray://head:10001"), "ray job submit"),
    ],
)
def test_what_is_refused(done, monkeypatch, capsys, arguments, message):
    if "--ray" in arguments:
        pytest.importorskip("ray")
    monkeypatch.chdir(done[0].parent)
    before = sorted(done[1].rglob("*"))
    assert run("batch", *arguments) == 2
    assert message in capsys.readouterr().err
    assert sorted(done[1].rglob("*")) == before


def test_without_ray_its_extra_is_named(done, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run("batch", done[0], "-o", done[1], "--ray", "auto") == 2
    assert "pip install 'maskferry[ray]'" in capsys.readouterr().err


def test_what_is_printed(done, capsys):
    films, out = done
    assert run("batch", films, "-o", out, "--engine", "hold", "--write", "csv") == 0
    found = capsys.readouterr()
    assert found.out.splitlines()[0] == "2 done, 0 damaged, 0 failed, 0 pending"
    assert str(out / "report.html") in found.out
    assert "0 of 2 videos to track with hold, 2 are done" in found.err
    assert run("batch", films, "-o", out, "--engine", "hold", "--write", "csv", "--json", "-q") == 0
    found = capsys.readouterr()
    assert one_json(found.out)["attempts"] == 0
    assert not found.err


def test_how_far_it_is(done, capsys):
    _, out = done
    assert run("batch", "-o", out, "--status", "--json") == 0
    found = one_json(capsys.readouterr().out)
    assert (found["videos"], found["done"], found["pending"], found["driver"]) == (2, 2, 0, None)
    (out / ".batch/failures").mkdir(exist_ok=True)
    failure = out / ".batch/failures/c00.json"
    failure.write_text(json.dumps({"cause": "killed", "message": "it died"}))
    assert run("batch", "-o", out, "--status") == 0
    assert "c00: killed: it died" in capsys.readouterr().out
    failure.unlink()


def test_files_that_are_not_what_was_committed(done, capsys):
    _, out = done
    assert run("batch", "-o", out, "--verify") == 0
    assert "2 of 2 videos are what was committed" in capsys.readouterr().out
    table = out / "c01/tracks.csv"
    text = table.read_bytes()
    table.write_bytes(text + b" ")
    assert run("batch", "-o", out, "--verify", "--json") == 1
    found = one_json(capsys.readouterr().out)
    assert list(found["wrong"]) == ["c01"]
    table.write_bytes(text)
