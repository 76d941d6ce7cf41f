"""Encoding the frames of a pass; a few ahead where they are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch

from maskferry.data import Frame
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.loaded_model import LoadedModel
from maskferry.engines._sam.preprocessing import normalise, resize, upload
from maskferry.engines._sam.stage_types import Features
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["FrameEncoder"]

log = logging.getLogger(__name__)

FRAMES_AT_ONCE = 4
"""Frames that are encoded together on an accelerator. The encoder is a third faster a frame than with one."""

_Encoded = tuple[Features, torch.cuda.Event | None]
"""A frame's features, and the event after which tracking may use them."""


class FrameEncoder:
    """Encodes the frames of one pass.

    Args:
        model: that encodes.
        hooks: of the session.

    Attributes:
        ahead: how many frames are best given to `look_ahead` at once; 1 where it does not help.
    """

    def __init__(self, model: LoadedModel, hooks: SessionHooks) -> None:
        self._model, self._hooks = model, hooks
        self._ready: dict[int, _Encoded] = {}
        self._current: tuple[int, Features] | None = None
        self._is_stepped = False  # whether tracking has had the current frame
        self.ahead = 1 if model.network.device.type == "cpu" else FRAMES_AT_ONCE

    def features(self, frame: Frame) -> Features:
        """The features of the frame to step into; without waiting where it was encoded ahead."""
        features = self._take(frame) if self._is_stepped else self.current_features(frame)
        self._is_stepped = True
        return features

    def current_features(self, frame: Frame) -> Features:
        """The features of the frame that was stepped last, or is stepped next: they are kept."""
        if self._current is not None and self._current[0] == frame.index:
            return self._current[1]
        return self._take(frame)

    def _take(self, frame: Frame) -> Features:
        ahead = self._ready.pop(frame.index, None)
        features, encoded = self._encode([frame])[0] if ahead is None else ahead
        self._model.streams.wait_for_encoding(features.tensors, encoded)
        self._current, self._is_stepped = (frame.index, features), False
        return features

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode coming frames, always in batches of one size, so that results do not depend on it."""
        new = [frame for frame in frames if frame.index not in self._ready]
        for start in range(0, len(new), self.ahead):
            part = new[start : start + self.ahead]
            padded = part + [part[-1]] * (self.ahead - len(part))
            try:
                encoded = self._encode(padded)[: len(part)]
            except RuntimeError as err:
                if not is_out_of_memory(err):
                    raise
                log.warning("out of memory: frames are encoded one at a time from here on")
                self.ahead = 1
                return
            self._ready |= {frame.index: one for frame, one in zip(part, encoded, strict=True)}

    def close(self) -> None:
        """Forget what was encoded."""
        self._ready.clear()
        self._current = None

    def _encode(self, frames: Sequence[Frame]) -> list[_Encoded]:
        model, network = self._model, self._model.network
        with model.streams.encoding(), self._hooks.timed("encode"):
            small = [resize(upload(frame.image, network.device), network.image_size) for frame in frames]
            tensors = model.encode(normalise(torch.cat(small), model.mean_std, network.dtype))
            encoded = model.streams.record_encoding()
        rows = zip(*(tensor.split(1) for tensor in tensors), strict=True)
        return [(Features(*row), encoded) for row in rows]
