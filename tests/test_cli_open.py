"""`maskferry open`: the address on stdout, one page at a time, an end without loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from cli_tools import clip, one_json, run, tracked
from maskferry import Tracks
from web_tools import Client, coco, make_run


@pytest.fixture
def out(tmp_path):
    return make_run(tmp_path, 12)


class Page:
    """The command, running."""

    def __init__(self, *arguments):
        program = [sys.executable, "-m", "maskferry", "open", *map(str, arguments), "--no-browser", "--json"]
        self.process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        text = ""
        while not text.endswith("}\n"):
            line = self.process.stdout.readline()
            assert line, self.process.communicate()[1]
            text += line
        value = one_json(text)
        self.url, self.address, self.port = value["url"], value["address"], value["port"]

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_ended(out, number):
    page = Page(out, "--port", 0)
    try:
        client = Client(page)
        client.look()
        assert client.send("PATCH", "objects/1", {"label": "tram"}).status == 200
        assert client.token not in page.address
    finally:
        code, err = page.end(number)
    assert code == 0
    assert "press Ctrl-C to end" in err
    assert client.token not in err
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert tracks.labels[1] == "tram"
    assert [path.name for path in out.iterdir()] == ["tracks.sqlite"]


def test_a_second_one_names_the_first(out, capsys):
    page = Page(out, "--port", 0)
    try:
        assert run("open", out, "--no-browser") == 2
        err = capsys.readouterr().err
        assert page.address in err
        assert str(page.process.pid) in err
        assert "--read-only" in err
        reader = Page(out, "--read-only", "--port", page.port)
        assert reader.port != page.port
        assert Client(reader).look()["read_only"]
        assert "is taken" in reader.end()[1]
    finally:
        page.end()
    assert run("open", out, "--no-browser", "--port", 70_000) == 2


def test_the_first_mask_of_a_video(tmp_path):
    video = clip(tmp_path)
    page = Page(video, "-o", tmp_path / "new", "--engine", "hold", "--port", 0)
    try:
        client = Client(page)
        assert client.look()["objects"] == []
        client.send("POST", "objects", {"frame": 0, "mask": coco(20)})
        assert client.finish()["tracks"]["finished"]
    finally:
        assert page.end()[0] == 0
    page = Page(video, "-o", tmp_path / "new", "--port", 0)  # goes on
    assert [o["id"] for o in Client(page).look()["objects"]] == [100]
    page.end()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a folder that cannot be written to")
def test_a_folder_that_cannot_be_written_to(out, capsys):
    out.chmod(0o555)
    try:
        assert run("open", out, "--no-browser") == 1
        assert "--read-only" in capsys.readouterr().err
        page = Page(out, "--read-only", "--port", 0)
        assert Client(page).look()["objects"]
        page.end()
    finally:
        out.chmod(0o755)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no such tracks file"),
        (["clip.mp4"], "is not a tracks file"),
        (["clip.mp4", "clip.mp4", "-o", "new"], "--out begins tracks of one video"),
        (["clip.mp4", "-o", "new", "--read-only"], "--read-only changes nothing"),
        (["clip.mp4", "-o", "clip.mp4"], "is a file"),
        (["missing.mp4", "-o", "new"], "does not exist"),
        (["out", "--engine", "nobody"], "no engine is called"),
        (["out", "--allow-host", "http://x/"], "expected names such as"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_served(tmp_path, monkeypatch, capsys, arguments, words):
    tracked(tmp_path)
    monkeypatch.chdir(tmp_path)
    code = run("open", *arguments, "--no-browser")
    err = capsys.readouterr().err
    assert words in err
    assert code in (1, 2)
    assert not (tmp_path / "new").exists()


def test_a_review_says_where_it_can_be_seen(out, capsys):
    assert run("review", out) == 0
    assert f"maskferry open {out}" in capsys.readouterr().err
