"""Label maps: names, palette, dtypes, overlap, and every mode of picture that they come in."""

from __future__ import annotations

import logging
import tracemalloc
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from format_samples import SIZE_HW, VIDEO, disk, masks_of, row, tracks
from maskferry.data import FrameInfo, FrameTracks, VideoInfo
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats._davis import read_label_map, read_sequence, voc_palette, write_label_maps
from maskferry.formats._images import read_frame_info
from maskferry.masks._labels import to_label_map


def one(*rows, index=0, name="000000"):
    return FrameTracks(FrameInfo(index, None, name), masks_of(*rows, frame=index))


def save(path: Path, values: np.ndarray, mode: str | None = None) -> Path:
    image = PIL.Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path)
    return path


def test_palette_is_that_of_pascal_voc():
    palette = voc_palette()
    # The start of the list printed by the VOC development kit, and its ends.
    assert palette[:9].tolist() == [
        [0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128],
        [128, 0, 128], [0, 128, 128], [128, 128, 128], [64, 0, 0],
    ]  # fmt: skip
    assert palette[255].tolist() == [224, 224, 192]
    assert len(np.unique(palette, axis=0)) == 256


def test_written_maps_are_indexed_pngs_with_palette(tmp_path: Path):
    paths = write_label_maps(VIDEO, tracks(), tmp_path / "out")
    assert [p.name for p in paths] == [f"{i:05d}.png" for i in range(5)]
    for path, frame in zip(paths, tracks(), strict=True):
        with PIL.Image.open(path) as image:
            assert image.mode == "P"
            assert np.reshape(image.getpalette(), (-1, 3))[:8].tolist() == voc_palette()[:8].tolist()
        np.testing.assert_array_equal(read_label_map(path), to_label_map(frame.masks))
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [p.name for p in paths]  # no half files left


@pytest.mark.parametrize(("last_id", "mode"), [(254, "P"), (255, "I;16"), (256, "I;16"), (65535, "I;16")])
@pytest.mark.parametrize("ext", ["png", "tif"])
def test_ids_of_255_and_more_make_16_bits(tmp_path: Path, last_id: int, mode: str, ext):
    frame = one(row(1, disk((5, 5), 3)), row(last_id, disk((20, 12), 5)))
    (path,) = write_label_maps(VIDEO, [frame], tmp_path, img_ext=ext)
    with PIL.Image.open(path) as image:
        assert image.mode == ("L" if (mode, ext) == ("P", "tif") else mode)
    labels = read_label_map(path)
    assert labels.dtype == (np.uint8 if last_id < 255 else np.uint16)
    np.testing.assert_array_equal(labels, to_label_map(frame.masks))


def test_dtype_can_be_fixed(tmp_path: Path):
    (path,) = write_label_maps(VIDEO, [one(row(1, disk((5, 5), 3)))], tmp_path, dtype=np.uint16)
    assert read_label_map(path).dtype == np.uint16
    with pytest.raises(InputError, match="255 is void"):
        write_label_maps(VIDEO, [one(row(255, disk((5, 5), 3)))], tmp_path / "b", dtype=np.uint8)
    with pytest.raises(InputError, match="does not fit"):
        write_label_maps(VIDEO, [one(row(256, disk((5, 5), 3)))], tmp_path / "c", dtype=np.uint8)
    with pytest.raises(InputError, match="65535"):
        write_label_maps(VIDEO, [one(row(65536, disk((5, 5), 3)))], tmp_path / "d")


def test_overlap_is_a_choice_and_is_logged(tmp_path: Path, caplog):
    frame = one(row(1, disk((15, 12), 9)), row(2, disk((15, 12), 4)))
    with caplog.at_level(logging.WARNING):
        (smallest,) = write_label_maps(VIDEO, [frame], tmp_path / "a")
        (first,) = write_label_maps(VIDEO, [frame], tmp_path / "b", overlap="first")
    assert set(np.unique(read_label_map(smallest))) == {0, 1, 2}
    assert set(np.unique(read_label_map(first))) == {0, 1}
    assert f"overlap on {disk((15, 12), 4).sum()} pixels" in caplog.text


def test_names(tmp_path: Path):
    frames = [one(index=3, name="img_10.5.JPG"), one(index=4, name="scene.v2")]
    by = {names: write_label_maps(VIDEO, frames, tmp_path / names, names=names) for names in ("index", "source")}
    assert [p.name for p in by["index"]] == ["00003.png", "00004.png"]
    assert [p.name for p in by["source"]] == ["img_10.5.png", "scene.v2.png"]
    made = write_label_maps(VIDEO, frames, tmp_path / "f", names=lambda info: f"{info.index:02d}_mask", img_ext="tif")
    assert [p.name for p in made] == ["03_mask.tif", "04_mask.tif"]
    long = VideoInfo(33, 24, frame_count=1_000_001)
    assert write_label_maps(long, frames, tmp_path / "l")[0].name == "0000003.png"


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "c:d", "", ".."])
def test_a_name_never_leaves_the_folder(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="cannot be the name of a file"):
        write_label_maps(VIDEO, [one()], tmp_path / "out", names=lambda _: name)
    assert not (tmp_path / "x.png").exists()


def test_two_frames_of_one_name_are_refused_even_when_overwriting(tmp_path: Path):
    frames = [one(index=0, name="a.jpg"), one(index=1, name="a.png")]
    with pytest.raises(InputError, match=r"frame 1: a\.png is taken"):
        write_label_maps(VIDEO, frames, tmp_path, names="source", overwrite=True)


def test_nothing_is_asked_of_the_frames_before_the_checks(tmp_path: Path):
    def frames():
        pytest.fail("asked for a frame")
        yield

    (tmp_path / "x.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        write_label_maps(VIDEO, frames(), tmp_path)
    for wrong in ({"names": "nmae"}, {"img_ext": "jpg"}, {"overlap": "largest"}, {"dtype": np.int32}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            write_label_maps(VIDEO, frames(), tmp_path / "new", **wrong)


def test_overwriting_replaces_and_keeps_what_is_not_its_own(tmp_path: Path):
    (tmp_path / "x.txt").write_text("mine")
    for radius in (3, 6):
        (path,) = write_label_maps(VIDEO, [one(row(1, disk((9, 9), radius)))], tmp_path, overwrite=True)
    assert read_label_map(path).sum() == disk((9, 9), 6).sum()
    assert (tmp_path / "x.txt").read_text() == "mine"


@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 254, 255, 256, 60000]))
@settings(max_examples=25)
def test_any_objects_come_back(tmp_path_factory, seed: int, largest: int):
    rng = np.random.default_rng(seed)
    ids = np.unique(rng.integers(1, largest + 1, 4))
    labels = rng.choice(np.append(ids, 0), SIZE_HW)
    frame = one(*(row(int(i), labels == i) for i in ids))
    (path,) = write_label_maps(VIDEO, [frame], tmp_path_factory.mktemp("maps"))
    np.testing.assert_array_equal(read_label_map(path), labels)


def test_one_frame_is_held_at_a_time(tmp_path: Path):
    size = (480, 640)
    mask = disk((300, 200), 150, size)

    def frames():
        for i in range(30):
            yield FrameTracks(FrameInfo(i, None, ""), masks_of(row(1, mask), frame=i, size_hw=size))

    tracemalloc.start()
    try:
        write_label_maps(VideoInfo(640, 480), frames(), tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * mask.size  # thirty label maps are 30 times the size


# Reading what others write.

MAP = np.zeros(SIZE_HW, np.uint8)
MAP[2:8, 2:8], MAP[10:20, 5:25], MAP[0, 0] = 1, 3, 255


@pytest.mark.parametrize("kind", ["L", "P", "I;16", "L.tif", "I;16.tif", "I.tif", "F.tif"])
def test_modes(tmp_path: Path, kind: str):
    mode, _, ext = kind.partition(".")
    path = tmp_path / f"map.{ext or 'png'}"
    if mode == "P":
        image = PIL.Image.fromarray(MAP)
        image.putpalette(voc_palette().tobytes())
        image.save(path)
    else:
        save(path, MAP.astype({"L": "u1", "I;16": "u2", "I": "i4", "F": "f4"}[mode]))
    np.testing.assert_array_equal(read_label_map(path), MAP)


def test_one_bit_is_0_and_255(tmp_path: Path):
    path = save(tmp_path / "m.png", MAP == 1, "1")
    np.testing.assert_array_equal(read_label_map(path), np.where(MAP == 1, 255, 0))


def test_voc_colours_are_their_indices(tmp_path: Path):
    path = save(tmp_path / "m.png", voc_palette()[MAP])
    np.testing.assert_array_equal(read_label_map(path), MAP)


def test_other_colours_are_numbered_in_order(tmp_path: Path):
    rgb = np.zeros((*SIZE_HW, 3), np.uint8)
    rgb[MAP == 1], rgb[MAP == 3] = (255, 0, 0), (10, 200, 30)
    labels = read_label_map(save(tmp_path / "m.png", rgb))
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.select([MAP == 1, MAP == 3], [2, 1], 0))


def test_transparent_pixels_are_background(tmp_path: Path):
    rgba = np.zeros((*SIZE_HW, 4), np.uint8)
    rgba[..., :3] = (9, 9, 9)
    rgba[MAP == 1] = (255, 0, 0, 255)
    labels = read_label_map(save(tmp_path / "m.png", rgba))
    np.testing.assert_array_equal(labels, MAP == 1)


def test_a_colour_keeps_its_id_through_a_sequence_in_natural_order(tmp_path: Path):
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    for name, colors in {"f2": [red], "f10": [green, red], "f11": [blue]}.items():
        rgb = np.zeros((4, 6, 3), np.uint8)
        for x, color in enumerate(colors):
            rgb[:, 2 * x + 1] = color
        save(tmp_path / f"{name}.png", rgb)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("nor this")
    found = [(stem, sorted(set(np.unique(labels)) - {0})) for stem, labels in read_sequence(tmp_path)]
    assert found == [("f2", [1]), ("f10", [1, 2]), ("f11", [3])]


def test_a_sequence_comes_back(tmp_path: Path):
    write_label_maps(VIDEO, tracks(), tmp_path)
    for (stem, labels), frame in zip(read_sequence(tmp_path), tracks(), strict=True):
        assert int(stem) == frame.info.index
        np.testing.assert_array_equal(labels, to_label_map(frame.masks))


def test_bad_pictures_are_refused_by_name(tmp_path: Path):
    (tmp_path / "text.png").write_text("no picture")
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    save(tmp_path / "minus.tif", np.full((3, 3), -1, np.int32))
    save(tmp_path / "half.tif", np.full((3, 3), 0.5, np.float32))
    save(tmp_path / "nan.tif", np.full((3, 3), np.nan, np.float32))
    save(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (90, 90, 3)).astype(np.uint8))
    for name, message in {
        "none.png": "no such picture", "text.png": "is no picture", "cut.png": "cannot be read",
        "minus.tif": "whole numbers", "half.tif": "whole numbers", "nan.tif": "whole numbers",
        "photo.png": "photograph",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=message) as caught:
            read_label_map(tmp_path / name)
        assert name in str(caught.value)


def test_a_folder_is_checked_at_once(tmp_path: Path):
    with pytest.raises(InputError, match="found none"):
        read_sequence(tmp_path)
    with pytest.raises(InputError, match="expected a folder"):
        read_sequence(tmp_path / "none")


@pytest.mark.parametrize("img_ext", ["png", "tif"])
def test_files_carry_their_row_of_the_frame_table(tmp_path: Path, img_ext):
    paths = write_label_maps(VIDEO, tracks(), tmp_path / "out", img_ext=img_ext)
    assert [read_frame_info(path) for path in paths] == [frame.info for frame in tracks()]
    PIL.Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / f"x.{img_ext}")
    assert read_frame_info(tmp_path / f"x.{img_ext}") is None
