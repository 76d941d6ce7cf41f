"""Mask decoders: of all slots of a bucket at once, or of one prompted object."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.layers import ChannelNorm, Mlp, attend, split_heads
from maskferry.engines._sam.multiplex.stage_types import Candidates

__all__ = ["MaskDecoder", "paint"]


class MaskDecoder(nn.Module):
    """Masks, their qualities and the presence of each slot's object.

    Args:
        size: of the network.
        slots: objects that are decoded together.
        candidates: masks of each of them.
    """

    def __init__(self, size: Architecture, slots: int, candidates: int) -> None:
        super().__init__()
        channels = size.hidden
        self._slots, self._candidates, self._grid = slots, candidates, size.grid
        self.transformer = TwoWayTransformer(size)
        self.iou_token, self.obj_score_token = (nn.Embedding(slots, channels) for _ in range(2))
        self.mask_tokens = nn.Embedding(slots * candidates, channels)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(channels, channels // 4, 2, 2),
            ChannelNorm(channels // 4),
            nn.GELU(),
            nn.ConvTranspose2d(channels // 4, channels // 8, 2, 2),
            nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(channels, channels // 8, 1)
        self.conv_s1 = nn.Conv2d(channels, channels // 4, 1)
        kernels = (Mlp(channels, channels, channels, channels // 8) for _ in range(candidates))
        self.output_hypernetworks_mlps = nn.ModuleList(kernels)
        self.iou_prediction_head = Mlp(channels, size.quality_hidden, size.quality_hidden, candidates)
        self.pred_obj_score_head = Mlp(channels, channels, channels, 1)

    def forward(
        self,
        image: Tensor,
        position: Tensor,
        fine: Tensor,
        middle: Tensor,
        *,
        slot_codes: Tensor | None = None,
        sparse: Tensor | None = None,
    ) -> Candidates:
        """Decode B buckets, or B objects.

        Args:
            image: (B, HW, C), the frame, conditioned on memories or prompts.
            position: (1, HW, C), the codes of its cells.
            fine: (1, C / 8, 4h, 4w), from `conv_s0`.
            middle: (1, C / 4, 2h, 2w), from `conv_s1`.
            slot_codes: (B, slots, C), added to the mask tokens of each slot.
            sparse: (B, K, C), tokens of points.
        """
        slots, count = self._slots, len(image)
        tokens, image = self.transformer(image, position, self._tokens(count, slot_codes, sparse))
        presence = self.pred_obj_score_head(tokens[:, :slots])
        quality = self.iou_prediction_head(tokens[:, slots : 2 * slots])
        mask_tokens = tokens[:, 2 * slots :][:, : slots * self._candidates].unflatten(1, (slots, self._candidates))
        kernels = [mlp(mask_tokens[:, :, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)]
        picture = self._upscale(image, fine, middle)
        return Candidates(torch.stack(kernels, dim=2), quality, mask_tokens, presence, picture)

    def _tokens(self, count: int, slot_codes: Tensor | None, sparse: Tensor | None) -> Tensor:
        """(B, T, C): presences, qualities, masks slot by slot, then points."""
        masks = self.mask_tokens.weight.unflatten(0, (self._slots, self._candidates))
        masks = masks.expand(count, -1, -1, -1) if slot_codes is None else masks + slot_codes[:, :, None]
        heads = torch.cat([self.obj_score_token.weight, self.iou_token.weight]).expand(count, -1, -1)
        return torch.cat([heads, masks.flatten(1, 2), *([] if sparse is None else [sparse])], dim=1)

    def _upscale(self, image: Tensor, fine: Tensor, middle: Tensor) -> Tensor:
        """(B, C / 8, 4h, 4w), to which the kernels are applied."""
        first, norm, activation, second, last = self.output_upscaling
        x = image.transpose(1, 2).unflatten(2, (self._grid, self._grid))
        x = activation(norm(first(x) + middle))
        out: Tensor = last(second(x) + fine)
        return out


def paint(kernels: Tensor, picture: Tensor) -> Tensor:
    """Logits (B, N, h, w) of kernels (B, N, c) applied to a picture (B, c, h, w)."""
    logits: Tensor = (kernels @ picture.flatten(2)).unflatten(2, picture.shape[-2:])
    return logits


class TwoWayTransformer(nn.Module):
    """Tokens look at each other and at the picture, the picture at the tokens; as in SAM."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(TwoWayLayer(size) for _ in range(size.decoder_layers))
        self.final_attn_token_to_image = Attention(size.hidden, size.hidden // 2, size.decoder_heads)
        self.norm_final_attn = nn.LayerNorm(size.hidden)

    def forward(self, image: Tensor, position: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C) and picture (B, HW, C), the same shapes."""
        codes = tokens
        for number, layer in enumerate(self.layers):
            tokens, image = layer(tokens, image, codes, position, first=number == 0)
        tokens = tokens + self.final_attn_token_to_image(tokens + codes, image + position, image)
        return self.norm_final_attn(tokens), image


class TwoWayLayer(nn.Module):
    """One layer; norms come last."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        channels, heads = size.hidden, size.decoder_heads
        self.self_attn = Attention(channels, channels, heads)
        self.cross_attn_token_to_image = Attention(channels, channels // 2, heads)
        self.cross_attn_image_to_token = Attention(channels, channels // 2, heads)
        self.mlp = TokenMlp(channels, size.decoder_mlp)
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(channels) for _ in range(4))

    def forward(
        self, tokens: Tensor, image: Tensor, codes: Tensor, position: Tensor, *, first: bool
    ) -> tuple[Tensor, Tensor]:
        """Tokens (B, T, C) and picture (B, HW, C), the same shapes; the first layer's tokens are their own codes."""
        if first:
            tokens = self.self_attn(tokens, tokens, tokens)
        else:
            coded = tokens + codes
            tokens = tokens + self.self_attn(coded, coded, tokens)
        tokens = self.norm1(tokens)
        tokens = self.norm2(tokens + self.cross_attn_token_to_image(tokens + codes, image + position, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.cross_attn_image_to_token(image + position, tokens + codes, tokens))
        return tokens, image


class Attention(nn.Module):
    """Attention with projections to ``inner`` channels and back."""

    def __init__(self, channels: int, inner: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, inner) for _ in range(3))
        self.out_proj = nn.Linear(inner, channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(B, T, C) of (B, T, C) and (B, S, C)."""
        q, k, v = self.q_proj(query), self.k_proj(key), self.v_proj(value)
        out: Tensor = self.out_proj(attend(*(split_heads(x, self._heads) for x in (q, k, v))))
        return out


class TokenMlp(nn.Module):
    """Two linear layers with ReLU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C), the same shape."""
        out: Tensor = self.lin2(self.lin1(x).relu())
        return out
