"""``maskferry export``: files of tracks."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_tools import COUNT, one_json, run
from maskferry import Tracks
from maskferry.formats.registry import BUILT_IN
from maskferry.outputs import known_kinds
from maskferry.tracks._table import Table


def test_davis(finished_run, tmp_path, capsys):
    folder = tmp_path / "maps"
    assert run("export", finished_run, "--format", "davis", "-o", folder) == 0
    assert capsys.readouterr() == (f"{folder}\n", "")
    first = np.asarray(Image.open(folder / "00000.png"))
    assert np.array_equal(first, np.asarray(Image.open(tmp_path / "first.png")))
    assert len(list(folder.iterdir())) == COUNT


def test_davis_otherwise(finished_run, tmp_path):
    folder = tmp_path / "maps"
    more = ["--img-ext", "tif", "--dtype", "uint16", "--names", "source", "--overlap", "last"]
    assert run("export", finished_run, "--format", "davis", "-o", folder, *more) == 0
    assert sorted(p.name for p in folder.iterdir())[0] == "000000.tif"
    with Image.open(folder / "000000.tif") as image:
        assert image.mode.startswith("I;16")
        assert np.unique(np.asarray(image)).tolist() == [0, 1, 2]


def test_masks_and_json(finished_run, tmp_path, capsys):
    folder = tmp_path / "objects"
    assert run("export", finished_run / "tracks.sqlite", "--format", "masks", "-o", folder, "--json") == 0
    assert one_json(capsys.readouterr().out) == {"files": {"masks": str(folder)}, "written": 2 * COUNT}
    assert len(list((folder / "2").iterdir())) == COUNT


def test_csv(finished_run, tmp_path):
    assert run("export", finished_run, "--format", "csv", "-o", tmp_path / "t.csv") == 0
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2 * COUNT


def test_youtube_vis(finished_run, tmp_path):
    assert run("export", finished_run, "--format", "youtube-vis", "-o", tmp_path / "t.json") == 0
    content = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert len(content["videos"]) == 1
    assert len(content["annotations"]) == 2


def test_refusals(finished_run, tmp_path, capsys):
    target = tmp_path / "t.csv"
    target.write_text("mine")
    assert run("export", finished_run, "--format", "csv", "-o", target) == 2
    assert target.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert run("export", finished_run, "--format", "csv", "-o", target, "--overwrite") == 2
    assert target.read_text() == "mine"
    assert "move or delete it" in capsys.readouterr().err
    target.unlink()
    assert run("export", finished_run, "--format", "csv", "-o", target) == 0
    assert run("export", finished_run, "--format", "csv", "-o", target, "--overwrite") == 0
    assert run("export", finished_run, "--format", "nonsense", "-o", tmp_path / "x") == 2
    assert run("export", tmp_path, "--format", "csv", "-o", tmp_path / "x") == 2
    assert "tracks.sqlite: no such tracks file" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--overlap", "last"], ["--dtype", "uint16"], ["--img-ext", "tif"]])
def test_options_of_label_maps_are_refused_elsewhere(option, finished_run, tmp_path, capsys):
    assert run("export", finished_run, "--format", "csv", "-o", tmp_path / "x.csv", *option) == 2
    assert capsys.readouterr().err == f"error: {option[0]}: only for --format davis, not for csv\n"


def test_an_unfinished_run_is_said_to_be_one(finished_run, tmp_path, capsys):
    with Tracks.open(finished_run / "tracks.sqlite") as tracks:
        jobs = Table(tracks.database, "job")
        with tracks.database.transaction():
            jobs.put([(*row[:6], 0, None, 0) for row in jobs.find()])
    assert run("export", finished_run, "--format", "csv", "-o", tmp_path / "x.csv") == 0
    assert "not finished" in capsys.readouterr().err


FOLDERS = {"davis", "masks", "labelme", "labelme-masks", "mots-png", "cutouts", "cutouts-cropped"}


@pytest.mark.parametrize("name", [f for f in BUILT_IN if f != "parquet" or find_spec("pyarrow")])
def test_every_format_there_is(name, finished_run, tmp_path, capsys):
    target = tmp_path / "new" / f"x{Path(known_kinds()[name]).suffix}"
    assert run("export", finished_run, "--format", name, "-o", target, "--json") == 0
    written = one_json(capsys.readouterr().out)["written"]
    files = [p for p in (tmp_path / "new").rglob("*") if p.is_file()]
    assert len(files) == written
    assert target.is_dir() == (name in FOLDERS)
    assert run("export", finished_run, "--format", name, "-o", target) == 2  # and nothing is overwritten


def test_cutouts_of_a_video_that_has_moved(finished_run, tmp_path, capsys):
    moved = (tmp_path / "clip.mp4").rename(tmp_path / "moved.mp4")
    assert run("export", finished_run, "--format", "cutouts", "-o", tmp_path / "c") == 1
    assert not (tmp_path / "c").exists()
    assert run("export", finished_run, "--format", "cutouts", "--video", moved, "-o", tmp_path / "c") == 0
    assert len(list((tmp_path / "c" / "1").iterdir())) == COUNT
    assert run("export", finished_run, "--format", "cutouts-cropped", "--video", moved, "-o", tmp_path / "d") == 0
    large, small = (Image.open(tmp_path / name / "1" / "00000.png").copy() for name in "cd")
    assert small.size != large.size
    assert small == large.crop(large.getbbox())
    capsys.readouterr()
    assert run("export", finished_run, "--format", "csv", "--video", moved, "-o", tmp_path / "x.csv") == 2
    assert "--video: only for --format cutouts, cutouts-cropped and webm" in capsys.readouterr().err


def test_what_a_format_loses_is_said(finished_run, tmp_path, capsys):
    assert run("export", finished_run, "--format", "mot", "-o", tmp_path / "mot.txt", "-v") == 0
    assert "loses: masks" in capsys.readouterr().err
