"""YouTube-VIS: exact round trips, files of others, and messages that name the record."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from pycocotools import mask as reference

from format_samples import SIZE_HW, VIDEO, disk, masks_of, random_tracks, tracks
from maskferry.data import FrameInfo, FrameTracks, State
from maskferry.errors import InputError, LeftOutWarning, OutputExistsError
from maskferry.formats._reading import Reading
from maskferry.formats._youtube_vis import parse, read, write
from maskferry.rle import Rle

# pycocotools still makes arrays in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@given(random_tracks())
@settings(max_examples=60)
def test_round_trip_is_exact(tmp_path_factory, sample):
    video, frames, labels = sample
    path = tmp_path_factory.mktemp("yvis") / "tracks.json"
    write(video, iter(frames), path, labels=labels)
    (back,) = read(path)
    assert back.video == video
    assert list(back.frames) == frames
    assert back.labels == labels


def test_what_others_read_of_it(tmp_path: Path):
    path = tmp_path / "tracks.json"
    write(VIDEO, tracks(), path, labels={1: "swan"})
    data = json.loads(path.read_text())
    (video,) = data["videos"]
    assert (video["width"], video["height"], video["length"]) == (33, 24, 5)
    assert video["file_names"] == [f"{i:06d}.png" for i in range(5)]
    names = {c["id"]: c["name"] for c in data["categories"]}
    assert [(a["id"], a["video_id"], a["iscrowd"], names[a["category_id"]]) for a in data["annotations"]] == [
        (1, 1, 0, "swan"),
        (7, 1, 0, "object"),
    ]
    for annotation in data["annotations"]:
        assert {len(annotation[k]) for k in ("segmentations", "bboxes", "areas")} == {5}
        for i, frame in enumerate(tracks()):
            rle = annotation["segmentations"][i]
            wanted = frame.masks.mask(annotation["id"]) if annotation["id"] in frame.masks else np.zeros(SIZE_HW, bool)
            if not wanted.any():
                assert rle is annotation["bboxes"][i] is annotation["areas"][i] is None
                continue
            np.testing.assert_array_equal(reference.decode(rle).astype(bool), wanted)
            assert annotation["areas"][i] == reference.area(rle)
            assert annotation["bboxes"][i] == reference.toBbox(rle).tolist()


def test_nothing_of_this_machine_is_written(tmp_path: Path):
    from dataclasses import replace

    write(replace(VIDEO, path="/home/somebody/clip.mp4"), tracks(), tmp_path / "t.json")
    assert "somebody" not in (tmp_path / "t.json").read_text()


def foreign() -> dict:
    mask = disk((10, 10), 5)
    rle = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "videos": [{"id": 40, "width": 33, "height": 24, "length": 3, "file_names": [f"ab/{i}.jpg" for i in range(3)]}],
        "categories": [{"id": 5, "name": "duck", "supercategory": "animal"}],
        "annotations": [
            {
                "id": 9,
                "video_id": 40,
                "category_id": 5,
                "iscrowd": 0,
                "segmentations": [None, {"size": [24, 33], "counts": rle["counts"].decode()}, None],
            },
            {
                "id": 4,
                "video_id": 40,
                "category_id": 5,
                "segmentations": [
                    [[2, 2, 9, 2, 9, 9, 2, 9]],
                    {"size": [24, 33], "counts": Rle.encode(mask).runs.tolist()},
                    [],
                ],
            },
        ],
    }


def test_files_of_others():
    (back,) = parse(foreign(), "f.json")
    assert back.video.name == "ab" and back.video.frame_count == 3 and back.video.rate is None
    assert [f.info.name for f in back.frames] == ["ab/0.jpg", "ab/1.jpg", "ab/2.jpg"]
    assert [f.masks.object_ids for f in back.frames] == [(4,), (4, 9), (4, 9)]
    assert back.frames[1].masks[9].state is State.GIVEN and back.frames[1].masks[9].score == 1
    assert back.frames[2].masks[9].state is State.LOST and back.frames[2].masks[9].rle.area == 0
    np.testing.assert_array_equal(back.frames[1].masks.mask(4), disk((10, 10), 5))
    assert back.labels == {4: "duck", 9: "duck"}


@pytest.mark.parametrize("ids", [(0, 1), (3, 3), ("a", "b"), (None, 2)])
def test_unusable_ids_are_replaced(ids):
    data = foreign()
    for annotation, object_id in zip(data["annotations"], ids, strict=True):
        annotation["id"] = object_id
    (back,) = parse(data, "f.json")
    assert back.frames[1].masks.object_ids == (1, 2)


def test_several_videos():
    data = foreign()
    data["videos"].append({"id": 41, "width": 8, "height": 6, "length": 1, "file_names": ["x.jpg"], "name": "second"})
    first, second = parse(data, "f.json")
    assert second.video.name == "second" and second.frames[0].masks.size_hw == (6, 8) and not second.labels
    assert len(first.frames) == 3


def test_lists_of_results():
    rle = Rle.encode(disk((10, 10), 5)).to_coco()
    results = [
        {"video_id": 3, "category_id": 1, "score": 0.75, "segmentations": [None, rle]},
        {"video_id": 3, "category_id": 2, "score": 0.5, "segmentations": [rle, None]},
    ]
    (back,) = parse(results, "r.json")
    assert back.video.size_hw == SIZE_HW
    assert [(r.object_id, r.score, r.state) for r in back.frames[1].masks] == [
        (1, 0.75, State.TRACKED),
        (2, 0.0, State.LOST),
    ]
    with pytest.raises(InputError, match="at least one RLE"):
        parse([{"video_id": 3, "segmentations": [None]}], "r.json")


def break_own(tmp_path: Path, *keys, value):
    path = tmp_path / "t.json"
    write(VIDEO, tracks(), path, overwrite=True)
    data = json.loads(path.read_text())
    return set_at(data, keys, value)


def set_at(data, keys, value):
    data = copy.deepcopy(data)
    at = data
    for key in keys[:-1]:
        at = at[key]
    if value is ...:
        del at[keys[-1]]
    else:
        at[keys[-1]] = value
    return data


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("videos",), ..., r"f.json.videos: expected list, got nothing"),
        (("videos", 0), 3, r"videos\[0\]: expected a JSON object, got 3"),
        (("videos", 0, "width"), ..., r"videos\[0\].width: expected int, got nothing"),
        (("videos", 0, "width"), "33", r"videos\[0\].width: expected int, got '33'"),
        (("videos", 0, "width"), True, r"videos\[0\].width: expected int, got True"),
        (("videos", 0, "height"), 10**9, r"videos\[0\]: expected a size"),
        (("videos", 0, "height"), 25, r"annotations\[1\].segmentations\[1\]: expected a mask of \(25, 33\)"),
        (
            ("videos", 0, "length"),
            2,
            r"videos\[0\].file_names: expected a list with a value for each of 2 frames, got 3",
        ),
        (("videos", 0, "length"), -1, r"file_names"),
        (("videos", 0, "file_names", 1), None, r"file_names\[1\]: got None"),
        (("videos", 0, "id"), 39, r"annotations\[0\].video_id: no video has the id 40"),
        (("categories", 0, "name"), 3, r"categories\[0\].name: expected str"),
        (("annotations", 1, "video_id"), None, r"annotations\[1\].video_id: expected int, got None"),
        (("annotations", 1, "category_id"), [1], r"annotations\[1\].category_id"),
        (("annotations", 1, "segmentations"), ..., r"annotations\[1\].segmentations: expected a list"),
        (("annotations", 1, "segmentations"), [None], r"for each of 3 frames, got 1 values"),
        (("annotations", 1, "segmentations", 0), "x", r"annotations\[1\].segmentations\[0\]: got 'x'"),
        (("annotations", 1, "segmentations", 1, "counts"), [3], r"segmentations\[1\]: RLE counts"),
        (("annotations", 1, "maskferry"), 3, r"annotations\[1\].maskferry"),
        (("annotations",), {}, r"f.json.annotations: expected list"),
    ],
)
def test_wrong_fields_of_others_are_named(keys, value, message):
    with pytest.raises(InputError, match=message):
        parse(set_at(foreign(), keys, value), "f.json", Reading("f.json", strict=True))


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("videos", 0, "maskferry", "rate"), "1/0", "expected a rate"),
        (("videos", 0, "maskferry", "rate"), "-3", "above 0"),
        (("videos", 0, "maskferry", "rate"), 30, "rate: expected str"),
        (("videos", 0, "maskferry", "indices"), [0, 1, 1, 2, 3], "each once"),
        (("videos", 0, "maskferry", "times"), [0], "times"),
        (("annotations", 0, "maskferry", "states", 1), "gone", r"states\[1\]"),
        (("annotations", 0, "maskferry", "states", 1), None, r"states\[1\]"),
        (("annotations", 0, "maskferry", "scores", 1), 1.5, r"states\[1\]"),
        (("annotations", 0, "maskferry", "scores", 1), "x", r"scores\[1\]"),
        (("annotations", 0, "maskferry", "fidelities", 1), 1.5, r"fidelities\[1\]: expected an IoU"),
        (("annotations", 0, "maskferry", "fidelities"), [None], "fidelities: expected a list"),
        (("annotations", 0, "maskferry", "label"), 4, "label"),
    ],
)
def test_wrong_extras_are_named(tmp_path: Path, keys, value, message):
    with pytest.raises(InputError, match=message):
        parse(break_own(tmp_path, *keys, value=value), "f.json")


@pytest.mark.parametrize("data", [3, "x", None, [3], {"videos": {}}])
def test_other_json(data):
    with pytest.raises(InputError, match=r"f\.json"):
        parse(data, "f.json")


def test_writing_is_refused_before_work_and_never_half_done(tmp_path: Path):
    path = tmp_path / "t.json"
    path.write_text("mine")

    def frames():
        pytest.fail("asked for a frame")
        yield

    with pytest.raises(OutputExistsError):
        write(VIDEO, frames(), path)
    other = FrameTracks(FrameInfo(5, None, "5"), masks_of(frame=5, size_hw=(3, 3)))
    with pytest.raises(InputError, match="frame 5"):
        write(VIDEO, [*tracks(), other], path, overwrite=True)
    assert path.read_text() == "mine"
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]


def test_a_category_that_is_not_listed_costs_the_name_alone():
    data = foreign()
    data["annotations"][0]["category_id"] = 6
    with pytest.warns(LeftOutWarning, match=r"1 names of categories .* annotations\[0\]\.category_id"):
        (back,) = parse(data, "x.json")
    assert back.labels == {4: "duck"} and back.frames[1].masks.object_ids == (4, 9)
    with pytest.raises(InputError, match=r"annotations\[0\]\.category_id: no category has the id 6"):
        parse(data, "x.json", Reading("x.json", strict=True))


@pytest.mark.parametrize("name", ["../x", "/data/x", "C:\\data\\x", "C:/x", "//host/x", "a/../x"])
def test_of_names_that_lead_elsewhere_the_last_part_is_left(name):
    data = foreign()
    data["videos"][0]["file_names"][1] = name
    (back,) = parse(data, "x.json")
    assert [f.info.name for f in back.frames] == ["ab/0.jpg", "x", "ab/2.jpg"]
