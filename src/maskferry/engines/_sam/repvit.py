"""EdgeTAM's backbone, RepViT-M1. transformers takes it from timm, which cannot be imported without torchvision.

After Wang et al., RepViT: Revisiting Mobile CNN From ViT Perspective (arXiv 2307.09283). Modules are named as in timm's
``repvit_m1``, so that the weights in EdgeTAM's checkpoint fit; a test compares the outputs with timm's.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
import transformers
from torch import Tensor, nn

from maskferry.engines._sam.untyped import ModelClass, ModelConfig

__all__ = ["RepVit", "edgetam_without_timm"]

CHANNELS = (48, 96, 192, 384)
BLOCKS = (2, 2, 14, 2)

PLACEHOLDER = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 8,
    "blocks_per_stage": [1, 1, 1, 1],
    "embed_dim_per_stage": [8, 8, 8, 8],
    "num_attention_heads_per_stage": [1, 1, 1, 1],
    "global_attention_blocks": [],
}
"""A small backbone that transformers builds first and that is then replaced."""


def edgetam_without_timm(folder: Path) -> tuple[ModelClass, ModelConfig] | None:
    """A class of model and its config, for ``from_pretrained``; None where a checkpoint has another backbone.

    Args:
        folder: of a checkpoint of EdgeTAM.
    """
    data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vision = data.get("vision_config") or {}
    backbone = vision.get("backbone_config") or {}
    named = re.search(r"(^|/)repvit_m1(\.|$)", str(backbone.get("architecture")))
    if backbone.get("model_type") != "timm_wrapper" or named is None:
        return None
    config = transformers.EdgeTamVideoConfig.from_dict(
        data | {"vision_config": vision | {"backbone_config": PLACEHOLDER}}
    )
    base: ModelClass = transformers.EdgeTamVideoModel

    class EdgeTam(base):
        def __init__(self, config: ModelConfig) -> None:
            super().__init__(config)
            self.vision_encoder.backbone = _Backbone()

    return EdgeTam, config


class _BackboneOutput(NamedTuple):
    """What EdgeTAM reads of its backbone's output."""

    last_hidden_state: list[Tensor]
    hidden_states: None = None


class _Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.timm_model = RepVit()

    def forward(self, pixels: Tensor, **_: object) -> _BackboneOutput:
        """Feature maps of pictures."""
        return _BackboneOutput(self.timm_model(pixels))


class RepVit(nn.Module):
    """RepViT-M1 without its classifier."""

    def __init__(self) -> None:
        super().__init__()
        first = CHANNELS[0]
        self.stem = nn.Sequential(
            OrderedDict(
                conv1=_conv(3, first // 2, 3, stride=2), act1=nn.GELU(), conv2=_conv(first // 2, first, 3, stride=2)
            )
        )
        before = (first, *CHANNELS)
        for number, (in_channels, out_channels, count) in enumerate(zip(before, CHANNELS, BLOCKS, strict=False)):
            self.add_module(f"stages_{number}", _stage(in_channels, out_channels, count, downsample=number > 0))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """Four maps of pictures (T, 3, S, S): (T, 48, S/4, S/4), ... (T, 384, S/32, S/32)."""
        x, maps = self.stem(pixels), []
        for number in range(len(CHANNELS)):
            x = getattr(self, f"stages_{number}")(x)
            maps.append(x)
        return maps


def _conv(in_channels: int, out_channels: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(OrderedDict(c=conv, bn=nn.BatchNorm2d(out_channels)))


def _stage(in_channels: int, out_channels: int, count: int, *, downsample: bool) -> nn.Sequential:
    blocks = nn.Sequential(*(_Block(out_channels, excite=number % 2 == 0) for number in range(count)))
    return nn.Sequential(
        OrderedDict(downsample=_Downsample(in_channels, out_channels) if downsample else nn.Identity(), blocks=blocks)
    )


class _Downsample(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pre_block = _Block(in_channels, excite=False)
        self.spatial_downsample = _conv(in_channels, in_channels, 3, stride=2, groups=in_channels)
        self.channel_downsample = _conv(in_channels, out_channels)
        self.ffn = _mlp(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.channel_downsample(self.spatial_downsample(self.pre_block(x)))
        out: Tensor = x + self.ffn(x)
        return out


class _Block(nn.Module):
    def __init__(self, channels: int, *, excite: bool) -> None:
        super().__init__()
        self.token_mixer = _TokenMixer(channels)
        self.se = _SqueezeExcite(channels) if excite else nn.Identity()
        self.channel_mixer = _mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.se(self.token_mixer(x))
        out: Tensor = x + self.channel_mixer(x)
        return out


class _TokenMixer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _conv(channels, channels, 3, groups=channels)
        self.conv1 = _conv(channels, channels, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x) + self.conv1(x) + x
        return out


class _SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(8, (channels // 4 + 4) // 8 * 8)
        self.fc1, self.fc2 = nn.Conv2d(channels, reduced, 1), nn.Conv2d(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


def _mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(conv1=_conv(channels, 2 * channels), act=nn.GELU(), conv2=_conv(2 * channels, channels))
    )
