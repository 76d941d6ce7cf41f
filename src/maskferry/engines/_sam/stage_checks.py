"""Whether a compiled stage is as accurate as the plain one, measured against the same stage in float32."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["agrees", "as_list", "stage_agrees"]

ALLOWED_RATIO = 1.2
"""A compiled stage may be so many times as far from float32 as the plain stage is. Of n numbers the ratio of two root
mean squares has by chance alone a deviation of about 1 / sqrt(n): three of these are allowed for on top."""

QUALITY_TIE = 0.004
"""Two masks whose qualities differ by less may change places: a step of bfloat16 just below 1."""


def agrees(plain: Tensor, compiled: Tensor, exact: Tensor) -> bool:
    """Whether a compiled result is as good as the plain one, or right to the last bit of its own type.

    Args:
        plain: of the plain stage.
        compiled: of the compiled stage.
        exact: of the stage in float32, on the same input.
    """
    if not bool(torch.isfinite(compiled).all()):
        return False
    reference = exact.float()
    scale = float(reference.square().mean().sqrt()) + 1e-12
    plain_error, error = (float((x.float() - reference).square().mean().sqrt()) / scale for x in (plain, compiled))
    chance = 1 + 3 / math.sqrt(reference.numel())
    return error <= max(ALLOWED_RATIO * chance * plain_error, torch.finfo(compiled.dtype).eps / 2, 1e-4)


def stage_agrees(
    plain: Sequence[Tensor], compiled: Sequence[Tensor], exact: Sequence[Tensor], qualities_at: int | None = None
) -> bool:
    """Whether all outputs of a compiled stage agree, and a decoder chooses the same masks; arguments as `agrees`.

    Args:
        plain: outputs of the plain stage.
        compiled: of the compiled stage.
        exact: of the stage in float32, on the first rows of the same input, which alone are compared.
        qualities_at: number of a decoder's output that holds the masks' qualities, (..., M); None for other stages.
    """
    triples = [(a[: len(c)], b[: len(c)], c) for a, b, c in zip(plain, compiled, exact, strict=True)]
    if not all(agrees(*triple) for triple in triples):
        return False
    if qualities_at is None:
        return True
    _, quality, exact_quality = triples[qualities_at]
    return _chooses_alike(quality.flatten(0, -2).float(), exact_quality.flatten(0, -2).float())


def _chooses_alike(quality: Tensor, exact: Tensor) -> bool:
    """Whether the best of M masks is the same, except in a tie; both (B, M)."""
    if exact.shape[-1] < 2:
        return True
    best_two = exact.topk(2, dim=-1).values
    clear = best_two[:, 0] - best_two[:, 1] > QUALITY_TIE
    return bool((quality.argmax(-1) == exact.argmax(-1))[clear].all())


def as_list(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """The outputs of a stage, one or several."""
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)
