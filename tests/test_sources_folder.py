"""Folders of pictures: every usual format and depth, in natural order, at one size and one scale."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

from clips import numbered_image, read_number
from maskferry.data import StretchOption
from maskferry.errors import InputError, MaskferryWarning, MissingExtraError, SourceError
from maskferry.sources import is_geotiff, open_source
from maskferry.sources._folder import FolderSource

SIZE_HW = (48, 64)


def picture() -> np.ndarray:
    """RGB, different in every corner and channel."""
    rows, columns = np.mgrid[0:48, 0:64]
    return np.stack([rows * 5, columns * 4 - 3, (rows + columns) * 2], axis=2).astype(np.uint8)


def only_image(path: Path, stretch: StretchOption = "none") -> np.ndarray:
    with open_source(path, stretch=stretch) as source:
        (frame,) = source.frames(range(source.info.frame_count))
        assert frame.image.shape == (*source.info.size_hw, 3)
        assert frame.image.dtype == np.uint8
        return frame.image


def test_natural_order_names_times_and_what_is_left_out(tmp_path: Path) -> None:
    names = ["frame2.png", "frame10.jpg", "Frame1.PNG", "frame11.bmp"]
    for number, name in zip((2, 10, 1, 11), names, strict=True):
        PilImage.fromarray(numbered_image(number)).save(tmp_path / name)
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub.png").mkdir()
    with open_source(str(tmp_path), rate="25") as source:
        assert source.info.frame_count == 4
        assert source.info.rate == Fraction(25)
        assert source.info.path == str(tmp_path)
        frames = list(source.frames(range(4)))
        assert [f.info.name for f in frames] == ["Frame1.PNG", "frame2.png", "frame10.jpg", "frame11.bmp"]
        assert [f.info.time for f in frames] == [0, 0.04, 0.08, 0.12]
        assert [read_number(f.image) for f in frames] == [1, 2, 10, 11]
        assert [read_number(f.image) for f in source.frames([3, 2, 0])] == [11, 10, 1]
        with pytest.raises(InputError):
            source.frames([4])
    with open_source(tmp_path) as source:
        assert source.info.rate is None
        assert next(source.frames([2])).info.time is None


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".webp", ".tga"])
def test_lossless_formats_come_back_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"one{suffix}"
    options = {"lossless": True} if suffix == ".webp" else {}
    PilImage.fromarray(picture()).save(path, **options)
    assert np.array_equal(only_image(path), picture())
    assert np.array_equal(only_image(tmp_path), picture())


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGBA", "CMYK"])
def test_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    original = PilImage.fromarray(picture()).convert(mode)
    path = tmp_path / ("one.tif" if mode == "CMYK" else "one.png")
    original.save(path)
    assert np.array_equal(only_image(path), np.asarray(original.convert("RGB")))


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    rgba = np.dstack([picture(), np.zeros(SIZE_HW, np.uint8)])
    PilImage.fromarray(rgba).save(tmp_path / "clear.png")
    assert np.array_equal(only_image(tmp_path / "clear.png"), picture())


def test_palette_with_transparent_entries(tmp_path: Path) -> None:
    original = PilImage.fromarray(picture()).convert("P")
    original.save(tmp_path / "one.png", transparency=bytes(range(256)))
    assert np.array_equal(only_image(tmp_path / "one.png"), np.asarray(original.convert("RGB")))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    PilImage.fromarray(picture()).save(
        tmp_path / f"one{suffix}", exif=exif, **({"quality": 98} if suffix == ".jpg" else {})
    )
    p = picture()
    upright = {
        1: p,
        2: p[:, ::-1],
        3: p[::-1, ::-1],
        4: p[::-1],
        5: p.transpose(1, 0, 2),
        6: np.rot90(p, -1),
        7: p[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(p),
    }[orientation]
    image = only_image(tmp_path)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).mean() < 4


@pytest.mark.parametrize(
    ("largest", "full"),
    [(200, 255), (255, 255), (256, 1023), (1000, 1023), (4000, 4095), (16000, 16383), (65535, 65535)],
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_deep_pictures_share_one_scale(tmp_path: Path, suffix: str, largest: int, full: int, colour: bool) -> None:
    bright = (picture().astype(np.float64) / picture().max() * largest).astype(np.uint16)
    dark = bright // 4
    for name, samples in (("a", dark), ("b", bright)):
        samples = samples[:, :, ::-1] if colour else samples[:, :, 0]
        if not colour and name == "b":
            samples = samples.copy()
            samples[0, 0] = largest
        cv2.imwrite(str(tmp_path / f"{name}{suffix}"), samples)
    with open_source(tmp_path, stretch="none") as source:
        assert source.info.stretch == (0, full)
        first, second = (f.image for f in source.frames(range(2)))
    expected = np.rint(dark * 255.0 / full) if colour else np.rint(dark[:, :, :1] * 255.0 / full).repeat(3, axis=2)
    assert np.abs(first - expected).max() <= 1
    assert abs(int(second.max()) - 255 * largest / full) <= 1


def test_eight_bit_pictures_beside_deep_ones_stay_as_they_are(tmp_path: Path) -> None:
    PilImage.fromarray(picture()).save(tmp_path / "a.png")
    cv2.imwrite(str(tmp_path / "b.png"), np.full(SIZE_HW, 4000, np.uint16))
    with open_source(tmp_path, stretch="none") as source:
        first, second = (f.image for f in source.frames([0, 1]))
    assert np.array_equal(first, picture())
    assert (second == round(4000 * 255 / 4095)).all()


def test_float_tiff(tmp_path: Path) -> None:
    ramp = np.linspace(-0.5, 1, 48 * 64, dtype=np.float32).reshape(SIZE_HW)
    ramp[0, 0] = np.nan
    cv2.imwrite(str(tmp_path / "grey.tif"), ramp)
    expected = np.rint(np.clip(np.nan_to_num(ramp), 0, 1) * 255)
    assert np.abs(only_image(tmp_path / "grey.tif")[:, :, 1] - expected).max() <= 1
    colour = picture().astype(np.float32) * 8
    cv2.imwrite(str(tmp_path / "colour.tif"), colour[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    assert np.abs(only_image(tmp_path / "colour.tif") - colour * 255 / 4095).max() <= 1


def test_the_stretch_is_taken_from_few_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskferry.sources import _folder as folder

    for i in range(50):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 4), 100 * i, np.uint16))
    read: list[str] = []
    real = folder.read_samples
    monkeypatch.setattr(folder, "read_samples", lambda path, page: read.append(path.name) or real(path, page))  # type: ignore[func-returns-value]
    with open_source(tmp_path, stretch="none") as source:
        assert source.info.stretch == (0, 16383)
    assert len(read) == 16
    assert {"0.png", "49.png"} <= set(read)


def test_unequal_sizes_name_both_files(tmp_path: Path) -> None:
    PilImage.new("RGB", (64, 48)).save(tmp_path / "a1.png")
    PilImage.new("RGB", (65, 48)).save(tmp_path / "a2.png")
    with pytest.raises(SourceError, match=r"a1\.png is 64x48 and a2\.png is 65x48"):
        open_source(tmp_path)


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no files"):
        open_source(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"x")
    with pytest.raises(SourceError, match="1 other files"):
        open_source(tmp_path)


def test_damaged_pictures(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"not a picture at all")
    with pytest.raises(SourceError, match=r"bad\.png"):
        open_source(tmp_path / "bad.png")
    (tmp_path / "bad.png").unlink()
    for i in range(4):
        PilImage.fromarray(picture()).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    with open_source(tmp_path) as source:
        seen: list[int] = []
        with pytest.raises(SourceError, match=r"frame 2: .*2\.png") as caught:
            seen.extend(f.index for f in source.frames(range(4)))
        assert (seen, caught.value.frame) == ([0, 1], 2)


def test_a_picture_that_changed_since_opening(tmp_path: Path) -> None:
    for i in range(2):
        PilImage.fromarray(picture()).save(tmp_path / f"{i}.png")
    with open_source(tmp_path) as source:
        PilImage.new("RGB", (10, 10)).save(tmp_path / "1.png")
        with pytest.raises(SourceError, match="has changed") as caught:
            list(source.frames([0, 1]))
        assert caught.value.frame == 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_geotiff_that_is_no_picture(tmp_path: Path, order: str) -> None:
    samples = np.zeros((6, 4, 4), np.complex64).tobytes()
    tags = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 64), (259, 3, 1, 1), (277, 3, 1, 6), (339, 3, 1, 6)]
    tags += [(273, 4, 1, 8), (279, 4, 1, len(samples)), (34735, 3, 1, 1)]
    directory = struct.pack(f"{order}H", len(tags))
    for tag, kind, count, value in sorted(tags):
        field = struct.pack(f"{order}HH", value, 0) if kind == 3 else struct.pack(f"{order}I", value)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + field
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    (tmp_path / "bands.tif").write_bytes(head + directory + bytes(4) + samples)
    with pytest.raises((SourceError, MissingExtraError), match=r"need rasterio|complex64, no picture"):
        open_source(tmp_path)


def test_odd_paths(tmp_path: Path) -> None:
    folder = tmp_path / "größe %d"
    folder.mkdir()
    PilImage.fromarray(picture()).save(folder / "ä 1.png")
    cv2.imencode(".png", np.full(SIZE_HW, 65535, np.uint16))[1].tofile(folder / "ä 2.png")
    with FolderSource(folder) as source:
        first, second = (f.image for f in source.frames([0, 1]))
    assert np.array_equal(first, picture())
    assert (second == 255).all()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("tags", "geographic"),
    [({}, False), ({270: "a plain picture"}, False), ({33550: (1.0, 1.0, 0.0)}, True), ({34264: (0.0,) * 16}, True)],
)
def test_a_geotiff_is_known_by_its_tags(tmp_path: Path, tags: dict, geographic: bool, big: bool) -> None:
    path = tmp_path / "one.tif"
    PilImage.fromarray(picture()).save(path, tiffinfo=tags, big_tiff=big)
    assert is_geotiff(path) is geographic
    for end in (0, 1, 2, 4, 7, 9, 15):
        (tmp_path / "cut.tif").write_bytes(path.read_bytes()[:end])
        assert is_geotiff(tmp_path / "cut.tif") is False


def test_other_files_are_no_geotiffs(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II\x07\x00" + bytes(60))
    (tmp_path / "b.tif").write_bytes(b"no picture")
    assert not any(is_geotiff(tmp_path / name) for name in ("a.tif", "b.tif", "missing.tif", ""))


def georeferenced(path: Path, picture: np.ndarray) -> Path:
    PilImage.fromarray(picture).save(path, tiffinfo={33550: (10.0, 10.0, 0.0), 34735: (1, 1, 0, 0)})
    return path


def test_without_rasterio_plain_geotiffs_open_with_a_warning_and_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("GeoTIFF series need rasterio: pip install 'maskferry[geo]'")

    monkeypatch.setattr("maskferry.sources._series_routing.is_installed", lambda: False)
    monkeypatch.setattr("maskferry.sources._series_routing.rasterio", missing)
    path = georeferenced(tmp_path / "rgb.tif", np.full((6, 8, 3), 7, np.uint8))
    with pytest.warns(MaskferryWarning, match="nothing is kept without rasterio"), open_source(path) as source:
        (frame,) = source.frames([0])
    assert (frame.image == 7).all()
    georeferenced(tmp_path / "deep.tif", np.full((6, 8), 700, np.uint16))
    with pytest.raises(MissingExtraError, match=r"maskferry\[geo\]"):
        open_source(tmp_path / "deep.tif")
