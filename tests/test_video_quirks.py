"""Videos with the quirks that files in the world have: every frame and every time is right, or the file is refused."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clips import SIZE_HW, make_clip
from maskferry import track
from maskferry.errors import DamagedSourceWarning, SourceError
from maskferry.rendering import render
from maskferry.sources import _numbering, open_source
from maskferry.sources._h264_fields import SecondFields
from video_quirks import COUNT, PAGE, ROWS, Row, UnavailableError, line, measure, read_numbers

MASK = np.zeros(SIZE_HW, dtype=bool)
MASK[40:50, 40:60] = True

TEXT = PAGE.read_text(encoding="utf-8")
MADE_HERE = f"Made with PyAV {av.__version__}." in TEXT


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_frame_and_time_is_right_or_the_file_is_refused(row: Row, tmp_path: Path) -> None:
    try:
        outcome = measure(row, tmp_path)
    except UnavailableError as err:
        pytest.skip(str(err))
    assert line(row, outcome) in TEXT or not MADE_HERE, "run python tests/video_quirks.py"


def test_the_page_lists_all_rows() -> None:
    listed = re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert [row for row in listed if row[0] != "file"] == [(row.suffix, row.codec, row.quirk) for row in ROWS]
    assert len(ROWS) >= 60


def row_named(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def test_a_trimmed_clip_is_tracked_to_its_end(tmp_path: Path) -> None:
    made = row_named("mp4-H-264-trimmed-at-the-start-edit-list-").make(tmp_path / "clip")
    with track(made.path, {1: MASK}, engine="hold") as tracks:
        assert tracks.stopped_at is None
        assert list(tracks) == list(range(len(made.numbers)))


def test_a_clip_that_is_cut_off_is_tracked_to_the_cut(tmp_path: Path) -> None:
    made = row_named("mp4-H-264-cut-off").make(tmp_path / "clip")
    with (
        pytest.warns(DamagedSourceWarning, match="announces 24 frames"),
        track(made.path, {1: MASK}, engine="hold") as tracks,
    ):
        assert tracks.stopped_at is not None


@pytest.mark.parametrize(
    "name",
    [
        "mp4-MPEG-4-B-frames-copied-clock-in-decode-order",
        "avi-MPEG-4-packed-B-frames",
        "avi-MPEG-4-dropped-frames",
        "mp4-H-264-trimmed-at-the-start-edit-list-",
    ],
)
def test_a_film_of_the_result_shows_the_same_frames_at_the_same_times(name: str, tmp_path: Path) -> None:
    made = row_named(name).make(tmp_path / "clip")
    with track(made.path, {1: MASK}, engine="hold") as tracks:
        film = render(tracks, tmp_path / "film.mp4")
    with open_source(film) as source:
        frames = list(source.frames(range(source.info.frame_count or 0)))
    assert read_numbers([frame.image for frame in frames]) == list(made.numbers)
    assert [frame.info.time for frame in frames] == pytest.approx(made.expected_times(), abs=0.002)


def test_timestamps_that_lie_only_later_on_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_numbering, "_CHECKED_PACKETS", 1)
    made = row_named("mp4-MPEG-4-B-frames-copied-clock-in-decode-order").make(tmp_path / "clip")
    with open_source(made.path) as source, pytest.raises(SourceError, match="another order") as caught:
        list(source.frames(range(COUNT)))
    assert caught.value.frame is not None


@pytest.mark.parametrize(("params", "possible"), [("tff=1:cqm=jvt", True), ("tff=1", True), ("cqm=jvt", False)])
@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_h264_says_whether_it_may_hold_fields(tmp_path: Path, suffix: str, params: str, possible: bool) -> None:
    path = make_clip(tmp_path / f"clip.{suffix}", 24, options={"preset": "medium", "x264-params": params})
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fields = SecondFields(stream.codec_context.extradata or b"")
        assert fields.are_possible == possible
        assert not any(fields.is_second(bytes(packet)) for packet in container.demux(stream))


@given(data=st.binary(max_size=200), length_size=st.sampled_from([b"", b"\1\2\3\4\0\1\2\3", b"\1\2\3\4\3\1\0\4\x67"]))
def test_fields_of_damaged_data_are_no_error(data: bytes, length_size: bytes) -> None:
    fields = SecondFields(length_size + b"\0\0\1\x67" + data)
    assert fields.is_second(b"\0\0\1\x65" + data) in (True, False)
