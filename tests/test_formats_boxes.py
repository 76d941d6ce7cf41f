"""Formats of boxes: MOT CSV and Label Studio, both ways, and refusals."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path

import pytest

from format_samples import SIZE_HW, VIDEO, tracks
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats import _label_studio as label_studio
from maskferry.formats import _mot as mot
from maskferry.formats._frame_table import read_frames


def boxes() -> list:
    """(frame, id, box, score) of everything that is seen."""
    return [(f.info.index, r.object_id, r.rle.box_xyxy, r.score) for f in tracks() for r in f.masks if r.rle.area]


def test_mot(tmp_path: Path, caplog):
    path = tmp_path / "mot.txt"
    with caplog.at_level(logging.WARNING):
        mot.write(VIDEO, tracks(), path)
    assert "loses: masks, of which their boxes are left" in caplog.text
    assert path.read_text().splitlines()[0] == "1,1,2,6,11,11,1.0,-1,-1,-1"
    back = mot.read(path)
    assert [(b.frame, b.object_id, tuple(map(int, b.box_xyxy)), b.score) for b in back] == boxes()
    assert list(read_frames(path).values()) == [f.info for f in tracks()]
    with pytest.raises(OutputExistsError):
        mot.write(VIDEO, tracks(), path)


@pytest.mark.parametrize(
    "line", ["1,1,2,3,4", "0,1,2,3,4,5,1", "1,1,2,3,-4,5,1", "1,a,2,3,4,5", "1,1,nan,3,4,5", "1,1,2,3,inf,5"]
)
def test_mot_that_is_refused(tmp_path: Path, line):
    path = tmp_path / "mot.txt"
    path.write_text(f"1,1,2,3,4,5,1,-1,-1,-1\n{line}\n")
    with pytest.raises(InputError, match=r"mot\.txt:2: expected frame,id"):
        mot.read(path)
    with pytest.raises(InputError, match="cannot read"):
        mot.read(tmp_path / "none.txt")


def test_label_studio(tmp_path: Path, caplog):
    path = tmp_path / "ls.json"
    with caplog.at_level(logging.WARNING):
        label_studio.write(VIDEO, tracks(), path, labels={7: "duck"})
    assert "loses: masks" in caplog.text
    (task,) = json.loads(path.read_text())
    first, second = task["annotations"][0]["result"]
    assert (first["type"], first["value"]["framesCount"], first["value"]["labels"]) == ("videorectangle", 5, ["object"])
    assert [(k["frame"], k["enabled"]) for k in first["value"]["sequence"]] == [
        (1, True),
        (2, True),
        (3, False),
        (5, True),
    ]
    assert [k["frame"] for k in second["value"]["sequence"]] == [3, 4, 5]
    assert task["meta"]["maskferry"]["frames"] == [[f.info.index, f.info.time, f.info.name] for f in tracks()]
    back = label_studio.read(path)
    assert [(b.frame, b.object_id, tuple(round(v) for v in b.box_xyxy)) for b in back] == [b[:3] for b in boxes()]
    assert {b.object_id: b.label for b in back} == {1: "object", 7: "duck"}


def foreign() -> list:
    key = {"frame": 1, "enabled": True, "rotation": 0, "x": 10, "y": 20, "width": 30, "height": 40, "time": 0}
    value = {"framesCount": 5, "duration": 1, "sequence": [key, {**key, "frame": 4}], "labels": ["car"]}
    result = {"id": "aB3", "type": "videorectangle", "from_name": "b", "to_name": "v", "value": value}
    return [{"id": 3, "data": {"video": "x.mp4"}, "annotations": [{"result": [result, {"type": "timelinelabels"}]}]}]


def test_label_studio_of_others(tmp_path: Path):
    path = tmp_path / "ls.json"
    path.write_text(json.dumps(foreign()))
    back = label_studio.read(path, size_hw=(100, 200))
    assert [(b.frame, b.object_id, b.box_xyxy, b.label) for b in back] == [
        (0, 1, (20, 20, 80, 60), "car"),
        (3, 1, (20, 20, 80, 60), "car"),
    ]
    with pytest.raises(InputError, match="give the size of the video"):
        label_studio.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s[0].update(frame=0), r"sequence\[0\]: expected a frame from 1"),
        (lambda s: s[1].update(x=float("nan")), r"sequence\[1\]: expected a frame from 1"),
        (lambda s: s[1].pop("width"), r"sequence\[1\]\.width: expected int or float, got nothing"),
        (lambda s: s[1].update(rotation=30), r"sequence\[1\]\.rotation: turned"),
    ],
)
def test_label_studio_that_is_refused(tmp_path: Path, change, message):
    data = copy.deepcopy(foreign())
    change(data[0]["annotations"][0]["result"][0]["value"]["sequence"])
    (tmp_path / "ls.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        label_studio.read(tmp_path / "ls.json", size_hw=SIZE_HW)
    (tmp_path / "ls.json").write_text(json.dumps(data * 2))
    with pytest.raises(InputError, match="expected one task"):
        label_studio.read(tmp_path / "ls.json", size_hw=SIZE_HW)
