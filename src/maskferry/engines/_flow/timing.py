"""The stages of a frame, and who measures them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

__all__ = ["STAGES", "Timer"]

Timer = Callable[[str], AbstractContextManager[object]]
"""Gives the context in which a stage of a frame runs, by the stage's name, of `STAGES`. By default
`contextlib.nullcontext`: nobody measures."""

STAGES = (
    "frame to grid",
    "optical flow, both ways",
    "cut?",
    "features",
    "edge weights",
    "camera motion",
    "carry and motion cue",
    "appearance, evaluation",
    "network",
    "segmentation",
    "masks in pixels",
    "run lengths, state",
    "appearance, refit",
)
"""In the order in which a frame goes through them; some are done once an object."""
