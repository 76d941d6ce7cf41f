"""Files of masks as other tools write them: what becomes of each record, and on which frame it is."""

from __future__ import annotations

import base64
import io
import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from maskferry.errors import InputError, LeftOutWarning, MaskPlacementWarning
from maskferry.formats import Seeds, read_seeds
from maskferry.formats._labelme import read_folder
from maskferry.formats._reading import Target
from maskferry.prompts import GivenFiles
from maskferry.rle import Rle

SIZE_HW = (96, 128)
COUNT = 24
SQUARE = (10, 20, 34, 40)  # x1, y1, x2, y2
AREA = 24 * 20

VIDEO = Target(SIZE_HW, COUNT)


def folder_of(names: Sequence[str]) -> Target:
    """A folder of pictures; names are asked for with folders and suffix."""
    known = {name.split(".")[0]: i for i, name in enumerate(names)}
    return Target(SIZE_HW, len(names), lambda name: known.get(name.replace("\\", "/").split("/")[-1].split(".")[0]))


SHORE = folder_of([f"shore_{i:04d}.png" for i in range(COUNT)])


def corners(box: tuple[float, ...] = SQUARE) -> list[list[float]]:
    x1, y1, x2, y2 = box
    return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]]


def flat(box: tuple[float, ...] = SQUARE) -> list[float]:
    return [v for xy in corners(box) for v in xy]


def write_json(path: Path, data: object) -> Path:
    path.write_text(json.dumps(data))
    return path


def found(seeds: Seeds) -> list[tuple[int, int, int]]:
    return [(p.frame, p.object_id, int(p.mask.sum())) for p in seeds.prompts]


# --- CVAT -------------------------------------------------------------------------------------------------------------

ORIGINAL = "<original_size><width>128</width><height>96</height></original_size>"


def polygon(frame: int, *, key: int | None = 1, outside: int = 0, occluded: int = 0, dx: int = 0) -> str:
    points = ";".join(f"{x + dx:.2f},{y:.2f}" for x, y in corners())
    told = "" if key is None else f'keyframe="{key}"'
    return f'<polygon frame="{frame}" {told} outside="{outside}" occluded="{occluded}" points="{points}"/>'


def cvat(tmp_path: Path, *shapes: str, size: str = ORIGINAL, meta: str = "task", name: str = "clip") -> Path:
    tracks = "".join(f'<track id="{i}" label="mouse">{track}</track>' for i, track in enumerate(shapes))
    head = f"<meta><{meta}><name>{name}</name><size>24</size>{size}</{meta}></meta>"
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{head}{tracks}</annotations>")
    return path


def cvat_image(tmp_path: Path, *shapes: str, names: Sequence[str] = ("frame_000000",)) -> Path:
    images = "".join(
        f'<image id="{i}" name="{name}" width="128" height="96">{shapes[i]}</image>' for i, name in enumerate(names)
    )
    path = tmp_path / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version><meta/>{images}</annotations>")
    return path


def test_keyframes_alone_are_given(tmp_path: Path) -> None:
    one = polygon(0) + "".join(polygon(i, key=0) for i in range(1, 24))
    seeds = read_seeds(cvat(tmp_path, one))
    assert found(seeds) == [(0, 1, AREA)]
    assert any("23 masks that follow from others" in note for note in seeds.notes)
    steps = polygon(0) + polygon(5, key=0, occluded=1) + polygon(10, dx=30) + polygon(15, key=0)
    assert found(read_seeds(cvat(tmp_path, steps))) == [(0, 1, AREA), (10, 1, AREA)]
    assert found(read_seeds(cvat(tmp_path, polygon(0, key=None)))) == [(0, 1, AREA)]


def test_outside_is_no_mask_and_occluded_is_no_reason_to_drop(tmp_path: Path) -> None:
    first, second = polygon(0) + polygon(1, outside=1), polygon(0, occluded=1, dx=70) + polygon(1, outside=1)
    again = polygon(12, occluded=1) + polygon(13, outside=1, key=0)
    seeds = read_seeds(cvat(tmp_path, first + again, second))
    assert found(seeds) == [(0, 1, AREA), (0, 2, AREA), (12, 1, AREA)]
    assert seeds.labels == {1: "mouse", 2: "mouse"}
    shapes = [
        s.replace("frame=", "x=").replace("<polygon", '<polygon label="a"') for s in (polygon(0), polygon(0, dx=70))
    ]
    both = shapes[0] + shapes[1].replace('occluded="0"', 'occluded="1"')
    assert [i for _, i, _ in found(read_seeds(cvat_image(tmp_path, both)))] == [1, 2]


@pytest.mark.parametrize("meta", ["task", "job"])
def test_a_size_that_the_file_lacks_is_that_of_the_video(tmp_path: Path, meta: str) -> None:
    path = cvat(tmp_path, polygon(0), size="", meta=meta)
    assert found(read_seeds(path, target=VIDEO)) == [(0, 1, AREA)]
    with pytest.raises(InputError, match="read the file together with its video"):
        read_seeds(path)
    image = cvat_image(tmp_path, polygon(0).replace("<polygon", '<polygon label="a"'))
    image.write_text(image.read_text().replace(' width="128" height="96"', ""))
    assert found(read_seeds(image, target=VIDEO)) == [(0, 1, AREA)]
    with pytest.raises(InputError, match="read the file together with its video"):
        read_seeds(image)


@pytest.mark.parametrize(
    "name", ["/mnt/share/cam1/clip.mp4", "C:\\video\\clip.mp4", "../clip.mp4", "\\\\host\\a\\b.mp4"]
)
def test_paths_in_names_are_no_reason_to_refuse(tmp_path: Path, name: str) -> None:
    seeds = read_seeds(cvat(tmp_path, polygon(0), name=name))
    assert found(seeds) == [(0, 1, AREA)]
    assert any("the last part is taken" in note for note in seeds.notes)
    shape = polygon(0).replace("<polygon", '<polygon label="a"')
    assert found(read_seeds(cvat_image(tmp_path, shape, names=[name]))) == [(0, 1, AREA)]


def test_boxes_and_ellipses(tmp_path: Path) -> None:
    box = '<box frame="0" keyframe="1" outside="0" occluded="0" xtl="10" ytl="20" xbr="34" ybr="40"/>'
    seeds = read_seeds(cvat(tmp_path, box + box.replace('"0" keyframe="1"', '"1" keyframe="0"')))
    assert found(seeds) == [(0, 1, AREA)]
    assert any("boxes are taken for masks" in note for note in seeds.notes)
    turned = read_seeds(cvat(tmp_path, box.replace("<box", '<box rotation="90"'))).prompts[0].mask
    ys, xs = np.nonzero(turned)
    assert (xs.min(), xs.max() + 1, ys.min(), ys.max() + 1) == (12, 32, 18, 42)
    ellipse = '<ellipse frame="0" keyframe="1" cx="40" cy="30" rx="20" ry="8" rotation="30"/>'
    mask = read_seeds(cvat(tmp_path, ellipse)).prompts[0].mask
    ys, xs = np.nonzero(mask)
    assert abs(mask.sum() - np.pi * 20 * 8) < 12
    assert np.corrcoef(xs, ys)[0, 1] > 0.5  # clockwise on the screen: down to the right


def test_stray_shapes_of_cvat_are_counted_in_one_warning(tmp_path: Path) -> None:
    stray = (
        '<polyline frame="1" points="1,1;2,2"/><points frame="2" points="3,3"/><skeleton frame="3"/>'
        '<polygon frame="4" points="1,1;2,2"/><polygon frame="5" points="1,1;2,x;3,3"/><cuboid frame="6"/>'
        '<polygon frame="7" points="5,5;9,5;5,5"/><polygon frame="x" points="5,5;9,5;9,9"/><polyline frame="8"/>'
    )
    path = cvat(tmp_path, polygon(0) + stray)
    with pytest.warns(LeftOutWarning) as told:
        assert found(read_seeds(path)) == [(0, 1, AREA)]
    assert len(told) == 1
    for part in ("2 <polyline>", "1 <points>", "1 <skeleton>", "1 <cuboid>", "1 outlines of fewer than three points"):
        assert part in str(told[0].message)
    assert "1 shapes that cover no pixel" in str(told[0].message)
    with pytest.raises(InputError, match="strict reading refuses"):
        read_seeds(path, strict=True)
    with pytest.raises(InputError, match=r"holds no mask.*left out: 2 <polyline>"):
        read_seeds(cvat(tmp_path, stray))


def test_groups_and_names_of_cvats_pictures(tmp_path: Path) -> None:
    def shape(label: str, group: int = 0, dx: int = 0) -> str:
        return polygon(0, dx=dx).replace("<polygon", f'<polygon label="{label}" group_id="{group}"')

    names = ["frame_000000", "frame_000012"]
    path = cvat_image(
        tmp_path, shape("mouse") + shape("cage", dx=60), shape("cage") + shape("mouse", dx=60), names=names
    )
    path.write_text(path.read_text().replace('<image id="1"', '<image id="12"'))
    seeds = read_seeds(path)
    assert [row[:2] for row in found(seeds)] == [(0, 1), (0, 2), (12, 1), (12, 2)]
    assert seeds.labels == {1: "mouse", 2: "cage"}
    path = cvat_image(tmp_path, shape("car", 1) + shape("wheel", 1, 60), shape("car", 1), names=names)
    assert [row[:2] for row in found(read_seeds(path))] == [(0, 1), (0, 2), (1, 1)]
    path = cvat_image(tmp_path, shape("fly") + shape("fly", dx=60), shape("fly"), names=names)
    with pytest.warns(MaskPlacementWarning, match="'fly': several on one picture"):
        assert [i for _, i, _ in found(read_seeds(path))] == [1, 2, 3]


# --- frames -----------------------------------------------------------------------------------------------------------


def labelme(picture: str = "a.png", shapes: Sequence[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "label": "mouse",
        "points": corners(),
        "group_id": None,
        "shape_type": "polygon",
        "flags": {},
    }
    head: dict[str, Any] = {"version": "5.4.1", "flags": {}, "imagePath": picture, "imageData": None}
    size = {"imageHeight": 96, "imageWidth": 128}
    return {**head, **size, "shapes": [shape] if shapes is None else [{**shape, **s} for s in shapes], **more}


def coco(*names: str, used: Sequence[int] = (0,), **more: Any) -> dict[str, Any]:
    images = [{"id": i + 1, "file_name": name, "width": 128, "height": 96} for i, name in enumerate(names)]
    notes = [{"id": k, "image_id": i + 1, "category_id": 1, "segmentation": [flat()]} for k, i in enumerate(used)]
    return {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "mouse"}], **more}


@pytest.mark.parametrize("picture", ["shore_0012.png", "C:\\data\\shore_0012.png", "../x/shore_0012.jpg"])
def test_masks_are_put_on_the_frame_that_their_file_names(tmp_path: Path, picture: str) -> None:
    lm = write_json(tmp_path / "a.json", labelme(picture))
    assert found(read_seeds(lm, target=SHORE)) == [(12, 1, AREA)]
    assert found(read_seeds(write_json(tmp_path / "c.json", coco(picture)), target=SHORE)) == [(12, 1, AREA)]
    image = cvat_image(tmp_path, polygon(0), names=[picture])
    assert found(read_seeds(image, target=SHORE)) == [(12, 1, AREA)]


def test_a_file_is_called_as_its_picture(tmp_path: Path) -> None:
    path = write_json(tmp_path / "shore_0007.json", labelme("elsewhere.png"))
    assert found(read_seeds(path, target=SHORE)) == [(7, 1, AREA)]


def test_a_picture_that_is_no_frame_is_said(tmp_path: Path) -> None:
    for data in (labelme("other.png"), coco("other.png")):
        path = write_json(tmp_path / "a.json", data)
        with pytest.warns(MaskPlacementWarning, match=r"'other\.png', which is no frame .* frame 0; say its frame"):
            assert found(read_seeds(path, target=SHORE)) == [(0, 1, AREA)]
        assert found(read_seeds(path, target=SHORE, frame=5)) == [(5, 1, AREA)]
        assert found(read_seeds(path)) == [(0, 1, AREA)]  # no video to say it of


def test_the_callers_frame_goes_before_that_of_the_file(tmp_path: Path) -> None:
    for data in (labelme("shore_0012.png"), coco("shore_0012.png")):
        path = write_json(tmp_path / "a.json", data)
        with pytest.warns(MaskPlacementWarning, match="names frame 12, and is read as frame 3"):
            assert found(read_seeds(path, target=SHORE, frame=3)) == [(3, 1, AREA)]
        assert found(read_seeds(path, target=SHORE, frame=12)) == [(12, 1, AREA)]


def test_frames_of_a_video_by_number_and_by_order(tmp_path: Path) -> None:
    names = [f"frame_{i:06d}.PNG" for i in range(COUNT)]
    path = write_json(tmp_path / "a.json", coco(*names, used=[12]))
    assert found(read_seeds(path, target=VIDEO)) == [(12, 1, AREA)]
    path = write_json(tmp_path / "a.json", coco(*names, used=[0, 12]))
    assert [row[:2] for row in found(read_seeds(path, target=SHORE))] == [(0, 1), (12, 1)]
    letters = [f"{chr(97 + i)}.png" for i in range(COUNT)]
    path = write_json(tmp_path / "a.json", coco(*reversed(letters), used=[0, 3]))
    seeds = read_seeds(path, target=VIDEO)
    assert [row[0] for row in found(seeds)] == [20, 23]
    assert any("in the order of their names" in note for note in seeds.notes)
    path = write_json(tmp_path / "a.json", coco("a.png", "b.png", used=[0, 1]))
    with pytest.raises(InputError, match=r"masks of 2 pictures; .* 'a\.png' is not"):
        read_seeds(path, target=VIDEO)


def test_pictures_of_another_video_are_left_out(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", coco("shore_0003.png", "hall_0001.png", used=[0, 1]))
    with pytest.warns(LeftOutWarning, match=r"1 pictures that are no frames of the video .*hall_0001"):
        assert [row[0] for row in found(read_seeds(path, target=SHORE))] == [3]


def test_a_video_whose_frames_are_named_is_read_by_names(tmp_path: Path) -> None:
    rle = Rle.encode(np.pad(np.ones((9, 9), bool), ((0, 87), (0, 119)))).to_coco()
    video = {"id": 1, "width": 128, "height": 96, "length": 2, "file_names": ["v\\shore_0005.jpg", "/v/shore_0010.jpg"]}
    data = {"videos": [video], "annotations": [{"id": 4, "video_id": 1, "segmentations": [rle, rle]}]}
    path = write_json(tmp_path / "a.json", data)
    assert found(read_seeds(path, target=SHORE)) == [(5, 4, 81), (10, 4, 81)]
    assert found(read_seeds(path, target=VIDEO)) == [(0, 4, 81), (1, 4, 81)]


# --- COCO -------------------------------------------------------------------------------------------------------------


def test_track_ids_among_attributes(tmp_path: Path) -> None:
    names = [f"frame_{i:06d}.PNG" for i in range(COUNT)]
    data = coco(*names, used=[0, 0, 5, 12, 12])
    for note, (track, key) in zip(
        data["annotations"], [(0, True), (1, True), (0, False), (1, True), (0, True)], strict=True
    ):
        note["attributes"] = {"track_id": track, "keyframe": key, "occluded": False}
    path = write_json(tmp_path / "a.json", data)
    assert [row[:2] for row in found(read_seeds(path, target=VIDEO))] == [(0, 1), (0, 2), (12, 1), (12, 2)]


@pytest.mark.parametrize("key", ["0001", "12", 3.0, "a-b"])
def test_ids_of_any_kind(tmp_path: Path, key: object) -> None:
    data = coco("a.png")
    data["images"][0].update(id=key, width=128.0, height=96.0)
    data["annotations"][0].update(image_id=key, category_id=key)
    data["categories"][0]["id"] = key
    seeds = read_seeds(write_json(tmp_path / "a.json", data))
    assert found(seeds) == [(0, 1, AREA)] and seeds.labels == {1: "mouse"}
    data["images"][0]["width"] = 128.5
    with pytest.raises(InputError, match=r"images\[0\]\.width: expected int, got 128\.5"):
        read_seeds(write_json(tmp_path / "a.json", data))


def test_records_of_coco_that_cannot_be_read(tmp_path: Path) -> None:
    data = coco("a.png", used=[0] * 8)
    segmentations: list[object] = [
        [flat(), [5, 5, 6, 6]],  # the second ring is a line
        [[]],
        [],
        [[1, 2, 3, 4, 5, 6, 7]],
        {"size": [96, 128], "counts": "~~"},
        {"size": [9, 9], "counts": [81]},
        [[0, 0, 1e7, 0, 5, 5]],
        [[1, 1, 5, 1, 1, 1]],
    ]
    for note, segmentation in zip(data["annotations"], segmentations, strict=True):
        note.update(segmentation=segmentation, bbox=[1, 2, 3, 4])
    path = write_json(tmp_path / "a.json", data)
    with pytest.warns(LeftOutWarning) as told:
        assert found(read_seeds(path)) == [(0, 1, AREA)]
    text = str(told[0].message)
    assert len(told) == 1 and "2 outlines of fewer than three points (the first: annotations[0].seg" in text
    for part in ("1 boxes without a mask", "1 outlines that are no points", "1 masks whose code", "1 masks of another"):
        assert part in text
    assert "1 outlines far outside" in text and "1 masks that cover no pixel" in text
    with pytest.raises(InputError, match=r"annotations\[0\]\.segmentation\[1\]: expected a polygon"):
        read_seeds(path, strict=True)


def test_records_that_are_none(tmp_path: Path) -> None:
    data = coco("a.png", used=[0] * 4)
    data["annotations"][1] = None
    data["annotations"][2]["image_id"] = 7
    data["annotations"][3] = {"image_id": 1, "segments_info": [{"id": 3}], "file_name": "a.png"}
    with pytest.warns(LeftOutWarning, match=r"no JSON objects.*1 annotations of images that.*1 .*panoptic"):
        assert found(read_seeds(write_json(tmp_path / "a.json", data))) == [(0, 1, AREA)]
    shapes = labelme(shapes=[{}, {"label": [3]}, {"shape_type": 3}])
    shapes["shapes"].append("x")
    with pytest.warns(
        LeftOutWarning, match="1 records whose label is wrong.*1 records whose shape_type.*1 records that"
    ):
        assert found(read_seeds(write_json(tmp_path / "a.json", shapes))) == [(0, 1, AREA)]


def test_scores_do_not_decide_what_is_given_in_files_of_others(tmp_path: Path) -> None:
    data = coco("a.png", used=[0, 0], videos=[{"id": 1, "name": "v"}], tracks=[{"id": 1}, {"id": 2}])
    data["images"][0].update(video_id=1, frame_index=0)
    for i, note in enumerate(data["annotations"], 1):
        note["track_id"] = i
    data["annotations"][1]["score"] = 0.9
    assert [row[1] for row in found(read_seeds(write_json(tmp_path / "a.json", data)))] == [1, 2]


def test_a_segment_anything_picture(tmp_path: Path) -> None:
    rle = Rle.encode(np.pad(np.ones((9, 9), bool), ((0, 87), (0, 119)))).to_coco()
    image = {"image_id": 223750, "width": 128, "height": 96, "file_name": "shore_0004.jpg"}
    notes = [{"id": 5, "segmentation": rle, "bbox": [0, 0, 9, 9], "predicted_iou": 0.9}] * 2
    path = write_json(tmp_path / "sa.json", {"image": image, "annotations": notes})
    assert found(read_seeds(path, target=SHORE)) == [(4, 1, 81), (4, 2, 81)]


def test_datumaro(tmp_path: Path) -> None:
    rle = Rle.encode(np.pad(np.ones((9, 9), bool), ((0, 87), (0, 119)))).to_coco()
    common = {"attributes": {"track_id": 3}, "group": 0, "label_id": 0, "z_order": 0}
    item: dict[str, Any] = {
        "id": "frame_000002",
        "annotations": [
            {**common, "type": "mask", "rle": rle},
            {"type": "polygon", "label_id": 1, "points": flat(), "attributes": {}, "group": 0},
            {"type": "ellipse", "label_id": 1, "points": [60, 20, 100, 40], "group": 0},
            {"type": "bbox", "label_id": 1, "bbox": [1, 2, 3, 4], "group": 0},
            {"type": "points", "label_id": 1, "points": [1, 2], "group": 0},
        ],
        "attr": {"frame": 2},
        "image": {"path": "frame_000002.PNG", "size": [96, 128]},
    }
    other = {**item, "id": "frame_000009", "annotations": item["annotations"][:1], "attr": {"frame": 9}}
    other["image"] = {"path": "frame_000009.PNG", "size": [96, 128]}
    labels = [{"name": "mouse", "parent": "", "attributes": []}, {"name": "cage", "parent": "", "attributes": []}]
    data = {"info": {}, "categories": {"label": {"labels": labels}}, "items": [item, other]}
    with pytest.warns(LeftOutWarning) as told:
        seeds = read_seeds(write_json(tmp_path / "d.json", data), target=VIDEO)
    assert [row[0] for row in found(seeds)] == [2, 2, 2, 9]
    assert found(seeds)[0] == (2, 1, 81) and found(seeds)[3] == (9, 1, 81)
    assert abs(found(seeds)[2][2] - np.pi * 20 * 10) < 12
    assert seeds.labels == {1: "mouse", 2: "cage", 3: "cage"}
    assert "1 boxes without a mask (the first: items[0].annotations[3])" in str(told[0].message)
    assert "1 annotations of the type 'points'" in str(told[0].message)


def test_label_studio(tmp_path: Path) -> None:
    def result(kind: str, value: dict[str, Any]) -> dict[str, Any]:
        size = {"original_width": 128, "original_height": 96}
        return {"type": kind, "value": {**value, kind: ["mouse"]}, **size, "from_name": "l", "to_name": "i"}

    points = [[100 * x / 128, 100 * y / 96] for x, y in corners()]
    box = {"x": 100 * 10 / 128, "y": 100 * 20 / 96, "width": 100 * 24 / 128, "height": 100 * 20 / 96, "rotation": 0}
    oval = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 10, "rotation": 0}
    results = [
        result("polygonlabels", {"points": points}),
        result("rectanglelabels", box),
        result("ellipselabels", oval),
        result("brushlabels", {"format": "rle", "rle": [1, 2, 3]}),
        result("keypointlabels", {"x": 1, "y": 1, "width": 1}),
    ]
    task = {"id": 1, "data": {"image": "/data/upload/shore_0006.png?d=1"}, "annotations": [{"result": results}]}
    with pytest.warns(LeftOutWarning, match=r"1 brushes.*1 results of the type 'keypoint'"):
        seeds = read_seeds(write_json(tmp_path / "ls.json", [task]), target=SHORE)
    assert [row[0] for row in found(seeds)] == [6, 6, 6]
    assert [row[2] for row in found(seeds)][:2] == [AREA, AREA]
    assert seeds.labels == {1: "mouse", 2: "mouse", 3: "mouse"}
    video = {"type": "videorectangle", "value": {"sequence": []}}
    task = {"data": {"video": "a.mp4"}, "annotations": [{"result": [video, video]}]}
    with pytest.raises(InputError, match="2 boxes of a video, which are no masks"):
        read_seeds(write_json(tmp_path / "ls.json", [task]), target=VIDEO)


# --- LabelMe ----------------------------------------------------------------------------------------------------------


def test_shapes_of_labelme_and_x_anylabeling(tmp_path: Path) -> None:
    shapes = [
        {"shape_type": "rectangle"},  # four corners
        {"shape_type": "rectangle", "points": [[34, 40], [10, 20]]},
        {"shape_type": "rotation", "direction": 0.0},
        {"shape_type": "oriented_rectangle"},
        {"shape_type": None},
    ]
    seeds = read_seeds(write_json(tmp_path / "a.json", labelme(shapes=shapes)))
    assert [row[2] for row in found(seeds)] == [AREA] * 5


def test_stray_shapes_of_labelme(tmp_path: Path) -> None:
    stray: list[dict[str, Any]] = [
        {"points": [[5, 5], [6, 6]], "label": "stray"},
        {"points": []},
        {"points": [[1, 1], [5, 5], [9, 9]]},
        {"shape_type": "point", "points": [[3, 3]]},
        {"shape_type": "cuboid"},
        {"shape_type": "rectangle", "points": [[1, 1], [2, 2], [3, 3]]},
        {"points": [[1, 1], [2]]},
        {"shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "AAAA"},
    ]
    path = write_json(tmp_path / "a.json", labelme(shapes=[{}, *stray]))
    with pytest.warns(LeftOutWarning) as told:
        assert found(read_seeds(path)) == [(0, 1, AREA)]
    assert len(told) == 1 and "2 outlines of fewer than three points (the first: shapes[1]" in str(told[0].message)
    assert "1 shapes of the unknown kind 'cuboid'" in str(told[0].message)
    with pytest.raises(InputError, match=r"shapes\[1\]\.points: expected a polygon"):
        read_seeds(path, strict=True)
    with pytest.raises(InputError, match=r"holds no mask.*left out: 2 outlines"):
        read_seeds(write_json(tmp_path / "a.json", labelme(shapes=stray)))


def test_groups_and_sizes_of_labelme(tmp_path: Path) -> None:
    shapes = [{"group_id": "3"}, {"group_id": 3.0, "points": corners((60, 60, 70, 70))}, {"group_id": "5"}]
    seeds = read_seeds(write_json(tmp_path / "a.json", labelme(shapes=shapes)))
    assert found(seeds) == [(0, 3, AREA + 100), (0, 5, AREA)]
    named = read_seeds(write_json(tmp_path / "a.json", labelme(shapes=[{"group_id": "left"}, {"label": None}])))
    assert [row[1] for row in found(named)] == [1, 2] and named.labels == {1: "mouse"}
    path = write_json(tmp_path / "a.json", labelme(imageHeight=None, imageWidth=None))
    assert found(read_seeds(path, target=VIDEO, frame=0)) == [(0, 1, AREA)]
    with pytest.raises(InputError, match="imageHeight: expected int, got None"):
        read_seeds(path)
    assert found(read_seeds(write_json(tmp_path / "a.json", labelme(imageHeight=96.0)))) == [(0, 1, AREA)]


def test_a_folder_of_labelme_matches_names(tmp_path: Path) -> None:
    cage = {"label": "cage", "points": corners((90, 60, 114, 80))}
    write_json(tmp_path / "shore_0000.json", labelme("shore_0000.png", [{}, cage]))
    write_json(tmp_path / "shore_0012.json", labelme("shore_0012.png", [cage, {}]))
    back = read_folder(tmp_path)
    assert back.labels == {1: "mouse", 2: "cage"}
    assert [f.masks.object_ids for f in back.frames] == [(1, 2), (1, 2)]


# --- texts and zips ---------------------------------------------------------------------------------------------------


def yolo_line(box: tuple[float, ...] = SQUARE, kind: int = 0) -> str:
    return f"{kind} " + " ".join(f"{v / (128 if i % 2 == 0 else 96):.6f}" for i, v in enumerate(flat(box)))


def test_yolo(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text(f"{yolo_line()}\n{yolo_line((60, 60, 70, 70), 1)}\n")
    (tmp_path / "classes.txt").write_text("mouse\ncage\n")
    seeds = read_seeds(path, target=VIDEO)
    assert found(seeds) == [(0, 1, AREA), (0, 2, 100)] and seeds.labels == {1: "mouse", 2: "cage"}
    with pytest.raises(InputError, match="together with its video"):
        read_seeds(path)
    (tmp_path / "classes.txt").unlink()
    for names in ("names: ['mouse', 'cage']", "names:\n  0: mouse\n  1: 'cage'", "names:\n- mouse\n- cage"):
        (tmp_path / "data.yaml").write_text(f"path: .\n{names}\ntrain: a\n")
        assert read_seeds(path, target=VIDEO).labels == {1: "mouse", 2: "cage"}
    named = path.rename(tmp_path / "shore_0012.txt")
    assert [row[0] for row in found(read_seeds(named, target=SHORE))] == [12, 12]
    named.write_text(
        f"{yolo_line()}\n0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1 0.9\n0 0.1 0.2 0.3 0.4 0.5 0.6 1.7 0.2\nx 1\n"
    )
    with pytest.warns(LeftOutWarning, match=r"2 boxes without a mask .*shore_0012\.txt:2\).*1 outlines.*1 lines that"):
        assert found(read_seeds(named, target=SHORE)) == [(12, 1, AREA)]


@pytest.mark.parametrize("text", ["1,1,5,5,9,9,0.5,-1,-1,-1\n", "hello\n", "", "0 1 2\n"])
def test_texts_of_other_kinds_are_refused_with_the_kinds_that_are_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(InputError, match="MOTS and YOLO's segments"):
        read_seeds(tmp_path / "a.txt", target=VIDEO)


def zipped(path: Path, **files: str | bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_exports_as_they_are_downloaded(tmp_path: Path) -> None:
    xml = cvat(tmp_path, polygon(0) + polygon(6, outside=1) + polygon(12)).read_text()
    path = zipped(tmp_path / "a.zip", **{"annotations.xml": xml, "images/a.png": b"x", "__MACOSX/._b.xml": b"y"})
    assert found(read_seeds(path)) == [(0, 1, AREA), (12, 1, AREA)]
    text = json.dumps(coco(*[f"frame_{i:06d}.PNG" for i in range(24)], used=[12]))
    path = zipped(tmp_path / "a.zip", **{"annotations/instances_default.json": text})
    assert found(read_seeds(path, target=VIDEO)) == [(12, 1, AREA)]
    labels = {f"labels/train/frame_{i:06d}.txt": yolo_line() for i in (3, 9)}
    path = zipped(tmp_path / "a.zip", **labels, **{"data.yaml": "names:\n  0: mouse\n", "train.txt": "images/a.png\n"})
    seeds = read_seeds(path, target=VIDEO)
    assert found(seeds) == [(3, 1, AREA), (9, 1, AREA)] and seeds.labels == {1: "mouse"}
    files = {f"shore_{i:04d}.json": json.dumps(labelme(f"shore_{i:04d}.png")) for i in (3, 9)}
    assert found(read_seeds(zipped(tmp_path / "a.zip", **files), target=SHORE)) == [(3, 1, AREA), (9, 1, AREA)]


def test_zips_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="cannot be read"):
        read_seeds(path)
    with pytest.raises(InputError, match="no file of masks that is read"):
        read_seeds(zipped(path, **{"a.png": b"x"}))
    with pytest.raises(InputError, match=r"2 files of masks \(a\.xml, b\.xml\)"):
        read_seeds(zipped(path, **{"a.xml": "<a/>", "b.xml": "<a/>"}))
    with pytest.raises(InputError, match=r"a\.zip/up\.xml is no XML"):
        read_seeds(zipped(path, **{"../../up.xml": "<a"}))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]
    with pytest.raises(InputError, match="unpack to 200000000 bytes"):
        read_seeds(zipped(path, **{"a.xml": bytes(200_000_000)}))


def test_a_mask_in_base64_keeps_its_place(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PIL.Image.fromarray(np.ones((20, 24), bool)).save(buffer, format="PNG")
    shape = {"shape_type": "mask", "points": [[10, 20], [33, 39]], "mask": base64.b64encode(buffer.getvalue()).decode()}
    with warnings.catch_warnings(action="error"):
        mask = read_seeds(write_json(tmp_path / "a.json", labelme(shapes=[shape]))).prompts[0].mask
    assert mask[20:40, 10:34].all() and mask.sum() == AREA


def labelme_file(path: Path, *labels: str) -> Path:
    """A square for each label, a row each; no groups."""
    shapes = [
        {"label": name, "points": [[0, y], [8, y], [8, y + 4], [0, y + 4]], "shape_type": "polygon"}
        for y, name in enumerate(labels)
    ]
    record = {"imagePath": "", "imageHeight": SIZE_HW[0], "imageWidth": SIZE_HW[1], "shapes": shapes}
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def test_objects_of_files_without_ids_match_by_name(tmp_path: Path) -> None:
    first = labelme_file(tmp_path / "a.json", "mouse", "cage")
    second = labelme_file(tmp_path / "b.json", "cage", "mouse", "wheel")
    found = GivenFiles((f"0={first}", f"9={second}")).read(VIDEO)
    assert found.labels == {1: "mouse", 2: "cage", 3: "wheel"}
    top = {(p.frame, p.object_id): int(np.argwhere(p.mask)[0, 0]) for p in found.prompts}
    assert top == {(0, 1): 0, (0, 2): 1, (9, 2): 0, (9, 1): 1, (9, 3): 2}


def test_objects_of_one_name_in_several_files_are_warned_of(tmp_path: Path) -> None:
    first = labelme_file(tmp_path / "a.json", "mouse", "mouse")
    second = labelme_file(tmp_path / "b.json", "mouse", "mouse")
    with pytest.warns(MaskPlacementWarning, match="several objects are called 'mouse', and the file has no ids"):
        found = GivenFiles((f"0={first}", f"9={second}")).read(VIDEO)
    assert [(p.frame, p.object_id) for p in found.prompts] == [(0, 1), (0, 2), (9, 1), (9, 2)]
