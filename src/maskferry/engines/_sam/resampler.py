"""EdgeTAM's compression of a frame's memory to a few tokens, batched over objects."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from maskferry.engines._sam.untyped import Layer

__all__ = ["resample", "resampled_position"]


def resample(resampler: Layer, x: Tensor, position: Tensor) -> Tensor:
    """The memories of B objects as a few tokens each.

    As ``EdgeTamVideoPerceiverResampler.forward``, which can only reshape the latents of one object.

    Args:
        resampler: of the model.
        x: (B, C, H, W), memories.
        position: (1, C, H, W), their position code.

    Returns:
        (B, T, C): tokens of the whole picture, then those of its windows.
    """
    count, channels, height, _ = x.shape
    cells = x.permute(0, 2, 3, 1)
    parts = []
    if resampler.num_latents_1d > 0:
        latents = resampler.latents_1d.expand(count, -1, -1)
        places = position.permute(0, 2, 3, 1).flatten(1, 2).expand(count, -1, -1)
        for layer in resampler.layers:
            latents = layer(latents, cells.flatten(1, 2), places)
        parts.append(resampler.layer_norm(latents))
    if resampler.num_latents_2d > 0:
        side = math.isqrt(resampler.num_latents_2d)
        size = height // side
        latents = resampler.latents_2d.repeat(count, 1).unsqueeze(1)  # (B * side * side, 1, C)
        windows = (
            cells.reshape(count, side, size, side, size, channels).transpose(2, 3).reshape(-1, size * size, channels)
        )
        for layer in resampler.layers:
            latents = layer(latents, windows, positional_encoding=None)
        parts.append(resampler.layer_norm(latents.reshape(count, -1, channels)))
    return torch.cat(parts, dim=1)


def resampled_position(resampler: Layer, position: Tensor) -> Tensor:
    """The position code of these tokens.

    Args:
        resampler: of the model.
        position: (1, C, H, W), the position code of the memories.

    Returns:
        (1, T, C); 0 for tokens of the whole picture.
    """
    channels = position.shape[1]
    parts = []
    if resampler.num_latents_1d > 0:
        parts.append(position.new_zeros(1, resampler.num_latents_1d, channels))
    if resampler.num_latents_2d > 0:
        side = math.isqrt(resampler.num_latents_2d)
        code = resampler.positional_encoding(torch.Size((1, channels, side, side)), position.device, position.dtype)
        parts.append(code.flatten(2).transpose(1, 2))
    return torch.cat(parts, dim=1)
