"""What may be written: nothing that is read, nothing of somebody else's, one writer at a time, and all or nothing."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maskferry
from cli_tools import clip, label_map, run
from helpers import square_mask
from maskferry.errors import InputError, OutputExistsError, RunningElsewhereError
from maskferry.files import check_output, output
from maskferry.formats.registry import BUILT_IN
from maskferry.outputs import export, save_label_maps
from maskferry.rendering import reads_of, render, render_moments, render_sheet
from maskferry.samgeo import SamGeo3Video
from maskferry.tracks import Tracks

SIZE_HW = (24, 32)
OURS = '{"info": {"description": "written by maskferry"},\n"videos": []}'
ROUNDS = int(os.environ.get("MASKFERRY_ROUNDS", "5"))
"""Of the race of several exports; 50 for a long look."""

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


def snapshot(folder: Path) -> dict[str, bytes]:
    """{path: content} of all files below a folder; those that a reader of tracks keeps beside them are left out."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.endswith(("-wal", "-shm"))]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def make_frames(folder: Path, count: int = 3) -> Path:
    folder.mkdir(parents=True)
    for i in range(count):
        Image.fromarray(np.full((*SIZE_HW, 3), 20 * i, dtype=np.uint8)).save(folder / f"{i:05d}.png")
    return folder


def make_tracks(path: Path, video: Path, object_id: int = 7) -> Tracks:
    return maskferry.track(video, {object_id: square_mask(SIZE_HW, 4, 5, 9)}, engine="hold", tracks=path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a video as pictures (frames), a file that is taken for a video (clip.mp4), and masks."""
    folder = tmp_path / "place"
    make_frames(folder / "frames")
    (folder / "clip.mp4").write_bytes(b"a film")
    label_map(folder / "first.png", (10, 10, 20, 20), size_hw=SIZE_HW)
    return folder


@pytest.fixture
def tracks(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracks]:
    """Tracks of it, in a file, that know which masks they were given."""
    monkeypatch.setattr(Tracks, "inputs", (place / "first.png",), raising=False)
    with make_tracks(place / "run" / "tracks.sqlite", place / "frames") as found:
        yield found


# --- nothing that is read ---------------------------------------------------------------------------------------------


def by_symlink(path: Path, tmp_path: Path) -> Path:
    (tmp_path / "links").mkdir(exist_ok=True)
    link = tmp_path / "links" / path.name
    link.symlink_to(path)
    return link


def by_hard_link(path: Path, tmp_path: Path) -> Path:
    if path.is_dir() or not path.exists():
        return path
    (tmp_path / "hard").mkdir(exist_ok=True)
    link = tmp_path / "hard" / path.name
    link.hardlink_to(path)
    return link


def by_linked_folder(path: Path, tmp_path: Path) -> Path:
    link = tmp_path / f"to_{path.parent.name}"
    if not link.is_symlink():
        link.symlink_to(path.parent, target_is_directory=True)
    return link / path.name


def by_way_around(path: Path, tmp_path: Path) -> Path:
    (path.parent / "below").mkdir(exist_ok=True)
    return path.parent / "below" / ".." / path.name


NAMINGS: dict[str, Callable[[Path, Path], Path]] = {
    "itself": lambda path, tmp_path: path,
    "relative": lambda path, tmp_path: Path(os.path.relpath(path)),
    "symlink": by_symlink,
    "hard link": by_hard_link,
    "linked folder": by_linked_folder,
    "way around": by_way_around,
}

READ = ["run/tracks.sqlite", "run/tracks.sqlite-wal", "run/.tracks.sqlite.lock", "clip.mp4", "frames", "first.png"]


@needs_links
@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("name", BUILT_IN)
def test_no_export_overwrites_what_is_read(name, naming, place, tracks, tmp_path):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    before = snapshot(place)
    for read in [*READ, "frames/00001.png"]:
        path = NAMINGS[naming](place / read, tmp_path)
        if read == "frames/00001.png" and naming == "hard link" and BUILT_IN[name].is_folder:
            continue  # a file, where a folder would be made
        for overwrite in (False, True):
            with pytest.raises((InputError, OutputExistsError) if read == "frames/00001.png" else InputError):
                export(tracks, path, name, video=place / "clip.mp4", overwrite=overwrite)
    assert snapshot(place) == before


@pytest.mark.parametrize("name", [name for name, spec in BUILT_IN.items() if spec.is_folder])
@pytest.mark.parametrize("folder", ["frames", ".", "run"])
def test_no_folder_of_what_is_read_is_replaced(folder, name, place, tracks):
    before = snapshot(place)
    with pytest.raises(InputError, match="is read"):
        export(tracks, place / folder, name, overwrite=True)
    assert snapshot(place) == before


def test_no_picture_comes_among_the_frames(place, tracks):
    with pytest.raises(InputError, match="would be read as one of the pictures"):
        render_sheet(tracks, place / "frames" / "sheet.png")
    for path in (place / "frames" / "tracks.csv", place / "frames" / "new" / "sheet.png"):
        for overwrite in (False, True):
            if path.suffix == ".csv":
                export(tracks, path, "csv", overwrite=overwrite)
            else:
                render_sheet(tracks, path, overwrite=overwrite)
    assert len(save_label_maps(tracks, place / "frames" / "masks")) == 3


@pytest.mark.parametrize("read", ["run/tracks.sqlite", "clip.mp4", "frames/00001.png", "first.png"])
def test_nothing_drawn_overwrites_what_is_read(read, place, tracks):
    before, path = snapshot(place), place / read
    moment = maskferry.tracks.review.Moment(0, 7, "lost", 1.0)
    for draw in (
        lambda: render(tracks, path, place / "clip.mp4", overwrite=True),
        lambda: render_sheet(tracks, path, place / "clip.mp4", overwrite=True),
        lambda: render_moments(tracks, [moment], path, place / "clip.mp4", overwrite=True),
    ):
        with pytest.raises(InputError, match="is read"):
            draw()
    assert snapshot(place) == before


def test_case_and_the_name_of_a_thing_that_is_missing(place, tracks):
    reads = reads_of(tracks)
    with pytest.raises(InputError, match="is read"):
        check_output(place / "run" / "TRACKS.sqlite-Journal", reads=reads)
    with pytest.raises(InputError, match="is read"):
        check_output(place / "run" / "tracks.sqlite-journal", reads=reads)
    check_output(place / "run" / "other.sqlite", reads=reads)


@needs_links
def test_tracks_that_were_opened_by_a_link(place, tracks, tmp_path):
    (tmp_path / "link.sqlite").symlink_to(tracks.path)
    with Tracks.open(tmp_path / "link.sqlite") as linked:
        for end in ("", "-wal", "-shm", "-journal"):
            for overwrite in (False, True):
                with pytest.raises(InputError, match="is read"):
                    export(linked, place / "run" / f"tracks.sqlite{end}", "csv", overwrite=overwrite)


def test_addresses_are_no_paths(place, tracks):
    assert not [path for path in reads_of(tracks, "https://example.com/a.mp4") if "example" in str(path)]


@pytest.mark.parametrize("read", ["run/tracks.sqlite", "frames/00001.png", "first.png"])
def test_the_command_line_refuses_it_too(read, place, tmp_path, capsys):
    pictures, first = place / "frames", place / "first.png"
    command = ["track", pictures, "--masks", first, "--engine", "hold", "--write", "none", "-o", place / "run", "-q"]
    assert run(*command) == 0
    before, path = snapshot(place), place / read
    for command in (
        ["export", place / "run", "--format", "csv"],
        ["export", place / "run", "--format", "davis", "--overlap", "last"],
        ["export", place / "run", "--format", "mot"],
        ["render", place / "run"],
        ["review", place / "run"],
    ):
        assert run(*command, "-o", path, "--overwrite") == 2, command
    assert snapshot(place) == before


def test_eval_does_not_overwrite_the_truth(place, tracks, tmp_path, capsys):
    truth = tmp_path / "truth.json"
    export(tracks, truth, "youtube-vis")
    save_label_maps(tracks, tmp_path / "truth")
    before = snapshot(tmp_path)
    for given, path in ((truth, truth), (tmp_path / "truth", tmp_path / "truth" / "00000.png")):
        command = ["eval", "--tracks", place / "run", "--truth", given, "-o", path, "--overwrite"]
        assert run(*command) == 2
        assert "which is read" in capsys.readouterr().err
    assert snapshot(tmp_path) == before


@pytest.fixture
def sam(place: Path) -> Iterator[SamGeo3Video]:
    with SamGeo3Video(engine="hold") as found:
        found.set_video(place / "frames")
        found.add_mask_prompt(square_mask(SIZE_HW, 4, 5, 9), 1)
        found.propagate()
        yield found


def test_samgeo_keeps_the_video_and_what_others_wrote(sam, place, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    before = snapshot(place)
    frames = place / "frames"
    for save in (
        lambda: sam.save_masks(frames),
        lambda: sam.save_masks(place),
        lambda: sam.save_video(frames / "00000.png"),
        lambda: sam.show_frame(0, output=frames / "00000.png"),
        lambda: sam.show_frame(0, output=frames / "new.png"),
    ):
        with pytest.raises(InputError):
            save()
    with pytest.raises(OutputExistsError, match="maskferry did not write it"):
        sam.save_video(place / "clip.mp4")
    with pytest.raises(OutputExistsError, match="maskferry did not write it"):
        sam.show_frame(0, output=place / "first.png")
    assert snapshot(place) == before


def test_samgeo_keeps_a_video_of_which_it_takes_every_other_frame(tmp_path):
    video = clip(tmp_path)
    before = snapshot(tmp_path)
    with SamGeo3Video(engine="hold") as sam:
        sam.set_video(video, frame_rate=8)
        sam.add_mask_prompt(square_mask((96, 128), 4, 5, 9), 1)
        sam.propagate()
        with pytest.raises(InputError, match="is read"):
            sam.save_video(video)
        with pytest.raises(InputError, match="is read"):
            sam.save_masks(tmp_path)
    assert snapshot(tmp_path) == before


def test_samgeo_replaces_its_own_results(sam, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for suffix in ("png", "png", "tif"):
        paths = sam.save_masks(tmp_path / "out", img_ext=suffix)
        sam.show_frame(0, output=tmp_path / "out" / "look.png")
        sam.save_video(tmp_path / "out" / "film.mp4", fps=5)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"notes.txt", "look.png", "film.mp4", *(Path(path).name for path in paths)}


# --- nothing of somebody else's ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, spec in BUILT_IN.items() if not (spec.is_folder or spec.needs_map)])
def test_files_of_others_stay_and_ours_are_replaced(name, place, tracks, tmp_path):
    if name == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "new" / BUILT_IN[name].output
    path.parent.mkdir()
    for taken in (path, path.with_name(f"{path.stem}.frames.csv")):
        if taken != path and not BUILT_IN[name].has_frame_table:
            continue
        taken.write_text("mine")
        with pytest.raises(OutputExistsError, match="move or delete it"):
            export(tracks, path, name, overwrite=True)
        assert {p.name: p.read_text() for p in path.parent.iterdir()} == {taken.name: "mine"}
        taken.unlink()
    first = export(tracks, path, name)
    assert export(tracks, path, name, overwrite=True) == first
    assert sorted(path.parent.iterdir()) == sorted(first)


@pytest.mark.parametrize("name", [name for name, spec in BUILT_IN.items() if spec.is_folder and not spec.needs_map])
def test_nothing_stale_is_left_and_nothing_foreign_is_lost(name, place, tracks, tmp_path):
    out = tmp_path / "out"
    long = make_frames(tmp_path / "long", 12)
    with make_tracks(tmp_path / "long.sqlite", long, object_id=9) as more:
        assert len(export(more, out, name)) == 12
    assert len(export(tracks, out, name, overwrite=True)) == 3
    assert len(snapshot(out)) == 3, "all was ours: the folder is replaced as a whole"
    (out / "notes.txt").write_text("mine")
    (out / "sub").mkdir()
    Image.new("L", (3, 3)).save(out / "sub" / "00000.png")
    kept = {name: data for name, data in snapshot(out).items() if name in ("notes.txt", "sub/00000.png")}
    with Tracks.open(tmp_path / "long.sqlite") as more:
        export(more, out, name, overwrite=True)
    assert len(snapshot(out)) == 12 + 2
    export(tracks, out, name, overwrite=True)
    after = snapshot(out)
    assert len(after) == 3 + 2
    assert kept.items() <= after.items()
    assert not [path for path in out.parent.iterdir() if path.name.startswith(".")]


def test_a_file_of_others_in_the_way_refuses_before_anything_changes(place, tracks, tmp_path):
    out = tmp_path / "out"
    save_label_maps(tracks, out)
    Image.new("L", SIZE_HW[::-1]).save(out / "00001.png")  # corrected by hand
    before = snapshot(tmp_path)
    with pytest.raises(OutputExistsError, match=r"00001\.png is not replaced"):
        save_label_maps(tracks, out, overwrite=True)
    assert snapshot(tmp_path) == before


@needs_links
def test_links_in_a_folder_are_not_followed(place, tracks, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    export(tracks, other / "7", "davis")
    before = snapshot(other)
    out.mkdir()
    (out / "7").symlink_to(other / "7", target_is_directory=True)
    with pytest.raises(OutputExistsError, match="link"):
        export(tracks, out, "masks", overwrite=True)
    assert snapshot(other) == before


@needs_links
def test_a_link_to_a_folder_stays_a_link(place, tracks, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk", target_is_directory=True)
    for overwrite in (False, True):
        assert len(save_label_maps(tracks, tmp_path / "out", overwrite=overwrite)) == 3
    assert (tmp_path / "out").is_symlink()
    assert len(snapshot(tmp_path / "disk")) == 3


@needs_links
def test_a_dangling_link_is_taken(tracks, tmp_path):
    (tmp_path / "t.csv").symlink_to(tmp_path / "nowhere.csv")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError):
            export(tracks, tmp_path / "t.csv", "csv", overwrite=overwrite)
    assert not (tmp_path / "nowhere.csv").exists()


def test_the_tracks_of_another_run_are_no_export(tracks, place, tmp_path):
    make_tracks(tmp_path / "other.sqlite", place / "frames").close()
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(OutputExistsError, match="tracks file"):
        export(tracks, tmp_path / "other.sqlite", "csv", overwrite=True)
    assert (tmp_path / "other.sqlite").read_bytes() == before


def test_the_working_folder_keeps_being_one(tracks, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for overwrite in (False, True):
        assert [str(p) for p in save_label_maps(tracks, ".", overwrite=overwrite)] == [f"0000{i}.png" for i in range(3)]
        assert len(list(Path().iterdir())) == 3


@pytest.mark.parametrize(
    "taken", ["coco.json", "sheet.png", "masks/00000.png", "overlay.mp4", "mot.frames.csv", "tracks.sqlite"]
)
def test_track_refuses_what_others_wrote(taken, place, capsys):
    command = ["track", place / "frames", "--masks", place / "first.png", "--engine", "hold", "-o", place / "run", "-q"]
    (place / "run" / taken).parent.mkdir(parents=True)
    (place / "run" / taken).write_text("mine")
    before = snapshot(place)
    kinds = ["--write", "davis,coco,sheet,film,mot", "--rate", "5"]
    assert run(*command, *kinds, "--overwrite") == 2
    assert taken in capsys.readouterr().err
    assert snapshot(place) == before
    (place / "run" / taken).unlink()
    assert run(*command, *kinds, "--overwrite") == 0
    assert run(*command, *kinds, "--overwrite") == 0


def test_a_frame_table_that_two_files_share_does_not_change(tracks, tmp_path):
    export(tracks, tmp_path / "t.txt", "mot")
    export(tracks, tmp_path / "t.xml", "cvat", overwrite=True)  # the same frames, the same table
    before = snapshot(tmp_path)
    with (
        make_tracks(tmp_path / "more" / "t.sqlite", make_frames(tmp_path / "frames", 5)) as more,
        pytest.raises(OutputExistsError, match=r"t\.frames\.csv belongs to .*t\.txt"),
    ):
        export(more, tmp_path / "t.xml", "cvat", overwrite=True)
    assert before.items() <= snapshot(tmp_path).items()
    with output(tmp_path / "t.txt", overwrite=True, beside=[tmp_path / "t.frames.csv"]) as part:
        with pytest.raises(RunningElsewhereError):
            export(tracks, tmp_path / "t.xml", "cvat", overwrite=True)
        part.write_bytes((tmp_path / "t.txt").read_bytes())


def test_what_comes_into_a_folder_while_it_is_replaced_stays(tracks, tmp_path, monkeypatch):
    out = tmp_path / "out"
    save_label_maps(tracks, out)
    moved = Path.rename

    def late(self, target):
        if self == out:
            (out / "notes.txt").write_text("mine")
        return moved(self, target)

    monkeypatch.setattr(Path, "rename", late)
    save_label_maps(tracks, out, overwrite=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert len(snapshot(out)) == 4


PLUGIN = """
from maskferry.formats.registry import FormatSpec

SPEC = FormatSpec("plain:write", output="extents.txt", summary="areas", recognizer="plain:is_ours")
SHY = FormatSpec("plain:write", output="shy.txt", summary="extents")


def is_ours(path):
    return path.read_bytes().startswith(b"areas")


def write(video, frames, path, *, labels, overwrite):
    path.write_text(f"areas {sum(row.rle.area for frame in frames for row in frame.masks)}")
"""


def test_formats_of_other_packages(tracks, place, tmp_path, install_package):
    install_package({"plain": PLUGIN}, "maskferry.formats", {"extents": "plain:SPEC", "shy": "plain:SHY"})
    path = tmp_path / "extents.txt"
    with pytest.raises(InputError, match="is read"):
        export(tracks, place / "run" / "tracks.sqlite", "extents", overwrite=True)
    for overwrite in (False, True):
        assert export(tracks, path, "extents", overwrite=overwrite) == [path]
    with pytest.raises(OutputExistsError):
        export(tracks, path, "extents")
    with pytest.raises(OutputExistsError, match="maskferry did not write it"):
        export(tracks, path, "shy", overwrite=True)
    path.write_text("mine")
    with pytest.raises(OutputExistsError, match="maskferry did not write it"):
        export(tracks, path, "extents", overwrite=True)
    assert path.read_text() == "mine"


# --- all or nothing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_folder", [False, True])
def test_a_writer_that_fails_leaves_nothing(is_folder, tmp_path):
    def fail():
        with output(tmp_path / "new" / "deep" / "out.json", is_folder=is_folder) as part:
            (part / "a" if is_folder else part).write_text("half")
            part.with_name("beside.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_way_beside_an_output_refuses_it_whole(tmp_path):
    (tmp_path / "out.txt").write_text("mine")
    with pytest.raises(OutputExistsError), output(tmp_path / "out.json") as part:
        part.write_text(OURS)
        part.with_name("out.txt").write_text("ours")
    assert snapshot(tmp_path) == {"out.txt": b"mine"}


@pytest.mark.skipif(os.name == "nt", reason="no umask")
def test_the_umask_counts(tracks, tmp_path):
    before = os.umask(0o027)
    try:
        (path,) = export(tracks, tmp_path / "t.json", "coco")
        save_label_maps(tracks, tmp_path / "masks")
    finally:
        os.umask(before)
    modes = [p.stat().st_mode & 0o777 for p in (path, tmp_path / "masks", tmp_path / "masks" / "00000.png")]
    assert modes == [0o640, 0o750, 0o640]


def test_messages_name_the_real_place(tracks, tmp_path, caplog):
    export(tracks, tmp_path / "mot.txt", "mot")
    assert f"{tmp_path / 'mot.txt'} loses" in caplog.text
    with pytest.raises(InputError) as caught:
        render(tracks, tmp_path / "film.avi", rate=5)
    assert str(tmp_path / "film.avi") in str(caught.value)
    assert ".part" not in caplog.text + str(caught.value)


def test_one_writer_at_a_time(tmp_path):
    path = tmp_path / "out.json"
    with output(path) as first:
        first.write_text(OURS)
        with pytest.raises(RunningElsewhereError), output(path, overwrite=True):
            pytest.fail("two writers")
    assert path.read_text() == OURS
    assert list(tmp_path.iterdir()) == [path]


EXPORT_AND_STOP = """
import sys, time
from pathlib import Path
from maskferry.files import output
is_folder = sys.argv[2] == "folder"
with output(Path(sys.argv[1]), overwrite=True, is_folder=is_folder) as part:
    (part / "00000.png" if is_folder else part).write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_export_leaves_the_old_result(kind, tracks, tmp_path):
    path, name = (tmp_path / "masks", "davis") if kind == "folder" else (tmp_path / "t.csv", "csv")
    export(tracks, path, name)
    before = snapshot(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", EXPORT_AND_STOP, str(path), kind], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        with pytest.raises(RunningElsewhereError, match=str(process.pid)):
            export(tracks, path, name, overwrite=True)
        process.kill()
    assert before.items() <= snapshot(tmp_path).items()
    assert list(tmp_path.glob(".maskferry-*"))
    with pytest.raises(OutputExistsError):
        export(tracks, path, name)
    export(tracks, path, name, overwrite=True)
    assert snapshot(tmp_path) == before


KILL_AT_MOVE = """
import os, signal, sys
from pathlib import Path
from maskferry.outputs import export
from maskferry.tracks import Tracks
at, count = int(sys.argv[1]), 0

def counted(wrapped):
    def move(self, target):
        global count
        count += 1
        if count > at:
            os.kill(os.getpid(), signal.SIGKILL)
        return wrapped(self, target)
    return move

with Tracks.open(sys.argv[2]) as tracks:
    Path.rename, Path.replace = counted(Path.rename), counted(Path.replace)
    export(tracks, sys.argv[3], sys.argv[4], overwrite=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal")
@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("name", ["davis", "mot", "csv"])
def test_killed_between_two_moves(name, at, tracks, place, tmp_path):
    """Whenever it happens, the next one that writes there finds the old result whole, or the new one."""
    path = tmp_path / "out" / BUILT_IN[name].output
    export(tracks, path, name)
    old = snapshot(tmp_path / "out")
    with make_tracks(tmp_path / "other.sqlite", make_frames(tmp_path / "more", 5), object_id=5) as other:
        export(other, tmp_path / "new" / path.name, name)
    new = snapshot(tmp_path / "new")
    arguments = map(str, (at, tmp_path / "other.sqlite", path, name))
    code = subprocess.run([sys.executable, "-c", KILL_AT_MOVE, *arguments], check=False).returncode
    assert (code == 0) == (at >= {"davis": 2, "mot": 3, "csv": 1}[name])
    with pytest.raises(OutputExistsError):
        export(tracks, path, name)
    assert snapshot(tmp_path / "out") == (new if code == 0 else old)
    export(tracks, path, name, overwrite=True)
    assert snapshot(tmp_path / "out") == old


# --- a race -----------------------------------------------------------------------------------------------------------


def race(number: int, folder: str, name: str, start, end, told) -> None:
    path = Path(folder) / "shared" / BUILT_IN[name].output
    with Tracks.open(Path(folder) / f"{number}.sqlite") as tracks:
        for _ in range(ROUNDS):
            start.wait(60)
            try:
                export(tracks, path, name, overwrite=True)
                told.put("won")
            except (RunningElsewhereError, OutputExistsError) as err:
                told.put(type(err).__name__)
            end.wait(60)


@pytest.mark.parametrize("name", ["csv", "mot", "davis"])
def test_of_several_exports_to_one_path_one_wins_each_time(name, tmp_path):
    count = 3
    whole = []
    for number in range(count):
        frames = make_frames(tmp_path / f"frames{number}", 4 + 3 * number)
        with make_tracks(tmp_path / f"{number}.sqlite", frames, object_id=number + 1) as tracks:
            export(tracks, tmp_path / f"alone{number}" / BUILT_IN[name].output, name)
        whole.append(snapshot(tmp_path / f"alone{number}"))
    context = multiprocessing.get_context("spawn")
    start, end, told = context.Barrier(count + 1), context.Barrier(count + 1), context.Queue()
    arguments = (str(tmp_path), name, start, end, told)
    processes = [context.Process(target=race, args=(number, *arguments)) for number in range(count)]
    for process in processes:
        process.start()
    for _ in range(ROUNDS):
        start.wait(60)
        end.wait(60)
        answers = [told.get(timeout=60) for _ in range(count)]
        assert "won" in answers
        assert set(answers) <= {"won", "RunningElsewhereError"}
        assert snapshot(tmp_path / "shared") in whole
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert {path.name for path in (tmp_path / "shared").iterdir()} == {Path(n).parts[0] for n in whole[0]}


def test_a_frame_table_is_that_of_its_file(tracks, tmp_path):
    path, table = export(tracks, tmp_path / "mot.txt", "mot")
    with table.open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + len(tracks)
    assert len(path.read_text().splitlines()) == len(tracks)
