"""The memory encoder: the masks of a bucket's objects on a frame, and the frame, as one memory."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.layers import ChannelNorm

__all__ = ["MemoryEncoder"]


class MemoryEncoder(nn.Module):
    """Strided convolutions over masks, added to the projected frame, and two layers over the sum."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(size)
        self.pix_feat_proj = nn.Conv2d(size.hidden, size.hidden, 1)
        self.fuser = Fuser(size)

    def forward(self, features: Tensor, masks: Tensor, flags: Tensor | None) -> Tensor:
        """Memories of B buckets.

        Args:
            features: (1, C, h, w), the frame's top.
            masks: (B, slots, 16h, 16w): from -1 to 1, and 0 in slots without an object.
            flags: (B, slots), 1 where the mask was given; None where none was.

        Returns:
            (B, C, h, w).
        """
        out: Tensor = self.fuser(self.pix_feat_proj(features) + self.mask_downsampler(masks, flags))
        return out


class MaskDownsampler(nn.Module):
    """Masks and flags in the resolution of the features; each slot has a channel for its mask and one for its flag."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self._slots = size.slots
        parts: list[nn.Module] = []
        for before, after in pairwise((2 * size.slots, *size.mask_channels)):
            parts += [nn.Conv2d(before, after, 3, 2, 1), ChannelNorm(after), nn.GELU()]
        self.encoder = nn.Sequential(*parts, nn.Conv2d(size.mask_channels[-1], size.hidden, 1))

    def forward(self, masks: Tensor, flags: Tensor | None) -> Tensor:
        """(B, C, h, w); arguments as in `MemoryEncoder`."""
        first, *rest = self.encoder
        assert isinstance(first, nn.Conv2d)
        if flags is None:  # their channels are 0 and need not be convolved
            x = F.conv2d(masks, first.weight[:, : self._slots], first.bias, stride=2, padding=1)
        else:
            x = first(torch.cat([masks, flags[..., None, None].expand_as(masks)], dim=1))
        for layer in rest:
            x = layer(x)
        out: Tensor = x
        return out


class Fuser(nn.Module):
    """Layers of ConvNeXt (Liu et al. 2022)."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserLayer(size.hidden) for _ in range(size.fuser_layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w), the same shape."""
        for layer in self.layers:
            x = layer(x)
        return x


class FuserLayer(nn.Module):
    """A depthwise convolution and two linear layers, scaled, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = ChannelNorm(channels)
        self.pwconv1, self.pwconv2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.gamma = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w), the same shape."""
        y = self.norm(self.dwconv(x)).permute(0, 2, 3, 1)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        out: Tensor = x + y.permute(0, 3, 1, 2)
        return out
