"""Folders of masks: pictures of frames, of objects, folders of objects, LabelMe files; and arrays in files."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from format_samples import SIZE_HW, VIDEO, disk, frame_of, picture, tracks
from maskferry import MaskTracker
from maskferry.errors import InputError, LeftOutWarning, MaskPlacementWarning
from maskferry.formats import _binary as binary
from maskferry.formats import _cutouts as cutouts
from maskferry.formats import _davis as davis
from maskferry.formats import _labelme as labelme
from maskferry.formats import _mots as mots
from maskferry.formats._given_masks import Seeds, read_seeds
from maskferry.formats._reading import Target
from maskferry.prompts import GivenFiles

A, B = disk((8, 8), 5), disk((24, 14), 6)
LABELS = np.select([A, B], [1, 2], 0).astype(np.uint8)
TARGET = Target(SIZE_HW, 5)


def save(path: Path, values: np.ndarray = A) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    PIL.Image.fromarray(values.astype(np.uint8) * np.uint8(255) if values.dtype == np.bool_ else values).save(path)
    return path


def named(*names: str) -> Target:
    """A folder of pictures of these names."""
    stems = [Path(name).stem for name in names]

    def frame_named(name: str) -> int | None:
        return stems.index(Path(name).stem) if Path(name).stem in stems else None

    return Target(SIZE_HW, len(names), frame_named)


def places(seeds: Seeds) -> list[tuple[int, int]]:
    return [(p.frame, p.object_id) for p in seeds.prompts]


@pytest.mark.parametrize(
    ("names", "target", "expected"),
    [
        ([f"{i:05d}" for i in range(5)], TARGET, [(i, 1) for i in range(5)]),  # as DAVIS 2016 has them
        (["00001", "00003"], TARGET, [(1, 1), (3, 1)]),
        (["0", "1", "2", "3", "4"], TARGET, [(i, 1) for i in range(5)]),
        (["mask_00", "mask_01", "mask_02", "mask_03", "mask_04"], TARGET, [(i, 1) for i in range(5)]),
        (["00002"], TARGET, [(2, 1)]),
        (["a", "c"], named("a.jpg", "b.jpg", "c.jpg"), [(0, 1), (2, 1)]),
        (["s_0010", "s_0012"], named("s_0010.png", "s_0011.png", "s_0012.png"), [(0, 1), (2, 1)]),
        (["s_0012_mask", "s_0010_mask"], named("s_0010.png", "s_0012.png"), [(0, 1), (1, 1)]),
        (["mask_s_0012", "mask_s_0010"], named("s_0010.png", "s_0012.png"), [(0, 1), (1, 1)]),
        (["mask_1", "mask_2"], named("1.png", "2.png", "3.png"), [(0, 1), (0, 2)]),
        (["mask_1", "mask_3"], TARGET, [(0, 1), (0, 3)]),
        (["cage", "mouse"], TARGET, [(0, 1), (0, 2)]),
        (["mask_0", "mask_1"], TARGET, [(0, 1), (0, 2)]),
        (["a", "b", "c", "d", "e"], TARGET, [(0, i) for i in range(1, 6)]),
    ],
)
def test_pictures_of_frames_and_of_objects(tmp_path: Path, names, target, expected):
    for name in names:
        save(tmp_path / f"{name}.png")
    assert places(read_seeds(tmp_path, target=target)) == expected


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["1", "2", "3", "4", "5"], TARGET),
        (["mask_1", "mask_2", "mask_3", "mask_4", "mask_5"], TARGET),
        (["mask_0", "mask_1", "mask_2", "mask_3", "mask_4"], TARGET),
        (["01", "02"], TARGET),
        (["0", "1"], TARGET),
        (["1", "2"], named("1.jpg", "2.jpg", "3.jpg")),
    ],
)
def test_frames_or_objects_is_refused_with_both_readings(tmp_path: Path, names, target):
    for name in names:
        save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="objects of one frame, or a mask on each"):
        read_seeds(tmp_path, target=target)
    assert {p.frame for p in read_seeds(tmp_path, target=target, frame=2).prompts} == {2}


def test_label_maps_of_frames(tmp_path: Path):
    save(tmp_path / "1.png", LABELS)
    save(tmp_path / "3.png", np.where(B, 2, 0).astype(np.uint8))
    save(tmp_path / "4.png", np.zeros(SIZE_HW, np.uint8))
    assert places(read_seeds(tmp_path, target=TARGET)) == [(1, 1), (1, 2), (3, 2)]
    save(tmp_path / "9.png", LABELS)
    with pytest.raises(InputError, match=r"9\.png should be of frame 9, and the video has 5"):
        read_seeds(tmp_path, target=TARGET)


def test_frames_counted_from_one(tmp_path: Path):
    for i in range(1, 6):
        save(tmp_path / f"{i:05d}.png")
    with pytest.warns(MaskPlacementWarning, match=r"00001\.png is of frame 0"):
        assert places(read_seeds(tmp_path, target=TARGET)) == [(i, 1) for i in range(5)]


def test_frames_that_are_said_to_be_objects_are_told(tmp_path: Path):
    for i in range(2):
        save(tmp_path / f"{i:05d}.png")
    with pytest.warns(
        MaskPlacementWarning, match="2 pictures are put on frame 3, as asked for, though they are numbered"
    ):
        assert places(read_seeds(tmp_path, target=TARGET, frame=3)) == [(3, 1), (3, 2)]


def test_a_colour_is_one_object_on_all_frames(tmp_path: Path):
    red, blue = np.array([255, 0, 0], np.uint8), np.array([0, 0, 255], np.uint8)
    save(tmp_path / "00000.png", np.where(A[..., None], red, np.uint8(0)) + np.where(B[..., None], blue, np.uint8(0)))
    save(tmp_path / "00001.png", np.where(A[..., None], red, np.uint8(0)))
    assert places(read_seeds(tmp_path, target=TARGET)) == [(0, 1), (0, 2), (1, 2)]


def test_what_a_folder_holds_beside_is_counted(tmp_path: Path):
    save(tmp_path / "s_1.png")
    save(tmp_path / "s_2.png")
    save(tmp_path / "other.png")
    (tmp_path / "run.log").write_text("")
    (tmp_path / "old").mkdir()
    target = named("s_1.jpg", "s_2.jpg", "s_3.jpg")
    with pytest.warns(
        LeftOutWarning, match=r"2 files and folders.*; 1 pictures that are called as no frame.*other\.png"
    ):
        assert places(read_seeds(tmp_path, target=target)) == [(0, 1), (1, 1)]
    with pytest.raises(InputError, match="strict"):
        read_seeds(tmp_path, target=target, strict=True)


def test_names_are_labels_and_say_which_object_it_is(tmp_path: Path):
    for name in ("a/cage", "a/mouse", "b/mouse", "c/dog", "c/cage"):
        save(tmp_path / f"{name}.png")
    files = GivenFiles(tuple(f"{i}={tmp_path / name}" for i, name in enumerate("abc")))
    seeds = files.read(TARGET)
    assert places(seeds) == [(0, 1), (0, 2), (1, 2), (2, 1), (2, 3)]
    assert seeds.labels == {1: "cage", 2: "mouse", 3: "dog"}
    save(tmp_path / "m.png", LABELS)
    with pytest.raises(InputError, match=r"'mouse' may be object 1, which has no name.*mouse_1"):
        GivenFiles((str(tmp_path / "m.png"), f"1={tmp_path / 'b'}")).read(TARGET)


def test_names_match_those_of_the_objects_of_a_run(tmp_path: Path):
    for name in ("a/cage", "a/mouse", "b/mouse"):
        save(tmp_path / f"{name}.png")
    video = np.zeros((5, *SIZE_HW, 3), np.uint8)
    with MaskTracker(video, engine="hold") as tracker:
        assert tracker.add_masks_file(tmp_path / "a", frame_idx=0) == [1, 2]
        assert tracker.add_masks_file(tmp_path / "b", frame_idx=3) == [2]
        assert tracker.tracks.labels == {1: "cage", 2: "mouse"}


def test_numbers_are_those_of_the_pictures_of_the_frames(tmp_path: Path):
    for i in range(100, 105):
        save(tmp_path / "frames" / f"img_{i:06d}.png", np.zeros((*SIZE_HW, 3), np.uint8))
    save(tmp_path / "masks" / "00102.png")
    save(tmp_path / "masks" / "00103.png")
    with MaskTracker(tmp_path / "frames", engine="hold") as tracker:
        tracker.add_masks_file(tmp_path / "masks")
        tracker.add_masks_file(save(tmp_path / "img_000104.png"))
        assert [frame for frame, row in tracker.tracks.timeline(1) if row.state == "given"] == [2, 3, 4]


def check_own(folder: Path, seeds: Seeds) -> None:
    expected = {(t.info.index, r.object_id): r.rle.decode() for t in tracks() for r in t.masks if r.rle.area}
    found = {(p.frame, p.object_id): p.mask for p in seeds.prompts}
    assert found.keys() == expected.keys()
    assert all((found[key] == expected[key]).all() for key in expected), folder


def test_own_pictures_are_read_back(tmp_path: Path):
    binary.write_masks(VIDEO, tracks(), tmp_path / "masks")
    check_own(tmp_path, read_seeds(tmp_path / "masks", target=TARGET))
    frames = [(frame_of(t.info.index, picture(seed=t.info.index)), t.masks) for t in tracks()]
    cutouts.write_cutouts(VIDEO, frames, tmp_path / "cutouts")
    check_own(tmp_path, read_seeds(tmp_path / "cutouts", target=TARGET))


@pytest.mark.parametrize("form", ["davis", "tif", "mots"])
def test_own_label_maps_are_read_back(tmp_path: Path, form: str):
    if form == "mots":
        mots.write_folder(VIDEO, tracks(), tmp_path / "out", object_ids=(1, 7))
    else:
        davis.write_label_maps(VIDEO, tracks(), tmp_path / "out", img_ext="tif" if form == "tif" else "png")
    seeds = read_seeds(tmp_path / "out", target=TARGET)
    found = {(p.frame, p.object_id % 1000): int(p.mask.sum()) for p in seeds.prompts}
    union = {t.info.index: np.any([r.rle.decode() for r in t.masks], axis=0).sum() for t in tracks()}
    assert {i: sum(n for (k, _), n in found.items() if k == i) for i in union} == union
    assert {i for _, i in found} == {1, 7}
    one = next(p for p in sorted((tmp_path / "out").iterdir()) if "4" in p.name)
    assert {p.frame for p in read_seeds(one, target=TARGET).prompts} == {4}
    with pytest.warns(MaskPlacementWarning, match="put on frame 2, as asked for, though it names frame 4"):
        assert {p.frame for p in read_seeds(one, target=TARGET, frame=2).prompts} == {2}


def test_folders_of_objects(tmp_path: Path):
    save(tmp_path / "cat" / "00001.png")
    save(tmp_path / "cat" / "00002.png")
    save(tmp_path / "dog" / "00002.png", B)
    seeds = read_seeds(tmp_path, target=TARGET)
    assert places(seeds) == [(1, 1), (2, 1), (2, 2)]
    assert seeds.labels == {1: "cat", 2: "dog"}
    with pytest.raises(InputError, match="leave out frame 0"):
        read_seeds(tmp_path, target=TARGET, frame=0)
    save(tmp_path / "dog" / "00003.png", LABELS)
    with pytest.raises(InputError, match="give their folder alone"):
        read_seeds(tmp_path, target=TARGET)
    save(tmp_path / "alone" / "bear" / "00003.png", LABELS)
    assert places(read_seeds(tmp_path / "alone", target=TARGET)) == [(3, 1), (3, 2)]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="expected pictures"):
        read_seeds(tmp_path / "empty")


def test_a_folder_of_labelme_files(tmp_path: Path):
    labelme.write(VIDEO, tracks(), tmp_path, labels={1: "ball", 7: "box"})
    save(tmp_path / "000000.png", np.zeros((*SIZE_HW, 3), np.uint8))
    seeds = read_seeds(tmp_path, target=TARGET)
    assert places(seeds) == [(0, 1), (2, 7)]  # what was given
    assert seeds.labels == {1: "ball", 7: "box"}
    for path in tmp_path.glob("*.json"):  # as LabelMe itself writes them, beside the pictures
        data = json.loads(path.read_text())
        del data["maskferry"]
        data["imagePath"] = f"s_{path.stem[-2:]}.jpg"
        path.write_text(json.dumps(data))
    target = named(*(f"s_{i:02d}.jpg" for i in range(5)))
    assert places(read_seeds(tmp_path, target=target)) == [
        (t.info.index, r.object_id) for t in tracks() for r in t.masks if r.rle.area
    ]


def test_a_picture_goes_on_the_frame_that_it_is_called_as(tmp_path: Path):
    path = save(tmp_path / "s_0012.tif")
    target = named("s_0010.png", "s_0012.png")
    assert places(read_seeds(path, target=target)) == [(1, 1)]
    with pytest.warns(MaskPlacementWarning, match="put on frame 0, as asked for, though it names frame 1"):
        assert places(read_seeds(path, target=target, frame=0)) == [(0, 1)]
    with pytest.warns(MaskPlacementWarning, match=r"no frame's picture is called 's_0012'.*FRAME=s_0012\.tif"):
        assert places(read_seeds(path, target=TARGET)) == [(0, 1)]
    save(tmp_path / "s_0012" / "cage.png")
    assert places(read_seeds(tmp_path / "s_0012", target=target)) == [(1, 1)]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (A, {1: A}),
        (A[None], {1: A}),
        (A[..., None], {1: A}),
        (A.astype(np.float32) * 0.75, {1: A}),
        (A.astype(np.uint8) * np.uint8(255), {1: A}),
        (LABELS.astype(np.int64), {1: A, 2: B}),
        (np.stack([A, B]), {1: A, 2: B}),
        (np.stack([A, B])[:, None].astype(np.float64), {1: A, 2: B}),
        (np.asfortranarray(np.stack([A, B]).astype(np.uint8)), {1: A, 2: B}),
    ],
)
def test_arrays(tmp_path: Path, array, expected):
    np.save(tmp_path / "m.npy", array)
    np.savez_compressed(tmp_path / "m.npz", masks=array, ids=np.arange(3))
    with pytest.warns(LeftOutWarning, match=r"1 arrays that are no masks.*ids \(3,\)"):
        packed = read_seeds(tmp_path / "m.npz", frame=2)
    for seeds in (read_seeds(tmp_path / "m.npy", frame=2), packed):
        assert places(seeds) == [(2, i) for i in expected]
        for prompt in seeds.prompts:
            np.testing.assert_array_equal(prompt.mask, expected[prompt.object_id])


def test_one_mask_from_a_file(tmp_path: Path):
    np.save(tmp_path / "a.npy", A)
    np.save(tmp_path / "two.npy", np.stack([A, B]))
    save(tmp_path / "b.png", B)
    with MaskTracker(np.zeros((5, *SIZE_HW, 3), np.uint8), engine="hold") as tracker:
        assert tracker.add_mask_prompt(tmp_path / "a.npy", obj_id=1) == 1
        assert tracker.add_masks_prompt([tmp_path / "b.png", tmp_path / "a.npy"], [2, 3], 1) == [2, 3]
        with pytest.raises(InputError, match="holds 2 objects; expected one mask"):
            tracker.add_mask_prompt(tmp_path / "two.npy")


def test_arrays_with_names(tmp_path: Path):
    np.savez(tmp_path / "m.npz", cage=A, mouse=B)
    seeds = read_seeds(tmp_path / "m.npz")
    assert (places(seeds), seeds.labels) == ([(0, 1), (0, 2)], {1: "cage", 2: "mouse"})
    np.savez(tmp_path / "m.npz", obj_4=A, obj_2=B)
    assert places(read_seeds(tmp_path / "m.npz")) == [(0, 2), (0, 4)]
    np.savez(tmp_path / "m.npz", A, B)
    seeds = read_seeds(tmp_path / "m.npz")
    assert (places(seeds), seeds.labels) == ([(0, 1), (0, 2)], {})


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{}], object), "not read as it may run code"),
        (np.array(["a"]), "expected numbers or bools"),
        (np.zeros((3, 4, 5, 6)), r"got float64 of shape \(3, 4, 5, 6\)"),
        (np.zeros(5), r"expected an array \(H, W\)"),
        (np.zeros(SIZE_HW), "holds no mask"),
        (np.full(SIZE_HW, -1), "from 0 to 65535"),
        (np.full(SIZE_HW, 1.0) * np.nan, "NaN"),
        (np.stack([A] * 5), "5 objects of one frame, or a mask on each of 5 frames"),
        (np.stack([A, B], axis=2), r"got \(H, W, N\)"),
        (np.stack([LABELS, LABELS]), "holds 2 objects"),
    ],
)
@pytest.mark.filterwarnings("ignore::maskferry.errors.LeftOutWarning")
def test_arrays_that_are_refused(tmp_path: Path, array, message):
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(InputError, match=message):
        read_seeds(tmp_path / "m.npy", target=TARGET)


def test_arrays_that_claim_more_than_there_is(tmp_path: Path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|b1", "fortran_order": False, "shape": (60000, 60000)})
    (tmp_path / "m.npy").write_bytes(header.getvalue())
    with zipfile.ZipFile(tmp_path / "m.npz", "w") as archive:
        archive.writestr("m.npy", header.getvalue())
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m.npy", bytes(100 << 20))
    for name, message in {"m.npy": "cut short", "m.npz": "cut short", "bomb.npz": "unpacks to more"}.items():
        with pytest.raises(InputError, match=message):
            read_seeds(tmp_path / name)
    (tmp_path / "m.npz").write_bytes(b"no zip")
    (tmp_path / "m.npy").write_bytes(b"no array")
    for name in ("m.npz", "m.npy"):
        with pytest.raises(InputError, match="cannot be read as a file of numpy"):
            read_seeds(tmp_path / name)
