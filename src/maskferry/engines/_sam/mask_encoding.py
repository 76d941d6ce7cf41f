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

from maskferry.engines._compiled import compiled
from maskferry.rle import Rle

__all__ = ["logits_to_masks", "masks_to_rles"]

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

LONGEST_RUN = 7
"""Characters of a run, at most: five bits each, of what is below two to the 34th."""

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


def masks_to_rles(masks: Tensor) -> tuple[list[Rle], list[int]]:
    """Encode masks, bool (B, W, H), and count their pixels."""
    count, width, height = masks.shape
    flat = masks.reshape(count, -1)
    changes = flat.clone()
    changes[:, 1:] ^= flat[:, :-1]
    edges = changes.view(-1).nonzero()[:, 0].cpu().numpy()  # mask after mask
    text, ends, areas = _encode_edges(edges, count, width * height)
    encoded, size_hw = text.tobytes(), (height, width)
    rles = [Rle(size_hw, encoded[a:b]) for a, b in itertools.pairwise([0, *ends.tolist()])]
    return rles, areas.tolist()


@compiled
def _encode_edges(edges: Ints, count: int, pixels: int) -> tuple[Bytes, Ints, Ints]:
    """COCO's strings of masks, one after the other, as `Rle` writes them; for all masks in one go.

    Args:
        edges: positions, ascending, at which a mask begins or ends; ``pixels`` of each mask after those of the last.
        count: of the masks.
        pixels: of a mask.

    Returns:
        The strings in one array, where each one ends, and the area of each mask in pixels.
    """
    text = np.empty(LONGEST_RUN * (edges.size + count), np.uint8)
    ends, areas = np.empty(count, np.int64), np.zeros(count, np.int64)
    at = edge = 0
    for mask in range(count):
        begin, stop = mask * pixels, (mask + 1) * pixels
        number = run = last_run = 0
        while begin < stop:
            end = edges[edge] if edge < edges.size and edges[edge] < stop else stop
            edge += end < stop
            earlier, last_run, run = last_run, run, end - begin
            begin = end
            if number % 2:
                areas[mask] += run
            value = run - earlier if number > 2 else run
            number += 1
            while True:
                digit, value = value & 31, value >> 5
                done = value == -1 if digit & 16 else value == 0
                text[at] = digit + 48 if done else digit + 80
                at += 1
                if done:
                    break
        ends[mask] = at
    return text[:at], ends, areas
