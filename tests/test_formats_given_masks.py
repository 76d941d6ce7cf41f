"""What a person may give as masks, and what comes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from format_samples import SIZE_HW, VIDEO, disk, tracks
from maskferry.data import State
from maskferry.errors import InputError, LeftOutWarning, MaskPlacementWarning
from maskferry.formats import _coco_images as coco_images
from maskferry.formats import _youtube_vis as youtube_vis
from maskferry.formats._davis import voc_palette
from maskferry.formats._given_masks import read_seeds
from maskferry.rle import Rle

A, B = disk((8, 8), 5), disk((24, 14), 6)


def save(path: Path, values: np.ndarray, palette: bool = False) -> Path:
    image = PIL.Image.fromarray(values)
    if palette:
        image.putpalette(voc_palette().tobytes())
    image.save(path)
    return path


def found(path: Path, frame: int = 0) -> dict[int, np.ndarray]:
    seeds = read_seeds(path, frame=frame)
    assert {p.frame for p in seeds.prompts} == {frame}
    assert all(p.mask.dtype == np.bool_ for p in seeds.prompts)
    return {p.object_id: p.mask for p in seeds.prompts}


def check(masks: dict[int, np.ndarray], expected: dict[int, np.ndarray]) -> None:
    assert list(masks) == list(expected)
    for i, mask in expected.items():
        np.testing.assert_array_equal(masks[i], mask)


@pytest.mark.parametrize(
    ("values", "palette", "expected"),
    [
        (np.select([A, B], [1, 4], 0).astype(np.uint8), False, {1: A, 4: B}),
        (np.select([A, B], [1, 4], 0).astype(np.uint8), True, {1: A, 4: B}),
        (np.select([A, B], [3, 255], 0).astype(np.uint8), True, {3: A}),  # 255 is void
        (np.select([A, B], [3, 255], 0).astype(np.uint16), False, {3: A, 255: B}),  # and no void in 16 bits
        (np.select([A, B], [3, 700], 0).astype(np.uint16), False, {3: A, 700: B}),
        (A.astype(np.uint8) * np.uint8(255), False, {1: A}),
        (A.astype(np.uint16) * np.uint16(65535), False, {1: A}),
        (A, False, {1: A}),
        (A.astype(np.uint8), False, {1: A}),
        (A.astype(np.uint8) * np.uint8(7), False, {7: A}),
        (A.astype(np.uint8) * np.uint8(7), True, {7: A}),
        (np.repeat(A[..., None], 3, axis=2).astype(np.uint8) * np.uint8(255), False, {1: A}),
        (voc_palette()[np.select([A, B], [1, 4], 0)], False, {1: A, 4: B}),
    ],
)
def test_pictures(tmp_path: Path, values, palette, expected):
    check(found(save(tmp_path / "m.png", values, palette), frame=12), expected)


def test_jpeg(tmp_path: Path):
    mask = disk((50, 40), 25, (80, 100))
    masks = found(save(tmp_path / "m.jpg", mask.astype(np.uint8) * np.uint8(255)))
    assert list(masks) == [1]
    assert (masks[1] ^ mask).sum() < 0.02 * mask.sum()


def test_folder(tmp_path: Path):
    save(tmp_path / "m_3.png", A.astype(np.uint8) * np.uint8(255))
    save(tmp_path / "m_12.png", B)
    check(found(tmp_path, frame=2), {3: A, 12: B})


def test_folders_that_are_refused(tmp_path: Path):
    save(tmp_path / "a.png", np.select([A, B], [1, 4], 0).astype(np.uint8))
    save(tmp_path / "b.png", np.select([A, B], [1, 4], 0).astype(np.uint8))
    with pytest.raises(InputError, match="not clear from names"):
        read_seeds(tmp_path)
    with pytest.raises(InputError, match="looks like a label map"):
        read_seeds(tmp_path, frame=0)
    for name in ("a.png", "b.png"):
        save(tmp_path / name, np.zeros(SIZE_HW, np.uint8))
    with pytest.raises(InputError, match=r"objects \[1, 2\] are empty"):
        read_seeds(tmp_path)


def test_own_tracks_give_the_masks_that_were_given(tmp_path: Path):
    path = tmp_path / "t.json"
    youtube_vis.write(VIDEO, tracks(), path, labels={7: "duck"})
    with pytest.warns(MaskPlacementWarning, match="not put on frame 99"):
        seeds = read_seeds(path, frame=99)
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(0, 1), (2, 7)]
    np.testing.assert_array_equal(seeds.prompts[1].mask, tracks()[2].masks.mask(7))
    assert seeds.labels == {7: "duck"}


@pytest.mark.parametrize("module", [youtube_vis, coco_images])
def test_of_an_object_that_a_detector_has_found_every_mask_is_given(tmp_path: Path, module):
    frames = tracks()
    for i, frame in enumerate(frames):
        rows = [replace(r, state=State.TRACKED) if r.object_id == 7 else r for r in frame.masks]
        frames[i] = replace(frame, masks=replace(frame.masks, objects=tuple(rows)))
    module.write(VIDEO, frames, tmp_path / "t.json")
    seeds = read_seeds(tmp_path / "t.json")
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(0, 1), (2, 7), (3, 7), (4, 7)]
    assert any("3 masks that follow from others" in note for note in seeds.notes)


def test_a_file_of_others_gives_every_mask_on_its_frame(tmp_path: Path):
    rles = [Rle.encode(m).to_coco() for m in (A, B)]
    data = {
        "videos": [{"id": 1, "width": 33, "height": 24, "length": 2}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [
            {"id": 2, "video_id": 1, "category_id": 1, "segmentations": [rles[0], None]},
            {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [None, rles[1]]},
        ],
    }
    (tmp_path / "t.json").write_text(json.dumps(data))
    seeds = read_seeds(tmp_path / "t.json")
    assert [(p.frame, p.object_id) for p in seeds.prompts] == [(0, 2), (1, 1)]
    assert seeds.labels == {1: "cell", 2: "cell"}


def coco() -> dict:
    return {
        "images": [{"id": 8, "width": 33, "height": 24}, {"id": 9, "width": 5, "height": 5}],
        "categories": [{"id": 2, "name": "cell"}],
        "annotations": [
            {"id": 77, "image_id": 8, "category_id": 2, "segmentation": Rle.encode(A).to_coco()},
            {"id": 78, "image_id": 8, "category_id": 2, "segmentation": []},
            {"id": 79, "image_id": 8, "segmentation": [[2, 3, 10, 3, 10, 9, 2, 9]]},
        ],
    }


def test_coco(tmp_path: Path):
    (tmp_path / "c.json").write_text(json.dumps(coco()))
    square = np.zeros(SIZE_HW, bool)
    square[3:9, 2:10] = True
    with pytest.warns(LeftOutWarning, match="1 annotations without a mask"):
        check(found(tmp_path / "c.json", frame=6), {1: A, 2: square})
    with pytest.warns(LeftOutWarning):
        assert read_seeds(tmp_path / "c.json").labels == {1: "cell"}


def test_list_of_a_mask_generator(tmp_path: Path):
    records = [{"segmentation": Rle.encode(m).to_coco(), "area": 1, "predicted_iou": 0.9} for m in (A, B)]
    (tmp_path / "c.json").write_text(json.dumps(records))
    check(found(tmp_path / "c.json"), {1: A, 2: B})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "got neither"),
        ([], "got neither"),
        (3, "got neither"),
        ({"images": [], "annotations": []}, "holds no mask"),
        ({**coco(), "images": [{"id": 8, "width": 33}]}, "height: expected int"),
        ({**coco(), "annotations": [{"image_id": 8}, {"image_id": 9}]}, "2 annotations without a mask"),
        ({**coco(), "annotations": [{"image_id": 8, "segmentation": 3}]}, r"no mask.* broken .*annotations\[0\]\.segm"),
        ({**coco(), "annotations": [{"image_id": 8, "segmentation": None}]}, "holds no mask"),
        ({"videos": [], "annotations": []}, "holds no mask"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, data, message):
    (tmp_path / "c.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        read_seeds(tmp_path / "c.json")


def test_paths_and_pictures_that_are_refused(tmp_path: Path):
    save(tmp_path / "black.png", np.zeros(SIZE_HW, np.uint8))
    save(tmp_path / "void.png", A.astype(np.uint8) * np.uint8(255), palette=True)
    for name, message in {
        "none.png": "no such",
        "black.png": "no mask",
        "void.png": "no mask",
        "x.json": "cannot",
    }.items():
        with pytest.raises(InputError, match=message):
            read_seeds(tmp_path / name)
    with pytest.raises(InputError, match="frame"):
        read_seeds(tmp_path / "black.png", frame=-1)
    (tmp_path / "notes.yaml").write_text("masks: none")
    with pytest.raises(InputError, match=r"expected a picture.*\.npy"):
        read_seeds(tmp_path / "notes.yaml")
