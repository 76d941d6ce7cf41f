"""The picture encoder: a ViT for everything, and a neck of three levels for each use."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.layers import attend, split_heads
from maskferry.engines._sam.multiplex.positions import Rotary, rotary_tables, rotate

__all__ = ["Neck", "PictureEncoder"]

EPSILON = 1e-5
"""Of the trunk's norms."""


class PictureEncoder(nn.Module):
    """The trunk, and the necks of prompts and of tracking.

    The detector's neck, on the same trunk, is part of the detector. Modules have the names of the published file.
    """

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.trunk = Trunk(size)
        self.interactive_convs = Neck(size)
        self.propagation_convs = Neck(size)


class Trunk(nn.Module):
    """The ViT: position codes repeated over the picture, windows, rotary codes, no norm at the end."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self._size = size
        self.patch_embed = Patches(size)
        self.pos_embed = nn.Parameter(
            torch.zeros(1, (size.pretrain_size // size.patch_size) ** 2 + 1, size.trunk_width)
        )
        self.ln_pre = nn.LayerNorm(size.trunk_width, EPSILON)
        windows = [0 if i in size.global_blocks else size.window for i in range(size.trunk_depth)]
        self.blocks = nn.ModuleList(Block(size, window) for window in windows)
        self._near: Rotary | None = None
        self._far: Rotary | None = None

    def prepare(self, dtype: torch.dtype) -> None:
        """Make the constants that no frame changes; places in global blocks go in steps of a window's share."""
        size, device = self._size, self.pos_embed.device
        head = size.trunk_width // size.trunk_heads
        cos, sin = rotary_tables(size.window, head, dtype)
        self._near = cos.to(device), sin.to(device)
        cos, sin = rotary_tables(size.grid, head, dtype, size.window / size.grid)
        self._far = cos.to(device), sin.to(device)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features of T frames.

        Args:
            pixels: (T, 3, S, S), normalised.

        Returns:
            (T, C, h, w).
        """
        x = self.ln_pre(self.patch_embed(pixels) + self._position())
        for block in self.blocks:
            x = block(x, self._near if block.window else self._far)
        features: Tensor = x.permute(0, 3, 1, 2)
        return features

    def _position(self) -> Tensor:
        """The position codes of all patches, (1, h, w, C); the first row of the table is a class token's."""
        grid, side = self._size.grid, self._size.pretrain_size // self._size.patch_size
        code: Tensor = self.pos_embed[:, 1:].unflatten(1, (side, side))
        times = grid // side + 1
        return code.repeat(1, times, times, 1)[:, :grid, :grid]


class Patches(nn.Module):
    """A picture as patches, (T, h, w, C)."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, size.trunk_width, size.patch_size, size.patch_size, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(T, h, w, C) of (T, 3, S, S)."""
        patches: Tensor = self.proj(pixels)
        return patches.permute(0, 2, 3, 1)


class Block(nn.Module):
    """Attention, in windows or over the whole picture (``window`` 0), and two linear layers; norms come first."""

    def __init__(self, size: Architecture, window: int) -> None:
        super().__init__()
        self.window = window
        self.norm1, self.norm2 = (nn.LayerNorm(size.trunk_width, EPSILON) for _ in range(2))
        self.attn = BlockAttention(size)
        self.mlp = BlockMlp(size)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        """(T, h, w, C), the same shape."""
        y = self.norm1(x)
        y = self._in_windows(y, rotary) if self.window else self.attn(y.flatten(1, 2), rotary).view_as(x)
        x = x + y
        out: Tensor = x + self.mlp(self.norm2(x))
        return out

    def _in_windows(self, x: Tensor, rotary: Rotary) -> Tensor:
        count, height, width, _ = x.shape
        n = self.window
        below, right = -height % n, -width % n
        if below or right:
            x = F.pad(x, (0, 0, 0, right, 0, below))
        rows, columns = (height + below) // n, (width + right) // n
        x = x.reshape(count, rows, n, columns, n, -1).transpose(2, 3).reshape(count * rows * columns, n * n, -1)
        x = self.attn(x, rotary).reshape(count, rows, columns, n, n, -1).transpose(2, 3)
        return x.reshape(count, height + below, width + right, -1)[:, :height, :width]


class BlockAttention(nn.Module):
    """Self-attention with rotary codes."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self._heads = size.trunk_heads
        self.qkv = nn.Linear(size.trunk_width, 3 * size.trunk_width)
        self.proj = nn.Linear(size.trunk_width, size.trunk_width)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        """(..., tokens, C), the same shape."""
        query, key, value = (split_heads(part, self._heads) for part in self.qkv(x).chunk(3, dim=-1))
        out: Tensor = self.proj(attend(rotate(query, rotary), rotate(key, rotary), value))
        return out


class BlockMlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size.trunk_width, size.trunk_mlp), nn.Linear(size.trunk_mlp, size.trunk_width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C), the same shape."""
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Neck(nn.ModuleList):
    """Levels of four, two times and once the trunk's resolution: fine, middle, top."""

    def __init__(self, size: Architecture) -> None:
        super().__init__(_level(size, scale) for scale in (4, 2, 1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(T, C, 4h, 4w), (T, C, 2h, 2w) and (T, C, h, w) of the trunk's features."""
        fine, middle, top = (level(features) for level in self)
        return fine, middle, top


def _level(size: Architecture, scale: int) -> nn.Sequential:
    """One level, with the names of the published file."""
    width, parts = size.trunk_width, OrderedDict[str, nn.Module]()
    if scale == 4:
        parts["dconv_2x2_0"] = nn.ConvTranspose2d(width, width // 2, 2, 2)
        parts["gelu"] = nn.GELU()
        parts["dconv_2x2_1"] = nn.ConvTranspose2d(width // 2, width // 4, 2, 2)
    elif scale == 2:
        parts["dconv_2x2"] = nn.ConvTranspose2d(width, width // 2, 2, 2)
    parts["conv_1x1"] = nn.Conv2d(width // scale, size.hidden, 1)
    parts["conv_3x3"] = nn.Conv2d(size.hidden, size.hidden, 3, padding=1)
    return nn.Sequential(parts)
