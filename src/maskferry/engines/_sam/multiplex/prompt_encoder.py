"""The prompt encoder: points, corners of boxes and masks as the mask decoder of prompts takes them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from maskferry.engines._sam.multiplex.architecture import Architecture
from maskferry.engines._sam.multiplex.layers import ChannelNorm
from maskferry.engines._sam.multiplex.positions import FourierCode

__all__ = ["PromptEncoder"]

NO_POINT = -1


class PromptEncoder(nn.Module):
    """Points as tokens, and masks as features of the picture. It computes in the dtype of its own weights."""

    def __init__(self, size: Architecture) -> None:
        super().__init__()
        channels, inner = size.hidden, size.prompt_channels
        self._image_size = size.image_size
        self.pe_layer = FourierCode(channels // 2)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed, self.no_mask_embed = (nn.Embedding(1, channels) for _ in range(2))
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, inner // 4, 2, 2),
            ChannelNorm(inner // 4),
            nn.GELU(),
            nn.Conv2d(inner // 4, inner, 2, 2),
            ChannelNorm(inner),
            nn.GELU(),
            nn.Conv2d(inner, channels, 1),
        )

    @property
    def dtype(self) -> torch.dtype:
        """In which it computes."""
        return self.no_mask_embed.weight.dtype

    def points(self, xy: Tensor, labels: Tensor) -> Tensor:
        """Tokens (B, K + 1, C) of points; the last one says that there are no more.

        Args:
            xy: (B, K, 2), pixels of the model's picture.
            labels: (B, K), 1 on the object, 0 off it, 2 and 3 the corners of a box, -1 no point.
        """
        xy = torch.cat([xy, torch.zeros_like(xy[:, :1])], dim=1)
        labels = torch.cat([labels, torch.full_like(labels[:, :1], NO_POINT)], dim=1)[..., None]
        places = self.pe_layer((xy.to(self.dtype) + 0.5) / self._image_size)
        tokens = torch.where(labels == NO_POINT, self.not_a_point_embed.weight, places)
        for label, embedding in enumerate(self.point_embeddings):
            tokens = torch.where(labels == label, tokens + cast(nn.Embedding, embedding).weight, tokens)
        return tokens

    def masks(self, small: Tensor) -> Tensor:
        """(B, HW, C) of masks (B, 1, 4h, 4w)."""
        features: Tensor = self.mask_downscaling(small.to(self.dtype))
        return features.flatten(2).transpose(1, 2)

    def no_mask(self) -> Tensor:
        """(1, 1, C), where nothing is known of the mask."""
        return self.no_mask_embed.weight[None]
