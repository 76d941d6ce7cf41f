"""LabelMe: polygons and masks both ways, its rule of groups, and refusals that name the shape."""

from __future__ import annotations

import base64
import copy
import io
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from format_samples import SIZE_HW, VIDEO, disk, tracks
from maskferry.data import FrameInfo, FrameTracks
from maskferry.errors import InputError, LeftOutWarning, OutputExistsError
from maskferry.formats._given_masks import read_seeds
from maskferry.formats._labelme import parse, read, read_folder, write
from maskferry.formats._reading import Reading


@pytest.mark.parametrize("shapes", ["polygon", "mask"])
def test_round_trip_is_exact(tmp_path: Path, shapes):
    paths = write(VIDEO, tracks(), tmp_path / "out", labels={7: "duck"}, shapes=shapes)
    assert [p.name for p in paths] == [f"{i:06d}.json" for i in range(5)]
    assert [json.loads(p.read_text())["imagePath"] for p in paths] == [f"{i:06d}.png" for i in range(5)]
    back = read_folder(tmp_path / "out")
    assert list(back.frames) == tracks()
    assert back.labels == {7: "duck"}
    assert back.video.size_hw == SIZE_HW


def test_holes_and_parts(tmp_path: Path):
    mask = disk((12, 12), 9) & ~disk((12, 12), 4) | disk((30, 4), 2)
    frame = tracks()[0]
    row = type(frame.masks[1])(1, type(frame.masks[1].rle).encode(mask), 1.0, frame.masks[1].state)
    write(VIDEO, [FrameTracks(frame.info, type(frame.masks)(0, SIZE_HW, (row,)))], tmp_path / "o")
    data = json.loads((tmp_path / "o" / "000000.json").read_text())
    assert [(s["label"], s["group_id"], s["shape_type"]) for s in data["shapes"]] == [("object", 1, "polygon")] * 2
    (item,) = read(tmp_path / "o" / "000000.json").objects
    np.testing.assert_array_equal(item.rle.decode(), mask)


def foreign() -> dict:
    """As LabelMe writes it, with each kind of shape."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.ones((3, 4), np.uint8) * np.uint8(255)).convert("1").save(buffer, format="PNG")

    def shape(label, points, group=None, kind="polygon", **more):
        return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}, **more}

    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": [
            shape("cat", [[1, 1], [5, 1], [5, 5], [1, 5]], 2),
            shape("cat", [[8, 1], [12, 1], [12, 5], [8, 5]], 2),
            shape("dog", [[20, 2], [24, 6]], None, "rectangle"),
            shape("dog", [[20, 15], [20, 19]], None, "circle"),
            shape("cat", [[2.0, 10.0], [5.0, 12.0]], 3, "mask", mask=base64.b64encode(buffer.getvalue()).decode()),
            shape("dog", [[3, 3]], None, "point"),
        ],
        "imagePath": "..\\pictures\\a.jpg",
        "imageData": None,
        "imageHeight": 24,
        "imageWidth": 33,
    }


def test_a_file_of_others():
    with pytest.warns(LeftOutWarning, match=r"1 points and lines, which have no area \(the first: shapes\[5\]"):
        picture = parse(foreign(), "a.json")
    assert picture.name == "a.jpg"  # without folders
    assert [(o.label, o.group, o.rle.area) for o in picture.objects if o.rle.area != 52] == [
        ("cat", 2, 32),
        ("dog", None, 16),
        ("cat", 3, 12),
    ] or [o.rle.area for o in picture.objects][:2] == [32, 16]
    circle = picture.objects[2].rle.decode()
    assert (circle ^ disk((19.5, 14.5), 4)).sum() <= 8
    box = np.zeros(SIZE_HW, bool)
    box[10:13, 2:6] = True
    np.testing.assert_array_equal(picture.objects[3].rle.decode(), box)


def test_as_seeds(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(foreign()))
    with pytest.warns(LeftOutWarning):
        seeds = read_seeds(tmp_path / "a.json", frame=4)
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(4, 1), (4, 2), (4, 3), (4, 4)]
    assert seeds.labels == {1: "cat", 2: "dog", 3: "dog", 4: "cat"}
    grouped = foreign()
    grouped["shapes"] = [s for s in grouped["shapes"] if s["group_id"]]
    (tmp_path / "b.json").write_text(json.dumps(grouped))
    assert [p.object_id for p in read_seeds(tmp_path / "b.json").prompts] == [2, 3]
    write(VIDEO, tracks(), tmp_path / "own", labels={7: "duck"})
    seeds = read_seeds(tmp_path / "own" / "000002.json")
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(2, 1), (2, 7)]
    assert seeds.labels == {7: "duck"}


def test_a_group_keeps_its_id_in_a_folder(tmp_path: Path):
    one, two = foreign(), foreign()
    one["shapes"], two["shapes"] = one["shapes"][:2], one["shapes"][4:5] + one["shapes"][:1]
    for name, data in (("f2.json", one), ("f10.json", two)):
        (tmp_path / name).write_text(json.dumps(data))
    back = read_folder(tmp_path)
    assert [f.masks.object_ids for f in back.frames] == [(2,), (2, 3)]
    assert back.labels == {2: "cat", 3: "cat"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["shapes"][0].update(points=[[1, 1], [2]]), r"shapes\[0\]\.points\[1\]: expected \[x, y\]"),
        (lambda d: d["shapes"][0].update(points=[[1, 1], [2, float("nan")]]), r"shapes\[0\]\.points\[1\]"),
        (lambda d: d["shapes"][0].update(points=[[1, 1], [2, 2]]), r"shapes\[0\]\.points: expected a polygon"),
        (lambda d: d["shapes"][0].update(points=[[1, 1], [2, 2], [1e9, 0]]), r"shapes\[0\]\.points: .*far outside"),
        (lambda d: d["shapes"][0].update(label=[]), r"shapes\[0\]\.label: expected str"),
        (lambda d: d["shapes"][0].update(shape_type="spline"), r"shapes\[0\]\.shape_type: expected polygon"),
        (lambda d: d["shapes"][4].update(mask="@@"), r"shapes\[4\]\.mask: expected a PNG in base64"),
        (lambda d: d["shapes"][4].update(mask="AAAA"), r"shapes\[4\]\.mask: is no picture"),
        (lambda d: d["shapes"][4].update(points=[[2, 10], [6, 12]]), r"shapes\[4\]\.mask: is \(4, 3\)"),
        (lambda d: d["shapes"][4].update(points=[[30, 10], [33, 12]]), r"shapes\[4\]\.points: expected a box inside"),
        (lambda d: d.update(imageWidth=-3), "expected a size"),
        (lambda d: d.update(imageWidth=None), "imageWidth: expected int"),
        (lambda d: d.update(maskferry={"index": -1}), r"maskferry\.index"),
        (lambda d: d.update(shapes=[d["shapes"][0]] * 10_001), r"shapes\[10000\]: expected 10000 shapes"),
        (lambda d: d.update(maskferry={"index": 0, "time": float("inf")}), r"maskferry\.time: expected seconds"),
        (
            lambda d: d.update(
                maskferry={
                    "index": 0,
                    "time": None,
                    "name": "",
                    "lost": [],
                    "unnamed": [],
                    "objects": {},
                    "fidelities": {"2": -1},
                }
            ),
            r"maskferry\.fidelities\.2: expected an IoU",
        ),
        (lambda d: d.update(shapes=[d["shapes"][0]] * 100_001), r"shapes: expected 100000 at most"),
    ],
)
def test_nonsense_is_refused_and_named(change, message):
    data = copy.deepcopy(foreign())
    change(data)
    with pytest.raises(InputError, match=message) as caught:
        parse(data, "a.json", Reading("a.json", strict=True))
    assert str(caught.value).startswith("a.json")


def test_folders_that_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="found none"):
        read_folder(tmp_path)
    with pytest.raises(InputError, match="expected a folder"):
        read_folder(tmp_path / "none")
    small = {**foreign(), "imageHeight": 30}
    (tmp_path / "a.json").write_text(json.dumps(foreign()))
    (tmp_path / "b.json").write_text(json.dumps(small))
    with pytest.raises(InputError, match=r"b\.json: is \(30, 33\)"):
        read_folder(tmp_path)


def test_names_that_lead_elsewhere_are_not_written(tmp_path: Path):
    frame = tracks()[0]
    for name in ("..", "a:b", ""):
        with pytest.raises(InputError, match="cannot be the name of a file"):
            write(VIDEO, [FrameTracks(FrameInfo(0, None, name), frame.masks)], tmp_path / "out")
    same = [FrameTracks(FrameInfo(f.info.index, None, "x/a.png"), f.masks) for f in tracks()]
    with pytest.raises(InputError, match="taken by an earlier frame"):
        write(VIDEO, same, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.json"]
    with pytest.raises(OutputExistsError):
        write(VIDEO, tracks(), tmp_path / "out")
    with pytest.raises(InputError, match="shapes: expected"):
        write(VIDEO, tracks(), tmp_path / "new", shapes="lines")
