"""Which files are maskferry's own: told by content, for every format that there is, and for nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import maskferry
from helpers import square_mask
from maskferry._own_files import OwnKind, own_kind
from maskferry.formats.registry import BUILT_IN
from maskferry.outputs import export, save_label_maps
from maskferry.rendering import plot_frame, render, render_sheet

SIZE_HW = (24, 32)


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (4, *SIZE_HW, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tracks(video):
    with maskferry.track(video, {7: square_mask(SIZE_HW, 4, 5, 9)}, engine="hold") as found:
        yield found


@pytest.mark.parametrize("name", [name for name, spec in BUILT_IN.items() if not spec.needs_map])
def test_every_format_is_known_again(name, tracks, video, tmp_path):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    spec = BUILT_IN[name]
    written = export(tracks, tmp_path / spec.output, name, video=video)
    assert written
    expected = OwnKind.frame if spec.is_folder else OwnKind.other
    assert {own_kind(path) for path in written} == {expected}


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif"])
def test_sheets(suffix, tracks, video, tmp_path):
    assert own_kind(render_sheet(tracks, tmp_path / f"sheet.{suffix}", video)) is OwnKind.other


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "pdf", "svg"])
def test_pictures_of_notebooks(suffix, tracks, video, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    frame = maskferry.data.Frame(tracks.info(0), video[0])
    for _ in range(2):  # the second one replaces the first
        plot_frame(frame, tracks[0], output=tmp_path / f"frame.{suffix}", figsize=(2, 2))
    assert own_kind(tmp_path / f"frame.{suffix}") is OwnKind.other


def test_label_maps_as_tiff_and_films(tracks, video, tmp_path):
    for path in save_label_maps(tracks, tmp_path / "tif", img_ext="tif", dtype="uint16"):
        assert own_kind(path) is OwnKind.frame
    assert own_kind(render(tracks, tmp_path / "film.mp4", video, rate=5)) is OwnKind.other


def test_a_tracks_file(tmp_path, video):
    maskferry.track(video, square_mask(SIZE_HW, 4, 5, 9), engine="hold", tracks=tmp_path / "t").close()
    assert own_kind(tmp_path / "t") is OwnKind.tracks


def test_an_empty_table_of_boxes(video, tmp_path):
    with maskferry.MaskTracker(video, engine="hold") as tracker:
        tracker.add_masks_prompt([square_mask(SIZE_HW, 4, 5, 9)], [1])
        tracker.propagate()
        tracker.remove_object(1)
        if not len(tracker.tracks):
            pytest.skip("nothing to write")
        export(tracker.tracks, tmp_path / "mot.txt", "mot")
    assert own_kind(tmp_path / "mot.txt") is OwnKind.other


# --- what is not ours -----------------------------------------------------------------------------------------------


def _png(path: Path) -> None:
    Image.new("L", (4, 4)).save(path)


def _edited_labelme(path: Path) -> None:
    """As LabelMe saves a file of ours that somebody has corrected: it keeps our key."""
    content = {"version": "5.5.0", "flags": {}, "shapes": [], "maskferry": {"index": 0, "time": None, "name": "a"}}
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


def _film(path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        out.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        out.mux(stream.encode())


def _database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (x)")
    connection.commit()
    connection.close()


FOREIGN = {
    "mine.json": '{"info": {"description": "mine"}, "images": []}',
    "coco.json": '{"info": {"description": "written by maskferry"}, "images": [], "annotations": []}',  # saved anew
    "notes.txt": "these masks were written by maskferry\n",
    "mot.txt": "1,1,5,6,9,9,1.0,-1,-1,-1\n",
    "mots.txt": "0 1001 1 24 32 abc\n",
    "t.csv": "frame,id,x\n1,2,3\n",
    "t.frames.csv": "index,time,name\n0,0.0,a\n",  # not our ends of lines
    "cvat.xml": '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n</annotations>\n',
    "empty": "",
    "header.mp4": "\0\0\0\x18ftypisom",
    "header.png": "\x89PNG\r\n",
    "header.tif": "II*\0\xff\xff\xff\x7f",
    "header.parquet": "PAR1",
    "label.json": '[{"data": {"video": "a"}, "annotations": []}]',
    "labelme.json": _edited_labelme,
    "a.png": _png,
    "a.tif": _png,
    "a.jpg": _png,
    "film.mp4": _film,
    "film.webm": lambda path: path.write_bytes(b"\x1a\x45\xdf\xa3" + b"COMMENT mine" * 9),
    "mine.sqlite": _database,
    "folder": lambda path: path.mkdir(),
    "dangling": lambda path: path.symlink_to(path.parent / "nowhere"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_others_wrote_is_not_ours(name, tmp_path):
    make, path = FOREIGN[name], tmp_path / name
    make(path) if callable(make) else path.write_bytes(make.encode("latin-1"))
    assert own_kind(path) is None


def test_a_table_of_boxes_is_ours_only_beside_its_frame_table(tracks, tmp_path):
    path, table = export(tracks, tmp_path / "mot.txt", "mot")
    shutil.copy(path, tmp_path / "alone.txt")
    assert own_kind(tmp_path / "alone.txt") is None
    assert own_kind(path) is OwnKind.other
    table.write_text("index,time,name\r\n0,soon,a\r\n", newline="")
    assert own_kind(path) is None


def test_cut_off_files_are_not_ours_or_known_by_what_is_left(tracks, video, tmp_path):
    """Nothing is raised, wherever a file ends."""
    for name, spec in BUILT_IN.items():
        if name == "parquet" or spec.needs_map:
            continue
        content = export(tracks, tmp_path / name / spec.output, name, video=video)[0].read_bytes()
        for length in range(0, len(content), max(1, len(content) // 60)):
            (tmp_path / "cut").write_bytes(content[:length])
            own_kind(tmp_path / "cut")
