"""An engine for tests that takes every kind of prompt: it holds its masks, and makes rectangles of words and boxes."""

from __future__ import annotations

import numpy as np

from helpers import square_mask
from maskferry import BoxPrompt, MaskPrompt, ObjectMask, PointPrompt, State, TextPrompt
from maskferry.data import FrameMasks
from maskferry.engines._hold import HoldEngine, HoldSession
from maskferry.rle import Rle

__all__ = ["AnyPromptEngine"]


class AnyPromptEngine(HoldEngine):
    """Finds what it is told that words name; a point is a pixel."""

    accepts = frozenset({MaskPrompt, BoxPrompt, PointPrompt, TextPrompt})

    def __init__(self, **found: list[tuple[int, int]]) -> None:
        """Make one.

        Args:
            found: {word: upper left corners, [x, y], of squares of 20 pixels}; by default two of "car".
        """
        self.found = found or {"car": [(5, 10), (60, 10)]}

    def open(self, video, snapshot=None):
        session = AnyPromptSession(video.size_hw)
        session.found = self.found
        return session


class AnyPromptSession(HoldSession):
    found: dict[str, list[tuple[int, int]]]

    def step(self, frame, prompts=()):
        masks = [p for p in prompts if isinstance(p, MaskPrompt)]
        size_hw = frame.image.shape[:2]
        for prompt in prompts:
            if isinstance(prompt, TextPrompt):
                squares = [square_mask(size_hw, x, y, 20) for x, y in self.found.get(prompt.text, [])]
                rows = [ObjectMask(i, Rle.encode(mask), 1, State.GIVEN) for i, mask in enumerate(squares, 1)]
                return FrameMasks(frame.index, size_hw, tuple(rows))
            mask = np.zeros(size_hw, dtype=bool)
            if isinstance(prompt, BoxPrompt):
                x1, y1, x2, y2 = map(int, prompt.box_xyxy)
                mask[y1:y2, x1:x2] = True
            elif isinstance(prompt, PointPrompt):
                x, y = prompt.points_xy[0].astype(int)
                mask[y, x] = True
            else:
                continue
            masks.append(MaskPrompt(prompt.frame, prompt.object_id, mask))
        return super().step(frame, masks)
