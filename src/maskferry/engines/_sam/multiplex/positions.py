"""Position codes: sines, rotations and random Fourier features of places; sines of distances in time.

Rotary codes are those of RoFormer (Su et al. 2021) over two axes; Fourier features those of Tancik et al. 2020, as SAM
uses them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["FourierCode", "Rotary", "distance_code", "rotary_tables", "rotate", "sine_grid"]

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, each (tokens, channels of a head / 2)."""

BASE = 10000.0


def sine_grid(side: int, channels: int, dtype: torch.dtype) -> Tensor:
    """Codes of the cells of a grid, (side * side, channels): half of them of y, then half of x, sines and cosines in
    turn."""
    half = channels // 2
    place = torch.arange(1, side + 1, dtype=dtype)
    phase = place / (place[-1] + 1e-6) * (2 * math.pi)
    number = torch.arange(half, dtype=dtype)
    angle = phase[:, None] / BASE ** (2 * (number // 2) / half)
    code = torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)  # (side, half)
    rows = code[:, None].expand(-1, side, -1)
    columns = code[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, channels)


def rotary_tables(side: int, head_channels: int, dtype: torch.dtype, step: float = 1.0) -> Rotary:
    """Cosines and sines for the cells of a grid; the first half of the pairs turns with x, the second with y.

    Args:
        side: of the grid.
        head_channels: of an attention head.
        dtype: of the tables.
        step: by which places grow from cell to cell.
    """
    frequency = 1 / BASE ** (torch.arange(0, head_channels, 4, dtype=dtype)[: head_channels // 4] / head_channels)
    cell = torch.arange(side * side, dtype=dtype)
    x, y = (cell % side) * step, torch.div(cell, side, rounding_mode="floor") * step
    angle = torch.cat([torch.outer(x, frequency), torch.outer(y, frequency)], dim=-1)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Turn neighbouring pairs of channels of (..., tokens, channels) by the tokens' places."""
    cos, sin = rotary
    even, odd = x[..., 0::2].to(cos.dtype), x[..., 1::2].to(cos.dtype)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x.dtype)


def distance_code(distance: Tensor, channels: int) -> Tensor:
    """Codes of distances in time, (..., channels) of (...): sines, then cosines."""
    half = channels // 2
    number = torch.arange(half, dtype=distance.dtype, device=distance.device)
    angle = distance[..., None] / BASE ** (2 * (number // 2) / half)
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class FourierCode(nn.Module):
    """Random Fourier features of places in [0, 1]."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, half: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, half))

    def forward(self, xy: Tensor) -> Tensor:
        """(..., 2 * half) of (..., 2), x first."""
        angle = 2 * math.pi * ((2 * xy - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def grid(self, side: int) -> Tensor:
        """The codes of the centres of a grid's cells, (1, side * side, 2 * half)."""
        matrix = self.positional_encoding_gaussian_matrix
        centre = (torch.arange(side, dtype=matrix.dtype, device=matrix.device) + 0.5) / side
        y, x = torch.meshgrid(centre, centre, indexing="ij")
        code: Tensor = self(torch.stack([x, y], dim=-1))
        return code.reshape(1, side * side, -1)
