"""``maskferry inspect``: how files of masks are read."""

from __future__ import annotations

import json

import pytest

from cli_tools import clip, label_map, one_json, run


@pytest.fixture
def coco(tmp_path):
    """Two objects of one picture; the second has a hole in its record: nothing."""
    path = tmp_path / "coco.json"
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    data = {
        "images": [{"id": 1, "file_name": "a.png", "height": 64, "width": 96}],
        "categories": [{"id": 3, "name": "car"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "segmentation": square}],
    }
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_the_table(tmp_path, capsys):
    masks = label_map(tmp_path / "two.png", (0, 0, 5, 5), (6, 0, 10, 9))
    assert run("inspect", f"0={masks}", f"4={masks}") == 0
    found = capsys.readouterr().out
    assert "2, on 2 frames" in found
    rows = [line.split() for line in found.splitlines()]
    assert ["1", "0,", "4", "50"] in rows
    assert ["2", "0,", "4", "72"] in rows


def test_json(coco, capsys):
    assert run("inspect", coco, "--frame", 7, "--json") == 0
    found = one_json(capsys.readouterr().out)
    assert found["objects"] == [{"id": 1, "label": "car", "frames": [7], "pixels": 100}]
    assert found["sizes"] == ["96x64"]
    assert found["left_out"] == []


def test_with_the_video(tmp_path, coco, capsys):
    video = clip(tmp_path)
    assert run("inspect", coco, "--video", video, "--frame", 11, "--json") == 0
    assert one_json(capsys.readouterr().out)["objects"][0]["frames"] == [11]
    assert run("inspect", coco, "--video", video, "--frame", 12) == 2
    assert "expected 0 to 11" in capsys.readouterr().err


def test_nothing_is_written(tmp_path, coco, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert run("inspect", coco) == 0
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("wrong", [("nowhere.png",), (), ("--frame", "-1")])
def test_wrong_input(tmp_path, coco, wrong, capsys):
    arguments = wrong if wrong != ("--frame", "-1") else (coco, *wrong)
    assert run("inspect", *arguments) == 2
    assert "error: " in capsys.readouterr().err
