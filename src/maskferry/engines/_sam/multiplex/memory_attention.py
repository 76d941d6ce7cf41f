"""Memory attention: a frame's features, conditioned on the memories of each bucket; the most expensive stage.

What attention reads of a memory does not depend on the frame that reads it, except for a code of the time between
them. So keys and values are computed once, when a frame is remembered, and keys are kept turned by their places:
turning is linear, and the turned code is added when they are read.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.attention_kernels import attend_to_tokens
from maskferry.engines._sam.multiplex.layers import split_heads
from maskferry.engines._sam.multiplex.positions import Rotary, rotate

__all__ = ["MemoryAttention"]


class MemoryAttention(nn.Module):
    """Layers of self-attention, attention to memories, and an MLP; a norm at the end."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.attention_layers))
        self.norm = nn.LayerNorm(size.hidden)

    def _typed_layers(self) -> list[Layer]:
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def project_memory(self, top: Tensor, memory: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        """What the layers read of a frame that B buckets remember.

        Args:
            top: (1, HW, C), of that frame.
            memory: (B, HW, C).
            rotary: of the cells.

        Returns:
            Turned keys without their codes, and values; (B, layers, heads, HW, C / heads) each.
        """
        keys = torch.stack([layer.keys(top, memory, rotary) for layer in self._typed_layers()], dim=1)
        values = torch.stack([layer.values(memory) for layer in self._typed_layers()], dim=1)
        return keys.contiguous(), values.contiguous()

    def forward(
        self,
        x: Tensor,
        top: Tensor,
        memories: list[tuple[Tensor, Tensor, Tensor]],
        pointers: Tensor,
        pointer_codes: Tensor,
        rotary: Rotary,
    ) -> Tensor:
        """Condition a frame on the memories of B buckets.

        The self-attention of the first layer does not depend on the bucket and is done once.

        Args:
            x: (1, HW, C), the frame's top with a tenth of its position code.
            top: (1, HW, C), of the frame.
            memories: keys and values of each frame that is read, as from `project_memory`, and the turned code of its
                distance, (heads, HW, C / heads).
            pointers: (B, P, C).
            pointer_codes: (1, P, C).
            rotary: of the cells.

        Returns:
            (B, HW, C).
        """
        for number, layer in enumerate(self._typed_layers()):
            x = layer.look(x, rotary)
            if x.shape[0] != pointers.shape[0]:
                x = x.expand(pointers.shape[0], -1, -1)
            own_keys, own_values = layer.pointer_keys_values(pointers, pointer_codes)
            keys = torch.cat([*(keys[:, number] + code for keys, _, code in memories), own_keys], dim=2)
            values = torch.cat([*(values[:, number] for _, values, _ in memories), own_values], dim=2)
            x = layer.recall(x, top, keys, values, rotary)
        out: Tensor = self.norm(x)
        return out


def _square(channels: int) -> nn.Linear:
    return nn.Linear(channels, channels)


class Layer(nn.Module):
    """One layer; norms come first. Queries and keys have a part of the picture and a part of the bucket."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        channels = size.hidden
        self._heads = size.attention_heads
        self.self_attn_q_proj, self.self_attn_k_proj = _square(channels), _square(channels)
        self.self_attn_v_proj, self.self_attn_out_proj = _square(channels), _square(channels)
        self.cross_attn_q_proj, self.cross_attn_k_proj = _square(channels), _square(channels)
        self.cross_attn_v_proj, self.cross_attn_out_proj = _square(channels), _square(channels)
        self.image_cross_attn_q_proj, self.image_cross_attn_k_proj = _square(channels), _square(channels)
        self.linear1, self.linear2 = nn.Linear(channels, size.attention_mlp), nn.Linear(size.attention_mlp, channels)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels) for _ in range(3))

    def look(self, x: Tensor, rotary: Rotary) -> Tensor:
        """Self-attention; (B, HW, C)."""
        y = self.norm1(x)
        query = rotate(split_heads(self.self_attn_q_proj(y), self._heads), rotary)
        key = rotate(split_heads(self.self_attn_k_proj(y), self._heads), rotary)
        out: Tensor = x + self.self_attn_out_proj(
            attend_to_tokens(query, key, split_heads(self.self_attn_v_proj(y), self._heads))
        )
        return out

    def keys(self, top: Tensor, memory: Tensor, rotary: Rotary) -> Tensor:
        """Turned keys of a frame, (B, heads, HW, C / heads); arguments as `MemoryAttention.project_memory`."""
        keys = self.image_cross_attn_k_proj(top) + self.cross_attn_k_proj(memory)
        return rotate(split_heads(keys, self._heads), rotary)

    def values(self, memory: Tensor) -> Tensor:
        """Values of a frame, (B, heads, HW, C / heads)."""
        return split_heads(self.cross_attn_v_proj(memory), self._heads)

    def pointer_keys_values(self, pointers: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Of pointers (B, P, C), which have no place and no picture: the bias of the picture's projection is left."""
        keys = self.image_cross_attn_k_proj.bias + self.cross_attn_k_proj(pointers) + codes
        return split_heads(keys, self._heads), self.values(pointers)

    def recall(self, x: Tensor, top: Tensor, keys: Tensor, values: Tensor, rotary: Rotary) -> Tensor:
        """Attention to memories, and the MLP; (B, HW, C)."""
        query = self.image_cross_attn_q_proj(top) + self.cross_attn_q_proj(self.norm2(x))
        query = rotate(split_heads(query, self._heads), rotary)
        x = x + self.cross_attn_out_proj(attend_to_tokens(query, keys, values))
        out: Tensor = x + self.linear2(F.gelu(self.linear1(self.norm3(x))))
        return out
