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
from maskferry.engines._flow.network import KEY, MASK, VALUE, Memory
from maskferry.engines._flow.score import NETWORK_WEIGHTS, WEIGHTS, NetworkSigns, Signs, expected_iou
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


# what the network has to say

CELLS_HW = (6, 8)


def memory_of(mask: np.ndarray, keys: np.ndarray) -> Memory:
    """A frame of this mask, float32 (24, 32), and keys, float32 (KEY, 6, 8), as it is remembered."""
    h, w = CELLS_HW
    cells = mask.reshape(h, 4, w, 4).transpose(1, 3, 0, 2).reshape(MASK, h * w)
    values = np.zeros((VALUE, h * w), np.float16)
    values[:MASK] = 2 * cells - 1
    return Memory(keys.reshape(KEY, -1).astype(np.float16), values)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray, Memory]:
    """An object of 2x2 cells, keys of cells that all differ, and the memory of both."""
    mask = np.zeros((4 * CELLS_HW[0], 4 * CELLS_HW[1]), np.float32)
    mask[8:16, 8:16] = 1
    keys = np.random.default_rng(seed).normal(0, 1, (KEY, *CELLS_HW)).astype(np.float32)
    return mask, keys, memory_of(mask, keys)


def test_a_mask_where_the_network_sees_the_object_and_where_the_given_frame_had_it() -> None:
    mask, keys, given = scene()
    found = NetworkSigns.of(mask, mask, keys, given)
    assert found.seen == pytest.approx(np.log(99))
    assert found.known > 0.9


def test_a_mask_that_is_not_what_the_network_sees() -> None:
    mask, keys, given = scene()
    good = NetworkSigns.of(mask, 0.9 * mask, keys, given).seen
    leaking, cut = mask.copy(), mask.copy()
    leaking[8:16, 16:20], cut[8:12] = 1, 0
    for wrong in (leaking, cut, np.roll(mask, 12, axis=1)):
        assert NetworkSigns.of(wrong, 0.9 * mask, keys, given).seen < good - 0.5


def test_a_mask_of_something_else_is_not_known_wherever_it_lies() -> None:
    mask, keys, given = scene()
    elsewhere = np.roll(keys, (1, 3), axis=(1, 2))
    assert NetworkSigns.of(np.roll(mask, (4, 12), axis=(0, 1)), mask, elsewhere, given).known > 0.9
    assert NetworkSigns.of(mask, mask, elsewhere, given).known < -0.9
    new = np.random.default_rng(1).normal(0, 1, keys.shape).astype(np.float32)
    assert abs(NetworkSigns.of(mask, mask, new, given).known) < 0.1


def test_where_nothing_can_be_compared_the_network_knows_nothing() -> None:
    mask, keys, given = scene()
    everything = np.ones_like(mask)
    assert NetworkSigns.of(everything, everything, keys, memory_of(everything, keys)).known == 0
    assert NetworkSigns.of(0 * mask, mask, keys, given).known == 0
    assert NetworkSigns.of(mask, mask, keys, memory_of(0 * mask, keys)).known <= 0


@given(st.integers(0, 10_000), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_networks_signs_of_any_mask_are_in_their_ranges(seed: int, share: float, sure: float, trust: float) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((24, 32)) < share).astype(np.float32)
    likely = (sure * rng.random((24, 32))).astype(np.float32)
    keys = rng.normal(0, 3, (KEY, *CELLS_HW)).astype(np.float32)
    found = NetworkSigns.of(mask, likely, keys, scene(seed)[2])
    assert abs(found.seen) <= np.log(99) + 1e-9
    assert -1 <= found.known <= 1
    assert 0 < expected_iou(Signs(0.5, 0.5, 0.5), found, trust) < 1


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.integers(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_better_signs_of_the_network_never_lower_the_score(
    values: list[float], which: int, better: float, trust: float
) -> None:
    improved = [*values[:which], max(better, values[which]), *values[which + 1 :]]
    first, second = (expected_iou(Signs(0.5, 0.5, 1), NetworkSigns(*v), trust) for v in (values, improved))
    assert first <= second


def test_a_network_that_is_not_believed_does_not_count() -> None:
    signs, network = Signs(0.7, 0.9, 1), NetworkSigns(-2, -0.5)
    alone, half, whole = (expected_iou(signs, network, trust) for trust in (0, 0.5, 1))
    assert alone == expected_iou(signs)
    assert alone > half > whole
    assert len(NETWORK_WEIGHTS) == len(Signs._fields) - 1 + len(NetworkSigns._fields)
    assert min(NETWORK_WEIGHTS) > 0


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


PRESETS = pytest.mark.parametrize("preset", ["fast", "standard"])


def start(preset: str) -> FlowSession:
    session = FlowEngine(preset).open(VideoInfo(FRAME_HW[1], FRAME_HW[0]))
    frame, mask = picture(0)
    session.step(frame, [MaskPrompt(0, 1, mask)])
    return session


@PRESETS
def test_an_object_that_is_seen_well_is_believed(preset: str) -> None:
    session = start(preset)
    for i in range(1, 9):
        assert session.step(picture(i)[0])[1].score > 0.8


@PRESETS
def test_an_object_that_turns_into_something_else_is_doubted(preset: str) -> None:
    scores = {}
    for share in (0.0, 0.5, 1.0):
        session = start(preset)
        for i in range(1, 16):
            scores[share] = session.step(picture(i, share * min(i, 10) / 10)[0])[1].score
    assert scores[1.0] < scores[0.5] < scores[0.0]
    assert scores[1.0] < scores[0.0] - 0.2


@PRESETS
def test_a_correction_starts_the_signs_anew(preset: str) -> None:
    session = start(preset)
    for i in range(1, 13):
        doubted = session.step(picture(i, i / 12)[0])[1].score
    frame, mask = picture(13, 1.0)
    assert session.step(frame, [MaskPrompt(13, 1, mask)])[1].score == 1
    assert session.step(picture(14, 1.0)[0])[1].score > doubted


@PRESETS
@pytest.mark.parametrize("steps", [0, 2])
def test_signs_are_restored_before_the_first_frame_that_was_tracked_too(preset: str, steps: int) -> None:
    session = start(preset)
    for i in range(1, 1 + steps):
        session.step(picture(i, i / 4)[0])
    data = session.snapshot()
    again = FlowEngine(preset).open(VideoInfo(FRAME_HW[1], FRAME_HW[0]), data)
    assert again.snapshot() == data
    first, second = (s.step(picture(1 + steps)[0]) for s in (session, again))
    assert first[1] == second[1]
    assert session.snapshot() == again.snapshot()
    assert json.dumps(first[1].score) == json.dumps(second[1].score)
