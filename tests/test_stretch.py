"""Sources of more than 8 bits: one stretch for the whole source, the same again whenever it is opened."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImage
from typer.testing import CliRunner

import maskferry
from helpers import square_mask
from maskferry import MaskTracker, Tracks, VideoInfo
from maskferry.cli._app import app
from maskferry.errors import InputError, OutputExistsError, SourceError
from maskferry.rendering import render, source_of
from maskferry.sources import open_source
from maskferry.sources._deep_video import deep_samples
from tiffs import tiff_bytes

SIZE_HW = (96, 128)


def scene(index: int, seed: int = 0) -> NDArray[np.float64]:
    """A bright square that moves over shades and noise, from 0 to 1."""
    rng = np.random.default_rng(seed)
    picture = np.linspace(0, 0.5, SIZE_HW[1]) + 0.03 * rng.standard_normal(SIZE_HW)
    picture[30:60, 20 + 2 * index : 50 + 2 * index] = 0.8 + 0.1 * rng.random((30, 30))
    return np.clip(picture, 0, 1)


def counts(index: int, low: float = 7350, high: float = 7500, dtype: str = "uint16") -> NDArray[np.generic]:
    """The scene as a thermal camera gives it: few of many values."""
    return (low + scene(index) * (high - low)).astype(dtype)


def write_pictures(folder: Path, pictures: Sequence[NDArray[np.generic]], suffix: str = ".png") -> Path:
    folder.mkdir(exist_ok=True)
    for i, samples in enumerate(pictures):
        assert cv2.imwrite(str(folder / f"{i:03d}{suffix}"), samples[..., ::-1] if samples.ndim == 3 else samples)
    return folder


def write_video(path: Path, frames: Sequence[Sequence[NDArray[np.generic]]], pix_fmt: str, codec: str = "ffv1") -> Path:
    """Frames of planes as they are stored."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = SIZE_HW
        stream.pix_fmt = pix_fmt
        for planes in frames:
            frame = av.VideoFrame(SIZE_HW[1], SIZE_HW[0], pix_fmt)
            for plane, samples in zip(frame.planes, planes, strict=True):
                rows = samples.reshape(samples.shape[0], -1).astype(samples.dtype.newbyteorder("<"))
                if pix_fmt.endswith("be"):
                    rows = rows.astype(rows.dtype.newbyteorder(">"))
                filled = np.zeros((samples.shape[0], plane.line_size), np.uint8)
                filled[:, : rows.shape[1] * rows.itemsize] = rows.view(np.uint8).reshape(rows.shape[0], -1)
                plane.update(filled.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels(path: Path, **options: object) -> list[int]:
    """How many grey levels each frame has."""
    with open_source(path, **options) as source:
        return [len(np.unique(frame.image[:, :, 1])) for frame in source.frames(range(source.info.frame_count or 0))]


@pytest.mark.parametrize(("pix_fmt", "codec"), [("gray16le", "ffv1"), ("gray16be", "png"), ("rgb48be", "png")])
def test_thermal_video(tmp_path: Path, pix_fmt: str, codec: str) -> None:
    frames = [counts(i) for i in range(24)]
    stored = [np.stack([frame] * 3, axis=2) if pix_fmt.startswith("rgb") else frame for frame in frames]
    suffix = ".mov" if codec == "png" else ".mkv"
    path = write_video(tmp_path / f"thermal{suffix}", [[frame] for frame in stored], pix_fmt, codec)
    with open_source(path) as source:
        assert source.info.stretch == pytest.approx(tuple(np.percentile(frames, (2, 98))), abs=2)
        low, high = source.info.stretch or (0, 1)
        expected = np.clip(np.rint((frames[7].astype(float) - low) * 255 / (high - low)), 0, 255)
        (frame,) = source.frames([7])
        assert np.array_equal(frame.image, np.stack([expected] * 3, axis=2))
    assert min(levels(path)) > 60
    assert max(levels(path, stretch="none")) < 5


@pytest.mark.parametrize(("pix_fmt", "top"), [("gray10le", 1023), ("gray12le", 4095)])
def test_ten_and_twelve_bits(tmp_path: Path, pix_fmt: str, top: int) -> None:
    frames = [counts(i, top * 0.5, top * 0.6) for i in range(6)]
    path = write_video(tmp_path / "grey.mkv", [[frame] for frame in frames], pix_fmt)
    assert min(levels(path)) > 50
    with open_source(path) as source:
        assert source.info.stretch == pytest.approx(tuple(np.percentile(frames, (2, 98))), abs=1)


def test_planes_of_rgb_keep_their_colours(tmp_path: Path) -> None:
    red, green, blue = (counts(3, 1000 * k, 1000 * k + 900) for k in (1, 2, 3))
    path = write_video(tmp_path / "colour.mkv", [[green, blue, red]] * 3, "gbrp16le")
    with open_source(path) as source:
        (frame,) = source.frames([1])
    means = frame.image.reshape(-1, 3).mean(axis=0)
    assert means[0] + 30 < means[1] < means[2] - 30


@pytest.mark.parametrize(
    ("pix_fmt", "dtype", "channels", "planes"),
    [
        *((f"gray{depth}{order}", "u2", "g", 1) for depth in (9, 10, 12, 14, 16) for order in ("le", "be")),
        *(("grayf32le", "f4", "g", 1), ("grayf32be", "f4", "g", 1), ("ya16le", "u2", "ga", 1)),
        *(("rgb48le", "u2", "rgb", 1), ("bgr48be", "u2", "bgr", 1), ("rgba64le", "u2", "rgba", 1)),
        *(("bgra64le", "u2", "bgra", 1), ("gbrp10le", "u2", "g", 3), ("gbrap16be", "u2", "g", 4)),
        *(("gbrpf32le", "f4", "g", 3), ("yuv444p12le", "u2", "g", 3)),
    ],
)
def test_samples_of_any_format(pix_fmt: str, dtype: str, channels: str, planes: int) -> None:
    frame = av.VideoFrame(30, 4, pix_fmt)
    order = ">" if pix_fmt.endswith("be") else "<"
    values = {name: 100 * (k + 1) + np.arange(120).reshape(4, 30) for k, name in enumerate("rgba")}
    stored = np.stack([values[name] for name in channels], axis=2).reshape(4, -1)
    for number, plane in enumerate(frame.planes):
        rows = np.zeros((4, plane.line_size // int(dtype[1])), f"{order}{dtype}")
        rows[:, : stored.shape[1]] = values["gbra"[number]] if planes > 1 else stored
        plane.update(rows.tobytes())
    found = deep_samples(frame)
    assert found is not None
    is_rgb = found.ndim == 3
    assert np.array_equal(found, np.stack([values[name] for name in "rgb"], axis=2) if is_rgb else values["g"])
    assert is_rgb == ("rgb" in pix_fmt or "bgr" in pix_fmt or "gbr" in pix_fmt)


def test_samples_of_eight_bits_are_left_to_the_decoder() -> None:
    for pix_fmt in ("gray", "rgb24", "yuv420p", "nv12", "pal8", "gbrp", "bgra", "x2rgb10le"):
        assert deep_samples(av.VideoFrame(32, 4, pix_fmt)) is None


def test_a_damaged_picture_is_an_error_of_its_frame(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "thermal", [counts(i) for i in range(4)])
    (path / "000.png").write_bytes((path / "000.png").read_bytes()[:2000])
    with open_source(path) as source:
        assert len(np.unique(next(source.frames([2])).image)) > 60
        with pytest.raises(SourceError, match="frame 0") as caught:
            next(source.frames([0]))
        assert caught.value.frame == 0


def yuv(luma: NDArray[np.generic], chroma: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    return [luma, chroma, chroma]


def test_yuv_is_grey_where_it_has_neither_colour_nor_contrast(tmp_path: Path) -> None:
    neutral = np.full((48, 64), 512, np.uint16)
    colour = np.tile(np.linspace(300, 700, 64).astype(np.uint16), (48, 1))
    thermal = [yuv(counts(i, 400, 440), neutral) for i in range(4)]
    film = [yuv(counts(i, 64, 940), neutral) for i in range(4)]
    dark_film = [yuv(counts(i, 400, 440), colour) for i in range(4)]
    path = write_video(tmp_path / "thermal.mkv", thermal, "yuv420p10le")
    assert min(levels(path)) > 25
    for number, frames in enumerate((film, dark_film)):
        path = write_video(tmp_path / f"film{number}.mkv", frames, "yuv420p10le")
        with open_source(path) as plain, open_source(path, stretch="none") as none:
            assert plain.info.stretch is None
            assert np.array_equal(next(plain.frames([2])).image, next(none.frames([2])).image)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("colour", [False, True])
def test_sixteen_bit_pictures(tmp_path: Path, suffix: str, colour: bool) -> None:
    frames = [counts(i) for i in range(24)]
    pictures = [np.stack([f, f + 20, f + 40], axis=2) if colour else f for f in frames]
    write_pictures(tmp_path / "thermal", pictures, suffix)
    with open_source(tmp_path / "thermal") as source:
        assert source.info.stretch == pytest.approx(tuple(np.percentile(pictures, (2, 98))), abs=2)
        images = [frame.image for frame in source.frames(range(24))]
    assert min(len(np.unique(image)) for image in images) > 60
    assert colour == (images[0][..., 2].mean() > images[0][..., 0].mean() + 20)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [(20.5, 22, "float32"), (-12.5, 3, "float64"), (-300, 200, "int16"), (100_000, 100_300, "uint32"), (0, 4000, "u2")],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_any_samples(tmp_path: Path, low: float, high: float, dtype: str, order: str) -> None:
    for i in range(3):
        samples = counts(i, low, high, dtype)
        if samples.dtype.kind == "f":
            samples[:4] = np.nan
            samples[4, :9] = np.inf
        (tmp_path / f"{i}.tif").write_bytes(tiff_bytes([samples], order))
    with open_source(tmp_path) as source:
        found = source.info.stretch or (0, 0)
        (frame,) = source.frames([1])
    assert low <= found[0] < found[1] < high
    assert len(np.unique(frame.image)) > 90
    if dtype.startswith("f"):
        assert not frame.image[:4].any()
        assert (frame.image[4, :9] == 255).all()


def test_a_black_first_frame_and_a_flash_take_no_contrast(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rng = np.random.default_rng(1)
    frames = [counts(i) for i in range(24)]
    frames[0] = np.zeros(SIZE_HW, np.uint16)
    frames[23] = rng.integers(60_000, 60_100, SIZE_HW).astype(np.uint16)
    path = write_pictures(tmp_path / "thermal", frames)
    with caplog.at_level(logging.WARNING):
        assert min(levels(path)[1:-1]) > 60
    assert "1 of 16 sampled frames are far darker or brighter" in caplog.text
    video = write_video(tmp_path / "thermal.mkv", [[frame] for frame in frames], "gray16le")
    with open_source(path) as pictures, open_source(video) as source:
        assert source.info.stretch == pytest.approx(pictures.info.stretch, abs=2)


def test_a_drift_is_kept(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "drift", [counts(i, 7000 + 20 * i, 7150 + 20 * i) for i in range(24)])
    with open_source(path) as source:
        low, high = source.info.stretch or (0, 0)
    assert low < 7060
    assert high > 7500


def test_a_small_object_on_a_background_without_noise(tmp_path: Path) -> None:
    frames = [np.full(SIZE_HW, 7400, np.uint16) for _ in range(4)]
    for i, frame in enumerate(frames):
        frame[10:15, 10 + i : 15 + i] = 7440
    with open_source(write_pictures(tmp_path / "spot", frames)) as source:
        assert source.info.stretch == (7400, 7440)
        assert set(np.unique(next(source.frames([2])).image)) == {0, 255}


@pytest.mark.parametrize(("value", "shown"), [(0, 0), (65535, 255), (7400, 115)])
def test_constant_frames_are_said(tmp_path: Path, value: int, shown: int, caplog: pytest.LogCaptureFixture) -> None:
    path = write_pictures(tmp_path / "flat", [np.full(SIZE_HW, value, np.uint16)] * 3)
    with caplog.at_level(logging.WARNING), open_source(path) as source:
        assert (next(source.frames([1])).image == shown).all()
    assert caplog.text.count("no more than 1 grey levels") == 1


def test_few_levels_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_pictures(tmp_path / "thermal", [counts(i) for i in range(4)])
    with caplog.at_level(logging.WARNING):
        levels(path, stretch="none")
        assert "grey levels are left" in caplog.text
        caplog.clear()
        levels(path)
        assert not caplog.text
        frames = [counts(i) for i in range(4)]
        for frame in frames:
            frame[:, :10] = 0
        levels(write_pictures(tmp_path / "border", frames))
    assert "choose another stretch" in caplog.text


def test_a_stretch_of_ones_own(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "thermal", [counts(i) for i in range(2)])
    for stretch in ((7300, 7555), [7300, 7555.0], "7300,7555"):
        with open_source(path, stretch=stretch) as source:
            assert source.info.stretch == (7300, 7555)
            assert np.array_equal(next(source.frames([1])).image[..., 0], counts(1) - 7300)
    for bad in ("some", "1", "1,2,3", (2, 1), (1, 1), (0, float("nan")), 5, None, ("a", "b")):
        with pytest.raises(InputError, match="stretch"):
            open_source(path, stretch=bad)
    with pytest.raises(InputError, match="open already"), open_source(path) as source:
        open_source(source, stretch=(1, 2))
    with pytest.raises(InputError, match="8 bits"):
        open_source(np.zeros((2, 8, 8), np.uint8), stretch=(1, 2))


def test_eight_bits_are_untouched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dim = (100 + 10 * scene(0)).astype(np.uint8)
    path = write_pictures(tmp_path / "dim", [dim])
    for stretch in ("auto", "none", (100, 110)):
        with open_source(path, stretch=stretch) as source:
            assert source.info.stretch is None
            assert np.array_equal(next(source.frames([0])).image[..., 0], dim)
    assert "not stretched" in caplog.text
    video = write_video(tmp_path / "dim.mkv", [[dim]], "gray")
    with open_source(video) as source:
        assert source.info.stretch is None
        assert np.array_equal(next(source.frames([0])).image[..., 0], dim)


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".jp2"])
def test_other_kinds_of_deep_pictures(tmp_path: Path, suffix: str) -> None:
    samples = counts(0) if suffix == ".pgm" else np.stack([counts(0)] * 3, axis=2)
    assert min(levels(write_pictures(tmp_path / "deep", [samples], suffix))) > 60


def test_the_run_keeps_it_and_rendering_uses_it(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "thermal", [counts(i) for i in range(4)])
    mask = square_mask(SIZE_HW, 20, 30, 30)
    tracker = MaskTracker(engine="hold", tracks=tmp_path / "t.sqlite")
    with tracker:
        tracker.set_video(path, stretch=(7300, 7600))
        tracker.add_mask_prompt(mask)
        tracker.propagate()
        shown = tracker.frame(2).image
    with Tracks.open(tmp_path / "t.sqlite") as tracks:
        assert tracks.video.stretch == (7300, 7600)
        for video in (None, path, str(path)):
            with source_of(tracks, video) as source:
                assert np.array_equal(next(source.frames([2])).image, shown)
        render(tracks, tmp_path / "film.mp4", rate=5)
    again = MaskTracker(engine="hold", tracks=tmp_path / "t.sqlite", resume=True)
    with again:
        with pytest.raises(InputError, match="stretch 7300,7600"):
            again.set_video(path)
        again.set_video(path, stretch="7300,7600")
        assert len(again.tracks) == 4


def test_an_automatic_stretch_is_the_same_again(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "thermal", [counts(i, 20, 23, "float32") for i in range(4)], ".tif")
    mask = square_mask(SIZE_HW, 20, 30, 30)
    with MaskTracker(path, engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_mask_prompt(mask)
        tracker.propagate()
        stretch = tracker.source.info.stretch
    with MaskTracker(path, engine="hold", tracks=tmp_path / "t.sqlite", resume=True) as tracker:
        assert tracker.tracks.video.stretch == tracker.source.info.stretch == stretch
        assert tracker.propagate().finished


def test_a_moving_thing_in_thermal_film_is_followed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "thermal.mkv", [[counts(i)] for i in range(8)], "gray16le")
    tracks = maskferry.track(path, {1: square_mask(SIZE_HW, 20, 30, 30)}, engine="flow")
    for i in range(8):
        expected, found = square_mask(SIZE_HW, 20 + 2 * i, 30, 30), tracks[i].mask(1)
        assert (expected & found).sum() / (expected | found).sum() > 0.9


def test_the_command_line_says_it_and_takes_it(tmp_path: Path) -> None:
    path = write_pictures(tmp_path / "thermal", [counts(i) for i in range(4)])
    PilImage.fromarray(square_mask(SIZE_HW, 20, 30, 30).astype(np.uint8)).save(tmp_path / "first.png")
    common = ["track", str(path), "--masks", str(tmp_path / "first.png"), "--engine", "hold", "--write", "none"]
    found = CliRunner().invoke(app, [*common, "-o", str(tmp_path / "a")])
    assert found.exit_code == 0, found.output
    assert found.output.count("is shown as black") == 1
    found = CliRunner().invoke(app, [*common, "-o", str(tmp_path / "b"), "--stretch", "7300,7600"])
    assert "7300 is shown as black, 7600 as white" in found.output
    with Tracks.open(tmp_path / "b" / "tracks.sqlite") as tracks:
        assert tracks.video.stretch == (7300, 7600)
    found = CliRunner().invoke(app, [*common, "-o", str(tmp_path / "b")])
    assert isinstance(found.exception, OutputExistsError)
    assert "stretch 7300,7600" in str(found.exception)


def test_video_info_checks_it() -> None:
    assert VideoInfo(8, 8, stretch=(1, 2)).stretch == (1.0, 2.0)
    with pytest.raises(InputError, match="stretch"):
        VideoInfo(8, 8, stretch=(2, 1))
