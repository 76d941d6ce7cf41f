"""Frames on their way into the network: upload, resize, normalise, encode; a few ahead where they are known.

The processors of transformers resize with torchvision, bilinear with antialiasing, on bytes. The same is done here
with torch alone; a pixel may differ by one grey level where a value lies on the border between two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from maskferry.data import Frame, Image
from maskferry.engines._sam.network import Features, Network
from maskferry.engines._sam.streams import Lanes
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["Mean", "Pictures", "normalise", "resize"]

log = logging.getLogger(__name__)

Mean = tuple[tuple[float, float, float], tuple[float, float, float]]
"""Mean and deviation of red, green and blue, of values in [0, 1]."""

AHEAD = 4
"""Frames that are encoded at once on an accelerator. The encoder is a third faster a frame than with one."""

_Ready = tuple[Features, torch.cuda.Event | None]
"""An encoded frame, and when it is done."""


def upload(image: Image, device: torch.device) -> Tensor:
    """A picture as uint8 (1, 3, H, W) on the device; nothing of the caller's array is kept."""
    pinned = device.type == "cuda"
    host = torch.empty(image.shape, dtype=torch.uint8, pin_memory=pinned)
    host.numpy()[:] = image
    return host.to(device, non_blocking=pinned).permute(2, 0, 1).unsqueeze(0)


def resize(picture: Tensor, size: int) -> Tensor:
    """To (1, 3, S, S), float32 with whole numbers from 0 to 255."""
    large = F.interpolate(picture.float(), size=(size, size), mode="bilinear", align_corners=False, antialias=True)
    return large.round().clamp(0, 255)


def normalise(picture: Tensor, mean: Mean, dtype: torch.dtype) -> Tensor:
    """From 0..255 to what the network was trained on."""
    centre, spread = (torch.tensor(v, device=picture.device).view(1, 3, 1, 1) for v in mean)
    return ((picture / 255 - centre) / spread).to(dtype)


class Pictures:
    """The frames of one pass, encoded.

    Args:
        network: that encodes.
        encode: its `Network.encode`, or a compiled one.
        mean: of the pictures it was trained on.
        lanes: frames are encoded on one of them, and used on the other.

    Attributes:
        ahead: how many frames are best given to `look_ahead` at once; 1 where it does not help.
    """

    def __init__(
        self,
        network: Network,
        encode: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]],
        mean: Mean,
        lanes: Lanes,
    ) -> None:
        self._network, self._encode, self._mean, self._lanes = network, encode, mean, lanes
        self._ready: dict[int, _Ready] = {}
        self.ahead = 1 if network.device.type == "cpu" else AHEAD

    def features(self, frame: Frame) -> Features:
        """One frame; at once where it was looked at ahead."""
        ready = self._ready.pop(frame.index) if frame.index in self._ready else self._run([frame])[0]
        features, done = ready
        self._lanes.hand_over((features.fine, features.middle, features.top), done)
        return features

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode frames that will be asked for; always in batches of one size, so that results do not depend on it."""
        fresh = [frame for frame in frames if frame.index not in self._ready]
        for at in range(0, len(fresh), self.ahead):
            part = fresh[at : at + self.ahead]
            padded = part + [part[-1]] * (self.ahead - len(part))
            try:
                ready = self._run(padded)[: len(part)]
            except RuntimeError as err:
                if not is_out_of_memory(err):
                    raise
                log.warning("out of memory: frames are encoded one at a time from here on")
                self.ahead = 1
                return
            self._ready |= {frame.index: one for frame, one in zip(part, ready, strict=True)}

    def close(self) -> None:
        """Forget all."""
        self._ready.clear()

    def _run(self, frames: Sequence[Frame]) -> list[_Ready]:
        network = self._network
        with self._lanes.encoding():
            small = [resize(upload(frame.image, network.device), network.image_size) for frame in frames]
            fine, middle, top = self._encode(normalise(torch.cat(small), self._mean, network.dtype))
            done = self._lanes.done()
        levels = zip(fine.split(1), middle.split(1), top.split(1), strict=True)
        return [(Features(a, b, c), done) for a, b, c in levels]
