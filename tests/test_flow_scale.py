"""The engine ``flow`` on small objects, on many, and on any number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskferry.data import Frame, FrameInfo, Mask, MaskPrompt, State, VideoInfo
from maskferry.engines._compiled import compiled
from maskferry.engines._flow import FlowEngine
from maskferry.engines._flow.finding import lattice_for
from maskferry.engines._flow.grid import Grid
from maskferry.engines._flow.session import TURNS, FlowSession
from maskferry.engines._flow.target import PATIENCE

HEIGHT, WIDTH = 540, 960


def texture(seed: int, height: int, width: int, blur: float = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


GROUND = texture(1, HEIGHT + 60, WIDTH + 60)


def flight(index: int, count: int = 3, side: int = 12) -> tuple[Frame, dict[int, Mask]]:
    """Small squares of different colours that drive over ground which moves as well."""
    image = GROUND[index : index + HEIGHT, 2 * index : 2 * index + WIDTH].copy()
    masks = {}
    for k in range(count):
        x, y = 60 + 85 * (k % 10) + 3 * index, 60 + 70 * (k // 10) + (index if k % 2 else 0)
        mask = np.zeros((HEIGHT, WIDTH), np.bool_)
        mask[y : y + side, x : x + side] = True
        image[mask] = cv2.cvtColor(np.array([[[k * 50 % 180, 230, 220]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0]
        image[y + 3 : y + 5, x : x + side] = 20
        masks[k + 1] = mask
    return Frame(FrameInfo(index, None, str(index)), image), masks


def start(count: int = 3, side: int = 12) -> FlowSession:
    session = FlowEngine().open(VideoInfo(WIDTH, HEIGHT))
    frame, masks = flight(0, count, side)
    session.step(frame, [MaskPrompt(0, i, mask) for i, mask in masks.items()])
    return session


def overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def test_objects_of_twelve_pixels_are_followed() -> None:
    session = start()
    for i in range(1, 16):
        frame, truths = flight(i)
        rows = session.step(frame)
    for object_id, truth in truths.items():
        assert overlap(rows.mask(object_id), truth) > 0.8
        assert rows[object_id].state is State.TRACKED


@pytest.mark.parametrize("count", [3, 40])
def test_windows_alone_and_joined_go_on_from_a_snapshot_byte_for_byte(count: int) -> None:
    whole, side = start(count, 20), 20
    whole.step(flight(1, count, side)[0])
    resumed = FlowEngine().open(VideoInfo(WIDTH, HEIGHT), whole.snapshot())
    for i in range(2, 6):
        frame, truths = flight(i, count, side)
        rows = whole.step(frame)
        assert resumed.step(frame) == rows
    assert whole.snapshot() == resumed.snapshot()
    assert np.mean([overlap(rows.mask(i), truth) for i, truth in truths.items()]) > 0.75


def test_all_of_many_objects_are_learned_in_turn() -> None:
    session = start(2 * TURNS, 50)
    learned: dict[int, int] = dict.fromkeys(session._targets, 0)
    for i in range(1, 5):
        before = {k: t.recent for k, t in session._targets.items()}
        session.step(flight(i, 2 * TURNS, 50)[0])
        changed = [k for k, t in session._targets.items() if t.recent is not before[k]]
        assert len(changed) == TURNS
        for k in changed:
            learned[k] += 1
    assert set(learned.values()) == {2}


def test_a_long_lost_small_object_is_found_when_it_comes_back() -> None:
    session = start(1)
    place = flight(0, 1)[1][1]
    for i in range(1, 3 * PATIENCE):
        frame, _ = flight(0, 1)
        image = GROUND[:HEIGHT, :WIDTH].copy()
        if i >= 2 * PATIENCE:
            image[place] = frame.image[place]
        rows = session.step(Frame(FrameInfo(i, None, ""), image))
        if PATIENCE < i < 2 * PATIENCE:
            assert rows[1].state is State.LOST
    assert rows[1].state is State.TRACKED
    assert overlap(rows.mask(1), place) > 0.7


@settings(max_examples=40, deadline=None)
@given(st.integers(48, 2160), st.integers(64, 3840), st.integers(1, 400), st.data())
def test_every_object_gets_a_lattice_inside_of_the_frame(
    height: int, width: int, side: int, data: st.DataObject
) -> None:
    frame = Grid.for_frame((height, width), 25_680)
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + side, x : x + side] = True
    grid = lattice_for(frame, mask)
    (h, w), (sx, sy) = grid.size_hw, grid.pitch_xy
    assert grid.corner_xy[0] >= 0
    assert grid.corner_xy[1] >= 0
    assert grid.corner_xy[0] + w * sx <= width + 1e-6
    assert grid.corner_xy[1] + h * sy <= height + 1e-6
    assert grid.mask_to_grid(mask).max() > 0.7
    assert h * w <= max(25_680 * 1.1 + h + w, 176**2)
    here = grid.to_cells(grid.to_pixels((3.5, 4.25)))
    assert np.allclose(here, (3.5, 4.25), atol=1e-3)


def test_moving_to_another_lattice_keeps_the_place() -> None:
    a, b = Grid.window((500, 500), (200, 200), 96, 1, 0.5), Grid.window((500, 500), (210, 190), 64, 2, 0.5)
    mask = cv2.circle(np.zeros((500, 500), np.uint8), (205, 195), 20, 1, -1) > 0
    moved = a.resample(a.mask_to_grid(mask), b)
    assert np.abs(moved - b.mask_to_grid(mask)).mean() < 0.02


PROGRAM = """
import sys, cv2, hashlib
cv2.setNumThreads(int(sys.argv[1]))
sys.path.insert(0, sys.argv[2])
from test_flow_scale import digest
print(digest())
assert cv2.getNumThreads() == int(sys.argv[1])
"""


def digest() -> str:
    """Of everything that comes out of a session with small and large objects."""
    session, found = start(4, 12), hashlib.sha256()
    big = np.zeros((HEIGHT, WIDTH), np.bool_)
    big[200:420, 300:640] = True
    for i in range(1, 5):
        rows = session.step(flight(i, 4)[0], [MaskPrompt(1, 9, big)] if i == 1 else [])
        for row in rows:
            found.update(row.rle.counts + repr(row.score).encode())
    found.update(session.snapshot())
    return found.hexdigest()


def test_the_same_bytes_on_any_number_of_threads() -> None:
    digests = set()
    for threads in ("1", "2", "5"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, threads)
        command = [sys.executable, "-W", "error", "-c", PROGRAM, threads, str(Path(__file__).parent)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        digests.add(run.stdout)
    assert len(digests) == 1


def test_without_a_place_for_the_cache_loops_are_still_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.dispatcher.Dispatcher, "enable_caching", refuse)

    @compiled
    def double(x: float) -> float:
        return 2 * x

    assert double(4.0) == 8
    assert double.signatures  # type: ignore[attr-defined]
