"""MOTS as text and as pictures: round trips, its ids, no two objects on one pixel, and refusals."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as reference

from cli_tools import run
from format_samples import SIZE_HW, VIDEO, disk, masks_of, tracks
from maskferry import MaskTracker, Tracks
from maskferry._own_files import own_kind
from maskferry.data import FrameTracks, State
from maskferry.errors import InputError, LeftOutWarning, MaskPlacementWarning, OutputExistsError
from maskferry.formats import _mots as mots
from maskferry.formats._given_masks import read_seeds
from maskferry.formats._reading import Target
from maskferry.masks._labels import to_label_map

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

IDS = {1: 1001, 7: 3007}


def check(back, digits: int) -> None:
    assert [f.info.index for f in back.frames] == list(range(5))
    assert [f.info.time for f in back.frames] == [f.info.time for f in tracks()]
    for frame, was in zip(back.frames, tracks(), strict=True):
        labels = to_label_map(was.masks)
        wanted = {IDS[i]: labels == i for i in was.masks.object_ids if (labels == i).any()}
        assert list(frame.masks.object_ids) == list(wanted)
        for i, mask in wanted.items():
            np.testing.assert_array_equal(frame.masks.mask(i), mask)
    assert back.labels == {1001: "class 1", 3007: "class 3"}
    assert digits == len(back.frames[0].info.name)


@pytest.mark.parametrize("first_frame", [0, 1])
def test_round_trips(tmp_path: Path, first_frame, caplog):
    with caplog.at_level(logging.WARNING):
        mots.write(VIDEO, tracks(), tmp_path / "t.txt", ids=IDS, first_frame=first_frame)
        mots.write_folder(VIDEO, tracks(), tmp_path / "t", ids=IDS, first_frame=first_frame)
    assert caplog.text.count("pixels that several objects claim") == 2
    check(mots.read(tmp_path / "t.txt", first_frame=first_frame), 6)
    check(mots.read_folder(tmp_path / "t", first_frame=first_frame), 6)
    assert sorted(p.stem for p in (tmp_path / "t").iterdir())[0] == f"{first_frame:06d}"


def test_what_others_read_of_it(tmp_path: Path):
    mots.write(VIDEO, tracks(), tmp_path / "t.txt", ids=IDS)
    for line in (tmp_path / "t.txt").read_text().splitlines():
        frame, mots_id, kind, height, width, counts = line.split(" ")
        assert int(mots_id) // 1000 == int(kind)
        decoded = reference.decode({"size": [int(height), int(width)], "counts": counts.encode()})
        labels = to_label_map(tracks()[int(frame)].masks)
        np.testing.assert_array_equal(decoded.astype(bool), labels == int(mots_id) % 1000)
    mots.write_folder(VIDEO, tracks(), tmp_path / "t", ids=IDS)
    with PIL.Image.open(tmp_path / "t" / "000002.png") as image:
        assert image.mode.startswith("I;16")
        assert np.unique(np.asarray(image)).tolist() == [0, 1001, 3007]


def test_ids():
    assert mots.mots_ids([5, 6, 7, 8], {5: "dog", 6: "pedestrian", 7: "car"}) == {5: 3005, 6: 2006, 7: 1007, 8: 4008}
    many = mots.mots_ids(range(100, 1100))
    assert (many[100], many[1099]) == (1000, 1999)
    kinds = mots.mots_ids(range(1, 13), {i: f"n{i}" for i in range(1, 13)})
    assert 10 not in {m // 1000 for m in kinds.values()}  # 10000 is a region to ignore
    with pytest.raises(InputError, match="1000 objects of a class"):
        mots.mots_ids(range(1, 1002))
    with pytest.raises(InputError, match="63 classes"):
        mots.mots_ids(range(1, 80), {i: f"n{i}" for i in range(1, 80)})
    with pytest.raises(InputError, match="object 1 has none"):
        list(mots.write_folder(VIDEO, tracks(), Path("never"), ids={}))


def test_as_seeds(tmp_path: Path):
    mots.write(VIDEO, tracks(), tmp_path / "t.txt", ids=IDS)
    seeds = read_seeds(tmp_path / "t.txt")
    assert [(p.frame, p.object_id) for p in seeds.prompts][:4] == [(0, 1001), (1, 1001), (2, 1001), (2, 3007)]
    values = np.select([disk((8, 8), 5), disk((24, 14), 6)], [2001, 10000], 0).astype(np.uint16)
    PIL.Image.fromarray(values).save(tmp_path / "m.png")
    with pytest.warns(LeftOutWarning, match="1 regions to ignore"):
        seeds = read_seeds(tmp_path / "m.png")
    assert [p.object_id for p in seeds.prompts] == [2001]
    values[0, 0] = 3
    PIL.Image.fromarray(values).save(tmp_path / "m.png")  # a label map, in which 10000 is an object
    assert [p.object_id for p in read_seeds(tmp_path / "m.png").prompts] == [3, 2001, 10000]


GOOD = "0 2001 2 24 33 PPYo1"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "found none"),
        ("0 2001 2 24 33", r"t\.txt:1: expected"),
        ("x 2001 2 24 33 PPYo1", r"t\.txt:1: expected"),
        ("0 2001 2 24 33 PP~", r"t\.txt:1: rle: "),
        ("0 2001 2 24 33 PP", r"t\.txt:1: rle: "),
        ("0 2001 2 0 33 PP", r"t\.txt:1: expected a size"),
        ("0 2001 2 99999999 99999999 PP", r"t\.txt:1: expected a size"),
        ("0 2001 1 24 33 {rle}", r"t\.txt:1: id 2001 is of class 2, the line says 1"),
        ("0 2001 2 24 33 {rle}\n0 2001 2 24 33 {rle}", r"t\.txt:2: object 2001 is on frame 0 a second time"),
        ("0 2001 2 24 33 {rle}\n1 2001 2 33 24 {rle}", r"t\.txt:2: is 33 x 24"),
        ("0 2001 2 24 33 é", "no text of MOTS"),
    ],
)
def test_nonsense_is_refused_and_named(tmp_path: Path, lines, message):
    rle = reference.encode(np.asfortranarray(disk((8, 8), 5).astype(np.uint8)))["counts"].decode()
    (tmp_path / "t.txt").write_bytes(lines.replace("{rle}", rle).encode())
    with pytest.raises(InputError, match=message):
        mots.read(tmp_path / "t.txt")


def test_other_refusals(tmp_path: Path):
    (tmp_path / "m").mkdir()
    PIL.Image.fromarray(np.full(SIZE_HW, 7, np.uint16)).save(tmp_path / "m" / "0.png")
    with pytest.raises(InputError, match=r"0\.png: expected class"):
        mots.read_folder(tmp_path / "m")
    with pytest.raises(InputError, match="expected the number of a frame from 1"):
        mots.read_folder(tmp_path / "m", first_frame=1)
    with pytest.raises(InputError, match="cannot read"):
        mots.read(tmp_path / "none.txt")
    mots.write(VIDEO, tracks(), tmp_path / "t.txt", ids=IDS)
    with pytest.raises(OutputExistsError):
        mots.write(VIDEO, tracks(), tmp_path / "t.txt", ids=IDS)
    (tmp_path / "t.frames.csv").write_text("index,time,name\n0,,a\n")
    with pytest.raises(InputError, match=r"frame 1 is not in the frame table t\.frames\.csv"):
        mots.read(tmp_path / "t.txt")


# --- counting from 0 or from 1 --------------------------------------------------------------------------------------


def text_of(path: Path, frames, kinds=(2,), size_hw=SIZE_HW) -> Path:
    """A foreign file with an object of each class on each frame."""
    lines = []
    for frame in frames:
        for kind in kinds:
            mask = np.zeros(size_hw, np.uint8)
            mask[kind, 1:4] = 1
            counts = reference.encode(np.asfortranarray(mask))["counts"].decode()
            lines.append(f"{frame} {kind}001 {kind} {size_hw[0]} {size_hw[1]} {counts}")
    path.write_text("\n".join(lines) + "\n")
    return path


def folder_of(path: Path, frames, kinds=(2,), size_hw=SIZE_HW) -> Path:
    path.mkdir()
    for frame in frames:
        values = np.zeros(size_hw, np.uint16)
        for kind in kinds:
            values[kind, 1:4] = kind * 1000 + 1
        PIL.Image.fromarray(values).save(path / f"{frame:06d}.png")
    return path


CLEAR = [
    pytest.param(range(3), (2,), SIZE_HW, [0, 1, 2], id="something on frame 0: KITTI"),
    pytest.param(range(1, 3), (2, 10), (1080, 1920), [0, 1], id="pedestrians in a picture of MOTSChallenge"),
    pytest.param(range(7, 9), (2,), (480, 640), [6, 7], id="the same, which come later"),
    pytest.param(range(1, 3), (2,), (375, 1242), [1, 2], id="a picture of KITTI"),
    pytest.param(range(2, 4), (1, 2), SIZE_HW, [2, 3], id="cars, which come later"),
]
UNCLEAR = [
    pytest.param(range(1, 3), (2,), SIZE_HW, [0, 1], id="pedestrians from frame 1 on"),
    pytest.param(range(1, 3), (1, 2), SIZE_HW, [1, 2], id="cars from frame 1 on"),
    pytest.param(range(5, 7), (2,), SIZE_HW, [5, 6], id="pedestrians from frame 5 on"),
]


@pytest.mark.parametrize("make", [text_of, folder_of])
@pytest.mark.parametrize(("frames", "kinds", "size_hw", "expected"), CLEAR)
def test_the_file_tells_how_it_counts(tmp_path, make, frames, kinds, size_hw, expected):
    path = make(tmp_path / "t.txt", frames, kinds, size_hw)
    with pytest.warns(LeftOutWarning, match="2 regions to ignore") if 10 in kinds and path.is_file() else nullcontext():
        back = mots.read(path) if path.is_file() else mots.read_folder(path)
    assert [f.info.index for f in back.frames] == expected


@pytest.mark.parametrize("make", [text_of, folder_of])
@pytest.mark.parametrize(("frames", "kinds", "size_hw", "expected"), UNCLEAR)
def test_where_nothing_tells_it_a_warning_does(tmp_path, make, frames, kinds, size_hw, expected):
    path = make(tmp_path / "t.txt", frames, kinds, size_hw)
    read = mots.read if path.is_file() else mots.read_folder
    with pytest.warns(MaskPlacementWarning, match="nothing else tells whether frames count from 0") as caught:
        assert [f.info.index for f in read(path).frames] == expected
    assert len(caught) == 1
    for first in (0, 1):
        assert [f.info.index for f in read(path, first_frame=first).frames] == [i - first for i in frames]


@pytest.mark.parametrize(("frames", "kinds", "size_hw", "expected"), UNCLEAR)
def test_the_video_may_tell_it(tmp_path, frames, kinds, size_hw, expected):
    """Its last frame has a number that counting from 0 does not reach."""
    path = text_of(tmp_path / "t.txt", frames, kinds, size_hw)
    target = Target(size_hw, frames[-1])
    assert sorted({p.frame for p in read_seeds(path, target=target).prompts}) == [i - 1 for i in frames]
    with pytest.warns(MaskPlacementWarning, match="--first-frame") as caught:
        found = read_seeds(path, target=Target(size_hw, frames[-1] + 5))
    assert sorted({p.frame for p in found.prompts}) == expected
    assert len(caught) == 1
    for first in (0, 1):
        found = read_seeds(path, target=target, first_frame=first)
        assert sorted({p.frame for p in found.prompts}) == [i - first for i in frames]


def test_other_files_have_no_first_frame(tmp_path):
    PIL.Image.fromarray(disk((8, 8), 5)).save(tmp_path / "m.png")
    (tmp_path / "yolo.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    for name in ("m.png", "yolo.txt"):
        with pytest.raises(InputError, match="first_frame: only for text files of MOTS"):
            read_seeds(tmp_path / name, target=Target(SIZE_HW, 5), first_frame=1)


@pytest.mark.parametrize("first", [0, 1])
def test_in_the_library_and_on_the_command_line(tmp_path, first):
    path = text_of(tmp_path / "t.txt", [1, 2])
    video = np.zeros((6, *SIZE_HW, 3), dtype=np.uint8)
    with MaskTracker(video, engine="hold") as tracker:
        assert tracker.add_masks_file(path, first_frame=first) == [2001]
        assert list(tracker.tracks) == [1 - first, 2 - first]
    (tmp_path / "frames").mkdir()
    for i, picture in enumerate(video):
        PIL.Image.fromarray(picture).save(tmp_path / "frames" / f"{i}.png")
    out = tmp_path / "out"
    arguments = ["--masks", path, "--first-frame", first, "--engine", "hold", "-o", out, "--write", "none"]
    assert run("track", tmp_path / "frames", *arguments) == 0
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert [i for i, row in tracks.timeline(2001) if row.state is State.GIVEN] == [1 - first, 2 - first]


@pytest.mark.parametrize("first_frame", [0, 1, 7])
def test_our_own_files_say_it_themselves(tmp_path, caplog, first_frame):
    """Although nothing is on the first frame, and the last number is one that a frame could have."""
    late = [FrameTracks(f.info, f.masks if f.info.index in (2, 3) else masks_of(frame=f.info.index)) for f in tracks()]
    mots.write(VIDEO, late, tmp_path / "t.txt", ids=IDS, first_frame=first_frame)
    mots.write_folder(VIDEO, late, tmp_path / "t", ids=IDS, first_frame=first_frame)
    caplog.clear()
    for back in (mots.read(tmp_path / "t.txt"), mots.read_folder(tmp_path / "t")):
        assert [f.info.index for f in back.frames if len(f.masks)] == [2, 3]
    assert not caplog.text
    assert all(own_kind(tmp_path / name) is not None for name in ("t.txt", "t.frames.csv"))


@pytest.mark.parametrize(("first_frame", "labels", "is_said"), [(1, {1: "person"}, True), (0, {}, False)])
def test_objects_that_are_no_pedestrians_are_told_of(tmp_path, caplog, first_frame, labels, is_said):
    more = {"labels": labels, "object_ids": (1, 7), "first_frame": first_frame}
    mots.write(VIDEO, tracks(), tmp_path / "t.txt", **more)
    mots.write_folder(VIDEO, tracks(), tmp_path / "t", **more)
    assert caplog.text.count("objects that MOTSChallenge's tools leave out") == 2 * is_said
    caplog.clear()
    names = {1: "person", 7: "pedestrian"}
    mots.write(VIDEO, tracks(), tmp_path / "u.txt", labels=names, object_ids=(1, 7), first_frame=1)
    assert "leave out" not in caplog.text


@pytest.mark.parametrize("first_frame", [-1, 0.5, True, "1"])
def test_numbers_of_first_frames_are_checked(tmp_path, first_frame):
    path = text_of(tmp_path / "t.txt", range(2))
    for call in (
        lambda: mots.read(path, first_frame=first_frame),
        lambda: mots.write(VIDEO, tracks(), tmp_path / "o.txt", ids=IDS, first_frame=first_frame),
        lambda: mots.write_folder(VIDEO, tracks(), tmp_path / "o", ids=IDS, first_frame=first_frame),
    ):
        with pytest.raises(InputError, match="first_frame"):
            call()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.txt"]


def test_a_number_in_the_frame_table_that_is_none(tmp_path):
    path = text_of(tmp_path / "t.txt", range(2))
    (tmp_path / "t.frames.csv").write_text("index,time,name,number\n0,,a,x\n1,,b,2\n")
    with pytest.raises(InputError, match=r"t\.frames\.csv:2\.number: expected a whole number"):
        mots.read(path)


def test_regions_to_ignore_are_counted(tmp_path):
    folder = folder_of(tmp_path / "m", range(2))
    values = np.array(PIL.Image.open(folder / "000001.png"))
    values[-1] = mots.IGNORED
    PIL.Image.fromarray(values).save(folder / "000001.png")
    with pytest.warns(LeftOutWarning, match=r"1 regions to ignore \(the first: 000001.png\)"):
        assert [len(f.masks) for f in mots.read_folder(folder, first_frame=0).frames] == [1, 1]
    with pytest.warns(LeftOutWarning, match="1 regions to ignore"):
        assert [p.object_id for p in read_seeds(folder / "000001.png", frame=0).prompts] == [2001]
    with pytest.raises(InputError, match="strict"):
        read_seeds(folder / "000001.png", frame=0, strict=True)
