"""Whether a frame begins a new shot."""

from __future__ import annotations

import cv2
import numpy as np

from maskferry.engines._flow.grid import FloatArray, Grid
from maskferry.engines._flow.motion import FlowField, Grey, warp

__all__ = ["is_cut", "unexplained"]

UNRELIABLE = 0.5
"""Mean confidence of the flow below which it agrees with itself almost nowhere."""

UNEXPLAINED = 0.6
"""Cuts leave 0.8 and more of the contrast unexplained; the fastest motion of real shots was seen to leave 0.4."""

LEAST_CONTRAST = 5.0


def is_cut(before: Grey, after: Grey, flow: FlowField, grid: Grid) -> bool:
    """A hard cut: the flow is not consistent, and what it carries over is not what is there.

    Blur and fast motion do the first, a flash does the second; a cut does both.

    Args:
        before: the last frame, from `motion.flow_grey`.
        after: this frame, of the same shape.
        flow: between them.
        grid: the grid.
    """
    return float(flow.confidence.mean()) < UNRELIABLE and unexplained(before, after, flow, grid) > UNEXPLAINED


def unexplained(before: Grey, after: Grey, flow: FlowField, grid: Grid) -> float:
    """Mean difference between the last frame, carried along the flow, and this one, relative to its contrast."""
    h, w = grid.size_hw
    old, new = (cv2.resize(g, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) for g in (before, after))
    contrast = max(LEAST_CONTRAST, float(new.std()))
    carried: FloatArray = warp(old, flow.backward, grid)
    return float(np.abs(carried - new).mean()) / contrast
