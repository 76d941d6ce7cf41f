"""Two streams of work on a GPU: frames to come are encoded in the gaps that tracking leaves.

A step ends with run lengths on the host, so that the device waits for the host once a frame. The encoder's work, a
group of frames ahead on a stream of lower priority, fills these gaps. Elsewhere there is one queue and nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["Lanes"]


class Lanes:
    """The streams of an engine, shared by its sessions: CUDA graphs replay on the stream that they were made on.

    Args:
        device: where the network is. Work that was queued on it so far is waited for.
    """

    def __init__(self, device: torch.device) -> None:
        self._tracking: torch.cuda.Stream | None = None
        self._encoding: torch.cuda.Stream | None = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            self._tracking = torch.cuda.Stream(device, priority=-1)
            self._encoding = torch.cuda.Stream(device, priority=0)

    def tracking(self) -> AbstractContextManager[object]:
        """In this context, work goes first."""
        return nullcontext() if self._tracking is None else torch.cuda.stream(self._tracking)

    def encoding(self) -> AbstractContextManager[object]:
        """In this context, work is done when tracking leaves room. Its results pass through `hand_over`."""
        return nullcontext() if self._encoding is None else torch.cuda.stream(self._encoding)

    def done(self) -> torch.cuda.Event | None:
        """Marks the end of what was queued for encoding so far."""
        return None if self._encoding is None else self._encoding.record_event()

    def hand_over(self, tensors: Iterable[Tensor], done: torch.cuda.Event | None) -> None:
        """Let tracking use what encoding has made, once it is `done`."""
        if self._tracking is None or done is None:
            return
        self._tracking.wait_event(done)
        for tensor in tensors:
            tensor.record_stream(self._tracking)
