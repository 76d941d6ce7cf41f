"""From a frame's picture to the network's input: upload, resize, normalise.

The processors of transformers resize with torchvision, bilinear with antialiasing, on bytes. The same is done here
with torch alone; a pixel may differ by one grey level where a value lies on the border between two.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from maskferry.data import Image

__all__ = ["MeanStd", "normalise", "resize", "upload"]

MeanStd = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and standard deviation of red, green and blue, of values in [0, 1]."""


def upload(image: Image, device: torch.device) -> Tensor:
    """A picture as uint8 (1, 3, H, W) on the device; nothing of the caller's array is kept."""
    pinned = device.type == "cuda"
    host = torch.empty(image.shape, dtype=torch.uint8, pin_memory=pinned)
    host.numpy()[:] = image
    return host.to(device, non_blocking=pinned).permute(2, 0, 1).unsqueeze(0)


def resize(picture: Tensor, size: int) -> Tensor:
    """A picture (1, 3, H, W) as (1, 3, S, S), float32, whole numbers from 0 to 255."""
    large = F.interpolate(picture.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    return large.round().clamp(0, 255)


def normalise(picture: Tensor, mean_std: MeanStd, dtype: torch.dtype) -> Tensor:
    """From 0..255 to the range that the network was trained on."""
    mean, deviation = (torch.tensor(v, device=picture.device).view(1, 3, 1, 1) for v in mean_std)
    return ((picture / 255 - mean) / deviation).to(dtype)
