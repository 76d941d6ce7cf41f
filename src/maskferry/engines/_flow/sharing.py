"""From what was found of each object alone to masks in pixels that share nothing but what they are meant to share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from maskferry.data import Mask
from maskferry.engines._flow.competition import Claim, rivals, settle
from maskferry.engines._flow.finding import Finding
from maskferry.engines._flow.grid import Box, FloatArray, box_of

__all__ = ["Kept", "share"]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What an object keeps.

    Attributes:
        pixels: its mask, bool, on a box of the frame.
        box: that box.
        cells: bool (h, w) on the part of its lattice in which it was found.
    """

    pixels: Mask
    box: Box
    cells: Mask


def share(found: Mapping[int, Finding], given: Mapping[int, Mask], nested: set[tuple[int, int]]) -> dict[int, Kept]:
    """Settle who gets which pixels; where several were found, the one with the most evidence. A given mask keeps all.

    Args:
        found: by object id.
        given: masks of the caller, bool (H, W), by object id.
        nested: pairs of ids, ascending, that may share pixels.
    """
    alone = {i: _upsample(f) for i, f in found.items()}
    claims = {i: Claim.on(mask, np.inf) for i, mask in given.items()}
    boxes = {i: box for i, (_, box) in alone.items()} | {i: claim.box for i, claim in claims.items()}
    contested = {i for pair in rivals(boxes) if pair not in nested for i in pair}
    for i, (pixels, box) in alone.items():
        claims[i] = Claim(_strength(found[i], pixels) if i in contested else pixels.astype(np.float32), box)
    settled = settle(claims, nested)
    return {i: _keep(f, *alone[i], settled[i]) for i, f in found.items()}


def _upsample(found: Finding) -> tuple[Mask, Box]:
    """The mask in pixels, on a box."""
    cover = found.cover * found.mask
    pixels, box = found.grid.grid_to_frame(cover, box_of(cover > 0, margin=1) or (0, 0, 1, 1))
    return pixels > 0.5, box


def _strength(found: Finding, pixels: Mask) -> FloatArray:
    """Evidence in pixels, always above 0 on the mask and 0 elsewhere."""
    cells = box_of(found.cover * found.mask > 0, margin=1) or (0, 0, 1, 1)  # the same box in pixels
    evidence, _ = found.grid.grid_to_frame(np.clip(found.evidence, -20, 20), cells)
    return np.where(pixels, np.exp(evidence), 0).astype(np.float32)


def _keep(found: Finding, pixels: Mask, box: Box, kept: Mask) -> Kept:
    if np.array_equal(pixels, kept):
        return Kept(kept, box, found.mask)
    return Kept(kept, box, found.mask & ~found.grid.pixels_to_cells(pixels & ~kept, box))
