"""Films, read back: count, size, times to the tick, colours, sound."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from format_samples import disk, frame_of, masks_of, rgb_of, row
from maskferry.data import Frame, FrameMasks, VideoInfo
from maskferry.drawing import color_of, draw_overlay
from maskferry.errors import InputError, OutputError, OutputExistsError, SourceError
from maskferry.formats import _film as film
from maskferry.formats._film import write_film

SIZE_HW = (96, 128)
RATE = Fraction(30000, 1001)
VIDEO = VideoInfo(128, 96, rate=RATE, name="clip")
GROUND = (60, 120, 200)


def frames(
    count: int, times: list[float | None] | None = None, *, first: int = 0, size_hw: tuple[int, int] = SIZE_HW
) -> Iterator[tuple[Frame, FrameMasks]]:
    """A disk that walks to the right over plain ground."""
    for i in range(count):
        image = np.full((*size_hw, 3), GROUND, np.uint8)
        mask = disk((30 + 4 * i, 50), 18, size_hw)
        time = float((first + i) / RATE) if times is None else times[i]
        yield frame_of(first + i, image, time), masks_of(row(1, mask), frame=first + i, size_hw=size_hw)


def pictures(path: Path) -> list[np.ndarray]:
    """Decoded frames, int (H, W, 3)."""
    with av.open(str(path)) as container:
        return [rgb_of(f.to_ndarray(), f.height, f.width) for f in container.decode(video=0)]


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [f.pts * f.time_base for f in container.decode(video=0)]  # type: ignore[misc]


def make_sound(path: Path, codec: str, seconds: float = 2.0, rate: int = 44100) -> Path:
    """A tone whose loudness steps up every half second, under a plain picture."""
    t = np.arange(int(seconds * rate)) / rate
    wave = (np.sin(2 * np.pi * 440 * t) * (0.1 + 0.2 * np.floor(t / 0.5))).astype(np.float32)
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=RATE)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        audio = out.add_stream(codec, rate=rate)
        audio.codec_context.layout = "mono"
        for i in range(int(seconds * RATE)):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.full((96, 128, 3), 3 * i, np.uint8))))
        out.mux(video.encode())
        for i in range(0, wave.size, 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, i : i + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, i, Fraction(1, rate)
            for piece in av.AudioResampler(audio.codec_context.format.name, "mono", rate).resample(frame):
                out.mux(audio.encode(piece))
        out.mux(audio.encode(None))
    return path


def loudness(path: Path, at: float) -> float:
    """Mean level of the sound in the tenth of a second around ``at``."""
    with av.open(str(path)) as container:
        near = [
            f.to_ndarray() for f in container.decode(audio=0) if abs(float(f.pts * f.time_base) + 0.011 - at) < 0.05
        ]
    full = np.iinfo(near[0].dtype).max if near[0].dtype.kind == "i" else 1.0  # type: ignore[type-var]
    return float(np.mean([np.abs(samples.astype(float)).mean() for samples in near]) / full)


@pytest.mark.parametrize("rate", [RATE, Fraction(24000, 1001), Fraction(25), Fraction(2997, 100), Fraction(1, 2)])
def test_count_size_format_and_exact_rate(tmp_path: Path, rate: Fraction):
    path = tmp_path / "film.mp4"
    assert write_film(VIDEO, frames(12), path, rate=rate) == 12
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames) == (128, 96, 12)
        assert stream.average_rate == rate
        assert stream.duration * stream.time_base == 12 / rate
    assert times_of(path) == [i / rate for i in range(12)]


def test_starts_playing_before_it_is_loaded(tmp_path: Path):
    write_film(VIDEO, frames(3), tmp_path / "f.mp4")
    data = (tmp_path / "f.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_colours_are_those_of_the_overlay(tmp_path: Path):
    write_film(VIDEO, frames(8), tmp_path / "f.mp4", draw=partial(draw_overlay, labels=False))
    for i, image in enumerate(pictures(tmp_path / "f.mp4")):
        assert np.abs(image[90, 120].astype(int) - GROUND).max() <= 4
        inside = np.array(color_of(1)) * 0.6 + np.array(GROUND) * 0.4
        assert np.abs(image[50, 30 + 4 * i] - inside).max() <= 8


def test_the_film_says_how_its_colours_are_coded(tmp_path: Path):
    write_film(VIDEO, frames(2), tmp_path / "f.mp4")
    with av.open(str(tmp_path / "f.mp4")) as container:
        context = container.streams.video[0].codec_context
        found = context.colorspace, context.color_primaries, context.color_trc, context.color_range
        assert [int(v) for v in found] == [1, 1, 1, 1]


def test_odd_sides_get_a_copy_of_the_last_row_and_column(tmp_path: Path):
    size = (95, 127)
    write_film(VideoInfo(127, 95, rate=RATE), frames(2, size_hw=size), tmp_path / "f.mp4")
    image = pictures(tmp_path / "f.mp4")[0]
    assert image.shape == (96, 128, 3)
    assert np.abs(image[-1].astype(int) - GROUND).max() <= 4 and np.abs(image[:, -1].astype(int) - GROUND).max() <= 4


def test_frames_are_shown_at_their_own_times(tmp_path: Path):
    times = [10.0, 10.04, 10.2, 10.21, 11.5]
    for name, rate in (("a", None), ("b", Fraction(25)), ("c", Fraction(1_000_000, 33_367))):
        path = tmp_path / f"{name}.mp4"
        write_film(VideoInfo(128, 96, rate=rate), frames(5, times), path)
        assert [float(t) for t in times_of(path)] == pytest.approx([t - 10 for t in times], abs=1 / 64_000)


def test_every_third_frame_keeps_the_pace(tmp_path: Path):
    some = (item for item in frames(30) if item[0].index % 3 == 1)
    write_film(VIDEO, some, tmp_path / "f.mp4")
    assert times_of(tmp_path / "f.mp4") == [3 * k / RATE for k in range(10)]


def test_a_rate_that_was_a_float(tmp_path: Path):
    write_film(VIDEO, frames(5), tmp_path / "f.mp4", rate=Fraction(29.97))
    assert [float(t) for t in times_of(tmp_path / "f.mp4")] == pytest.approx([k / 29.97 for k in range(5)], abs=1e-4)


def test_without_times_the_rate_of_the_video_counts(tmp_path: Path):
    write_film(VIDEO, frames(4, [None] * 4), tmp_path / "f.mp4")
    assert times_of(tmp_path / "f.mp4") == [k / RATE for k in range(4)]
    with pytest.raises(InputError, match="say how fast, with rate"):
        write_film(VideoInfo(128, 96), frames(4, [None] * 4), tmp_path / "g.mp4")
    assert not (tmp_path / "g.mp4").exists()


@pytest.mark.parametrize("rate", [RATE, Fraction(1_000_000, 33_367)])
def test_without_h264_it_is_mpeg4_and_says_so(tmp_path: Path, monkeypatch, caplog, rate):
    monkeypatch.setattr(film, "_ENCODERS", ("no_such_encoder", "mpeg4"))
    write_film(VIDEO, frames(5), tmp_path / "f.mp4", rate=rate)
    assert "cannot encode H.264" in caplog.text
    found = pictures(tmp_path / "f.mp4")
    assert len(found) == 5 and np.abs(found[0][90, 120].astype(int) - GROUND).max() <= 6


@pytest.mark.parametrize(
    ("codec", "suffix"), [("aac", "mp4"), ("libmp3lame", "mkv"), ("pcm_s16le", "mkv"), ("flac", "mkv")]
)
def test_sound_is_copied_or_encoded(tmp_path: Path, codec: str, suffix: str):
    source = make_sound(tmp_path / f"s.{suffix}", codec)
    out = tmp_path / "f.mp4"
    write_film(VIDEO, frames(45), out, audio_from=source)
    with av.open(str(out)) as container:
        (audio,) = container.streams.audio
        assert audio.codec_context.name.removesuffix("float") == {"aac": "aac", "libmp3lame": "mp3"}.get(codec, "aac")
        assert float(audio.duration * audio.time_base) == pytest.approx(45 / RATE, abs=0.12)  # and not 2 s
    assert len(pictures(out)) == 45
    for at in (0.25, 0.75, 1.25):
        assert loudness(out, at) == pytest.approx(loudness(source, at), rel=0.2)


def test_sound_of_a_part_is_that_part(tmp_path: Path):
    source = make_sound(tmp_path / "s.mp4", "aac")
    write_film(VIDEO, frames(20, first=30), tmp_path / "f.mp4", audio_from=source)  # from 1.001 s
    assert loudness(tmp_path / "f.mp4", 0.25) == pytest.approx(loudness(source, 1.25), rel=0.1)
    assert times_of(tmp_path / "f.mp4")[0] == 0


def test_sound_is_copied_to_the_bit(tmp_path: Path):
    source = make_sound(tmp_path / "s.mp4", "aac")
    write_film(VIDEO, frames(45), tmp_path / "f.mp4", audio_from=source)

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(audio=0) if p.size]

    copied = packets(tmp_path / "f.mp4")
    assert copied == packets(source)[: len(copied)] and len(copied) > 50


def test_a_source_without_sound_is_logged(tmp_path: Path, caplog):
    write_film(VIDEO, frames(2), tmp_path / "silent.mp4")
    with caplog.at_level(logging.WARNING):
        write_film(VIDEO, frames(2), tmp_path / "f.mp4", audio_from=tmp_path / "silent.mp4")
    assert "has no sound" in caplog.text
    with av.open(str(tmp_path / "f.mp4")) as container:
        assert not container.streams.audio


def test_damaged_sound_ends_early_and_the_film_does_not(tmp_path: Path):
    source = make_sound(tmp_path / "s.mkv", "pcm_s16le")
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])
    assert write_film(VIDEO, frames(45), tmp_path / "f.mp4", audio_from=source) == 45
    assert len(pictures(tmp_path / "f.mp4")) == 45


def no_frames():
    pytest.fail("asked for a frame")
    yield


def test_options_are_checked_before_the_first_frame(tmp_path: Path):
    (tmp_path / "taken.mp4").write_text("mine")
    sound = tmp_path / "taken.mp4"
    for path, kwargs, message in [
        ("f.avi", {}, r"\.mp4"),
        ("f.mp4", {"rate": Fraction(0)}, "rate"),
        ("f.mp4", {"rate": RATE, "audio_from": sound}, "leave the rate out"),
        ("f.mp4", {"audio_from": tmp_path / "none.mp4"}, r"none\.mp4 cannot be opened"),
        ("f.mp4", {"audio_from": sound}, r"taken\.mp4 cannot be opened"),
    ]:
        with pytest.raises(InputError, match=message):
            write_film(VIDEO, no_frames(), tmp_path / path, **kwargs)
    with pytest.raises(OutputExistsError):
        write_film(VIDEO, no_frames(), tmp_path / "taken.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["taken.mp4"]


def broken(error: Exception):
    yield from frames(2)
    raise error


@pytest.mark.parametrize(
    ("items", "kwargs", "error", "message"),
    [
        (lambda: iter(()), {}, InputError, "at least one frame"),
        (lambda: frames(2, [1.0, 1.0]), {}, InputError, "frame 1: expected a time after"),
        (lambda: frames(2, [1.0, 0.5]), {}, InputError, "frame 1: expected a time after"),
        (lambda: frames(1, size_hw=(96, 130)), {}, InputError, r"expected a picture of \(96, 128\)"),
        (lambda: [(f, masks_of(frame=7, size_hw=SIZE_HW)) for f, _ in frames(1)], {}, InputError, "masks of frame 7"),
        (lambda: frames(1), {"draw": lambda image, masks: image[..., 0]}, InputError, "draw: expected RGB"),
        (lambda: frames(2), {"draw": lambda image, masks: image[masks.frame * 20 :]}, InputError, "draw: expected one"),
        (lambda: broken(SourceError("torn", frame=2)), {}, SourceError, "torn"),
        (lambda: broken(KeyError("bug")), {}, KeyError, "bug"),
    ],
)
def test_what_goes_wrong_on_the_way_leaves_nothing(tmp_path: Path, items, kwargs, error, message):
    with pytest.raises(error, match=message):
        write_film(VIDEO, items(), tmp_path / "f.mp4", **kwargs)
    assert not list(tmp_path.iterdir())


def test_sound_needs_times(tmp_path: Path):
    source = make_sound(tmp_path / "s.mp4", "aac", 0.3)
    with pytest.raises(InputError, match="frame 0 has no time"):
        write_film(VIDEO, frames(2, [None, None]), tmp_path / "f.mp4", audio_from=source)


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        write_film(VIDEO, frames(2), tmp_path / "file" / "f.mp4")


def test_overwriting(tmp_path: Path):
    for count in (2, 5):
        write_film(VIDEO, frames(count), tmp_path / "f.mp4", overwrite=True)
    assert len(pictures(tmp_path / "f.mp4")) == 5
