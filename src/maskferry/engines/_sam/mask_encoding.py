"""From logits on the device to run-length encoded masks at the size of the video.

Masks are resized and thresholded on the device. Only the positions where a column enters or leaves an object come to
the host: some thousand numbers an object instead of a picture.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from maskferry.rle import Rle

__all__ = ["logits_to_masks", "masks_to_rles"]

PIXELS_AT_ONCE = 1 << 25
"""Masks are resized so many pixels at a time, four bytes each."""


def logits_to_masks(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Masks at the size of the video.

    Args:
        logits: float (B, 1, h, w); > 0 inside an object.
        size_hw: of the video.

    Returns:
        bool (B, W, H): transposed, because runs go down the columns.
    """
    height, width = size_hw
    step = max(1, PIXELS_AT_ONCE // (height * width))
    parts = []
    for part in logits.split(step):
        columns = part.float().transpose(2, 3)
        large = F.interpolate(columns, size=(width, height), mode="bilinear", align_corners=False)
        parts.append(large[:, 0] > 0)
    return torch.cat(parts)


def masks_to_rles(masks: Tensor) -> list[Rle]:
    """Encode masks, bool (B, W, H)."""
    count, width, height = masks.shape
    flat = masks.reshape(count, -1)
    changes = flat.clone()
    changes[:, 1:] ^= flat[:, :-1]
    edges = changes.nonzero().cpu().numpy()  # (edges, 2): mask, position
    bounds = np.searchsorted(edges[:, 0], np.arange(count + 1))
    return [_edges_to_rle(edges[a:b, 1], (height, width)) for a, b in itertools.pairwise(bounds)]


def _edges_to_rle(edges: NDArray[np.int64], size_hw: tuple[int, int]) -> Rle:
    """From the positions, down the columns, at which a mask begins or ends."""
    runs = np.diff(edges, prepend=0, append=size_hw[0] * size_hw[1])
    return Rle.from_runs(runs, size_hw)
