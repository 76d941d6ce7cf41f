"""``maskferry eval``: scores on a data set in the layout of DAVIS."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from cli_tools import one_json, run
from maskferry.evaluation import evaluate_davis


@pytest.fixture
def davis(tmp_path):
    """Two sequences: in "still" nothing moves, so that hold is perfect; in "away" the object leaves."""
    rng = np.random.default_rng(0)
    for name, step in (("still", 0), ("away", 12)):
        for kind in ("JPEGImages", "Annotations"):
            (tmp_path / kind / "480p" / name).mkdir(parents=True)
        for i in range(5):
            labels = np.zeros((48, 64), dtype=np.uint8)
            labels[10:30, 5 + step * i : 25 + step * i] = 1
            picture = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(picture).save(tmp_path / "JPEGImages" / "480p" / name / f"{i:05d}.jpg")
            Image.fromarray(labels).save(tmp_path / "Annotations" / "480p" / name / f"{i:05d}.png")
    return tmp_path


def test_the_table_and_the_file(davis, tmp_path, capsys):
    scores = tmp_path / "out" / "scores.json"
    assert run("eval", "--davis", davis, "--engine", "hold", "-o", scores) == 0
    out, err = capsys.readouterr()
    assert err == f"wrote {scores}\n"
    rows = [line.split() for line in out.splitlines() if line.split() and line.split()[0] in ("away", "still")]
    assert [row[:2] for row in rows] == [["away", "5"], ["still", "5"]]
    assert rows[1][2:5] == ["100.0", "100.0", "100.0"]
    assert float(rows[0][2]) < 60
    assert "J&F" in out
    assert "mean (hold)" in out
    content = json.loads(scores.read_text(encoding="utf-8"))
    expected = evaluate_davis(davis, engine="hold").to_dict()
    assert content["mean"] == expected["mean"]


def test_json_is_the_evaluation_and_nothing_else(davis, capsys):
    assert run("eval", "--davis", davis, "--engine", "hold", "--json", "--sequences", "still") == 0
    result = one_json(capsys.readouterr().out)
    expected = evaluate_davis(davis, engine="hold", sequences=["still"]).to_dict()
    for value in (result, expected):
        del value["fps"], value["sequences"]["still"]["fps"]
    assert result == expected


@pytest.mark.parametrize("options", [["still,away"], ["still", "--sequences", "away"]])
def test_sequences_by_name(options, davis, capsys):
    assert run("eval", "--davis", davis, "--engine", "hold", "--json", "--sequences", *options) == 0
    assert list(one_json(capsys.readouterr().out)["sequences"]) == ["still", "away"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sequences", "nonsense"], "there is no sequence 'nonsense'"),
        (["--resolution", "1080p"], "1080p"),
        (["--engine", "nonsense"], "no engine is called"),
    ],
)
def test_wrong_input(options, message, davis, capsys):
    assert run("eval", "--davis", davis, *options) == 2
    out, err = capsys.readouterr()
    assert not out
    assert message in err


def test_a_file_that_is_there_is_refused_before_the_work(davis, tmp_path, capsys):
    (tmp_path / "scores.json").write_text("mine")
    command = ["eval", "--davis", davis, "--engine", "hold", "-q", "-o", tmp_path / "scores.json"]
    assert run(*command) == 2
    assert run(*command, "--overwrite") == 2
    assert (tmp_path / "scores.json").read_text() == "mine"
    (tmp_path / "scores.json").unlink()
    assert run(*command) == 0
    assert run(*command) == 2
    assert run(*command, "--overwrite") == 0
    assert json.loads((tmp_path / "scores.json").read_text())["engine"] == "hold"


@pytest.fixture
def tracked(davis, tmp_path):
    """A finished run on "still", whose truth lies beside it."""
    first = davis / "Annotations" / "480p" / "still" / "00000.png"
    pictures = davis / "JPEGImages" / "480p" / "still"
    out = tmp_path / "run"
    assert run("track", pictures, "--masks", first, "--engine", "hold", "--write", "youtube-vis", "-o", out, "-q") == 0
    return out


def test_tracks_against_label_maps_and_against_themselves(davis, tracked, capsys):
    pytest.importorskip("trackeval", reason="needs the extra eval")
    capsys.readouterr()
    for truth in (davis / "Annotations" / "480p" / "still", tracked / "tracks.json"):
        assert run("eval", "--tracks", tracked, "--truth", truth, "--json") == 0
        scores = one_json(capsys.readouterr().out)
        assert scores["hota"] == scores["idf1"] == 100
        assert (scores["id_switches"], scores["frames"]) == (0, 5)
    assert run("eval", "--tracks", tracked, "--truth", davis / "Annotations" / "480p" / "away") == 0
    out, _ = capsys.readouterr()
    assert "hota" in out
    assert "100" not in out.split("\n")[-3]


def test_one_kind_of_truth_at_a_time(davis, tracked, capsys):
    for arguments in (["--davis", davis, "--tracks", tracked, "--truth", davis], ["--tracks", tracked], []):
        assert run("eval", *arguments) == 2
        assert "either --davis, or --tracks and --truth" in capsys.readouterr().err
