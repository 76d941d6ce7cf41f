"""COCO of a video, TAO style: exact round trips, the reference reader, files of others, messages with the record."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from pycocotools.coco import COCO

from format_samples import SIZE_HW, VIDEO, disk, random_tracks, tracks
from maskferry.data import State
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats._coco_images import parse, read, write
from maskferry.formats._given_masks import read_seeds
from maskferry.formats._reading import Reading
from maskferry.rle import Rle

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@given(random_tracks())
@settings(max_examples=60)
def test_round_trip_is_exact(tmp_path_factory, sample):
    video, frames, labels = sample
    if any(r.rle.area == 0 and (r.state, r.score) != (State.LOST, 0.0) for f in frames for r in f.masks):
        frames = [type(f)(f.info, _calm(f.masks)) for f in frames]
    path = tmp_path_factory.mktemp("coco") / "tracks.json"
    write(video, iter(frames), path, labels=labels)
    found = read(path)
    if not frames:
        assert found == []
        return
    (back,) = found
    assert back.video == video
    assert list(back.frames) == frames
    assert back.labels == labels


def _calm(masks):
    """An empty mask is a lost object with score 0, as engines give it."""
    rows = [r if r.rle.area else type(r)(r.object_id, r.rle, 0.0, State.LOST) for r in masks]
    return type(masks)(masks.frame, masks.size_hw, tuple(rows))


def test_what_pycocotools_reads_of_it(tmp_path: Path, capsys):
    path = tmp_path / "tracks.json"
    write(VIDEO, tracks(), path, labels={1: "swan"})
    coco = COCO(str(path))
    assert sorted(coco.imgs) == [1, 2, 3, 4, 5]
    assert [image["file_name"] for image in coco.loadImgs([1, 5])] == ["000000.png", "000004.png"]
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["swan", "object"]
    seen = 0
    for frame in tracks():
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[frame.info.index + 1])):
            wanted = frame.masks.mask(annotation["track_id"])
            np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), wanted)
            assert annotation["area"] == wanted.sum()
            seen += 1
    assert seen == sum(row.rle.area > 0 for frame in tracks() for row in frame.masks)


def foreign() -> dict:
    rle = Rle.encode(disk((10, 10), 5)).to_coco()
    return {
        "images": [
            {"id": 5, "video_id": 2, "frame_index": 3, "file_name": "v/3.jpg", "height": 24, "width": 33},
            {"id": 6, "video_id": 2, "frame_index": 1, "file_name": "v/1.jpg", "height": 24, "width": 33},
        ],
        "tracks": [{"id": 8, "category_id": 1, "video_id": 2}],
        "categories": [{"id": 1, "name": "duck"}],
        "annotations": [
            {"id": 1, "image_id": 5, "track_id": 8, "category_id": 1, "segmentation": rle},
            {"id": 2, "image_id": 6, "track_id": 8, "category_id": 1, "segmentation": [[2, 3, 10, 3, 10, 9, 2, 9]]},
        ],
    }


def test_a_file_of_others(tmp_path: Path):
    (found,) = parse(foreign(), "x.json")
    assert [f.info.index for f in found.frames] == [1, 3]
    assert [f.masks.object_ids for f in found.frames] == [(8,), (8,)]
    assert found.frames[0].masks[8].rle.area == 48
    assert found.labels == {8: "duck"}
    (tmp_path / "x.json").write_text(json.dumps(foreign()))
    seeds = read_seeds(tmp_path / "x.json")
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(1, 8), (3, 8)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["annotations"][1].update(image_id=99), r"annotations\[1\]\.image_id: no image has the id 99"),
        (lambda d: d["annotations"][1].update(category_id=7), r"annotations\[1\]\.category_id: no category"),
        (
            lambda d: d["annotations"][1].update(maskferry={"state": "given", "fidelity": "all"}),
            r"annotations\[1\]\.maskferry\.fidelity: expected an IoU",
        ),
        (lambda d: d["annotations"][1].update(image_id=5), r"annotations\[1\]: object 8 is on frame 3 a second time"),
        (lambda d: d["annotations"][0]["segmentation"].update(counts="~~"), r"annotations\[0\]\.segmentation.*COCO"),
        (lambda d: d["annotations"][0]["segmentation"].update(size=[33, 24]), r"annotations\[0\]\.segmentation"),
        (lambda d: d["images"][1].update(frame_index=3), r"images\[\d\]\.frame_index: 3 is taken"),
        (lambda d: d["images"][1].update(id=5), r"images\[1\]\.id: 5 is taken"),
        (lambda d: d["images"][1].update(height=30), r"images\[\d\]"),
        (lambda d: d["images"][0].pop("width"), r"images\[0\]\.width: expected int, got nothing"),
        (lambda d: d.pop("images"), r"images: expected list, got nothing"),
    ],
)
def test_nonsense_is_refused_and_named(change, message):
    data = copy.deepcopy(foreign())
    change(data)
    with pytest.raises(InputError, match=message) as caught:
        parse(data, "x.json", Reading("x.json", strict=True))
    assert str(caught.value).startswith("x.json")


@pytest.mark.parametrize(
    "name", ["../../etc/a.jpg", "C:\\x\\a.jpg", "/etc/a.jpg", "..\\a.jpg", "\\\\host\\share\\a.jpg"]
)
def test_of_names_that_lead_elsewhere_the_last_part_is_left(name):
    data = foreign()
    data["images"][0]["file_name"] = name
    (found,) = parse(data, "x.json")
    assert [f.info.name for f in found.frames] == ["v/1.jpg", "a.jpg"]


def test_nothing_is_overwritten_and_no_half_file_is_left(tmp_path: Path):
    path = tmp_path / "t.json"
    path.write_text("mine")
    with pytest.raises(OutputExistsError):
        write(VIDEO, tracks(), path)
    assert path.read_text() == "mine"
    wrong = [type(f)(f.info, type(f.masks)(f.masks.frame, (5, 5))) for f in tracks()]
    with pytest.raises(InputError, match="frame 0: masks are"):
        write(VIDEO, wrong, tmp_path / "new.json")
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]
    assert VIDEO.size_hw == SIZE_HW
