"""Pictures as arrays: checked, and drawn on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskferry._palettes import Color
from maskferry.data import Image
from maskferry.errors import InputError

__all__ = ["blend", "check_picture"]


def check_picture(image: Image, what: str) -> None:
    """Refuse what is no RGB picture."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"{what}: expected RGB, uint8 (H, W, 3), got {image.dtype} {image.shape}")


def blend(out: Image, coverage: NDArray[np.float32], color: Color) -> None:
    """Draw a colour where ``coverage`` says, from 0 to 1, into the upper left corner of ``out``, cut to its size."""
    coverage = coverage[: out.shape[0], : out.shape[1], None]
    target = out[: coverage.shape[0], : coverage.shape[1]]
    target[:] = np.rint(target * (1 - coverage) + np.array(color, dtype=np.float32) * coverage)
