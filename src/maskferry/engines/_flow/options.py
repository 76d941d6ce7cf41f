"""The numbers that a user of the engine ``flow`` may turn, and their presets."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, fields, replace

from maskferry.errors import InputError

__all__ = ["PRESETS", "FlowOptions"]


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What the engine computes with. Lengths scale with the working grid, so that no option depends on frame size.

    Attributes:
        grid_cells: cells of the working grid (frames of 854x480 and `fast`: 214x120). Time grows with it; thin
            structures need more.
        random_features: size D of the random-feature map; multiples of 64 are fastest. The refit grows with its square.
        samples: pixels of each class that a refit of the appearance model draws; the first fit draws three times as
            many.
        ridge: regularisation, relative to the mean diagonal of the normal equations.
        update_rate: share of the newest frame in the recent half of the appearance model; 0 keeps the first frame's.
        smoothness: weight of the boundary's length; too low gives holes and crumbs, too high cuts off limbs.
        iterations: primal-dual steps of the segmentation; 30 are enough for 30,000 cells, 60 for 100,000.
        appearance_weight: how much looking like the object counts against lying where the flow carried it.
        motion_weight: how much moving with the object, and against the camera, counts.
        network_weight: how much the memory network counts; 0 leaves it out.
        network_pixels: of the picture that the network sees of an object, at most, about.
    """

    grid_cells: int = 25_680
    random_features: int = 384
    samples: int = 800
    ridge: float = 1e-3
    update_rate: float = 0.1
    smoothness: float = 3.5
    iterations: int = 30
    appearance_weight: float = 5.0
    motion_weight: float = 1.5
    network_weight: float = 6.0
    network_pixels: int = 240_000

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            whole = isinstance(low, int)
            kind = "a whole number" if whole else "a number"
            good = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
            if not good or not math.isfinite(value) or not low <= value <= high:
                raise InputError(f"engine 'flow': {name} must be {kind} from {low} to {high}, got {value!r}")

    @classmethod
    def from_preset(cls, preset: str, **overrides: float) -> FlowOptions:
        """A preset, with some of its numbers replaced.

        Raises:
            InputError: no such preset, no such option, or a value outside of its range.
        """
        if preset not in PRESETS:
            raise InputError(f"engine 'flow': preset must be one of {', '.join(PRESETS)}, got {preset!r}")
        valid = [f.name for f in fields(cls)]
        for name in overrides:
            if name not in valid:
                close = difflib.get_close_matches(name, valid, n=1)
                hint = f"; did you mean {close[0]}?" if close else ""
                raise InputError(
                    f"engine 'flow' has no option {name!r}{hint} Options: preset, seed, {', '.join(valid)}"
                )
        return replace(PRESETS[preset], **overrides)  # type: ignore[arg-type]  # checked on creation


_RANGES: dict[str, tuple[float, float]] = {
    "grid_cells": (256, 4_000_000),
    "random_features": (8, 4096),
    "samples": (16, 100_000),
    "ridge": (1e-6, 1e3),
    "update_rate": (0.0, 1.0),
    "smoothness": (0.0, 1e3),
    "iterations": (1, 10_000),
    "appearance_weight": (0.0, 100.0),
    "motion_weight": (0.0, 100.0),
    "network_weight": (0.0, 100.0),
    "network_pixels": (16_384, 4_000_000),
}

PRESETS = {
    "fast": FlowOptions(smoothness=5.0, appearance_weight=3.0, network_weight=0.0),
    "standard": FlowOptions(),
    "best": FlowOptions(
        grid_cells=120_000,
        random_features=512,
        samples=1000,
        smoothness=4.0,
        iterations=60,
        network_weight=8.0,
        network_pixels=400_000,
    ),
}
"""``standard``: a quarter of 854x480 each way, and the memory network. ``fast``: without the network, for live work on
weak machines. ``best``: 462x260 of 854x480, less than half as fast as ``standard``."""
