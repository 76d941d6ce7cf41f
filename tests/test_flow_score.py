"""The score of the engine ``flow``: what each sign says of a mask, and what the score does while a mask goes wrong."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskferry.data import Frame, FrameInfo, Mask, MaskPrompt, VideoInfo
from maskferry.engines._flow import FlowEngine
from maskferry.engines._flow.grid import FloatArray
from maskferry.engines._flow.score import WEIGHTS, Signs, expected_iou
from maskferry.engines._flow.session import FlowSession

HEIGHT, WIDTH, SIDE = 60, 80, 20


def square(x: int = 30, y: int = 20, side: int = SIDE) -> Mask:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y : y + side, x : x + side] = True
    return mask


def looks_of(like: Mask) -> FloatArray:
    """1 on what looks like the object, -1 elsewhere."""
    return np.where(like, 1, -1).astype(np.float32)


def signs(mask: Mask, like: Mask) -> Signs:
    return Signs.of(mask, looks_of(like), 1.0, 1.0)


# the signs


def test_a_mask_of_all_that_looks_like_the_object() -> None:
    found = signs(square(), square())
    assert found.apart > 0.8
    assert (found.given, found.whole) == (1, 1)


def test_a_mask_that_leaves_out_what_looks_like_the_object() -> None:
    found = signs(square(side=14), square())
    assert found.apart < signs(square(), square()).apart - 0.2


def test_a_mask_that_leaks() -> None:
    found = signs(square(side=28), square())
    assert found.apart < signs(square(), square()).apart - 0.2


def test_what_is_far_away_says_nothing() -> None:
    near, far = square(52, 20, 10), square(70, 50, 10)
    alone = signs(square(), square()).apart
    assert signs(square(), square() | near).apart < alone - 0.1
    assert signs(square(), square() | far).apart == alone


def test_a_mask_in_parts() -> None:
    parts = square(10) | square(50, side=10)
    assert signs(parts, parts).whole == pytest.approx(400 / 500)


def test_signs_do_not_depend_on_the_scale() -> None:
    mask, like = square(), square(side=24)
    twice = [
        cv2.resize(m.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST) > 0 for m in (mask, like)
    ]
    large = Signs.of(twice[0], looks_of(twice[1]), 1.0, 2.0)
    assert np.allclose(large, signs(mask, like), atol=0.02)


@given(st.integers(0, 10_000), st.floats(0.001, 1), st.floats(-3, 3), st.sampled_from([0.5, 1.0, 4.0]))
@settings(max_examples=60, deadline=None)
def test_signs_of_any_mask_are_in_their_ranges(seed: int, share: float, given_looks: float, unit: float) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((HEIGHT, WIDTH)) < share
    mask[seed % HEIGHT, seed % WIDTH] = True
    found = Signs.of(mask, rng.normal(0, 2, mask.shape).astype(np.float32), given_looks, unit)
    for sign in (found.apart, found.whole):
        assert 0 <= sign <= 1
    assert -1 <= found.given <= 1
    assert 0 < expected_iou(found) < 1


def test_a_mask_that_fills_the_picture() -> None:
    found = signs(np.ones((HEIGHT, WIDTH), np.bool_), np.ones((HEIGHT, WIDTH), np.bool_))
    assert found.apart > 0.9
    assert found.whole == 1


# the score


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.integers(0, 2), st.floats(0, 1))
def test_better_signs_never_lower_the_score(values: list[float], which: int, better: float) -> None:
    improved = [*values[:which], max(better, values[which]), *values[which + 1 :]]
    assert 0 < expected_iou(Signs(*values)) <= expected_iou(Signs(*improved)) < 1


def test_every_sign_counts() -> None:
    assert len(WEIGHTS) == len(Signs._fields)
    assert min(WEIGHTS) > 0
    assert expected_iou(Signs(0.9, 1, 1)) > 0.9
    assert expected_iou(Signs(0.3, -0.5, 0.5)) < 0.1


def test_what_went_wrong_is_remembered() -> None:
    good, bad = Signs(0.7, 0.9, 1), Signs(0.3, 0.0, 0.6)
    after = good.followed_by(bad)
    recovered = after.followed_by(good)
    assert expected_iou(bad) < expected_iou(after) < expected_iou(recovered) < expected_iou(good)


# in a session

FRAME_HW = (180, 320)


def texture(seed: int, height: int, width: int, blur: float = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


GROUND = texture(1, 180, 320, 5)
SKIN, OTHER = (
    texture(k, 60, 60, 2) // 3 + np.array(tint, np.uint8) for k, tint in ((2, (150, 60, 0)), (3, (0, 90, 150)))
)


def picture(index: int, other: float = 0.0) -> tuple[Frame, Mask]:
    """A square that moves; a share of its side shows another skin."""
    image, mask = GROUND.copy(), np.zeros(FRAME_HW, np.bool_)
    x, y = 60 + 3 * index, 50 + index
    mask[y : y + 60, x : x + 60] = True
    skin, turned = SKIN.copy(), round(60 * other)
    skin[:, :turned] = OTHER[:, :turned]
    image[y : y + 60, x : x + 60] = skin
    return Frame(FrameInfo(index, None, str(index)), image), mask


def start() -> FlowSession:
    session = FlowEngine().open(VideoInfo(FRAME_HW[1], FRAME_HW[0]))
    frame, mask = picture(0)
    session.step(frame, [MaskPrompt(0, 1, mask)])
    return session


def test_an_object_that_is_seen_well_is_believed() -> None:
    session = start()
    for i in range(1, 9):
        assert session.step(picture(i)[0])[1].score > 0.8


def test_an_object_that_turns_into_something_else_is_doubted() -> None:
    scores = {}
    for share in (0.0, 0.5, 1.0):
        session = start()
        for i in range(1, 16):
            scores[share] = session.step(picture(i, share * min(i, 10) / 10)[0])[1].score
    assert scores[1.0] < scores[0.5] < scores[0.0]
    assert scores[1.0] < scores[0.0] - 0.2


def test_a_correction_starts_the_signs_anew() -> None:
    session = start()
    for i in range(1, 13):
        doubted = session.step(picture(i, i / 12)[0])[1].score
    frame, mask = picture(13, 1.0)
    assert session.step(frame, [MaskPrompt(13, 1, mask)])[1].score == 1
    assert session.step(picture(14, 1.0)[0])[1].score > doubted


def test_signs_before_the_first_frame_that_was_tracked_are_restored_too() -> None:
    session = start()
    data = session.snapshot()
    again = FlowEngine().open(VideoInfo(FRAME_HW[1], FRAME_HW[0]), data)
    assert again.snapshot() == data
    first, second = (s.step(picture(1)[0]) for s in (session, again))
    assert first[1] == second[1]
    assert session.snapshot() == again.snapshot()
    assert json.dumps(first[1].score) == json.dumps(second[1].score)
