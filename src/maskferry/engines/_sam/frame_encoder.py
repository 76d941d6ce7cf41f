"""Encoding the frames of a pass; a few ahead where they are known."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from maskferry.data import Frame
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.preprocessing import MeanStd, normalise, resize, upload
from maskferry.engines._sam.streams import Streams
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["EncodingModel", "FrameEncoder"]

log = logging.getLogger(__name__)

FRAMES_AT_ONCE = 4
"""Frames that are encoded together on an accelerator. The encoder is a third faster a frame than with one."""

F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


class EncodingNetwork(Protocol):
    """What is asked of a network besides encoding."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""

    @property
    def dtype(self) -> torch.dtype:
        """Of its features."""

    @property
    def image_size(self) -> int:
        """Side of its input, in pixels."""


class EncodingModel(Protocol[F_co]):
    """What is asked of a loaded model; ``F`` are the features of one frame."""

    @property
    def network(self) -> EncodingNetwork:
        """That encodes."""

    @property
    def mean_std(self) -> MeanStd:
        """Of the pictures that it was trained on."""

    @property
    def streams(self) -> Streams:
        """On which it works."""

    def encode(self, pixels: Tensor, /) -> Sequence[Tensor]:
        """Tensors of T frames (T, 3, S, S), each with T rows."""

    def features_of(self, tensors: Sequence[Tensor]) -> F_co:
        """One frame's features, of one row of each of these tensors."""


class _Encoded(NamedTuple):
    """One frame's tensors, and the event after which tracking may use them."""

    tensors: tuple[Tensor, ...]
    ready: torch.cuda.Event | None


class FrameEncoder(Generic[F]):
    """Encodes the frames of one pass.

    Args:
        model: that encodes.
        hooks: of the session.

    Attributes:
        ahead: how many frames are best given to `look_ahead` at once; 1 where it does not help.
    """

    def __init__(self, model: EncodingModel[F], hooks: SessionHooks) -> None:
        self._model, self._hooks = model, hooks
        self._ready: dict[int, _Encoded] = {}
        self._current: tuple[int, F] | None = None
        self._is_stepped = False  # whether tracking has had the current frame
        self.ahead = 1 if model.network.device.type == "cpu" else FRAMES_AT_ONCE

    def features(self, frame: Frame) -> F:
        """The features of the frame to step into; without waiting where it was encoded ahead."""
        features = self._take(frame) if self._is_stepped else self.current_features(frame)
        self._is_stepped = True
        return features

    def current_features(self, frame: Frame) -> F:
        """The features of the frame that was stepped last, or is stepped next: they are kept."""
        if self._current is not None and self._current[0] == frame.index:
            return self._current[1]
        return self._take(frame)

    def _take(self, frame: Frame) -> F:
        ahead = self._ready.pop(frame.index, None)
        encoded = self._encode([frame])[0] if ahead is None else ahead
        self._model.streams.wait_for_encoding(encoded.tensors, encoded.ready)
        features = self._model.features_of(encoded.tensors)
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
            ready = model.streams.record_encoding()
        return [_Encoded(rows, ready) for rows in zip(*(t.split(1) for t in tensors), strict=True)]
