"""The memory network: what a mask that is remembered says about a new picture. One object; 2 million parameters.

A picture becomes features at strides 2, 4, 8 and 16 and a key at stride 16. A remembered frame is its keys and, for
each, a value, which tells what was object there. A new picture reads the memory twice: all of it by likeness of keys
(as STCN does, Cheng et al. 2021), and the last frame by likeness and place. A decoder makes logits at stride 2 out of
what was read, the features, and the mask carried over from the last frame.

Masks go in at stride 4: the share of each 4x4 pixels that is object.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from backbone import WIDTHS, Backbone
from torch import Tensor, nn
from torch.nn import functional

KEY, VALUE = 64, 128
"""Channels of keys and values."""

MASK = 16
"""Channels of a mask at stride 16: its 4x4 cells of stride 4."""

FARTHEST = 4.0
"""Distances between keys are told to the decoder up to this."""


class Features(NamedTuple):
    """Of pictures: features at strides 2, 4, 8, 16 and keys (n, KEY, h/16, w/16)."""

    stride2: Tensor
    stride4: Tensor
    stride8: Tensor
    stride16: Tensor
    key: Tensor


class Memory(NamedTuple):
    """Remembered frames: keys (n, KEY, m) and values (n, VALUE, m)."""

    keys: Tensor
    values: Tensor


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity; begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        _silence(self.second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.relu(self.first(functional.relu(x))))


class Spread(nn.Module):
    """A depthwise convolution between two pointwise ones, beside the identity: a wide view for little work."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(width, 2 * width, 1)
        self.depthwise = nn.Conv2d(2 * width, 2 * width, kernel, 1, kernel // 2, groups=2 * width)
        self.project = nn.Conv2d(2 * width, width, 1)
        _silence(self.project)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(functional.relu(self.depthwise(functional.relu(self.expand(x)))))


def _silence(convolution: nn.Conv2d) -> None:
    nn.init.zeros_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]


class Encoder(nn.Module):
    """Pictures to features and keys."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        for number, width in enumerate(WIDTHS):
            self.register_buffer(f"scale{number}", torch.ones(1, width, 1, 1))
        self.key = nn.Sequential(
            nn.Conv2d(WIDTHS[3] + WIDTHS[2], 128, 1),
            nn.ReLU(),
            nn.Conv2d(128, 128, 3, 1, 1, groups=128),
            nn.ReLU(),
            nn.Conv2d(128, KEY, 1),
        )

    def forward(self, pictures: Tensor) -> Features:
        taps = [tap * getattr(self, f"scale{number}") for number, tap in enumerate(self.backbone(pictures))]
        key = self.key(torch.cat([taps[3], functional.avg_pool2d(taps[2], 2)], 1))
        return Features(*taps, key)

    @torch.no_grad()
    def calibrate(self, pictures: Tensor) -> None:
        """Scale the backbone's outputs to unit deviation on these pictures."""
        for number, tap in enumerate(self.backbone(pictures)):
            deviation = tap.float().std((0, 2, 3), keepdim=True).clamp(min=1e-3)
            getattr(self, f"scale{number}").copy_(1 / deviation)


class Memoriser(nn.Module):
    """Features and a mask to values."""

    def __init__(self) -> None:
        super().__init__()
        self.to8 = nn.Conv2d(WIDTHS[1] + 1, 24, 3, 2, 1)
        self.to16 = nn.Conv2d(24, 48, 3, 2, 1)
        self.join = nn.Conv2d(WIDTHS[3] + MASK + 48, VALUE - MASK, 1)
        self.mix = nn.Sequential(Spread(VALUE - MASK, 5), Spread(VALUE - MASK, 5))

    def forward(self, stride4: Tensor, stride16: Tensor, mask: Tensor) -> Tensor:
        """The mask (n, 1, h/4, w/4) in [0, 1]; values (n, VALUE, h/16, w/16)."""
        cells = functional.pixel_unshuffle(mask, 4)
        detail = functional.relu(self.to16(functional.relu(self.to8(torch.cat([stride4, mask], 1)))))
        value = self.mix(self.join(torch.cat([stride16, cells, detail], 1)))
        return torch.cat([cells * 2 - 1, value], 1)


class Reader(nn.Module):
    """What the memory says about keys."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(2.0))  # its logarithm
        self.nearness = nn.Parameter(torch.tensor(-2.25))

    def affinity(self, keys: Tensor, memory: Tensor) -> Tensor:
        """Negative squared distances (n, cells, m), scaled, of keys (n, KEY, cells) to those remembered."""
        with torch.autocast(keys.device.type, enabled=False):
            keys, memory = keys.float(), memory.float()
            product = 2 * keys.transpose(1, 2) @ memory - (memory * memory).sum(1)[:, None]
            return (product - (keys * keys).sum(1)[:, :, None]) * (torch.exp(self.sharpness) / 8)

    def forward(
        self, key: Tensor, memory: Memory, given: int, last: Memory, places: Tensor, last_places: Tensor
    ) -> Tensor:
        """Read for each cell.

        Args:
            key: (n, KEY, h, w).
            memory: the long memory; the first ``given`` of it are of masks that were given.
            last: the last frame.
            places: of the cells (n, 2, h * w), in cells.
            last_places: where the cells of the last frame should be now, (n, 2, m), in the same cells.

        Returns:
            (n, 2 * VALUE + 2, h, w): read from the long memory, from the last frame; how near the nearest key is, of
            the given and of all, 0 (the same) to -1 (`FARTHEST` or more).
        """
        h, w = key.shape[-2:]
        keys = key.flatten(2)
        likeness = self.affinity(keys, memory.keys)
        long = memory.values @ likeness.softmax(2).to(memory.values.dtype).transpose(1, 2)
        nearest = torch.stack([likeness[:, :, :given].amax(2), likeness.amax(2)], 1) / 8
        away = (places[:, :, :, None] - last_places[:, :, None]).pow(2).sum(1)
        near = self.affinity(keys, last.keys) - away * functional.softplus(self.nearness)
        short = last.values @ near.softmax(2).to(last.values.dtype).transpose(1, 2)
        nearest = (nearest.clamp(-FARTHEST, 0) / FARTHEST).to(long.dtype)
        return torch.cat([long, short, nearest], 1).unflatten(2, (h, w))


class Decoder(nn.Module):
    """What was read, the features and the carried mask to logits, and how right they are."""

    def __init__(self) -> None:
        super().__init__()
        self.join16 = nn.Conv2d(2 * VALUE + 2 + WIDTHS[3] + MASK, 128, 1)
        self.mix16 = nn.Sequential(Residual(128), Spread(128, 7), Residual(128))
        self.down8, self.skip8, self.mix8 = nn.Conv2d(128, 64, 1), nn.Conv2d(WIDTHS[2] + 4, 64, 1), Residual(64)
        self.down4, self.skip4 = nn.Conv2d(64, 32, 1), nn.Conv2d(WIDTHS[1] + 1, 32, 1)
        self.mix4 = nn.Sequential(Residual(32), Residual(32))
        self.down2, self.skip2 = nn.Conv2d(32, 16, 1), nn.Conv2d(WIDTHS[0], 16, 1)
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(16, 16, 3, 1, 1), nn.ReLU(), nn.Conv2d(16, 1, 1))
        self.quality = nn.Sequential(nn.Linear(2 * 128 + 3, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, features: Features, read: Tensor, carried: Tensor) -> tuple[Tensor, Tensor]:
        """The carried mask (n, 1, h/4, w/4); logits (n, 1, h/2, w/2), and the logit of their IoU (n, 1)."""
        cells = functional.pixel_unshuffle(carried, 4)
        deep = self.mix16(self.join16(torch.cat([read, features.stride16, cells], 1)))
        x = _twice(self.down8(functional.relu(deep)))
        x = self.mix8(x + self.skip8(torch.cat([features.stride8, functional.pixel_unshuffle(carried, 2)], 1)))
        x = _twice(self.down4(functional.relu(x)))
        x = self.mix4(x + self.skip4(torch.cat([features.stride4, carried], 1)))
        logits = self.out(_twice(self.down2(functional.relu(x))) + self.skip2(features.stride2))
        return logits, self._rate(deep, read, logits)

    def _rate(self, deep: Tensor, read: Tensor, logits: Tensor) -> Tensor:
        """Judge the logits by what lies under and around them."""
        mask = torch.sigmoid(logits.detach())
        at16 = functional.avg_pool2d(mask, 8)
        deep, near = deep.detach(), read[:, -2:].detach()
        total = at16.sum((2, 3)) + 1e-2
        inside, everywhere = (deep * at16).sum((2, 3)) / total, deep.mean((2, 3))
        sure = (mask * mask).sum((2, 3)) / (mask.sum((2, 3)) + 1e-2)
        return self.quality(torch.cat([inside, everywhere, (near * at16).sum((2, 3)) / total, sure], 1))


def _twice(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class MemoryNetwork(nn.Module):
    """All of it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.memoriser = Encoder(), Memoriser()
        self.reader, self.decoder = Reader(), Decoder()

    def remember(self, features: Features, mask: Tensor) -> Memory:
        """A frame as it is remembered; the mask (n, 1, h/4, w/4)."""
        value = self.memoriser(features.stride4, features.stride16, mask.to(features.stride4.dtype))
        return Memory(features.key.flatten(2), value.flatten(2))


def join(memories: list[Memory]) -> Memory:
    """Several frames as one memory."""
    return Memory(torch.cat([m.keys for m in memories], 2), torch.cat([m.values for m in memories], 2))


def cell_places(features: Features) -> Tensor:
    """The places of the cells of stride 16, float32 (1, 2, h/16 * w/16)."""
    h, w = features.key.shape[-2:]
    device = features.key.device
    ys, xs = torch.meshgrid(torch.arange(h, device=device), torch.arange(w, device=device), indexing="ij")
    return torch.stack([xs, ys]).flatten(1).float()[None]


def at_stride4(logits: Tensor) -> Tensor:
    """Logits at stride 2 as a mask at stride 4."""
    return functional.avg_pool2d(torch.sigmoid(logits.float()), 2)
