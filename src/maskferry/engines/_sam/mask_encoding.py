"""From logits on the device to run-length encoded masks at the size of the video.

Masks are enlarged and thresholded on the device, and only the places where a column goes in or out of an object come
to the host: some thousand numbers an object instead of a picture.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from maskferry.rle import Rle

__all__ = ["encode_masks", "enlarge_masks"]

CHUNK_PIXELS = 1 << 25
"""Masks are enlarged so many pixels at a time, four bytes each."""


def enlarge_masks(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Masks at the size of the video.

    Args:
        logits: (B, 1, h, w).
        size_hw: of the video.

    Returns:
        bool (B, W, H), transposed, as runs go down the columns.
    """
    height, width = size_hw
    step = max(1, CHUNK_PIXELS // (height * width))
    parts = [
        F.interpolate(part.float().transpose(2, 3), size=(width, height), mode="bilinear", align_corners=False)[:, 0]
        > 0
        for part in logits.split(step)
    ]
    return torch.cat(parts)


def encode_masks(masks: Tensor) -> list[Rle]:
    """Encode bool masks (B, W, H)."""
    count, width, height = masks.shape
    flat = masks.reshape(count, -1)
    changes = flat.clone()
    changes[:, 1:] ^= flat[:, :-1]
    found = changes.nonzero().cpu().numpy()
    bounds = np.searchsorted(found[:, 0], np.arange(count + 1))
    return [_rle(found[a:b, 1], (height, width)) for a, b in itertools.pairwise(bounds)]


def _rle(edges: np.ndarray[tuple[int], np.dtype[np.int64]], size_hw: tuple[int, int]) -> Rle:
    """From the places, down the columns, at which a mask begins or ends."""
    runs = np.diff(edges, prepend=0, append=size_hw[0] * size_hw[1])
    return Rle.from_runs(runs, size_hw)
