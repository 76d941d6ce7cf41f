"""What is played to SAM 3.1 and to other implementations of it, and what is kept of their answers.

Pictures, masks and weights come from numpy's frozen generator `RandomState`, so that they are the same everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import multiplex_models
from maskferry.data import Frame, FrameInfo

SIDE = multiplex_models.TINY.image_size
"""Pictures have the size of the model's, so that nothing is resized before it."""

EMPTY = 0
"""The seed of the empty mask."""

PIXELS = np.random.RandomState(5).choice(24 * 24, 12, replace=False)
"""Places at which logits (24 x 24) are kept."""

POINTS = {
    "one point": ([[[30.0, 40.0]]], [[1]]),
    "a box": ([[[10.0, 12.0], [60.0, 70.0]]], [[2, 3]]),
    "a box and points": ([[[10.0, 12.0], [60.0, 70.0], [30.0, 30.0], [5.0, 80.0]]], [[2, 3, 1, 0]]),
}
"""Places and labels of prompts."""


@dataclass(frozen=True)
class Scenario:
    """A pass over a video.

    Attributes:
        frames: their indices in the order of the pass.
        prompts: by step: the seed of each object's mask.
        drops: by step: objects that are dropped before it.
        isolate: as `MultiplexEngine` takes it.
        in_sight: as `weights` takes it.
    """

    frames: tuple[int, ...]
    prompts: dict[int, dict[int, int]]
    drops: dict[int, tuple[int, ...]] = field(default_factory=dict)
    isolate: bool = False
    in_sight: float = -0.95


def _events(objects: int, add: int, drop: int, correct: int) -> dict[str, Any]:
    first = {i: 100 + i for i in range(1, objects + 1)} | {2: EMPTY}
    return {"prompts": {0: first, add: {1000: 999}, correct: {1: 555}}, "drops": {drop: (3,)}}


SCENARIOS = {
    "three": Scenario(tuple(range(20)), **_events(3, 6, 11, 14)),
    "three reverse": Scenario(tuple(range(13, -1, -1)), **_events(3, 4, 8, 10)),
    "twenty": Scenario(tuple(range(20)), **_events(20, 6, 11, 14), in_sight=-0.35),
    "twenty reverse": Scenario(tuple(range(13, -1, -1)), **_events(20, 4, 8, 10), in_sight=-0.35),
    "nine prompt frames": Scenario(
        tuple(range(26)), {0: {1: 101, 2: 102}} | {s: {1: 200 + s} for s in (2, 3, 5, 6, 8, 9, 17, 21)}
    ),
    "isolated": Scenario(
        tuple(range(20)),
        {0: {i: 100 + i for i in range(1, 19)}, 4: {30: 301, 31: 302}, 6: {2: 401, 18: 402, 30: 403}, 9: {2: 404}},
        {7: (5, 31)},
        isolate=True,
    ),
}


def weights(scenario: Scenario) -> Any:
    """The model's: presence is exaggerated, so that objects come into sight and go."""
    made = multiplex_models.weights(2, in_sight=scenario.in_sight)
    made["tracker.model.sam_mask_decoder.pred_obj_score_head.layers.2.weight"] *= 5
    return made


def picture(index: int) -> Frame:
    """Two coarse patterns that turn into each other."""
    one, other = (np.random.RandomState(seed).standard_normal((12, 12, 3)) for seed in (1, 2))
    mixed = one * np.cos(0.2 * index) + other * np.sin(0.2 * index)
    image = np.clip(128 + 60 * mixed, 0, 255).astype(np.uint8)
    return Frame(FrameInfo(index, None, str(index)), np.kron(image, np.ones((7, 7, 1), dtype=np.uint8)))


def mask(seed: int) -> Any:
    """A coarse random mask, bool (SIDE, SIDE)."""
    if seed == EMPTY:
        return np.zeros((SIDE, SIDE), dtype=np.bool_)
    coarse = np.random.RandomState(seed).standard_normal((7, 7)) > 0.3
    return np.kron(coarse, np.ones((12, 12), dtype=np.bool_))


class Recorder:
    """Keeps a few numbers of each object on each frame, and of each bucket's memory."""

    def __init__(self, scenario: Scenario) -> None:
        ids = {i for prompts in scenario.prompts.values() for i in prompts}
        self.columns = {i: n for n, i in enumerate(sorted(ids))}
        self.objects = np.full((len(scenario.frames), len(ids), len(PIXELS) + 6), np.nan)
        self.memories = np.full((len(scenario.frames), len(ids), 8), np.nan)

    def note_object(self, step: int, object_id: int, logits: Any, presence: Any, pointer: Any) -> None:
        """Of an object without a prompt on this frame; logits (24, 24), one presence, pointer (C,)."""
        values = [np.asarray(v, dtype=np.float64).reshape(-1) for v in (logits, presence, pointer)]
        self.objects[step, self.columns[object_id]] = np.concatenate([values[0][PIXELS], values[1], values[2][:5]])

    def note_memory(self, step: int, object_ids: list[int], memory: Any) -> None:
        """Of a bucket with these objects, which stands in the row of the first; memory (HW, C)."""
        self.memories[step, self.columns[min(object_ids)]] = np.asarray(memory, dtype=np.float64).reshape(-1)[::289][:8]
