"""Taking prompts: what is refused leaves nothing behind, and the same prompts resume a run."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from maskferry import MaskTracker, Tracks, VideoInfo
from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, Source
from maskferry.errors import InputError, PromptNotSupportedError
from maskferry.prompts._checks import box_prompt, point_prompt
from maskferry.prompts._prompter import Prompter
from maskferry.run._prepare import prepare
from maskferry.run._resume import run_difference, video_difference
from maskferry.sources import open_source
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal

FRAMES, HEIGHT, WIDTH = 6, 24, 32
VIDEO = VideoInfo(WIDTH, HEIGHT, frame_count=FRAMES)


def mask(left: int = 4) -> np.ndarray:
    found = np.zeros((HEIGHT, WIDTH), dtype=bool)
    found[5:12, left : left + 8] = True
    return found


@pytest.fixture
def source() -> Source:
    return open_source(np.zeros((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8))


@pytest.fixture
def journal(source) -> Journal:
    return Journal(Tracks.create(source.info))


@pytest.fixture
def prompter(source, journal) -> Prompter:
    return Prompter(source, journal, lambda: pytest.fail("masks need no engine"))


def test_a_mask_needs_no_engine_and_is_known_at_once(prompter, journal):
    assert prompter.add_mask(mask(), None, 2, "ball", replace=False) == 100
    assert journal.prompts.prompt_frames() == {100: [2]}
    assert journal.tracks.labels == {100: "ball"}
    assert np.array_equal(journal.tracks[2].mask(100), mask())
    assert journal.tracks.info(2).index == 2


@pytest.mark.parametrize(
    ("wrong", "obj_id", "frame"),
    [
        (np.zeros((HEIGHT, WIDTH), dtype=bool), None, 0),
        (mask(), 0, 0),
        (mask(), None, FRAMES),
        (mask(), None, -1),
        (mask(), True, 0),
        (np.full((HEIGHT, WIDTH), np.nan), None, 0),
        ("no such file.png", None, 0),
    ],
)
def test_what_is_refused_leaves_nothing_behind(prompter, journal, wrong, obj_id, frame):
    with pytest.raises(InputError):
        prompter.add_mask(wrong, obj_id, frame, None, replace=False)
    assert journal.prompts.used_ids() == set()
    assert journal.prompts.prompt_frames() == {}
    assert len(journal.tracks) == 0


def test_of_several_masks_all_are_added_or_none(prompter, journal):
    prompter.add_mask(mask(), 7, 0, None, replace=False)
    with pytest.raises(InputError, match="object 7 has a prompt on frame 0 already"):
        prompter.add_masks([mask(1), mask(9)], [6, 7], 0, None, replace=False)
    assert journal.prompts.used_ids() == {7}
    prompter.add_masks([mask(1), mask(9)], [6, 7], 0, ["a", None], replace=True)
    assert journal.prompts.used_ids() == {6, 7}
    assert journal.tracks.labels == {6: "a"}


def test_one_mask_or_a_list_of_one_are_the_same(source):
    rows = []
    for add in (
        lambda p: p.add_mask(mask(), None, 1, "x", replace=False),
        lambda p: p.add_masks([mask()], None, 1, ["x"], replace=False),
    ):
        tracks = Tracks.create(source.info)
        add(Prompter(source, Journal(tracks), lambda: pytest.fail("masks need no engine")))
        rows.append((tracks[1], tracks.labels))
    assert rows[0] == rows[1]


def test_the_prompts_of_a_run_that_is_resumed_may_be_given_again(source, journal):
    Prompter(source, journal, lambda: pytest.fail("no engine")).add_mask(mask(), 3, 1, None, replace=False)
    again = Prompter(source, journal, lambda: pytest.fail("no engine"))
    assert again.add_mask(mask(), 3, 1, None, replace=False) == 3
    with pytest.raises(InputError, match="already"):  # only once
        again.add_mask(mask(), 3, 1, None, replace=False)


def test_another_mask_is_not_the_same_prompt(source, journal):
    Prompter(source, journal, lambda: pytest.fail("no engine")).add_mask(mask(), 3, 1, None, replace=False)
    again = Prompter(source, journal, lambda: pytest.fail("no engine"))
    with pytest.raises(InputError, match="already"):
        again.add_mask(mask(9), 3, 1, None, replace=False)


def test_points_boxes_and_words_are_refused_by_an_engine_that_takes_masks():
    with MaskTracker(np.zeros((FRAMES, HEIGHT, WIDTH, 3), dtype=np.uint8), engine="hold") as tracker:
        for add in (
            lambda: tracker.add_point_prompts([[4, 4]], [1]),
            lambda: tracker.add_box_prompt([2, 2, 9, 9]),
            lambda: tracker.generate_masks("ball"),
        ):
            with pytest.raises(PromptNotSupportedError, match="takes masks, not"):
                add()
        assert tracker.tracks.object_ids == ()


def test_without_a_video_prompts_say_what_to_do():
    with MaskTracker(engine="hold") as tracker, pytest.raises(InputError, match="call set_video first"):
        tracker.add_mask_prompt(mask())


# --- checks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [True, 1.0, "1", None, -1, FRAMES])
def test_frames_that_are_none(frame):
    with pytest.raises(InputError, match="frame_idx"):
        VIDEO.check_frame(frame)


def test_a_frame_of_numpy_is_a_whole_number():
    assert type(VIDEO.check_frame(np.int64(3))) is int


@pytest.mark.parametrize(
    ("points", "labels"),
    [([], []), ([[1, 2, 3]], [1]), ([[1, 2]], [1, 1]), ([[1, 2]], [0]), ([[1, 2]], [2]), ([[WIDTH, 1]], [1])],
)
def test_points_that_are_none(points, labels):
    with pytest.raises(InputError):
        point_prompt(0, 1, points, labels, VIDEO)


@pytest.mark.parametrize("box", [[1, 1, 2], [3, 1, 3, 2], [-1, 0, 3, 3], [0, 0, WIDTH + 1, 3], [5, 5, 2, 9]])
def test_boxes_that_are_none(box):
    with pytest.raises(InputError, match="box"):
        box_prompt(0, 1, box, VIDEO)


def test_which_prompts_ask_for_the_same(journal):
    one = MaskPrompt(0, 1, mask())
    points = PointPrompt(0, 1, np.array([[1.0, 2.0]]), np.array([1]))
    box = BoxPrompt(0, 1, (1.0, 1.0, 4.0, 4.0))
    for prompt, twin in (
        (one, MaskPrompt(0, 1, mask())),
        (points, PointPrompt(0, 1, np.array([[1.0, 2.0]]), np.array([1]))),
        (box, BoxPrompt(0, 1, (1.0, 1.0, 4.0, 4.0))),
    ):
        journal.prompts.note_request(prompt)
        assert journal.prompts.is_requested(twin)
    for a, b in ((one, MaskPrompt(0, 1, mask(5))), (one, MaskPrompt(1, 1, mask())), (one, points), (points, box)):
        journal.prompts.note_request(a)
        assert not journal.prompts.is_requested(b)


# --- resuming ---------------------------------------------------------------------------------------------------


def planned(source: Source, left: int = 4, engine: str = "hold", **limits: int) -> Journal:
    journal = Journal(Tracks.create(source.info))
    journal.add_prompts([MaskPrompt(1, 3, mask(left))])
    prepare(journal, source, engine, "both", FrameRange(**limits))
    return journal


def test_the_same_run_can_be_resumed(source):
    assert run_difference(planned(source), planned(source)) is None


@pytest.mark.parametrize(
    ("other", "what"),
    [({"left": 9}, "other masks"), ({"engine": "flow"}, "another engine"), ({"stop": 4}, "other frames")],
)
def test_what_sets_another_run_apart(source, other, what):
    assert what in str(run_difference(planned(source), planned(source, **other)))


def test_what_sets_another_video_apart():
    def tracks(digest=None, width=WIDTH, **other):
        info = VideoInfo(width, HEIGHT, **({"frame_count": FRAMES, "name": "a.mp4"} | other))
        return Tracks.begin(info, digest=digest)

    assert video_difference(tracks(), tracks()) is None
    for other in ({"name": "b.mp4"}, {"width": WIDTH + 1}, {"frame_count": FRAMES + 1}, {"rate": Fraction(25)}):
        assert "another video (a.mp4" in str(video_difference(tracks(), tracks(**other)))
    assert video_difference(tracks("x"), tracks("x", name="moved.mp4")) is None
    assert "has been changed or replaced" in str(video_difference(tracks("x"), tracks("y")))
    assert video_difference(tracks("x"), tracks()) is None
