"""Memory attention, batched over objects: a frame's features, conditioned on the memories of each object."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from maskferry.engines._sam.untyped import Layer, VideoModel

__all__ = ["MemoryAttention"]

Rotary = tuple[Tensor, Tensor]
"""Cosines and sines, (1, tokens, channels), float32."""


class _MemoryTokens(NamedTuple):
    """What the cross-attention reads.

    Attributes:
        keys: (B, 1, S, 64), memories with their position code.
        values: (B, 1, S, 64), memories; with padding, as `MemoryAttention._mark_padding` returns them.
        padded: some of the pointers only stand in for pointers that there are not.
        pointer_tokens: how many tokens at the end are pointers.
        memory_frames: of how many frames the others are.
    """

    keys: Tensor
    values: Tensor
    padded: bool
    pointer_tokens: int
    memory_frames: int


class MemoryAttention(nn.Module):
    """Runs a model's ``memory_attention`` for many objects on one frame.

    The same arithmetic as in transformers' module, which takes one object. The self-attention of the first layer does
    not depend on the object and is done once.

    Objects with fewer pointers than others are padded, without a mask, with which kernels are about a third slower:
    padding has values of 0 and, in a further channel, 1, which is 0 for all others. That channel of the result is the
    padding's share w of the attention, and the result divided by 1 - w is that without padding.

    Args:
        model: a video model of transformers.
        grouped: EdgeTAM's layers, whose memories are groups of tokens; only the last part of a group has a position.
        narrow: attend over the 64-dim memories themselves and project the result, which is the same, because
            softmax(.) (M W + b) = (softmax(.) M) W + b, and about a third less work. Needs a kernel for values that
            are narrower than keys (cuDNN), and one head.
    """

    def __init__(self, model: VideoModel, *, grouped: bool, narrow: bool = False) -> None:
        super().__init__()
        self.inner = model.memory_attention
        self.grouped = grouped
        self.heads = int(model.config.memory_attention_num_attention_heads)
        self.narrow = narrow and not grouped and self.heads == 1
        device = next(self.inner.parameters()).device
        self.rotary = self._rotary(self.inner.position_ids, device)
        self.rotary_keys = self._rotary(self.inner.position_ids_k, device) if grouped else None

    def _rotary(self, positions: Tensor, device: torch.device) -> Rotary:
        cos, sin = self.inner.rotary_emb(torch.zeros((), device=device), positions.to(device))
        return cos, sin

    def forward(
        self,
        features: Tensor,
        memory: Tensor,
        position: Tensor,
        padding: Tensor,
        pointer_tokens: int,
        memory_frames: int,
    ) -> Tensor:
        """Condition a frame on the memories of each object.

        Args:
            features: (1, HW, C), the frame's features with a tenth of their position code.
            memory: (B, S, 64), memories, then pointers.
            position: (B or 1, S, 64), their position code.
            padding: (B, pointer_tokens), 1 for pointers to be left out, else 0; or (B, 0). Needs one head.
            pointer_tokens: how many tokens at the end of ``memory`` are pointers.
            memory_frames: of how many frames the tokens before them are.

        Returns:
            (B, HW, C).
        """
        x = features.unsqueeze(1)
        padded = padding.shape[1] > 0
        values = self._mark_padding(memory, padding) if padded else memory
        keys = (memory + position).unsqueeze(1)
        tokens = _MemoryTokens(keys, values.unsqueeze(1), padded, pointer_tokens, memory_frames)
        cross_attention = self._narrow_cross if self.narrow or padded else self._cross
        for layer in self.inner.layers:
            normed = layer.layer_norm1(x)
            x = x + layer.self_attn(query=normed, key=normed, value=normed, position_embeddings=self.rotary)[0]
            if x.shape[0] != memory.shape[0]:
                x = x.expand(memory.shape[0], -1, -1, -1)
            x = x + cross_attention(layer.cross_attn_image, layer.layer_norm2(x), tokens)
            x = x + self._feed_forward(layer, layer.layer_norm3(x))
        out: Tensor = self.inner.layer_norm(x).squeeze(1)
        return out

    def _mark_padding(self, memory: Tensor, padding: Tensor) -> Tensor:
        """Values (B, S, 128, or as many as keys have): memories, then the channel that marks padding, then zeros.

        Kernels are fastest with these widths; that of the CPU takes no other than the keys'.
        """
        channels = memory.shape[2]
        width = 2 * channels if self.narrow else self.inner.layers[0].cross_attn_image.internal_dim
        mark = F.pad(padding, (memory.shape[1] - padding.shape[1], 0)).unsqueeze(2)
        return F.pad(torch.cat([memory * (1 - mark), mark], dim=2), (0, width - channels - 1))

    def _feed_forward(self, layer: Layer, x: Tensor) -> Tensor:
        out: Tensor = layer.mlp(x) if self.grouped else layer.linear2(layer.activation(layer.linear1(x)))
        return out

    def _cross(self, attention: Layer, query: Tensor, tokens: _MemoryTokens) -> Tensor:
        """The model's own cross-attention."""
        extra: dict[str, object] = {"num_k_exclude_rope": tokens.pointer_tokens}
        if self.grouped:
            extra |= {"position_embeddings_k": self.rotary_keys, "rope_k_repeat": tokens.memory_frames}
        out: Tensor = attention(
            query=query, key=tokens.keys, value=tokens.values, position_embeddings=self.rotary, **extra
        )[0]
        return out

    def _narrow_cross(self, attention: Layer, query: Tensor, tokens: _MemoryTokens) -> Tensor:
        """Cross-attention over the memories themselves, projected afterwards."""
        cos, sin = self.rotary
        rotated = tokens.keys.shape[2] - tokens.pointer_tokens  # pointers have no position in the picture
        repeat = rotated // query.shape[2]
        q = _rotate(attention.q_proj(query), cos, sin)
        k = attention.k_proj(tokens.keys)
        turned = _rotate(k[:, :, :rotated], cos.repeat(1, repeat, 1), sin.repeat(1, repeat, 1))
        k = torch.cat([turned, k[:, :, rotated:]], dim=2)
        attended = F.scaled_dot_product_attention(q, k, tokens.values, scale=attention.scaling)
        if tokens.padded:
            attended = _without_padding(attended, tokens.keys.shape[3])
        out: Tensor = attention.o_proj(attention.v_proj(attended))
        return out


def _without_padding(attended: Tensor, channels: int) -> Tensor:
    """What would have been read without padding, whose share of the attention is the channel after ``channels``."""
    wide = attended.to(torch.promote_types(attended.dtype, torch.float32))
    return (wide[..., :channels] / (1 - wide[..., channels : channels + 1])).type_as(attended)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding of pairs of channels, in float32, as the models were trained."""
    wide = x.float()
    even, odd = wide.unflatten(-1, (-1, 2)).unbind(-1)
    return (wide * cos + torch.stack((-odd, even), dim=-1).flatten(-2) * sin).type_as(x)
