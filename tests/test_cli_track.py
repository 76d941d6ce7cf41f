"""``maskferry track``: what it writes, what it refuses, and that it goes on where it was stopped."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from importlib.util import find_spec

import av
import numpy as np
import pytest
from PIL import Image

from cli_tools import COUNT, clip, finish, label_map, one_json, run, start, tracked
from clips import SIZE_HW
from helpers import saved_contents
from maskferry import Tracks
from maskferry.cli._options import engine_options
from maskferry.cli._track import parse_kinds
from maskferry.data import State
from maskferry.engines._hold import HoldEngine, HoldSession
from maskferry.errors import EngineError, InputError
from maskferry.formats.registry import BUILT_IN
from maskferry.outputs import known_kinds
from maskferry.prompts import GivenFiles
from maskferry.tracks._journal import Journal


@pytest.fixture
def video(tmp_path):
    return clip(tmp_path)


@pytest.fixture
def masks(tmp_path):
    return label_map(tmp_path / "first.png", (10, 20, 40, 60), (60, 30, 90, 70))


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def hold(video, masks, out, *more):
    return run("track", video, "--masks", masks, "--engine", "hold", "-o", out, *more)


def rows(folder):
    return saved_contents(folder / "tracks.sqlite")


def files(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


# --- the engine ------------------------------------------------------------------------------------------------------


def test_an_option_that_the_engine_does_not_have(video, masks, out, capsys):
    assert hold(video, masks, out, "--no-memory-selection") == 2
    text = capsys.readouterr().err
    assert "engine 'hold' has no memory selection; memory_selection is an option of sam3" in text
    assert not out.exists()


def test_what_an_engine_is_loaded_with():
    assert engine_options(None, None, None) == {}
    assert engine_options("cpu", None, False) == {"device": "cpu", "memory_selection": False}


# --- what it writes -------------------------------------------------------------------------------------------------


def test_the_default_outputs(video, masks, out, capsys):
    assert hold(video, masks, out) == 0
    maps = [f"masks/{i:05d}.png" for i in range(COUNT)]
    assert files(out) == sorted([*maps, "overlay.mp4", "tracks.csv", "tracks.sqlite"])
    assert np.array_equal(Image.open(out / "masks/00000.png"), Image.open(masks))
    with av.open(str(out / "overlay.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == COUNT
    text, talk = capsys.readouterr()
    assert [line.split() for line in text.splitlines()] == [
        ["tracks", str(out / "tracks.sqlite")],
        ["davis", str(out / "masks")],
        ["csv", str(out / "tracks.csv")],
        ["film", str(out / "overlay.mp4")],
    ]
    assert talk.startswith(f"2 objects on {COUNT} frames of clip.mp4, engine hold at ")


def test_every_kind_and_json(video, masks, out, capsys):
    assert hold(video, masks, out, "--write", "davis,csv", "--write", "masks,youtube-vis,film,sheet", "--json") == 0
    report = one_json(capsys.readouterr().out)
    assert (report["engine"], report["frames"], report["stopped_at"]) == ("hold", COUNT, None)
    assert report["objects"] == [{"id": i, "label": None, "frames": COUNT, "lost": 0} for i in (1, 2)]
    names = {"davis": "masks", "csv": "tracks.csv", "masks": "objects", "youtube-vis": "tracks.json"}
    names |= {"film": "overlay.mp4", "sheet": "sheet.png", "tracks": "tracks.sqlite"}
    assert report["files"] == {kind: str(out / name) for kind, name in names.items()}
    assert all((out / name).exists() for name in names.values())
    assert len(list((out / "objects").rglob("*.png"))) == 2 * COUNT
    assert not [name for name in files(out) if "part" in name]


def test_only_the_tracks(video, masks, out):
    assert hold(video, masks, out, "--write", "none", "-q") == 0
    assert files(out) == ["tracks.sqlite"]


def test_a_part_of_the_video(video, masks, out):
    assert hold(video, masks, out, "--frame", 4, "--start", 2, "--stop", 9, "--stride", 3, "--write", "csv") == 0
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert list(tracks) == [2, 4, 5, 8]
        assert tracks[4][1].state is State.GIVEN


@pytest.mark.parametrize(("direction", "first", "last"), [("forward", 5, 11), ("backward", 0, 5), ("both", 0, 11)])
def test_directions(video, masks, out, direction, first, last):
    assert hold(video, masks, out, "--frame", 5, "--direction", direction, "--write", "none") == 0
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert list(tracks) == list(range(first, last + 1))


def test_masks_on_several_frames(video, masks, out, tmp_path):
    again = label_map(tmp_path / "again.png", (20, 20, 50, 60))
    assert hold(video, f"0={masks}", out, "--masks", f"8={again}", "--direction", "forward", "--write", "none") == 0
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert tracks[8][1].state is State.GIVEN
        assert tracks[11][1].rle.box_xyxy == (20, 20, 50, 60)
        assert tracks[11][2].rle.box_xyxy == (60, 30, 90, 70)


def test_a_folder_of_masks_and_a_folder_of_pictures(video, tmp_path, out, capsys):
    pictures, folder = tmp_path / "pictures", tmp_path / "objects"
    pictures.mkdir(), folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((*SIZE_HW, 3), 40 * i, dtype=np.uint8)).save(pictures / f"img{i}.png")
    for i in (3, 7):
        mask = np.zeros(SIZE_HW, dtype=np.uint8)
        mask[10 * i : 10 * i + 5, 10:20] = 255
        Image.fromarray(mask).save(folder / f"mask_{i}.png")
    assert hold(pictures, folder, out, "--rate", "2", "--json") == 0
    report = one_json(capsys.readouterr().out)
    assert ([row["id"] for row in report["objects"]], report["frames"]) == ([3, 7], 3)
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert [tracks.info(i).time for i in range(3)] == [0, 0.5, 1]


def test_what_it_wrote_as_json_is_taken_as_masks(video, masks, out, tmp_path, capsys):
    assert hold(video, masks, out, "--write", "youtube-vis") == 0
    assert hold(video, out / "tracks.json", tmp_path / "again", "--write", "none") == 0
    assert rows(out) == rows(tmp_path / "again")


def test_names_from_a_coco_file_come_out(video, out, tmp_path, capsys):
    square = [[10, 10, 30, 10, 30, 30, 10, 30]]
    coco = {
        "images": [{"id": 1, "height": SIZE_HW[0], "width": SIZE_HW[1], "file_name": "a.png"}],
        "categories": [{"id": 5, "name": "ship"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "segmentation": square}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    assert hold(video, tmp_path / "coco.json", out, "--json", "--write", "csv") == 0
    assert one_json(capsys.readouterr().out)["objects"][0]["label"] == "ship"


def test_a_mask_of_another_size_is_resized_with_one_warning(video, out, tmp_path, capsys):
    small = label_map(tmp_path / "small.png", (5, 5, 20, 20), size_hw=(SIZE_HW[0] // 2, SIZE_HW[1] // 2))
    assert hold(video, small, out, "--write", "none") == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "64x48" in warnings[0]
    assert "128x96" in warnings[0]


# --- what it refuses, before it works -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--frame", COUNT], "0 to 11"),
        (["--frame", 3, "--start", 5], "lies outside of the frames to track"),
        (["--start", COUNT], "expected a range inside"),
        (["--engine", "nonsense"], "no engine is called 'nonsense'"),
        (["--write", "csv,nonsense"], "--write: expected davis"),
        (["--write", "csv", "--audio"], "--audio is for the film"),
        (["--audio", "--rate", "5"], "not be in step"),
        (["--rate", "fast"], "rate"),
        (["--masks", "3=missing.png"], "missing.png does not exist"),
        (["--direction", "sideways"], "sideways"),
        (["--stride", 0], "--stride"),
    ],
)
def test_wrong_input_is_refused(options, message, video, masks, out, capsys):
    engine = [] if "--engine" in options else ["--engine", "hold"]
    assert run("track", video, "--masks", masks, "-o", out, *engine, *options) == 2
    text, err = capsys.readouterr()
    assert not text
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not out.exists()


def test_a_missing_video(masks, out, capsys):
    assert hold("nothing.mp4", masks, out) == 1
    assert "nothing.mp4 does not exist" in capsys.readouterr().err
    assert not out.exists()


def test_two_masks_of_one_object_on_one_frame(video, masks, out, tmp_path, capsys):
    other = label_map(tmp_path / "other.png")
    assert hold(video, masks, out, "--masks", other) == 2
    assert "object 1 has two masks on frame 0" in capsys.readouterr().err


def test_a_file_in_the_way(video, masks, out, capsys):
    out.write_text("mine")
    assert hold(video, masks, out, "--overwrite") == 2
    assert out.read_text() == "mine"


def test_a_folder_that_cannot_be_made(video, masks, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert hold(video, masks, tmp_path / "file" / "out") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "unexpected" not in err


def test_files_of_others_stay(video, masks, out, capsys):
    (out / "masks").mkdir(parents=True)
    (out / "masks" / "00000.png").write_text("mine")
    (out / "notes.txt").write_text("mine")
    assert hold(video, masks, out) == 2
    assert files(out) == ["masks/00000.png", "notes.txt"]
    assert hold(video, masks, out, "--write", "csv") == 0
    assert (out / "masks" / "00000.png").read_text() == (out / "notes.txt").read_text() == "mine"


def test_overwrite_removes_no_foreign_file(video, masks, tmp_path, capsys):
    out = tracked(tmp_path)
    (out / "masks" / "notes.txt").write_text("mine")
    assert hold(video, masks, out, "--overwrite") == 2
    assert "notes.txt is not of maskferry" in capsys.readouterr().err
    assert len(files(out)) == COUNT + 4


def test_inputs_are_not_written_over(video, masks, out, capsys):
    (out / "masks").mkdir(parents=True)
    masks = masks.rename(out / "masks" / "00000.png")
    assert hold(video, masks, out, "--overwrite") == 2
    assert "lies where the results would go" in capsys.readouterr().err
    assert masks.exists()
    assert hold(video, out / "masks", out, "--overwrite") == 2
    assert hold(video, out / "masks", out / "masks", "--overwrite") == 2
    assert masks.exists()


# --- finished, unfinished, begun again ------------------------------------------------------------------------------


def test_a_finished_run_is_refused(video, masks, tmp_path, capsys):
    out = tracked(tmp_path)
    before = rows(out)
    assert hold(video, masks, out) == 2
    assert "finished" in capsys.readouterr().err
    assert rows(out) == before


def test_overwrite_leaves_nothing_of_the_earlier_run(video, masks, tmp_path):
    out = tracked(tmp_path, "--write", "davis,masks,csv,youtube-vis")
    assert hold(video, masks, out, "--overwrite", "--stop", 5, "--write", "davis") == 0
    assert files(out) == [*(f"masks/{i:05d}.png" for i in range(5)), "tracks.sqlite"]


def test_refused_overwriting_leaves_everything(video, masks, tmp_path, capsys):
    out = tracked(tmp_path)
    before = files(out), rows(out)
    for wrong in (["--frame", 99], ["--engine", "nonsense"], ["--start", 5]):
        assert run("track", video, "--masks", masks, "-o", out, "--overwrite", *wrong) == 2
    assert (files(out), rows(out)) == before


def test_missing_outputs_are_written_without_tracking_again(video, masks, tmp_path, capsys, monkeypatch):
    out = tracked(tmp_path)
    (out / "tracks.csv").unlink()
    (out / ".masks.part").mkdir()

    def fail(self, *_):
        raise AssertionError

    monkeypatch.setattr(HoldSession, "step", fail)
    assert hold(video, masks, out, "--write", "davis,csv,film,youtube-vis") == 0
    assert (out / "tracks.csv").exists()
    assert (out / "tracks.json").exists()
    assert "writing what is missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--frame", 1], "other masks"),
        (["--direction", "forward"], "another direction"),
        (["--stop", 8], "other frames"),
        (["--stride", 2], "other frames"),
        (["--rate", 5], "another rate (--rate)"),
        (["--engine", "flow"], "another engine (hold)"),
    ],
)
def test_another_command_does_not_go_on(options, what, video, masks, tmp_path, capsys):
    out = tracked(tmp_path, "--frame", 6)
    frame = [] if "--frame" in options else ["--frame", 6]
    engine = [] if "--engine" in options else ["--engine", "hold"]
    before = rows(out)
    assert run("track", video, "--masks", masks, "-o", out, *frame, *engine, *options) == 2
    assert what in capsys.readouterr().err
    assert rows(out) == before
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert not Journal(tracks).jobs.unfinished()


def test_another_mask_does_not_go_on(video, masks, tmp_path, capsys):
    out = tracked(tmp_path)
    label_map(masks, (11, 20, 40, 60), (60, 30, 90, 70))
    assert hold(video, masks, out) == 2
    assert "other masks" in capsys.readouterr().err


def test_an_engine_that_fails_can_be_gone_on_with(video, masks, out, tmp_path, capsys, monkeypatch):
    step = HoldSession.step

    def failing(self, frame, prompts=()):
        if frame.index == 7:
            raise EngineError("frame 7: told to fail")
        return step(self, frame, prompts)

    with monkeypatch.context() as patch:
        patch.setattr(HoldSession, "step", failing)
        assert hold(video, masks, out) == 1
    assert capsys.readouterr() == ("", "error: frame 7: told to fail\n")
    assert files(out) == ["tracks.sqlite"]
    assert hold(video, masks, out) == 0
    assert f"resuming the run in {out}, which has come to 7 frames" in capsys.readouterr().err
    assert rows(out) == rows(tracked(tmp_path / "whole"))


def test_no_tracks_file(video, masks, out, capsys):
    out.mkdir()
    (out / "tracks.sqlite").write_text("this is something else")
    assert hold(video, masks, out) == 2
    assert "tracks.sqlite" in capsys.readouterr().err
    assert (out / "tracks.sqlite").read_text() == "this is something else"


# --- damage ---------------------------------------------------------------------------------------------------------


def test_a_damaged_video_is_tracked_up_to_the_damage(masks, out, tmp_path, capsys):
    video = clip(tmp_path, "broken.mp4", 100)
    data = bytearray(video.read_bytes())
    begin, end = data.find(b"mdat") + 4, data.rfind(b"moov") - 4
    data[begin + (end - begin) // 2 : end] = bytes(end - begin - (end - begin) // 2)
    video.write_bytes(data)
    assert hold(video, masks, out, "--json") == 1
    text, err = capsys.readouterr()
    report = one_json(text)
    assert 0 < report["frames"] < 100
    last = err.splitlines()[-1]
    assert last.startswith(f"error: broken.mp4 is damaged: tracking stopped before frame {report['frames']}")
    assert err.count("stopped before") == 1
    assert len(files(out)) == report["frames"] + 3
    assert hold(video, masks, out) == 2  # nothing is left to do


# --- Ctrl-C and worse -----------------------------------------------------------------------------------------------


def test_ctrl_c_ends_between_two_frames(video, masks, out, tmp_path, capsys, monkeypatch):
    step = HoldSession.step

    def interrupted(self, frame, prompts=()):
        if frame.index == 5:
            signal.raise_signal(signal.SIGINT)
        return step(self, frame, prompts)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(HoldSession, "step", interrupted)
        assert hold(video, masks, out) == 130
    assert signal.getsignal(signal.SIGINT) is before
    text, err = capsys.readouterr()
    assert not text
    assert err == f"stopped: finished frames are kept in {out}; run the same command again to resume\n"
    assert [info.index for info, row in rows(out) if row.object_id == 1] == list(range(6))
    with monkeypatch.context() as patch:
        patch.setattr(HoldSession, "step", interrupted)
        assert hold(video, masks, out, "--overwrite") == 130
    assert "run the command again without --overwrite to resume" in capsys.readouterr().err
    assert hold(video, masks, out) == 0
    assert rows(out) == rows(tracked(tmp_path / "whole"))


def test_a_second_ctrl_c_ends_at_once(video, masks, out, capsys, monkeypatch):
    def twice(self, frame, prompts=()):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("not reached")

    monkeypatch.setattr(HoldSession, "step", twice)
    assert hold(video, masks, out) == 130
    assert "to resume" in capsys.readouterr().err


def test_ctrl_c_while_writing(video, masks, out, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("maskferry.outputs._folder.render", interrupted)
        assert hold(video, masks, out) == 130
    assert "to resume" in capsys.readouterr().err
    assert not (out / "overlay.mp4").exists()
    assert hold(video, masks, out) == 0
    assert (out / "overlay.mp4").exists()


def wait_for_frames(path, count):
    """Until a run in another process has come so far."""
    for _ in range(600):
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reading:
                if reading.execute("SELECT count(*) FROM frame").fetchone()[0] >= count:
                    return
        except sqlite3.OperationalError:  # not there yet
            pass
        finally:
            time.sleep(0.05)
    pytest.fail("the run does not get anywhere")


@pytest.mark.slow
@pytest.mark.parametrize("frame", [0, 20])
def test_a_killed_run_goes_on_and_gives_the_same(frame, masks, out, tmp_path, capsys):
    video = clip(tmp_path, "long.mp4", 40)
    command = ["track", video, "--masks", masks, "--frame", frame, "--engine", "hold", "-o", out]
    for frames in (10, 25):
        process = start(*command, slow=True)
        wait_for_frames(out / "tracks.sqlite", frames)
        process.kill()
        assert finish(process)[0] != 0
        assert "tracks.sqlite" in files(out)
    code, _, err = finish(start(*command))
    assert (code, "resuming the run" in err) == (0, True), err
    whole = tmp_path / "whole"
    assert run(*command[:-1], whole) == 0
    assert rows(out) == rows(whole)
    assert (out / "tracks.csv").read_bytes() == (whole / "tracks.csv").read_bytes()
    assert files(out) == files(whole)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process there")
def test_sigint_says_how_to_go_on(masks, out, tmp_path):
    video = clip(tmp_path, "long.mp4", 40)
    process = start("track", video, "--masks", masks, "--engine", "hold", "-o", out, slow=True)
    wait_for_frames(out / "tracks.sqlite", 5)
    process.send_signal(signal.SIGINT)
    code, text, err = finish(process)
    assert (code, text) == (130, "")
    assert err == f"stopped: finished frames are kept in {out}; run the same command again to resume\n"
    assert files(out) == ["tracks.sqlite"]


# --- arguments ------------------------------------------------------------------------------------------------------


def test_kinds():
    assert parse_kinds(["davis,csv", "csv, film"]) == ("davis", "csv", "film")
    assert parse_kinds(["none"]) == ()
    for wrong in (["none,csv"], [""], ["mp4"]):
        with pytest.raises(InputError, match="--write"):
            parse_kinds(wrong)


def test_a_file_that_is_called_like_a_frame(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    label_map(tmp_path / "3=a.png")
    assert [p.frame for p in GivenFiles(("3=a.png",), 7).read().prompts] == [7]
    (tmp_path / "3=a.png").rename(tmp_path / "a.png")
    assert [p.frame for p in GivenFiles(("3=a.png",), 7).read().prompts] == [3]


def test_prompts_come_by_frame_and_id(tmp_path):
    two = label_map(tmp_path / "two.png", (0, 0, 5, 5), (6, 0, 9, 9))
    found = GivenFiles((f"9={two}", f"2={two}")).read()
    assert [(p.frame, p.object_id) for p in found.prompts] == [(2, 1), (2, 2), (9, 1), (9, 2)]


def test_the_engine_is_closed(video, masks, out, monkeypatch):
    closed = []
    monkeypatch.setattr(HoldEngine, "close", lambda self: closed.append(True))
    assert hold(video, masks, out, "--write", "none") == 0
    assert closed


# --- other programs' formats ------------------------------------------------------------------------------------------


def test_every_kind_is_written_and_replaced(video, masks, tmp_path):
    on_maps = {name for name, spec in BUILT_IN.items() if spec.needs_map}
    kinds = ",".join(k for k in known_kinds() if k not in on_maps and (k != "parquet" or find_spec("pyarrow")))
    out = tracked(tmp_path, "--write", kinds)
    before = files(out)
    assert {"cvat.xml", "cvat.frames.csv", "mot.frames.csv", "labelme/000000.json", "cutouts/1/00000.png"} <= set(
        before
    )
    assert hold(video, masks, out, "--overwrite", "--write", kinds) == 0
    assert files(out) == before
    assert hold(video, masks, out, "--overwrite", "--write", "none") == 0
    assert files(out) == ["tracks.sqlite"]


def test_what_is_not_ours_is_not_replaced(video, masks, tmp_path, capsys):
    out = tracked(tmp_path, "--write", "labelme")
    (out / "labelme" / "mine.json").write_text("{}")
    assert hold(video, masks, out, "--overwrite", "--write", "none") == 2
    assert "mine.json is not of maskferry" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["labelme", "cvat", "coco", "mots"])
def test_what_was_exported_can_be_given_as_masks(kind, video, tmp_path, capsys):
    out = tracked(tmp_path, "--write", kind)
    given = out / known_kinds()[kind]
    given = given / "000000.json" if kind == "labelme" else given
    assert hold(video, given, tmp_path / "again", "--write", "csv") == 0
    with Tracks.open(tmp_path / "again" / "tracks.sqlite") as tracks:
        assert len(tracks.object_ids) == 2
        assert tracks[0].objects[0].rle.area == 30 * 40


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("bomb.xml", '<!DOCTYPE a [<!ENTITY x "xx">]><annotations>&x;</annotations>', "a document type"),
        (
            "out.json",
            '{"images": [{"id": 1, "height": 9, "width": 9, "file_name": "../a"}], "tracks": []}',
            "holds no mask",
        ),
        (
            "gone.json",
            '{"images": [], "tracks": [], "annotations": [{"image_id": 3}]}',
            "annotations of images that are not listed",
        ),
        ("t.txt", "0 1 2 3", "frame id class height width rle"),
        ("l.json", '{"imageHeight": 9, "imageWidth": 9, "shapes": [{"label": 3}]}', r"shapes[0]"),
    ],
)
def test_files_that_are_not_to_be_trusted_leave_nothing(name, content, message, video, out, tmp_path, capsys):
    (tmp_path / name).write_text(content)
    assert hold(video, tmp_path / name, out) == 2
    err = capsys.readouterr().err
    assert message in err
    assert name in err
    assert not out.exists()
