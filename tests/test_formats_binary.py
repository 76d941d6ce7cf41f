"""Binary masks: what counts as one, ids of a folder, and writing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from format_samples import SIZE_HW, VIDEO, disk, tracks
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats._binary import read_mask, read_masks, write_masks
from maskferry.formats._images import read_pixels, write_pixels

MASK = disk((14, 11), 6)


def save(path: Path, values: np.ndarray, **options) -> Path:
    PIL.Image.fromarray(values).save(path, **options)
    return path


@pytest.mark.parametrize("value", [1, 7, 128, 255])
def test_what_is_not_zero_is_the_object(tmp_path: Path, value: int):
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", MASK.astype(np.uint8) * value)), MASK)


@pytest.mark.parametrize("form", ["1", "RGB", "RGBA", "LA", "I;16", "P", "F"])
def test_forms(tmp_path: Path, form: str):
    white = MASK.astype(np.uint8) * 255
    if form in ("I;16", "F"):
        path = save(tmp_path / "m.tif", MASK.astype(np.uint16 if form == "I;16" else np.float32))
    else:
        path = tmp_path / "m.png"
        PIL.Image.fromarray(white).convert(form).save(path)
    np.testing.assert_array_equal(read_mask(path), MASK)


def test_a_palette_that_starts_with_white_is_read_by_colour(tmp_path: Path):
    image = PIL.Image.fromarray((~MASK).astype(np.uint8))
    image.putpalette([255, 255, 255, 0, 0, 0])  # the object is white, index 0
    image.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), MASK)


def test_jpeg_does_not_ring(tmp_path: Path):
    big = disk((50, 40), 25, (80, 100))
    for array in (big.astype(np.uint8) * 255, np.repeat(big.astype(np.uint8)[..., None] * 255, 3, axis=2)):
        read = read_mask(save(tmp_path / "m.jpg", array, quality=60))
        assert (read & big).sum() / (read | big).sum() > 0.98


def test_transparent_white_is_background(tmp_path: Path):
    rgba = np.full((*SIZE_HW, 4), 255, np.uint8)
    rgba[~MASK, 3] = 0
    np.testing.assert_array_equal(read_mask(save(tmp_path / "m.png", rgba)), MASK)


def test_a_picture_in_colour_is_refused_with_advice(tmp_path: Path):
    rgb = np.zeros((*SIZE_HW, 3), np.uint8)
    rgb[MASK] = (0, 255, 0)
    with pytest.raises(InputError, match="label map"):
        read_mask(save(tmp_path / "m.png", rgb))


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["mask_2.png", "mask_10.png"], [2, 10]),
        (["dog.png", "cat.png"], [2, 1]),  # natural order of the names: cat, dog
        (["a1.png", "b1.png"], [1, 2]),  # 1 twice
        (["m_0.png", "m_1.png"], [1, 2]),  # no id is 0
        (["m_2.png", "m_10.png", "m.png"], [2, 3, 1]),
    ],
)
def test_ids_of_a_folder(tmp_path: Path, names: list[str], ids: list[int]):
    for i, name in enumerate(names):
        save(tmp_path / name, disk((8 + 3 * i, 10), 4).astype(np.uint8) * 255)
    found = read_masks(tmp_path)
    assert list(found) == sorted(ids)
    for i, object_id in enumerate(ids):
        np.testing.assert_array_equal(found[object_id], disk((8 + 3 * i, 10), 4))


def test_write_and_read_back_with_overlaps(tmp_path: Path):
    written = write_masks(VIDEO, tracks(), tmp_path / "out")
    names = [p.relative_to(tmp_path / "out").as_posix() for p in written]
    assert sorted(names) == [f"1/{i:05d}.png" for i in range(5)] + [f"7/{i:05d}.png" for i in range(2, 5)]
    for frame in tracks():
        for row in frame.masks:
            path = tmp_path / "out" / str(row.object_id) / f"{frame.info.index:05d}.png"
            np.testing.assert_array_equal(read_mask(path), row.rle.decode())
            assert set(np.unique(PIL.Image.open(path))) <= {0, 255}  # type: ignore[call-overload]


def test_a_taken_folder_is_refused(tmp_path: Path):
    write_masks(VIDEO, tracks(), tmp_path)
    with pytest.raises(OutputExistsError, match="overwrite"):
        write_masks(VIDEO, tracks(), tmp_path)
    assert len(write_masks(VIDEO, tracks(), tmp_path, overwrite=True)) == 8


def test_pictures_in_colour_are_written_by_their_suffix(tmp_path: Path):
    rgb = np.random.default_rng(0).integers(0, 256, (9, 14, 3)).astype(np.uint8)
    for suffix in ("png", "tif", "JPG"):
        write_pixels(tmp_path / f"p.{suffix}", rgb)
        assert read_pixels(tmp_path / f"p.{suffix}").values.shape == rgb.shape
    np.testing.assert_array_equal(read_pixels(tmp_path / "p.png").values, rgb)
    for name in ("p", "p.xyz", "p.mp4"):
        with pytest.raises(InputError, match=r"ends in \.png"):
            write_pixels(tmp_path / name, rgb)
