"""The CSV table: exact round trips, spreadsheets that run formulas, centroids from runs."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from format_samples import VIDEO, disk, masks_of, random_tracks, row, tracks
from maskferry.data import FrameInfo, FrameTracks
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats._table import COLUMNS, read, rows_of, write
from maskferry.masks._regions import box_xyxy, centroid_of_rle_xy, centroid_xy
from maskferry.rle import Rle


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12)))
@example(np.ones((3, 4), bool))
def test_centroid_of_runs(mask: np.ndarray):
    expected = centroid_xy(mask)
    got = centroid_of_rle_xy(Rle.encode(mask))
    assert got == (None if expected is None else pytest.approx(expected))


def test_centroid_of_the_largest_picture_does_not_overflow():
    rle = Rle.from_runs(np.array([0, 2**31]), (2**15, 2**16))
    assert centroid_of_rle_xy(rle) == ((2**16 - 1) / 2, (2**15 - 1) / 2)


def test_what_is_written(tmp_path: Path):
    write(VIDEO, iter(tracks()), tmp_path / "t.csv", labels={7: "duck, small"})
    with (tmp_path / "t.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert [(r["frame"], r["object_id"]) for r in table] == [
        ("0", "1"), ("1", "1"), ("2", "1"), ("2", "7"), ("3", "1"), ("3", "7"), ("4", "1"), ("4", "7"),
    ]  # fmt: skip
    lost = table[4]
    assert (lost["state"], lost["score"], lost["area"], lost["x1"], lost["centroid_y"]) == ("lost", "0.0", "0", "", "")
    duck = table[3]
    mask = disk((14, 12), 3)
    assert duck["label"] == "duck, small" and int(duck["area"]) == mask.sum()
    assert tuple(int(duck[k]) for k in ("x1", "y1", "x2", "y2")) == box_xyxy(mask)
    assert (float(duck["centroid_x"]), float(duck["centroid_y"])) == (14, 12)


@given(random_tracks())
@settings(max_examples=60)
def test_round_trip_is_exact(tmp_path_factory, sample):
    video, frames, labels = sample
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write(video, frames, path, labels=labels)
    assert read(path) == list(rows_of(frames, labels))


def one(name: str = "f") -> FrameTracks:
    return FrameTracks(FrameInfo(0, None, name), masks_of(row(1, disk((9, 9), 3))))


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx", "'=x", "''-x", "'x", "a\nb", '"', "ä天"])
def test_no_cell_is_run_as_a_formula_and_every_text_comes_back(tmp_path: Path, text: str):
    write(VIDEO, [one(text)], tmp_path / "t.csv", labels={1: text})
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        cells = next(csv.DictReader(file))
    assert cells["label"][0] not in "=+-@\t\r" and cells["name"][0] not in "=+-@\t\r"
    (back,) = read(tmp_path / "t.csv")
    assert back.label == back.name == text


@given(st.text())
def test_any_text_comes_back(tmp_path_factory, text: str):
    path = tmp_path_factory.mktemp("table") / "t.csv"
    write(VIDEO, [one()], path, labels={1: text})
    assert read(path)[0].label == text


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path: Path):
    write(VIDEO, tracks(), tmp_path / "t.csv")
    (tmp_path / "u.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "t.csv").read_bytes())
    assert read(tmp_path / "u.csv") == read(tmp_path / "t.csv")


def test_a_table_of_an_earlier_version_is_read(tmp_path: Path):
    write(VIDEO, tracks(), tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        cells = [line[:-1] for line in csv.reader(file)]
    with (tmp_path / "u.csv").open("w", newline="") as file:
        csv.writer(file).writerows(cells)
    now, then = read(tmp_path / "t.csv"), read(tmp_path / "u.csv")
    assert {r.fidelity for r in now} == {None, 0.75}
    assert then == [replace(r, fidelity=None) for r in now]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("frame,time", "frame,when", "missing: time"),
        ("given", "seen", r"t\.csv:2: .*seen"),
        ("\n0,", "\nx,", r"t\.csv:2: .*'x'"),
        ("\n1,0.0333", "\n1\n1,0.0333", r"t\.csv:3"),
        (",1,5,12,16,", ",1,5,12,,", r"t\.csv:2: .*box"),
        (",0.75\n", ",much\n", r"t\.csv:5: .*much"),
    ],
)
def test_wrong_tables_are_refused_by_line(tmp_path: Path, old, new, message):
    path = tmp_path / "t.csv"
    write(VIDEO, tracks(), path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message):
        read(path)


def test_paths(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read"):
        read(tmp_path / "none.csv")
    write(VIDEO, tracks(), tmp_path / "t.csv")
    before = (tmp_path / "t.csv").read_text()
    with pytest.raises(OutputExistsError):
        write(VIDEO, iter(()), tmp_path / "t.csv")
    other = FrameTracks(FrameInfo(5, None, "5"), masks_of(frame=5, size_hw=(3, 3)))
    with pytest.raises(InputError, match="frame 5"):
        write(VIDEO, [other], tmp_path / "t.csv", overwrite=True)
    assert (tmp_path / "t.csv").read_text() == before
