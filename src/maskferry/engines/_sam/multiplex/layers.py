"""Small parts that the network is built of."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

__all__ = ["ChannelNorm", "Mlp", "attend", "join_heads", "split_heads"]


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Linear layers with ReLU between them, computed in the dtype of their weights."""

    def __init__(self, *channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(..., last channels) of (..., first channels)."""
        *hidden, last = self.layers
        assert isinstance(last, nn.Linear)
        x = x.to(last.weight.dtype)
        for layer in hidden:
            x = layer(x).relu()
        out: Tensor = last(x)
        return out


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(..., heads, T, C / heads) of (..., T, C)."""
    split: Tensor = x.unflatten(-1, (heads, -1)).transpose(-3, -2)
    return split


def join_heads(x: Tensor) -> Tensor:
    """(..., T, C) of (..., heads, T, C / heads)."""
    joined: Tensor = x.transpose(-3, -2).flatten(-2)
    return joined


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of heads that are split already, joined again, (..., T, C)."""
    return join_heads(F.scaled_dot_product_attention(query, key, value))
