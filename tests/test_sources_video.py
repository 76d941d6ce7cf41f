"""Video files: every frame is the one that its number says, whatever the codec, the container and the order."""

from __future__ import annotations

import gc
import logging
import random
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clips import SIZE_HW, make_clip, numbered_image, read_number
from maskferry.errors import InputError, SourceError
from maskferry.sources import _ordered_reader as ordered_reader
from maskferry.sources import open_source
from maskferry.sources._video import VideoSource

COUNT = 50
X265 = {"x265-params": "log-level=none"}

KINDS = {
    "h264.mp4": {},
    "bframes.mp4": {"b_frames": 3},
    "opengop.mp4": {"b_frames": 3, "options": {"x264-params": "open-gop=1"}},
    "opengop.mkv": {"b_frames": 3, "options": {"x264-params": "open-gop=1"}},
    "opengop.ts": {"b_frames": 3, "options": {"x264-params": "open-gop=1"}},
    "shortgop.mp4": {"gop": 2, "b_frames": 2},
    "fragmented.mp4": {"container_options": {"movflags": "frag_keyframe+empty_moov"}},
    "refresh.mp4": {"options": {"intra-refresh": "1"}},
    "refresh.ts": {"options": {"intra-refresh": "1"}},
    "raw.h264": {"b_frames": 3},
    "h264.avi": {"b_frames": 3},
    "h264.flv": {},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 2},
    "mjpeg.avi": {"codec": "mjpeg"},
    "mpeg2.mpg": {"codec": "mpeg2video", "b_frames": 2},
    "hevc.mp4": {"codec": "libx265", "b_frames": 3, "options": X265},
    "vp8.webm": {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "10"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "ffv1.mkv": {"codec": "ffv1"},
    "paletted.gif": {"codec": "gif"},
    "animated.apng": {"codec": "apng", "pix_fmt": "rgb24"},
    "rotated.mp4": {"rotation": 90},
}


def make(folder: Path, name: str, count: int = COUNT) -> Path:
    options = KINDS[name]
    codec = options.get("codec", "libx264")  # type: ignore[attr-defined]
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {codec}")
    return make_clip(folder / name, count, **options)


def numbers(source, indices) -> list[int]:
    frames = list(source.frames(indices))
    assert [f.index for f in frames] == list(indices)[: len(frames)]
    return [read_number(f.image) for f in frames]


def decode_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "maskferry-decode"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def plain(clips: Path) -> Path:
    return make_clip(clips / "plain.mp4", 100, b_frames=2, gop=10)


@pytest.fixture(scope="module", autouse=True)
def what_came_before():
    """Frozen, so that collecting what a test has left need not look through all that other tests have loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_thread_is_left(what_came_before):
    yield
    gc.collect()
    assert decode_threads() == []


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_is_the_right_one(clips: Path, name: str) -> None:
    with open_source(make(clips, name)) as source:
        assert source.info.frame_count == COUNT
        assert source.info.size_hw == SIZE_HW
        assert source.info.rate == 25
        forward = [f.image for f in source.frames(range(COUNT))]
        assert [read_number(image) for image in forward] == list(range(COUNT))
        assert numbers(source, range(COUNT)[::-1]) == list(range(COUNT))[::-1]
        for index in range(0, COUNT, 3):  # to the bit, from whichever keyframe decoding starts
            (frame,) = source.frames([index])
            assert np.array_equal(frame.image, forward[index]), index
        for k in range(6):
            wanted = sorted(random.Random(k).sample(range(COUNT), 6), reverse=bool(k % 2))
            assert numbers(source, wanted) == wanted


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=st.sets(st.integers(0, 99), max_size=12), backward=st.booleans())
def test_any_order_of_any_frames(plain: Path, wanted: set[int], backward: bool) -> None:
    indices = sorted(wanted, reverse=backward)
    with VideoSource(plain) as source:
        assert numbers(source, indices) == indices


def test_info_and_times(plain: Path) -> None:
    with VideoSource(plain) as source:
        assert (source.info.name, source.info.path) == ("plain.mp4", str(plain))
        assert source.seekable
        assert source.announced_frame_count == 100
        frames = list(source.frames(range(3)))
    assert [f.info.name for f in frames] == ["000000", "000001", "000002"]
    assert [f.info.time for f in frames] == pytest.approx([0, 0.04, 0.08])
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.flags.c_contiguous
    assert np.abs(frames[2].image.astype(int) - numbered_image(2)).mean() < 6


def test_exact_rate_and_another_rate(clips: Path) -> None:
    path = make_clip(clips / "ntsc.mp4", 10, rate=Fraction(30000, 1001))
    with open_source(path) as source:
        assert source.info.rate == Fraction(30000, 1001)
    with open_source(path, rate=29.97) as source:
        assert source.info.rate == Fraction(30000, 1001)
    with open_source(path, rate=10) as source:
        assert [f.info.time for f in source.frames([0, 9])] == [0, 0.9]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_variable_frame_rate_keeps_its_times(clips: Path, suffix: str) -> None:
    times = [0.2 + t for t in np.cumsum([0.03, 0.04, 0.5, 0.01, 0.25] * 6)]
    with open_source(make_clip(clips / f"variable{suffix}", 30, b_frames=2, times=times)) as source:
        assert source.announced_frame_count == 30
        frames = list(source.frames(range(30)))
        assert numbers(source, range(29, -1, -1)) == list(range(29, -1, -1))
    assert [read_number(f.image) for f in frames] == list(range(30))
    assert [f.info.time for f in frames] == pytest.approx([t - times[0] for t in times], abs=0.002)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_and_mirroring_are_applied(clips: Path, rotation: int, flip: bool) -> None:
    path = make_clip(clips / f"turn{rotation}{flip}.mp4", 3, rotation=rotation, flip=flip)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (SIZE_HW if rotation % 180 == 0 else SIZE_HW[::-1])
    with open_source(path) as source:
        assert source.info.size_hw == SIZE_HW
        for frame in source.frames(range(3)):
            assert frame.image.shape == (*SIZE_HW, 3)
            assert read_number(frame.image) == frame.index


@pytest.mark.parametrize(
    "indices", [[100], [-1, 0], [3, 3], [1, 5, 2], [5, 1, 3], range(90, 120), [0.5], range(5, -2, -1)]
)
def test_wrong_indices_are_refused_at_once(plain: Path, indices) -> None:
    with VideoSource(plain) as source, pytest.raises(InputError):
        source.frames(indices)


def test_no_frames_asked_for(plain: Path) -> None:
    with VideoSource(plain) as source:
        assert list(source.frames([])) == []


def test_iterators_do_not_disturb_each_other(plain: Path) -> None:
    with VideoSource(plain) as source:
        back = source.frames(range(99, -1, -1))
        for frame in source.frames(range(100)):
            assert read_number(frame.image) == frame.index
            assert read_number(next(back).image) == 99 - frame.index
            (one,) = source.frames([50])
            assert read_number(one.image) == 50


def test_far_gaps_are_skipped_by_seeking(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decoded(monkeypatch)
    with VideoSource(make_clip(clips / "far.mp4", 400, gop=10)) as source:
        decoded.clear()
        assert numbers(source, [0, 350]) == [0, 350]
        assert len(decoded) < 60
        decoded.clear()
        assert numbers(source, range(0, 100, 2)) == list(range(0, 100, 2))
        assert len(decoded) <= 120


def count_decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    from maskferry.sources import _decoder as decoder

    decoded: list[int] = []
    real = decoder.decode_packet

    def counted(stream, packet, ordinal=-1):
        decoded.append(ordinal)
        return real(stream, packet, ordinal)

    monkeypatch.setattr(decoder, "decode_packet", counted)
    return decoded


def test_reading_a_long_group_backward_holds_few_frames(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(clips / "longgop.mp4", 600, gop=600, b_frames=2)
    monkeypatch.setattr(ordered_reader, "_PIECE_BYTES", 50 * SIZE_HW[0] * SIZE_HW[1] * 3 // 2)
    read, convert = ordered_reader.OrderedReader._read_forward, VideoSource._convert
    held, most = 0, 0

    def read_and_count(self, wanted):
        nonlocal held, most
        for shown in read(self, wanted):
            held += shown is not None
            most = max(most, held)
            yield shown

    def convert_and_count(self, *args):
        nonlocal held
        held -= 1
        return convert(self, *args)

    monkeypatch.setattr(ordered_reader.OrderedReader, "_read_forward", read_and_count)
    monkeypatch.setattr(VideoSource, "_convert", convert_and_count)
    decoded = count_decoded(monkeypatch)
    with VideoSource(path) as source:
        assert len(source._index.entries) == 1
        assert numbers_of(source.frames(range(599, -1, -1))) == list(range(599, -1, -1))
    assert 20 <= most <= 50
    assert len(decoded) < 600 * 600 / 50  # about n * n / 2 / piece


def numbers_of(frames) -> list[int]:
    return [read_number(frame.image) for frame in frames]


def test_closing_stops_a_decoder_on_its_way_to_a_far_frame(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskferry.sources import _decoder as decoder

    real = decoder.decode_packet
    source = VideoSource(make_clip(clips / "slow.mp4", 600, gop=600))

    def slow(*args):
        time.sleep(0.02)
        return real(*args)

    monkeypatch.setattr(decoder, "decode_packet", slow)
    errors: list[Exception] = []

    def read() -> None:
        try:
            next(source.frames([599]))
        except SourceError as err:
            errors.append(err)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.2)
    source.close()
    reader.join(20)  # at once; without the close it decodes 600 packets, 12 s
    assert not reader.is_alive()
    assert len(errors) == 1
    assert decode_threads() == []


def test_pieces_of_a_backward_read(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(clips / "pieces.mp4", 90, gop=12, b_frames=2)
    for most in (2, 5, 12, 30, 1000):
        monkeypatch.setattr(ordered_reader, "_PIECE_BYTES", most * SIZE_HW[0] * SIZE_HW[1] * 3 // 2)
        with VideoSource(path) as source:
            assert numbers(source, range(89, -1, -1)) == list(range(89, -1, -1))
            assert numbers(source, range(89, -1, -7)) == list(range(89, -1, -7))


def test_threads_end_with_the_iterator(plain: Path) -> None:
    source = VideoSource(plain)
    assert decode_threads() == []
    unstarted = source.frames(range(100))
    assert decode_threads() == []
    frames = source.frames(range(100))
    next(frames)
    assert len(decode_threads()) == 1
    frames.close()
    assert decode_threads() == []
    list(source.frames(range(5)))
    assert decode_threads() == []
    frames = source.frames(range(100))
    next(frames)
    del frames
    assert decode_threads() == []
    with pytest.raises(ZeroDivisionError):
        for frame in source.frames(range(100)):
            frame.index / 0
    assert decode_threads() == []
    first, second = source.frames(range(100)), source.frames(range(99, -1, -1))
    next(first), next(second)
    source.close()
    source.close()
    assert decode_threads() == []
    with pytest.raises(SourceError, match="closed"):
        list(first)
    with pytest.raises(SourceError, match="closed"):
        next(unstarted)
    with pytest.raises(InputError, match="closed"):
        source.frames([0])


def test_decoding_runs_only_a_few_frames_ahead(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_decoded(monkeypatch)
    with VideoSource(plain) as source:
        decoded.clear()
        frames = source.frames(range(100))
        next(frames)
        time.sleep(0.3)
        assert len(decoded) < 40
        frames.close()


def test_truncated_file(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = make_clip(clips / "whole.mp4", 100, gop=10, container_options={"movflags": "faststart"})
    cut = clips / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    with caplog.at_level(logging.WARNING), VideoSource(cut) as source:
        assert source.announced_frame_count == 100
        count = source.info.frame_count
        assert 20 < count < 80
        assert numbers(source, range(count)) == list(range(count))
        assert numbers(source, range(count)[::-1]) == list(range(count))[::-1]
    assert f"announces 100 frames but holds {count}" in caplog.text


def test_truncated_matroska(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = make_clip(clips / "whole.mkv", 100, gop=10)
    cut = clips / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with caplog.at_level(logging.WARNING), VideoSource(cut) as source:
        assert source.announced_frame_count == 100
        count = source.info.frame_count
        assert 20 < count < 70
        assert numbers(source, range(count)) == list(range(count))
    assert "cut off" in caplog.text


def damage(path: Path, out: Path, number: int) -> Path:
    """Overwrite the packet of frame ``number`` (no B-frames) with bytes that no decoder takes."""
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    position, size = packets[number]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    out.write_bytes(data)
    return out


def test_damaged_frame_is_an_error_after_all_frames_before_it(clips: Path) -> None:
    path = damage(make_clip(clips / "good.mp4", 60, gop=10), clips / "bad.mp4", 34)
    with VideoSource(path) as source:
        assert source.info.frame_count == 60
        seen: list[int] = []
        with pytest.raises(SourceError, match="frame 34") as caught:
            seen.extend(frame.index for frame in source.frames(range(60)))
        assert caught.value.frame == 34
        assert seen == list(range(34))
        backward: list[tuple[int, int]] = []
        with pytest.raises(SourceError) as caught:
            backward.extend((frame.index, read_number(frame.image)) for frame in source.frames(range(59, -1, -1)))
        assert backward == [(i, i) for i in range(59, 39, -1)]
        assert caught.value.frame == 39
        assert numbers(source, [33, 40]) == [33, 40]


@pytest.mark.parametrize("wanted", [[59], [35], [20, 50], [10, 33, 45, 59], [59, 40]])
def test_a_frame_behind_damage_is_not_the_picture_before_it(clips: Path, wanted: list[int]) -> None:
    """One group of pictures: what comes after the damage builds on it, also where it is asked for by itself."""
    path = damage(make_clip(clips / "one_group.mp4", 60, gop=60), clips / "broken_group.mp4", 34)
    with VideoSource(path) as source:
        seen: list[tuple[int, int]] = []
        with pytest.raises(SourceError) as caught:
            seen.extend((frame.index, read_number(frame.image)) for frame in source.frames(wanted))
        assert seen == [(i, i) for i in wanted if i < 34]
        assert caught.value.frame == next(i for i in wanted if i > 34)


def test_first_frame_damaged(clips: Path) -> None:
    path = damage(make_clip(clips / "good0.mp4", 30, gop=10), clips / "bad0.mp4", 0)
    with VideoSource(path) as source:
        with pytest.raises(SourceError) as caught:
            next(source.frames(range(30)))
        assert caught.value.frame == 0
        assert numbers(source, [10, 29]) == [10, 29]


def test_recording_that_starts_between_keyframes(clips: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = make_clip(clips / "whole.ts", 100, gop=20, b_frames=2)
    with av.open(str(whole)) as container:
        positions = [p.pos for p in container.demux(video=0) if p.size]
    cut = clips / "started.ts"
    cut.write_bytes(whole.read_bytes()[: 188 * 3] + whole.read_bytes()[positions[8] :])
    with caplog.at_level(logging.WARNING), VideoSource(cut) as source:
        count = source.info.frame_count
        assert count == 80
        assert [read_number(f.image) for f in source.frames(range(count))] == list(range(20, 100))
        assert [read_number(f.image) for f in source.frames(range(count)[::-1])] == list(range(20, 100))[::-1]
        assert next(source.frames([0])).info.time == 0
    assert "starts between keyframes" in caplog.text


def test_size_that_changes_in_mid_stream(clips: Path) -> None:
    small = make_clip(clips / "small.ts", 20, size_hw=(96, 128))
    large = make_clip(clips / "large.ts", 20, size_hw=(192, 256))
    both = clips / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with VideoSource(both) as source:
        seen: list[int] = []
        with pytest.raises(SourceError, match="256x192") as caught:
            seen.extend(frame.index for frame in source.frames(range(source.info.frame_count)))
        assert caught.value.frame == 20
        assert seen == list(range(20))


def test_timestamps_that_start_again(clips: Path) -> None:
    one = make_clip(clips / "one.ts", 90, b_frames=2)
    both = clips / "twice.ts"
    both.write_bytes(one.read_bytes() * 2)
    with VideoSource(both) as source:
        assert [read_number(f.image) for f in source.frames(range(180))] == list(range(90)) * 2
        assert [read_number(f.image) for f in source.frames([170, 85, 3])] == [80, 85, 3]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.mp4", b"", "empty"),
        ("noise.mp4", bytes(range(256)) * 40, "no video"),
        ("notes.txt", b"These are my notes.\n" * 50, "text"),
        ("page.mp4", b"<!DOCTYPE html><html><body>404</body></html>", "no video"),
    ],
)
def test_files_that_are_no_video(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(SourceError, match=says) as caught:
        open_source(path)
    assert str(path) in str(caught.value)


def test_missing_file_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.mp4 does not exist"):
        open_source(tmp_path / "nowhere.mp4")
    with pytest.raises(SourceError, match="does not exist"):
        VideoSource(tmp_path)


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(SourceError, match="no video stream"):
        open_source(path)


def test_moov_lost(clips: Path, plain: Path) -> None:
    path = write(clips / "unfinished.mp4", plain.read_bytes()[: plain.stat().st_size // 2])
    with pytest.raises(SourceError, match=r"unfinished\.mp4"):
        open_source(path)


def test_odd_file_names(clips: Path) -> None:
    path = make_clip(clips / "a %03d ü [1].mp4", 5)
    with open_source(str(path)) as source:
        assert numbers(source, range(5)) == list(range(5))


def test_each_direction_decodes_every_frame_about_once(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from maskferry.sources import _decoder as decoder

    path = make_clip(clips / "gops.mp4", 300, gop=60, b_frames=2)
    decoded, real = [], decoder.decode_packet
    monkeypatch.setattr(decoder, "decode_packet", lambda *args: decoded.append(1) or real(*args))  # type: ignore[func-returns-value]
    with VideoSource(path) as source:
        for indices in (range(300), range(299, -1, -1)):
            decoded.clear()
            assert sum(1 for _ in source.frames(indices)) == 300
            assert len(decoded) <= 330
