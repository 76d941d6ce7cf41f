"""The engine ``flow`` as a caller sees it: the session's contract, snapshots, odd input."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskferry.data import BoxPrompt, Frame, FrameInfo, FrameMasks, Mask, MaskPrompt, State, VideoInfo
from maskferry.engines._flow import FlowEngine
from maskferry.engines._flow.session import FlowSession
from maskferry.engines._flow.timing import STAGES
from maskferry.engines.registry import load_engine
from maskferry.errors import EngineError, InputError, PromptNotSupportedError
from maskferry.masks import intersection_over_union

HEIGHT, WIDTH = 96, 128
SMALL = {"grid_cells": 4000, "random_features": 48, "samples": 200, "iterations": 15}


def frame_of(index: int, image: np.ndarray) -> Frame:
    return Frame(FrameInfo(index, None, str(index)), image)


def texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


BACKGROUND, RED, BLUE = texture(1), texture(2, 24, 24) // 3, texture(3, 24, 24) // 3
RED[:, :, 0] += 160
BLUE[:, :, 2] += 160


def scene(index: int) -> tuple[Frame, Mask, Mask]:
    """A red square that moves right and a blue one that moves left and up."""
    image = BACKGROUND.copy()
    red, blue = (np.zeros((HEIGHT, WIDTH), np.bool_) for _ in range(2))
    red[10:34, 8 + 2 * index : 32 + 2 * index] = True
    blue[60 - index : 84 - index, 90 - 2 * index : 114 - 2 * index] = True
    image[red], image[blue] = RED.reshape(-1, 3), BLUE.reshape(-1, 3)
    return frame_of(index, image), red, blue


def open_session(snapshot: bytes | None = None, **options: float) -> FlowSession:
    return FlowEngine(**{**SMALL, **options}).open(VideoInfo(WIDTH, HEIGHT), snapshot)


def red_at(index: int, object_id: int = 1) -> MaskPrompt:
    return MaskPrompt(index, object_id, scene(index)[1])


def blue_at(index: int, object_id: int = 2) -> MaskPrompt:
    return MaskPrompt(index, object_id, scene(index)[2])


def step(session: FlowSession, index: int, *prompts: MaskPrompt) -> FrameMasks:
    return session.step(scene(index)[0], prompts)


def test_it_is_the_engine_of_the_registry() -> None:
    engine = load_engine("flow", preset="best", seed=3)
    assert isinstance(engine, FlowEngine)
    assert engine.name == "flow"
    assert engine.accepts == {MaskPrompt}
    with pytest.raises(InputError, match="no option 'lambda_'"):
        load_engine("flow", lambda_=3)
    with pytest.raises(InputError, match="seed"):
        load_engine("flow", seed=-1)
    engine.close()
    engine.close()


def test_the_accurate_engine_is_the_same_one_with_another_preset() -> None:
    accurate, flow = load_engine("flow-accurate", seed=3, **SMALL), load_engine("flow", preset="best", seed=3, **SMALL)
    assert isinstance(accurate, FlowEngine)
    assert accurate.name == "flow-accurate"
    results = []
    for engine in (accurate, flow):
        session = engine.open(VideoInfo(WIDTH, HEIGHT))
        results.append([session.step(scene(i)[0], [red_at(0)] if i == 0 else []) for i in range(3)])
        session.close()
    assert results[0] == results[1]
    with pytest.raises(InputError, match="no option 'lambda_'"):
        load_engine("flow-accurate", lambda_=3)


def test_a_given_mask_comes_back_to_the_pixel_and_no_view_of_it_is_kept() -> None:
    session = open_session()
    frame, red, _ = scene(0)
    prompt = MaskPrompt(0, 7, red.copy())
    rows = session.step(frame, [prompt])
    prompt.mask[:] = False
    frame.image[:] = 0
    assert np.array_equal(rows.mask(7), red)
    assert (rows[7].score, rows[7].state) == (1.0, State.GIVEN)
    fresh = open_session()
    step(fresh, 0, red_at(0, 7))
    assert step(session, 1) == step(fresh, 1)


def test_no_prompt_yet_is_an_empty_result_and_prompts_may_come_any_time() -> None:
    session = open_session()
    assert step(session, 0) == FrameMasks(0, (HEIGHT, WIDTH))
    assert step(session, 1).object_ids == ()
    assert step(session, 2, blue_at(2, 5)).object_ids == (5,)
    rows = step(session, 3, red_at(3, 2))
    assert rows.object_ids == (2, 5)
    assert [row.state for row in rows] == [State.GIVEN, State.TRACKED]
    assert [row.state for row in step(session, 4)] == [State.TRACKED, State.TRACKED]


def test_nothing_depends_on_the_order_of_prompts_or_on_who_else_is_there() -> None:
    runs = []
    for prompts in ([red_at(0), blue_at(0)], [blue_at(0), red_at(0)], [red_at(0)]):
        session = open_session()
        step(session, 0, *prompts)
        runs.append([step(session, i) for i in range(1, 5)])
    assert runs[0] == runs[1]
    assert [rows[1] for rows in runs[0]] == [rows[1] for rows in runs[2]]


def test_a_dropped_object_is_gone_and_the_others_go_on() -> None:
    kept, dropped = open_session(), open_session()
    for session in (kept, dropped):
        step(session, 0, red_at(0), blue_at(0))
        step(session, 1)
    dropped.drop(2)
    dropped.drop(99)
    for i in range(2, 5):
        rows = step(dropped, i)
        assert rows.object_ids == (1,)
        assert rows[1] == step(kept, i)[1]
    assert step(dropped, 5, blue_at(5)).object_ids == (1, 2)  # and it may come again


def test_a_correction_replaces_the_mask_and_learns_both_appearances() -> None:
    session = open_session()
    step(session, 0, red_at(0))
    step(session, 1)
    rows = step(session, 2, blue_at(2, 1))  # object 1 is the blue square from here on
    assert np.array_equal(rows.mask(1), scene(2)[2])
    tracked = step(session, 3).mask(1)
    _, red, blue = scene(3)
    assert (tracked & blue).sum() > 0.8 * blue.sum()
    assert not (tracked & red).any()
    header = json.loads(np.load(io.BytesIO(session.snapshot()))["header"].tobytes())
    assert header["targets"][0]["prompts"] == 2


def test_a_session_goes_on_from_any_snapshot_byte_for_byte() -> None:
    whole, snapshots, results = open_session(), [], []
    prompts = {1: (red_at(1),), 3: (blue_at(3),), 5: (red_at(5),)}
    for i in range(9):
        snapshots.append(whole.snapshot())
        results.append(step(whole, i, *prompts.get(i, ())))
    for start in range(9):
        session = open_session(snapshots[start])
        for i in range(start, 9):
            assert session.snapshot() == snapshots[i]
            assert step(session, i, *prompts.get(i, ())) == results[i]


def test_a_snapshot_of_before_the_network_is_resumed_without_it() -> None:
    """The file was written after frame 3 by the code before `Target.to_row`; squares 1 and 2 go right and left."""
    data = (Path(__file__).parent / "fixtures" / "flow_snapshot_3.npz").read_bytes()
    options = {
        "grid_cells": 800,
        "random_features": 16,
        "samples": 60,
        "iterations": 10,
    }
    with pytest.raises(EngineError, match=r"'network_weight': 0\.0"):
        FlowEngine(**options).open(VideoInfo(64, 48), data)
    session = FlowEngine("fast", **options).open(VideoInfo(64, 48), data)
    with np.load(io.BytesIO(data)) as old, np.load(io.BytesIO(session.snapshot())) as new:
        assert list(new) == list(old)
        for name in set(old) - {"header"}:
            assert old[name].dtype == new[name].dtype
            assert np.array_equal(old[name], new[name]), name
    y, x = np.indices((48, 64))
    image = np.stack(((7 * x + 3 * y) % 97, (5 * y + x) % 89, x * y % 61), axis=2).astype(np.uint8)
    image[10:26, 16:32], image[30:40, 36:46] = (200, 40, 30), (30, 60, 210)
    rows = session.step(frame_of(4, image))
    for row, colour in zip(rows, ((200, 40, 30), (30, 60, 210)), strict=True):
        truth = (image == colour).all(axis=2)
        assert row.state is State.TRACKED
        assert intersection_over_union(row.rle.decode(), truth) > 0.8


def test_a_timer_sees_every_stage_and_changes_nothing() -> None:
    seen, running = set(), []

    @contextmanager
    def timer(stage: str) -> Iterator[None]:
        running.append(stage)
        yield
        seen.add(stage)

    engine = FlowEngine(**SMALL)
    engine.timer = timer
    timed, plain = engine.open(VideoInfo(WIDTH, HEIGHT)), open_session()
    prompts = {0: (red_at(0), blue_at(0))}
    for i in range(3):
        assert step(timed, i, *prompts.get(i, ())) == step(plain, i, *prompts.get(i, ()))
    assert seen == set(running) == set(STAGES)
    assert timed.snapshot() == plain.snapshot()


def test_the_same_input_gives_the_same_bytes_and_another_seed_may_not() -> None:
    first, again, other = open_session(), open_session(), open_session(seed=1)
    for session in (first, again, other):
        step(session, 0, red_at(0))
    for i in range(1, 4):
        assert step(first, i) == step(again, i)
        step(other, i)
    assert first.snapshot() == again.snapshot()
    assert first.snapshot() != other.snapshot()


def lake(index: int, dry_from: int) -> tuple[Frame, Mask]:
    """A dark lake, which no data hides from this column on: black, as water nearly is."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    water, valid = np.hypot(x - 50 - index, y - 48) < 18, (x < dry_from) | (y < 20)
    image = BACKGROUND // 2 + 100
    image[water] = BACKGROUND[water] // 5 + np.array([10, 20, 40], np.uint8)
    image[~valid] = 0
    return Frame(FrameInfo(index, None, str(index)), image, valid), water


def test_no_data_belongs_to_nobody_and_what_comes_out_from_under_it_returns() -> None:
    session = open_session()
    first, water = lake(0, WIDTH)
    session.step(first, [MaskPrompt(0, 1, water)])
    states = []
    for i, dry_from in enumerate((WIDTH, 52, 20, 20, WIDTH, WIDTH), 1):
        frame, water = lake(i, dry_from)
        assert frame.valid is not None
        row = session.step(frame)[1]
        found, seen = row.rle.decode(), water & frame.valid
        states.append(row.state)
        assert not (found & ~frame.valid).any()
        if seen.any():
            assert intersection_over_union(found, seen) > 0.9
    assert states[2:] == [State.LOST, State.LOST, State.RETURNED, State.TRACKED]


def test_a_frame_that_is_wholly_valid_is_one_of_which_nothing_is_said() -> None:
    told, untold = open_session(), open_session()
    for i in range(4):
        prompts = [red_at(0), blue_at(0)] if i == 0 else []
        frame = scene(i)[0]
        assert told.step(replace(frame, valid=np.ones((HEIGHT, WIDTH), np.bool_)), prompts) == untold.step(
            frame, prompts
        )
    assert told.snapshot() == untold.snapshot()


def test_frames_may_come_backwards_and_with_gaps() -> None:
    session = open_session()
    step(session, 12, red_at(12), blue_at(12))
    for i in (11, 10, 8, 7, 4):
        rows = step(session, i)
        assert rows.frame == i
        for object_id, truth in zip((1, 2), scene(i)[1:], strict=True):
            assert (rows.mask(object_id) & truth).sum() > 0.8 * truth.sum()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: b"nonsense",
        lambda data: data[: len(data) // 2],
        lambda data: json.dumps({"1": {}}).encode(),
        lambda data: data.replace(b"recent_gram_1", b"recent_bram_1"),
    ],
)
def test_a_damaged_snapshot_is_refused(spoil) -> None:
    session = open_session()
    step(session, 0, red_at(0))
    with pytest.raises(EngineError, match="snapshot"):
        open_session(spoil(session.snapshot()))


def test_a_snapshot_of_other_options_or_another_size_is_refused() -> None:
    session = open_session()
    step(session, 0, red_at(0))
    data = session.snapshot()
    with pytest.raises(EngineError, match="has seed 0, this session 4"):
        open_session(data, seed=4)
    with pytest.raises(EngineError, match="options"):
        open_session(data, smoothness=3)
    with pytest.raises(EngineError, match="size_hw"):
        FlowEngine(**SMALL).open(VideoInfo(HEIGHT, WIDTH), data)


def test_bad_input_is_refused_before_anything_changes() -> None:
    session = open_session()
    step(session, 0, red_at(0))
    before = session.snapshot()
    frame, red, _ = scene(1)
    with pytest.raises(PromptNotSupportedError, match="BoxPrompt"):
        session.step(frame, [BoxPrompt(1, 2, (0, 0, 4, 4))])
    for mask in (red[:-1], np.zeros_like(red), red.astype(np.uint8)):
        with pytest.raises(InputError, match="frame 1, object 2: expected a mask"):
            session.step(frame, [MaskPrompt(1, 2, mask)])
    for image in (frame.image[1:], frame.image.astype(np.float32), frame.image[:, :, 0]):
        with pytest.raises(InputError, match="frame 1: expected RGB uint8"):
            session.step(frame_of(1, image))
    for valid in (np.ones((WIDTH, HEIGHT), np.bool_), np.ones((HEIGHT, WIDTH), np.uint8)):
        with pytest.raises(InputError, match="frame 1: expected its valid pixels as bool"):
            session.step(replace(frame, valid=valid))
    assert session.snapshot() == before


def test_a_failing_backend_is_an_engine_error(monkeypatch: pytest.MonkeyPatch) -> None:
    session = open_session()
    step(session, 0, red_at(0))

    def fail(*_: object) -> None:
        raise cv2.error("out of luck")

    monkeypatch.setattr("maskferry.engines._flow.finding.minimise", fail)
    with pytest.raises(EngineError, match="frame 1: out of luck"):
        step(session, 1)
    session.close()
    session.close()


def odd_mask(kind: str, height: int, width: int, seed: int) -> Mask:
    """Masks that people give by accident or on purpose."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), np.bool_)
    if kind == "all":
        mask[:] = True
    elif kind == "pixel":
        mask[rng.integers(height), rng.integers(width)] = True
    elif kind == "border":
        mask[0] = mask[:, -1] = True
    elif kind == "noise":
        mask = rng.random((height, width)) < 0.3
        mask[0, 0] = True
    elif kind == "holes":
        mask[height // 4 :, : width // 2] = True
        mask[height // 2 :: 3, ::3] = False
    return mask


MASKS = st.lists(st.sampled_from(["all", "pixel", "border", "noise", "holes"]), min_size=1, max_size=3)
FRAMES = st.lists(st.sampled_from(["texture", "same", "noise", "black", "white", "shift"]), min_size=2, max_size=4)


def odd_frames(kinds: list[str], height: int, width: int) -> list[np.ndarray]:
    frames = [texture(0, height, width)]
    for i, kind in enumerate(kinds):
        last = frames[-1]
        made = {
            "texture": lambda i=i: texture(i, height, width),  # type: ignore[misc]
            "same": lambda last=last: last.copy(),  # type: ignore[misc]
            "noise": lambda i=i: np.random.default_rng(i).integers(0, 256, (height, width, 3)).astype(np.uint8),  # type: ignore[misc]
            "black": lambda: np.zeros((height, width, 3), np.uint8),
            "white": lambda: np.full((height, width, 3), 255, np.uint8),
            "shift": lambda last=last: np.roll(last, (2, 3), (0, 1)),  # type: ignore[misc]
        }
        frames.append(made[kind]())
    return frames


@settings(max_examples=25, deadline=None)
@given(st.integers(16, 70), st.integers(16, 90), MASKS, FRAMES, st.integers(0, 99))
def test_nothing_odd_breaks_it(height: int, width: int, masks: list[str], frames: list[str], seed: int) -> None:
    session = FlowEngine(**SMALL).open(VideoInfo(width, height))
    for index, image in enumerate(odd_frames(frames, height, width)):
        prompts = [MaskPrompt(0, i + 1, odd_mask(kind, height, width, seed + i)) for i, kind in enumerate(masks)]
        rows = session.step(frame_of(index, image), prompts if index == 0 else [])
        assert rows.object_ids == tuple(range(1, len(masks) + 1))
        for row in rows:
            assert 0 <= row.score <= 1
            assert (row.rle.area == 0) == (row.state is State.LOST)
            assert (row.score == 0) == (row.state is State.LOST) or row.score > 0
    resumed = FlowEngine(**SMALL).open(VideoInfo(width, height), session.snapshot())
    assert resumed.snapshot() == session.snapshot()
    session.close()
    resumed.close()


@pytest.mark.parametrize("size_hw", [(2160, 3840), (16, 2000), (481, 853)])
def test_sizes_from_strips_to_4k(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    image = cv2.resize(texture(0), (width, height), interpolation=cv2.INTER_CUBIC)
    mask = np.zeros(size_hw, np.bool_)
    mask[height // 4 : -height // 4, width // 4 : width // 2] = True
    image[mask] = image[mask] // 3 + np.array([150, 0, 0], np.uint8)
    session = FlowEngine(**SMALL).open(VideoInfo(width, height))
    session.step(frame_of(0, image), [MaskPrompt(0, 1, mask)])
    tracked = session.step(frame_of(1, image)).mask(1)
    assert (tracked & mask).sum() / (tracked | mask).sum() > 0.7  # a strip has few cells across
    session.close()
