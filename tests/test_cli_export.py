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
from maskferry import Tracks, export
from maskferry.errors import InputError
from maskferry.formats import _mots
from maskferry.formats import _youtube_vis as youtube_vis
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


@pytest.mark.parametrize("name", ["mots", "mots-png"])
def test_frames_of_mots_may_count_from_1(finished_run, tmp_path, name):
    out = tmp_path / "x.txt" if name == "mots" else tmp_path / "x"
    assert run("export", finished_run, "--format", name, "-o", out, "--first-frame", 1) == 0
    if name == "mots":
        numbers = {int(line.split()[0]) for line in out.read_text().splitlines()}
        found = _mots.read(out)
    else:
        numbers = {int(path.stem) for path in out.iterdir()}
        found = _mots.read_folder(out)
    assert numbers == set(range(1, COUNT + 1))
    assert [frame.info.index for frame in found.frames] == list(range(COUNT))
    with Tracks.open(finished_run / "tracks.sqlite") as tracks:
        export(tracks, tmp_path / "y", name, first_frame=1)
    assert (tmp_path / "y").is_dir() or (tmp_path / "y").read_bytes() == out.read_bytes()


def test_run_lengths_as_lists(finished_run, tmp_path):
    assert run("export", finished_run, "--format", "youtube-vis", "-o", tmp_path / "t.json", "--no-compress") == 0
    records = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["annotations"]
    assert all(isinstance(rle["counts"], list) for record in records for rle in record["segmentations"] if rle)
    assert run("export", finished_run, "--format", "youtube-vis", "-o", tmp_path / "s.json", "--compress") == 0
    (lists,), (texts,) = (youtube_vis.read(tmp_path / name) for name in ("t.json", "s.json"))
    assert lists.frames == texts.frames


@pytest.mark.parametrize(
    ("option", "only"),
    [
        (["--first-frame", "1"], "--first-frame: only for --format mots and mots-png"),
        (["--first-frame", "0"], "--first-frame: only for --format mots and mots-png"),
        (["--no-compress"], "--no-compress: only for --format youtube-vis"),
        (["--compress"], "--compress: only for --format youtube-vis"),
    ],
)
def test_options_of_formats_are_refused_elsewhere(option, only, finished_run, tmp_path, capsys):
    assert run("export", finished_run, "--format", "csv", "-o", tmp_path / "x.csv", *option) == 2
    assert capsys.readouterr().err == f"error: {only}, not for csv\n"


def test_the_library_refuses_options_that_a_format_does_not_take(finished_run, tmp_path):
    with Tracks.open(finished_run / "tracks.sqlite") as tracks:
        with pytest.raises(InputError, match=r"'mots': expected first_frame, got frist_frame"):
            export(tracks, tmp_path / "x.txt", "mots", frist_frame=1)
        with pytest.raises(InputError, match=r"'csv': it takes none, got first_frame"):
            export(tracks, tmp_path / "x.csv", "csv", first_frame=1)
        with pytest.raises(InputError, match="first_frame: expected a whole number"):
            export(tracks, tmp_path / "x.txt", "mots", first_frame="1")
    assert not list(tmp_path.glob("x*"))


def test_an_unfinished_run_is_said_to_be_one(finished_run, tmp_path, capsys):
    with Tracks.open(finished_run / "tracks.sqlite") as tracks:
        jobs = Table(tracks.database, "job")
        with tracks.database.transaction():
            jobs.put([(*row[:6], 0, None, 0) for row in jobs.find()])
    assert run("export", finished_run, "--format", "csv", "-o", tmp_path / "x.csv") == 0
    assert "not finished" in capsys.readouterr().err


FOLDERS = {"davis", "masks", "labelme", "labelme-masks", "mots-png", "cutouts", "cutouts-cropped"}


@pytest.mark.parametrize(
    "name", [f for f, spec in BUILT_IN.items() if not spec.needs_map and (f != "parquet" or find_spec("pyarrow"))]
)
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
