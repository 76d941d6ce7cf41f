"""MOTS as text and as pictures: round trips, its ids, no two objects on one pixel, and refusals."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from pycocotools import mask as reference

from format_samples import SIZE_HW, VIDEO, disk, tracks
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats import _mots as mots
from maskferry.formats._given_masks import read_seeds
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
