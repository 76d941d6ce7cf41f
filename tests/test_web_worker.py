"""The worker and the tasks, in this process: what they answer, and a review that judges anew only what has changed."""

from __future__ import annotations

from queue import SimpleQueue

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("starlette", reason="needs the extra web")

from maskferry import MaskTracker, Rle, Tracks, open_source
from maskferry.tracks import editing
from maskferry.tracks.review import save_summaries, summarize
from maskferry.web._review import judge
from maskferry.web._tasks import TASKS
from maskferry.web._worker import Worker
from web_tools import COUNT, block, coco, make_run

SIZE_HW = (96, 128)


@pytest.fixture
def out(tmp_path):
    return make_run(tmp_path)


def obey(out, *commands, engine="hold"):
    """What a worker says to some commands."""
    told, said = SimpleQueue(), []
    for number, command in enumerate(commands):
        told.put({"id": number, "values": {}, "base": None, **command})
    told.put(None)
    settings = {"tracks": str(out / "tracks.sqlite"), "video": None, "engine": engine, "options": {}}
    Worker(settings, told, said.append).work()
    return said


def give(x, frame, **more):
    return {"do": "give", "values": {"object_id": 1, "frame": frame, "mask": coco(x), **more}}


def test_an_edit_then_a_run(out):
    said = obey(out, give(20, 30, pins=[25, 35]), {"do": "run"})
    assert said[0]["found"]["existed"] is False
    # commands end with the input: the run stops after its frame, and says so
    states = [message["state"] for message in said if message.get("event") == "job"]
    assert states[0] == "starting"
    assert states[-1] == "stopped"
    said = obey(out, {"do": "rename", "values": {"object_id": 1, "label": "x"}})
    assert said == [{"id": 0, "found": {"revision": said[0]["found"]["revision"]}}]


def test_a_run_to_its_end(out):
    told, said = SimpleQueue(), []

    def tell(message):
        said.append(message)
        if message.get("state") in ("idle", "failed"):
            told.put(None)

    settings = {"tracks": str(out / "tracks.sqlite"), "video": None, "engine": "auto", "options": {}}
    told.put({"id": 1, "base": None, **give(20, 30)})
    told.put({"id": 2, "do": "run"})
    Worker(settings, told, tell).work()
    last = said[-1]
    assert (last["state"], last["engine"]) == ("idle", {"name": "hold", "accepts": ["mask"]})
    running = [message for message in said if message.get("state") == "running"]
    assert [message["done"] for message in running] == list(range(1, running[-1]["total"] + 1))
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert tracks.finished
        assert (tracks[30].mask(1) == block(20)).all()


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ({"do": "rename", "values": {"object_id": 9, "label": "x"}}, "UnknownObjectError"),
        ({"do": "remove", "values": {"object_id": 1}, "base": {"revision": 0, "objects": [1]}}, "OutdatedError"),
        ({"do": "give", "values": {"object_id": 1, "frame": 3, "box": [1, 2, 30, 40]}}, "PromptNotSupportedError"),
        ({"do": "nothing"}, "UnexpectedError"),
        ({"do": "undo", "values": {"x": 1}}, "UnexpectedError"),
    ],
)
def test_what_a_worker_refuses_it_names_and_goes_on(out, command, kind):
    said = obey(out, command, {"do": "undo"})
    assert said[0]["error"]["kind"] == kind
    assert "found" in said[1]


def test_a_run_that_fails_is_told(out):
    (out.parent / "clip.mp4").unlink()
    said = obey(out, give(20, 30), {"do": "run"})
    assert (said[-1]["state"], said[-1]["problem"]["kind"]) == ("failed", "SourceError")


# --- tasks ----------------------------------------------------------------------------------------------------------


def do(name, out, **values):
    said = []
    found = TASKS[name](said.append, tracks=str(out / "tracks.sqlite"), video=None, **values)
    return found, said


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("davis", {"overlap": "last"}, "masks.zip"),
        ("csv", {}, "tracks.csv"),
        ("sheet", {"palette": "safe"}, "sheet.png"),
        ("film", {}, "overlay.mp4"),
        ("tracks", {}, "tracks.sqlite"),
    ],
)
def test_exports(out, tmp_path, kind, options, name):
    folder = tmp_path / "there"
    folder.mkdir()
    found, _ = do("export", out, kind=kind, options=options, folder=str(folder))
    assert found["path"] == str(folder / name)
    assert (folder / name).stat().st_size > 100


def test_a_file_of_masks(out, tmp_path):
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[:10, :10], labels[50:60, 50:60] = 1, 7
    PIL.Image.fromarray(labels).save(tmp_path / "x.png")
    found, _ = do("read_masks", out, path=str(tmp_path / "x.png"), frame=5)
    (frame,) = found["frames"]
    assert (frame["frame"], set(frame["masks"])) == (5, {"1", "7"})
    assert (Rle.from_coco(frame["masks"]["7"]).decode() == (labels == 7)).all()


def test_a_review_with_and_without_its_video(out):
    found, _ = do("review", out, has_video=True, whole=True)
    with Tracks.open(out / "tracks.sqlite") as tracks, open_source(out.parent / "clip.mp4") as source:
        assert found["revision"] == tracks.revision
        assert found["summaries"] == [summary.to_dict() for summary in summarize(tracks, source)]
    found, _ = do("review", out, has_video=False, whole=False)
    assert found["summaries"]


# --- what has changed since -----------------------------------------------------------------------------------------


def leap(tracker):
    """Object 1 is somewhere else for a while."""
    tracker.add_mask_prompt(block(100, 70), 1, 20)
    tracker.add_mask_prompt(block(10), 1, 26)
    tracker.propagate()


EDITS = {
    "nothing": lambda t: None,
    "rename": lambda t: editing.rename(t.tracks, 1, "tram"),
    "swap": lambda t: editing.swap(t.tracks, 1, 2, 30),
    "split": lambda t: editing.split(t.tracks, 2, 30),
    "merge": lambda t: editing.merge(t.tracks, 1, 2),
    "remove": lambda t: editing.remove(t.tracks, 1),
    "absent": lambda t: editing.absent(t.tracks, 2, 50, 55),
    "correct": lambda t: (t.add_mask_prompt(block(70, 60), 2, 45), t.propagate()),
    "undo": lambda t: (t.undo(), t.undo()),
    "new": lambda t: (t.add_mask_prompt(block(40, 60), 5, 3), t.propagate()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_judged_anew_is_what_a_whole_review_says(tmp_path, edit):
    out = make_run(tmp_path)
    video = tmp_path / "clip.mp4"
    with MaskTracker(video, engine="hold", tracks=out / "tracks.sqlite", resume=True) as tracker:
        leap(tracker)
        with open_source(video) as source:
            kept = tracker.tracks.revision, summarize(tracker.tracks, source)
            assert any(summary.moments for summary in kept[1])
            save_summaries(tracker.tracks, kept[1])
            EDITS[edit](tracker)
            assert judge(tracker.tracks, source, kept) == summarize(tracker.tracks, source)
            assert judge(tracker.tracks, None, None) == summarize(tracker.tracks)
        assert len(tracker.tracks) == COUNT
