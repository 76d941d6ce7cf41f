"""A made video in which squares of their own colours enter, and an engine that follows colours and knows names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from helpers import square_mask
from maskferry import MaskPrompt, ObjectMask, State, TextPrompt
from maskferry.data import FrameMasks
from maskferry.engines.base import TextThresholds
from maskferry.rle import Rle

__all__ = ["COUNT", "SIZE_HW", "Look", "TextEngine", "first_frames", "square_at", "video"]

COUNT, SIZE_HW = 75, (60, 90)

ENTERS = {"red": 0, "blue": 30, "green": 60}
"""On which frame each square enters; it then moves down its own column."""

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 200, 30)}
COLUMNS = {"red": 5, "blue": 35, "green": 65}

NAMES = {"car": ("red", "blue"), "person": ("green",)}
"""What words name."""

THRESHOLDS = TextThresholds(0.5, 0.7, 0.1)

Look = Callable[[int, str], float]
"""The score with which a colour is found on a frame."""


def square_at(color: str, index: int) -> np.ndarray:
    """Where a square is on a frame, bool (H, W); empty before it enters."""
    since = index - ENTERS[color]
    return square_mask(SIZE_HW, COLUMNS[color], 2 + since // 2, 12) if since >= 0 else np.zeros(SIZE_HW, dtype=bool)


def video(count: int = COUNT) -> np.ndarray:
    """RGB, uint8 (T, H, W, 3)."""
    frames = np.full((count, *SIZE_HW, 3), 90, dtype=np.uint8)
    for index, image in enumerate(frames):
        for color, rgb in COLORS.items():
            image[square_at(color, index)] = rgb
    return frames


def first_frames(tracks) -> dict[str, int]:
    """The first frame on which each object is seen, by the colour that it covers there."""
    found = {}
    for object_id in tracks.object_ids:
        index, row = next((index, row) for index, row in tracks.timeline(object_id) if row.rle.area)
        (color,) = [c for c in COLORS if np.array_equal(row.rle.decode(), square_at(c, index))]
        assert color not in found, "one id each"
        found[color] = index
    return found


class TextEngine:
    """Follows colours.

    Args:
        score: of what is found; 0.9 everywhere by default.
        thresholds: of its detector.
        names: {phrase: colours}.

    Attributes:
        looks: frames on which words were looked for, with the phrases.
    """

    name = "text"
    accepts = frozenset({MaskPrompt, TextPrompt})

    def __init__(
        self,
        score: Look = lambda index, color: 0.9,
        thresholds: TextThresholds = THRESHOLDS,
        names: Mapping[str, Sequence[str]] = NAMES,
    ) -> None:
        self.score, self.thresholds, self.names = score, thresholds, names
        self.looks: list[tuple[int, tuple[str, ...]]] = []

    def open(self, video, snapshot=None):
        return TextSession(self, json.loads(snapshot) if snapshot else {})

    def close(self):
        pass


class TextSession:
    """What is remembered of each object is its colour."""

    def __init__(self, engine: TextEngine, colors: Mapping[str, list[int]]) -> None:
        self._engine = engine
        self._colors = {int(i): tuple(rgb) for i, rgb in colors.items()}

    def step(self, frame, prompts=()):
        for prompt in prompts:
            if isinstance(prompt, TextPrompt):
                found = self.detect(frame, [prompt.text], min_score=0.7, max_iou=1)[0]
                rows = [ObjectMask(i, Rle.encode(m), s, State.TRACKED) for i, (m, s) in enumerate(found, 1)]
                return FrameMasks(frame.index, SIZE_HW, tuple(rows))
        self.reprompt(frame, prompts)
        given = {prompt.object_id: prompt.mask for prompt in prompts}
        rows = [self._row(frame, i, given.get(i)) for i in sorted(self._colors)]
        return FrameMasks(frame.index, SIZE_HW, tuple(rows))

    def _row(self, frame, object_id, given):
        if given is not None:
            return ObjectMask(object_id, Rle.encode(given), 1.0, State.GIVEN)
        mask = (frame.image == self._colors[object_id]).all(axis=2)
        state = State.TRACKED if mask.any() else State.LOST
        return ObjectMask(object_id, Rle.encode(mask), 0.8 if mask.any() else 0.0, state)

    def reprompt(self, frame, prompts):
        for prompt in prompts:
            self._colors[prompt.object_id] = tuple(map(int, np.median(frame.image[prompt.mask], axis=0)))

    def text_thresholds(self):
        return self._engine.thresholds

    def detect(self, frame, phrases, *, min_score, max_iou):
        self._engine.looks.append((frame.index, tuple(phrases)))
        return [self._of(frame, phrase, min_score) for phrase in phrases]

    def _of(self, frame, phrase, min_score):
        found = []
        for color in self._engine.names.get(phrase, ()):
            mask, score = (frame.image == COLORS[color]).all(axis=2), self._engine.score(frame.index, color)
            if mask.any() and score > min_score:
                found.append((mask, score))
        return found

    def drop(self, object_id):
        self._colors.pop(object_id, None)

    def snapshot(self):
        return json.dumps(self._colors).encode()

    def close(self):
        self._colors = {}
