"""Pictures and masks that the tests of the SAM engines show to tiny models."""

from __future__ import annotations

import numpy as np

from maskferry.data import Frame, FrameInfo, MaskPrompt

HEIGHT, WIDTH = 64, 96


def picture(index: int) -> Frame:
    """Coarse noise, different on each frame."""
    coarse = np.random.default_rng(index).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Frame(FrameInfo(index, None, str(index)), np.kron(coarse, np.ones((8, 8, 1), dtype=np.uint8)))


def given(index: int, *object_ids: int) -> list[MaskPrompt]:
    """Boxes that differ from object to object and from frame to frame."""
    prompts = []
    for i in object_ids:
        mask = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
        x, y = (13 * i + 5 * index) % 70, (7 * i) % 40
        mask[y : y + 18, x : x + 22] = True
        prompts.append(MaskPrompt(index, i, mask))
    return prompts
