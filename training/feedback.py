"""Wrong masks to go on from: what the network makes of a clip when its last answer was spoiled."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEAK, CUT, GROW, FORGET = 0.03, 0.04, 0.04, 0.15
"""How often a mask takes in another thing, loses a side, grows or shrinks, is not carried over at all."""


def spoil(masks: Tensor) -> Tensor:
    """Masks (b, 1, h, w) at stride 4, some of them spoiled."""
    lot = torch.rand(len(masks), 1, 1, 1, device=masks.device)
    leaking = torch.maximum(masks, _elsewhere(masks))
    grown = torch.where(torch.rand_like(lot) < 0.5, _grow(masks), -_grow(-masks))
    out = torch.where(lot < LEAK, leaking, masks)
    out = torch.where((lot >= LEAK) & (lot < LEAK + CUT), masks * _half_plane(masks), out)
    return torch.where((lot >= LEAK + CUT) & (lot < LEAK + CUT + GROW), grown, out)


def kept(masks: Tensor, often: float = 1 - FORGET) -> Tensor:
    """1 for the clips whose mask is carried over, (b, 1, 1, 1)."""
    return (torch.rand(len(masks), 1, 1, 1, device=masks.device) < often).to(masks.dtype)


def _elsewhere(masks: Tensor) -> Tensor:
    """The masks of other clips, moved about."""
    h, w = masks.shape[-2:]
    down, right = (int(torch.randint(-side // 3, side // 3 + 1, ())) for side in (h, w))
    return masks.detach().roll(1, 0).roll((down, right), (2, 3))


def _half_plane(masks: Tensor) -> Tensor:
    """1 on one side of a line through about the masks' centres."""
    b, _, h, w = masks.shape
    ys = torch.linspace(0, 1, h, device=masks.device)[:, None]
    xs = torch.linspace(0, 1, w, device=masks.device)[None]
    total = masks.sum((1, 2, 3)).clamp(min=1e-3)
    cy, cx = ((masks[:, 0] * at).sum((1, 2)) / total for at in (ys, xs))
    angle = torch.rand(b, device=masks.device) * 2 * torch.pi
    side = (ys - cy[:, None, None]) * angle.sin()[:, None, None] + (xs - cx[:, None, None]) * angle.cos()[:, None, None]
    return (side < 0.03)[:, None].to(masks.dtype)


def _grow(masks: Tensor) -> Tensor:
    return functional.max_pool2d(masks, 5, 1, 2)
