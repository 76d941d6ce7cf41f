"""`Source.frame_info`: the row of the frame table that a frame has, known without decoding it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

from clips import make_clip
from maskferry.data import FrameInfo, Source
from maskferry.errors import InputError, SourceError
from maskferry.samgeo._sampled_source import SampledSource
from maskferry.sources import _decoder as decoder
from maskferry.sources import frame_info_of, open_source

COUNT = 14
TIMES = [0.2 + t for t in np.cumsum([0.03, 0.04, 0.5, 0.01, 0.25, 0.07, 0.02] * 2)]
CLIPS = {
    "bframes.mp4": {"b_frames": 3},
    "opengop.ts": {"b_frames": 3, "options": {"x264-params": "open-gop=1"}},
    "variable.mp4": {"b_frames": 2, "times": TIMES},
    "variable.mkv": {"b_frames": 2, "times": TIMES},
    "reordered.avi": {"b_frames": 3},
    "mpeg4.avi": {"codec": "mpeg4", "b_frames": 2},
    "paletted.gif": {"codec": "gif"},
    "raw.h264": {"b_frames": 3},
}
PICTURES = ["a1.png", "a2.png", "a10.png", "größe 11.png", "z.png"]
KINDS = [*CLIPS, "cut.ts", "folder", "one picture", "array", "list"]
RATES = [None, Fraction(30000, 1001)]


def pictures(count: int = COUNT) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def openers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """{kind: what `open_source` is given}."""
    folder = tmp_path_factory.mktemp("kinds")
    made: dict[str, object] = {name: make_clip(folder / name, COUNT, **CLIPS[name]) for name in CLIPS}
    made["cut.ts"] = cut_in_mid_stream(make_clip(folder / "whole.ts", 30, gop=10, b_frames=2), folder / "cut.ts")
    (folder / "folder").mkdir()
    for name, picture in zip(PICTURES, pictures(), strict=False):
        PilImage.fromarray(picture).save(folder / "folder" / name)
    return {
        **made,
        "folder": folder / "folder",
        "one picture": folder / "folder" / "z.png",
        "array": pictures(),
        "list": list(pictures()),
    }


def cut_in_mid_stream(whole: Path, cut: Path) -> Path:
    """A recording that begins between two keyframes."""
    with av.open(str(whole)) as container:
        start = [p.pos for p in container.demux(video=0) if p.size][4]
    cut.write_bytes(whole.read_bytes()[start:])
    return cut


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and every attempt to decode from then on fails."""

    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("a frame was decoded")

    def forbid() -> None:
        monkeypatch.setattr(decoder, "decode_packet", forbidden)
        monkeypatch.setattr("maskferry.sources._pages.PageReader.read", forbidden)

    return forbid


@pytest.mark.parametrize("rate", RATES, ids=["own rate", "forced rate"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_what_the_decoded_frame_says(openers, kind: str, rate: Fraction | None, no_decoding) -> None:
    with open_source(openers[kind], rate=rate) as source:
        decoded = [frame.info for frame in source.frames(range(source.info.frame_count))]
        alone = [next(source.frames([i])).info for i in range(source.info.frame_count)]
        no_decoding()
        told = [source.frame_info(i) for i in range(source.info.frame_count)]
    assert told == decoded == alone
    assert len(told) == source.info.frame_count > 0
    assert all(type(info.index) is int for info in told)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_frame_of_any_kind_at_any_rate(openers, data) -> None:
    kind = data.draw(st.sampled_from(KINDS))
    rate = data.draw(st.none() | st.fractions(Fraction(1, 10), 240, max_denominator=1001))
    with open_source(openers[kind], rate=rate) as source:
        index = data.draw(st.integers(0, source.info.frame_count - 1))
        step = data.draw(st.integers(1, 4))
        with closing(source.frames([index])) as frames:
            assert source.frame_info(index) == next(frames).info
        sampled = SampledSource(source, step)
        index //= step
        with closing(sampled.frames([index])) as frames:
            assert sampled.frame_info(index) == next(frames).info


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("index", [-1, "count", 10**6, 0.5, None])
def test_frames_outside_are_refused(openers, kind: str, index) -> None:
    with open_source(openers[kind]) as source, pytest.raises(InputError):
        source.frame_info(source.info.frame_count if index == "count" else index)


def test_numbers_of_numpy_are_numbers(openers) -> None:
    with open_source(openers["array"], rate=10) as source:
        info = source.frame_info(np.int64(3))
    assert info == FrameInfo(3, 0.3, "000003")
    assert type(info.index) is int


def test_a_stream_says_what_is_known_and_reads_nothing() -> None:
    taken = []

    def camera() -> Iterator[np.ndarray]:
        for i, picture in enumerate(pictures()):
            taken.append(i)
            yield picture

    source = open_source(camera(), rate=5)
    told = [source.frame_info(i) for i in range(COUNT)]
    assert taken == [0]
    assert told == [frame.info for frame in source.frames(range(COUNT))]
    assert source.frame_info(1000) == FrameInfo(1000, 200.0, "001000")
    with pytest.raises(InputError):
        source.frame_info(-1)
    assert open_source(camera()).frame_info(7).time is None


class OldSource:
    """A source as they were before `frame_info` was part of the protocol."""

    announced_frame_count = None
    seekable = True

    def __init__(self, inner: Source) -> None:
        self.inner, self.info, self.closed = inner, inner.info, 0

    def frames(self, indices):
        try:
            yield from self.inner.frames(indices)
        finally:
            self.closed += 1

    def close(self) -> None:
        self.inner.close()


class Inheriting(OldSource, Source):  # type: ignore[misc]
    """One that takes what the protocol offers."""


@pytest.mark.parametrize("kind", [OldSource, Inheriting])
def test_a_source_without_it_is_decoded(kind: type) -> None:
    inner = open_source(pictures(), rate=10)
    source = kind(inner)
    assert [frame_info_of(source, i) for i in range(COUNT)] == [inner.frame_info(i) for i in range(COUNT)]
    assert source.closed == COUNT
    assert SampledSource(source, 3).frame_info(2) == FrameInfo(2, 0.6, "000006")
    with pytest.raises(InputError):
        frame_info_of(source, COUNT)


def test_a_source_that_has_it_is_not_decoded(openers, no_decoding) -> None:
    with open_source(openers["bframes.mp4"]) as source:
        no_decoding()
        assert frame_info_of(source, 5) == source.frame_info(5)


def test_a_frame_that_cannot_be_decoded_has_a_row_too(tmp_path: Path) -> None:
    for i in range(3):
        PilImage.fromarray(pictures()[i]).save(tmp_path / f"{i}.png")
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: len(whole) // 2])
    with open_source(tmp_path) as source:
        with pytest.raises(SourceError):
            next(source.frames([1]))
        assert source.frame_info(1) == FrameInfo(1, None, "1.png")
