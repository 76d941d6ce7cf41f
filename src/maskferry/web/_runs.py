"""States and scores over time, as runs: short, whatever the length of the video."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import State
from maskferry.tracks import STATE_CODES, Lane

__all__ = ["score_runs", "state_runs", "worst_runs"]

BAD = (State.GIVEN, State.TRACKED, State.RETURNED, State.OCCLUDED, State.LOST)
"""From the best to the worst."""

RANKS = np.array([BAD.index(state) + 1 for state in STATE_CODES], dtype=np.uint8)
"""By code: how bad a state is, from 1."""

CODES = np.array([255, *(STATE_CODES.index(state) for state in BAD)], dtype=np.uint8)
"""The inverse."""


def state_runs(lane: Lane) -> list[list[int]]:
    """[start, stop, state] of each stretch of frames with one state."""
    return _runs(lane.frames, lane.states)


def worst_runs(lanes: Iterable[Lane], frame_count: int) -> list[list[int]]:
    """The same, of the worst state of several objects."""
    worst = np.zeros(frame_count, dtype=np.uint8)
    for lane in lanes:
        inside = lane.frames < frame_count
        frames = lane.frames[inside]
        worst[frames] = np.maximum(worst[frames], RANKS[lane.states[inside]])
    frames = np.flatnonzero(worst)
    return _runs(frames, CODES[worst[frames]])


def score_runs(lane: Lane) -> list[dict[str, Any]]:
    """Scores of consecutive frames, with three decimals."""
    if not lane.frames.size:
        return []
    cuts = np.flatnonzero(np.diff(lane.frames) != 1) + 1
    scores = np.round(lane.scores.astype(np.float64), 3)
    parts = zip(np.split(lane.frames, cuts), np.split(scores, cuts), strict=True)
    return [{"start": int(frames[0]), "scores": own.tolist()} for frames, own in parts]


def _runs(frames: NDArray[np.int64], codes: NDArray[np.uint8]) -> list[list[int]]:
    if not frames.size:
        return []
    cuts = np.flatnonzero((np.diff(frames) != 1) | (np.diff(codes.astype(np.int16)) != 0)) + 1
    first, last = np.concatenate([[0], cuts]), np.concatenate([cuts, [frames.size]]) - 1
    return [
        [int(a), int(b) + 1, int(code)] for a, b, code in zip(frames[first], frames[last], codes[first], strict=True)
    ]
