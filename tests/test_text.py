"""Words through the whole video: what enters later is found, once each, whatever face asks for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

import text_engine
from any_prompt_engine import AnyPromptEngine
from cli_tools import run
from helpers import contents, saved_contents
from maskferry import AssociationOptions, Detections, MaskTracker, Tracks, track
from maskferry.engines import registry
from maskferry.engines.registry import EngineSpec
from maskferry.errors import InputError, NothingFoundError, PromptNotSupportedError, UnconfirmedWarning
from maskferry.samgeo import SamGeo3Video
from text_engine import COUNT, TextEngine, first_frames, square_at, video

ENTERED = {"red": 0, "blue": 30, "green": 60}
PHRASES = ("car", "person")


# --- library --------------------------------------------------------------------------------------------------------


def test_what_enters_on_any_frame_is_found_once():
    engine = TextEngine()
    tracks = track(video(), text=["car", "person", "car"], engine=engine)
    assert first_frames(tracks) == ENTERED
    assert tracks.labels == {100: "car", 101: "car", 102: "person"}
    assert len(tracks) == COUNT
    looked = [index for index, _ in engine.looks]
    assert looked == [0, *range(0, COUNT, 10)]  # once for what to track, and then while it is tracked
    assert {phrases for _, phrases in engine.looks} == {PHRASES}


@pytest.mark.parametrize("every", [1, 7])
def test_on_every_nth_frame(every):
    engine = TextEngine()
    tracks = track(video(), text="car", every=every, engine=engine, direction="forward")
    found_on = {"red": 0, "blue": 30 if every == 1 else 35}
    assert first_frames(tracks) == found_on
    assert tracks.labels == {100: "car", 101: "car"}
    looked = [index for index, _ in engine.looks]
    assert looked == [0, *range(0, COUNT, every)]


def test_forward_and_both():
    both, forward = (
        track(video(), text="car", every=25, engine=TextEngine(), direction=d) for d in ("both", "forward")
    )
    assert first_frames(both) == {"red": 0, "blue": 30}  # followed back to where it came in
    assert first_frames(forward) == {"red": 0, "blue": 50}
    with pytest.raises(InputError, match="forward passes"):
        track(video(), text="car", engine=TextEngine(), direction="backward")


def test_with_given_masks():
    masks = {7: square_at("red", 0)}
    tracks = track(video(), masks, text="car", engine=TextEngine())
    assert first_frames(tracks) == {"red": 0, "blue": 30}
    assert (tracks.object_ids, tracks.labels) == ((7, 100), {100: "car"})
    assert np.array_equal(tracks[0].mask(7), masks[7])


def test_before_a_mask_that_is_given_later():
    """Where the given object was before is found first, so that it is no new one."""
    masks, engine = {7: square_at("blue", 50)}, TextEngine()
    tracks = track(video(), masks, frame_idx=50, text=PHRASES, engine=engine)
    assert first_frames(tracks) == ENTERED
    assert tracks.labels == {100: "car", 101: "person"}
    forward = track(video(), masks, frame_idx=50, text="car", engine=TextEngine(), direction="forward")
    assert first_frames(forward) == {"blue": 50, "red": 50}


def test_other_words_are_looked_for_in_what_is_tracked():
    engine = TextEngine()
    with MaskTracker(video(), engine=engine) as tracker:
        tracker.add_mask_prompt(square_at("red", 0))
        tracker.propagate()
        assert first_frames(tracker.propagate(text="car")) == {"red": 0, "blue": 30}
        before = contents(tracker.tracks)
        assert contents(tracker.propagate(text="car")) == before
        tracks = tracker.propagate(text="person")
        assert first_frames(tracks) == ENTERED
        assert [row for row in contents(tracks) if row[1].object_id != 102] == before


def test_two_phrases_for_one_object():
    engine = TextEngine(names={"car": ("red", "blue"), "vehicle": ("red", "blue")})
    tracks = track(video(), text=["car", "vehicle"], engine=engine)
    assert first_frames(tracks) == {"red": 0, "blue": 30}
    assert len(tracks.object_ids) == 2


def test_finds_of_another_phrase_do_not_take_an_id():
    """The red square is away from frame 20 on; another one like it comes, and is called a person."""
    frames = video(60)
    frames[20:] = 90
    for index in range(30, 60):
        frames[index][square_at("red", 20)] = text_engine.COLORS["red"]
    later = lambda index, color: 0.9  # noqa: E731
    one = TextEngine(later)

    class Renamed(dict):
        def get(self, phrase, default=()):
            seen = one.looks[-1][0]
            return ("red",) if phrase == ("car" if seen < 20 else "person") else ()

    one.names = Renamed()
    options = AssociationOptions(every=5)
    with MaskTracker(frames, engine=one) as tracker:
        tracks = tracker.propagate(text=PHRASES, association=options, direction="forward")
    assert tracks.labels == {100: "car", 101: "person"}


# --- thresholds -----------------------------------------------------------------------------------------------------


def scored(index, color):
    return {"red": 0.8, "blue": 0.6, "green": 0.3}[color]


def test_the_checkpoints_thresholds_and_those_of_the_caller():
    def found(**options):
        engine = TextEngine(scored)
        with MaskTracker(video(), engine=engine) as tracker:
            return set(first_frames(tracker.propagate(text=PHRASES, association=AssociationOptions(**options))))

    assert found() == {"red"}
    assert found(min_new_score=0.6) == {"red", "blue"}
    assert found(min_score=0.2, min_new_score=0.2) == {"red", "blue", "green"}
    with pytest.raises(NothingFoundError, match=r"found nothing that 'car' or 'person' names on any 10th frame"):
        found(min_new_score=0.9)


def test_a_find_that_would_begin_nothing_keeps_an_object_alive():
    engine = TextEngine(lambda index, color: 0.9 if index in (0, 30) else 0.6)
    assert first_frames(track(video(), text="car", engine=engine)) == {"red": 0, "blue": 30}


def test_a_function_has_thresholds_too():
    def detector(image):
        masks = [(image == rgb).all(axis=2) for rgb in text_engine.COLORS.values()]
        shown = [(mask, score) for mask, score in zip(masks, (0.9, 0.6, 0.9), strict=True) if mask.any()]
        twice = [*shown, *((mask, score - 0.05) for mask, score in shown)]
        return Detections([mask for mask, _ in twice], [score for _, score in twice])

    def found(**options):
        with MaskTracker(video(), engine=TextEngine()) as tracker:
            options = AssociationOptions(every=10, confirm=0, **options)
            return tracker.propagate(detector=detector, association=options)

    assert len(found().object_ids) == 4  # the first frame's finds begin objects, however they overlap
    assert first_frames(found(max_iou=0.5)) == ENTERED
    assert set(first_frames(found(max_iou=0.5, min_new_score=0.7))) == {"red", "green"}


# --- stopping and going on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("masks", [None, {7: square_at("blue", 40)}], ids=["words alone", "beside a later mask"])
def test_a_stopped_run_goes_on_to_the_same_result(tmp_path, masks):
    def go(path, after):
        engine, seen = TextEngine(), []
        for resume in (False, True):
            with MaskTracker(video(), engine=engine, tracks=path, resume=resume) as tracker:
                if masks:
                    tracker.add_masks_prompt(masks, frame_idx=40)
                stops = (lambda: 0 < after <= len(seen)) if not resume else (lambda: False)
                tracker.propagate(callback=seen.append, cancelled=stops, text=PHRASES)
        return saved_contents(path), engine.looks

    whole, looks = go(tmp_path / "whole.sqlite", 0)
    for after in (1, 41, 62, 76, 115):
        found, again = go(tmp_path / f"{after}.sqlite", after)
        assert found == whole
        assert again == looks


def test_nothing_of_the_session_is_saved_where_words_change_nothing(tmp_path, monkeypatch):
    saved = []
    snapshot = text_engine.TextSession.snapshot
    monkeypatch.setattr(text_engine.TextSession, "snapshot", lambda self: saved.append(1) or snapshot(self))
    engine = TextEngine()
    track(video(), {7: square_at("red", 0)}, text="person", engine=engine, every=1, tracks=tmp_path / "t.sqlite")
    assert len(engine.looks) >= COUNT
    assert len(saved) <= 5  # where the green square begins, and at the end of each pass


# --- refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", " ", [], ["car", ""], 3, ["car", 3]])
def test_what_is_no_phrase(bad):
    with pytest.raises(InputError, match="phrase"):
        track(video(5), text=bad, engine=TextEngine())


def test_an_engine_that_takes_no_words_is_refused_before_it_is_loaded(monkeypatch):
    monkeypatch.setattr(registry, "load_engine", None)
    for name in ("flow", "hold", "sam2.1-tiny"):
        with pytest.raises(PromptNotSupportedError, match=rf"engine '{name}' takes no words here: use sam3"):
            track(video(5), text="car", engine=name)
    monkeypatch.setattr(TextEngine, "accepts", frozenset())
    with pytest.raises(PromptNotSupportedError, match="engine 'text' takes no words here: use sam3"):
        track(video(5), text="car", engine=TextEngine())


def test_auto_is_an_engine_that_takes_words(monkeypatch):
    spec = EngineSpec("text_engine:TextEngine", "follows colours", rank=0, takes_text=True)
    monkeypatch.setitem(registry.BUILT_IN, "text", spec)
    with MaskTracker(video()) as tracker:
        tracker.propagate(text="car", direction="forward")
        assert tracker.engine_name == "text"


def test_a_detector_and_words():
    with pytest.raises(InputError, match="not both"):
        track(video(5), text="car", detector=lambda image: None, engine=TextEngine())


def test_an_engine_that_takes_words_as_prompts_only():
    """Its sessions have no `detect`: another session is asked on each frame."""
    tracks = track(np.zeros((25, 96, 128, 3), np.uint8), text="car", engine=AnyPromptEngine())
    assert (tracks.labels, len(tracks)) == ({100: "car", 101: "car"}, 25)


def test_what_no_later_look_confirms_is_left_out():
    engine = TextEngine(lambda index, color: 0.9 if index == 0 else 0.1)
    with pytest.warns(UnconfirmedWarning):
        assert track(video(), text="car", engine=engine).object_ids == ()


# --- samgeo ---------------------------------------------------------------------------------------------------------


def test_samgeo_finds_what_enters(capsys):
    with SamGeo3Video(engine=TextEngine()) as sam:
        sam.set_video(video())
        outputs = sam.generate_masks("car")
        assert [outputs[i]["out_obj_ids"].tolist() for i in (0, 29, COUNT - 1)] == [[1, 2]] * 3
        assert not outputs[29]["out_binary_masks"][1].any()
        assert np.array_equal(outputs[30]["out_binary_masks"][1], square_at("blue", 30))
        assert "Found 1 object(s) matching 'car' on frame 0." in capsys.readouterr().out

        outputs = sam.generate_masks("person", propagate=False)  # nothing is there yet
        assert not any(len(found["out_obj_ids"]) for found in outputs.values())
        outputs = sam.propagate()
        assert outputs[60]["out_obj_ids"].tolist() == [1]
        assert np.array_equal(outputs[60]["out_binary_masks"][0], square_at("green", 60))

        sam.generate_masks("car", propagate=False)
        sam.remove_object(1)
        assert "'car' is not looked for on other frames" in capsys.readouterr().out
        sam.generate_masks("car", frame_idx=40)
        sam.remove_object(1)  # what is removed after the search stays away
        assert sam.propagate()[COUNT - 1]["out_obj_ids"].tolist() == [2]

        sam.reset()
        sam.add_mask_prompt(square_at("red", 0), 5)
        assert sam.propagate()[COUNT - 1]["out_obj_ids"].tolist() == [5]  # no words any more


# --- command line ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """The video as a folder of pictures, and the engine under a name."""
    spec = EngineSpec("text_engine:TextEngine", "follows colours", takes_text=True)
    monkeypatch.setitem(registry.BUILT_IN, "text", spec)
    folder = tmp_path / "clip"
    folder.mkdir()
    for index, image in enumerate(video()):
        Image.fromarray(image).save(folder / f"{index:03d}.png")
    return folder


def cli(pictures, out, *options):
    return run("track", pictures, "--engine", "text", "--write", "csv", "-q", "-o", out, *options)


def test_the_command_line_finds_what_enters(pictures, tmp_path, capsys):
    out = tmp_path / "out"
    words = ("--text", "car", "--text", "person")
    assert cli(pictures, out, *words, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["label"]) for row in report["objects"]] == [(100, "car"), (101, "car"), (102, "person")]
    with Tracks.open(out / "tracks.sqlite") as tracks:
        assert first_frames(tracks) == ENTERED
    assert cli(pictures, out, *words) == 2
    assert "holds this run, finished" in capsys.readouterr().err
    for other in (["--text", "car"], [*words, "--every", "5"]):
        assert cli(pictures, out, *other) == 2
        assert "holds a run of other words" in capsys.readouterr().err
    assert cli(pictures, tmp_path / "five", *words, "--every", "5", "--min-new-score", "0.95", "--max-iou", "0.5") == 2
    assert "found nothing that 'car' or 'person' names on any 5th frame" in capsys.readouterr().err


def test_the_command_line_takes_words_beside_masks(pictures, tmp_path):
    Image.fromarray(square_at("red", 0).astype(np.uint8)).save(tmp_path / "first.png")
    assert cli(pictures, tmp_path / "out", "--masks", tmp_path / "first.png", "--text", "car") == 0
    with Tracks.open(tmp_path / "out" / "tracks.sqlite") as tracks:
        assert (tracks.object_ids, first_frames(tracks)) == ((1, 100), {"red": 0, "blue": 30})


def test_the_command_line_resumes(pictures, tmp_path, monkeypatch):
    def step(self, frame, prompts=()):
        if frame.index == 45 and not broken:
            broken.append(45)
            raise KeyboardInterrupt
        return plain(self, frame, prompts)

    plain, broken = text_engine.TextSession.step, []
    words = ("--text", "car", "--text", "person")
    assert cli(pictures, tmp_path / "whole", *words) == 0
    monkeypatch.setattr(text_engine.TextSession, "step", step)
    assert cli(pictures, tmp_path / "out", *words) != 0
    assert cli(pictures, tmp_path / "out", *words) == 0
    whole, resumed = (saved_contents(tmp_path / name / "tracks.sqlite") for name in ("whole", "out"))
    assert resumed == whole


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "give --masks, or words with --text"),
        (["--every", "5"], "give --masks, or words"),
        (["--text", "car", "--engine", "hold"], "engine 'hold' takes no words here: use text, sam3"),
        (["--text", "car", "--direction", "backward"], "forward passes"),
    ],
)
def test_the_command_line_refuses(pictures, tmp_path, capsys, options, message):
    assert cli(pictures, tmp_path / "out", *options) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert message.replace("text, sam3", "") in error
    assert not (tmp_path / "out").exists()
