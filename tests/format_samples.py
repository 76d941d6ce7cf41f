"""Small tracks for the tests of formats and rendering."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from maskferry.data import Frame, FrameInfo, FrameMasks, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.rle import Rle

SIZE_HW = (24, 33)
VIDEO = VideoInfo(33, 24, rate=Fraction(30000, 1001), frame_count=5, name="clip")


def disk(center_xy: tuple[float, float], radius: float, size_hw: tuple[int, int] = SIZE_HW) -> np.ndarray:
    """A filled circle, bool (H, W)."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return (x - center_xy[0]) ** 2 + (y - center_xy[1]) ** 2 <= radius**2


def row(
    object_id: int,
    mask: np.ndarray,
    score: float = 0.5,
    state: State = State.TRACKED,
    fidelity: float | None = None,
) -> ObjectMask:
    return ObjectMask(object_id, Rle.encode(mask), score, state, fidelity)


def masks_of(*rows: ObjectMask, frame: int = 0, size_hw: tuple[int, int] = SIZE_HW) -> FrameMasks:
    return FrameMasks(frame, size_hw, rows)


def tracks() -> list[FrameTracks]:
    """Five frames: object 1 moves, is lost and returns; object 7 comes on the third frame and overlaps it."""
    out = []
    for i in range(5):
        lost = i == 3
        state = State.GIVEN if i == 0 else State.LOST if lost else State.RETURNED if i == 4 else State.TRACKED
        first = np.zeros(SIZE_HW, bool) if lost else disk((6 + 3 * i, 10), 5)
        rows = [row(1, first, 0.0 if lost else 1 - 0.1 * i, state)]
        if i >= 2:
            told = (State.GIVEN, 0.75) if i == 2 else (State.OCCLUDED, None)
            rows.append(row(7, disk((14, 12), 3), 0.3 + i / 7, *told))
        time = float(i * Fraction(1001, 30000))
        out.append(FrameTracks(FrameInfo(i, time, f"{i:06d}"), masks_of(*rows, frame=i)))
    return out


def picture(size_hw: tuple[int, int] = SIZE_HW, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3)).astype(np.uint8)


def frame_of(index: int, image: np.ndarray, time: float | None = None) -> Frame:
    return Frame(FrameInfo(index, time, f"{index:06d}"), image)


def rgb_of(yuv420p: np.ndarray, height: int, width: int) -> np.ndarray:
    """int (H, W, 3) from the planes of Y'CbCr, by the formulas of BT.709 for limited range."""
    flat = yuv420p.ravel().astype(float)
    luma = (flat[: height * width].reshape(height, width) - 16) / 219
    chroma = (flat[height * width :].reshape(2, height // 2, width // 2) - 128) / 224
    blue, red = chroma.repeat(2, axis=1).repeat(2, axis=2)
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return np.rint(255 * np.stack([r, g, b], axis=2)).astype(int)


@st.composite
def random_tracks(draw: st.DrawFn) -> tuple[VideoInfo, list[FrameTracks], dict[int, str]]:
    """Any tracks of a small video: objects come and go, frames are left out, names are wild."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    indices = sorted(draw(st.sets(st.integers(0, 99), max_size=5)))
    text = st.text(max_size=6)
    names = text.filter(lambda name: not set(name) & set("/\\\0") and name != "..")  # others are refused on reading
    ids = sorted(draw(st.sets(st.integers(1, 70000), max_size=4)))
    frames = []
    for index in indices:
        rows = []
        for i in ids:
            if draw(st.booleans()):
                bits = draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width))
                mask = np.array(bits).reshape(height, width)
                state = draw(st.sampled_from([s for s in State if (s is State.LOST) != mask.any()]))
                fidelity = draw(st.none() | st.floats(0, 1)) if state is State.GIVEN else None
                rows.append(row(i, mask, draw(st.floats(0, 1)), state, fidelity))
        time = draw(st.none() | st.floats(0, 1e6))
        name = draw(names)
        frames.append(FrameTracks(FrameInfo(index, time, name), FrameMasks(index, (height, width), tuple(rows))))
    rate = draw(st.none() | st.fractions(min_value=Fraction(1, 100), max_value=1000))
    video = VideoInfo(width, height, rate, draw(st.none() | st.integers(0, 9)), draw(names.filter(bool)))
    used = {r.object_id for f in frames for r in f.masks}
    labels = {i: draw(text) for i in sorted(used) if draw(st.booleans())}
    return video, frames, labels
