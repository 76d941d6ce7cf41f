"""``maskferry review``: a table, the moments, and a picture."""

from __future__ import annotations

from PIL import Image

from cli_tools import COUNT, one_json, run
from maskferry import Tracks
from maskferry.tracks.review import load_agreements


def test_the_table(finished_run, capsys):
    capsys.readouterr()
    assert run("review", finished_run) == 0
    text, err = capsys.readouterr()
    assert "Looking" not in err
    rows = [line.split() for line in text.splitlines() if line.split() and line.split()[0] in ("1", "2")]
    assert [row[:3] for row in rows] == [["1", str(COUNT), str(COUNT)], ["2", str(COUNT), str(COUNT)]]


def test_json_and_the_picture(finished_run, tmp_path, capsys):
    capsys.readouterr()
    sheet = tmp_path / "worst.png"
    assert run("review", finished_run, "-o", sheet, "--json") == 0
    report = one_json(capsys.readouterr().out)
    assert [row["object_id"] for row in report["objects"]] == [1, 2]
    assert sheet.exists() == bool(report["worst"])
    if report["worst"]:
        assert Image.open(sheet).width == 1280
        assert run("review", finished_run, "-o", sheet) == 2
        assert "exists already" in capsys.readouterr().err


def test_a_missing_run(tmp_path, capsys):
    assert run("review", tmp_path) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_the_check_by_the_way_back(finished_run, tmp_path, capsys):
    assert run("review", finished_run, "--check", "--engine", "hold", "--json") == 0
    one_json(capsys.readouterr().out)
    with Tracks.open(finished_run / "tracks.sqlite") as tracks:
        found = load_agreements(tracks)
    assert {i: one.frames.tolist() for i, one in found.items()} == {1: [*range(COUNT - 1)], 2: [*range(COUNT - 1)]}


def test_an_engine_without_the_check(finished_run, capsys):
    assert run("review", finished_run, "--engine", "hold") == 2
    assert "give --check" in capsys.readouterr().err
