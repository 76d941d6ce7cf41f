"""What training minimises, and how well it does."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

HARDEST = 0.2
"""In the end, only this share of the cells counts for the cross entropy: those with the largest."""

QUALITY_WEIGHT = 0.1


class Loss(NamedTuple):
    """The loss, and the mean IoU of each frame (t,)."""

    total: Tensor
    iou: Tensor


def loss(logits: Tensor, quality: Tensor, truth: Tensor, valid: Tensor, progress: float) -> Loss:
    """Cross entropy of the hardest cells, Dice loss, and cross entropy of the foretold IoU.

    Args:
        logits: (b, t, h, w).
        quality: logits of the foretold IoU (b, t).
        truth: (b, t, h, w) in [0, 1].
        valid: bool (b,), the clips that count.
        progress: of the training, 0 to 1.
    """
    logits = logits.float()
    weight = valid.float()[:, None] / (valid.float().sum().clamp(min=1) * logits.shape[1])
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = entropy.flatten(2)
    share = 1 - (1 - HARDEST) * min(1.0, progress / 0.3)
    hardest = entropy.topk(int(entropy.shape[2] * share), 2, sorted=False)[0].mean(2)
    cover = torch.sigmoid(logits)
    common, both = (cover * truth).sum((2, 3)), cover.sum((2, 3)) + truth.sum((2, 3))
    dice = 1 - (2 * common + 12) / (both + 12)
    mask, target = logits > 0, truth > 0.5
    union = (mask | target).sum((2, 3))
    iou = torch.where(union > 0, (mask & target).sum((2, 3)) / union.clamp(min=1), 1.0)
    foretold = functional.binary_cross_entropy_with_logits(quality.float(), iou, reduction="none")
    total = ((hardest + dice + QUALITY_WEIGHT * foretold) * weight).sum()
    return Loss(total, (iou * weight).sum(0) * logits.shape[1])
