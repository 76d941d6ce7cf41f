"""Two CUDA streams: coming frames are encoded in the gaps that tracking leaves.

A step ends with run lengths on the host, so the device waits for the host once a frame. The encoder works a group of
frames ahead on a stream of lower priority and fills these gaps. Devices other than CUDA have one queue, and nothing
here does anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

__all__ = ["Streams"]


class Streams:
    """The streams of a loaded model, shared by its sessions: CUDA graphs replay on the stream that captured them.

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
        """In this context, work has the higher priority."""
        return nullcontext() if self._tracking is None else torch.cuda.stream(self._tracking)

    def encoding(self) -> AbstractContextManager[object]:
        """In this context, work runs when tracking leaves room. Its results pass through `wait_for_encoding`."""
        return nullcontext() if self._encoding is None else torch.cuda.stream(self._encoding)

    def record_encoding(self) -> torch.cuda.Event | None:
        """An event at the end of what was queued for encoding so far; None without CUDA."""
        return None if self._encoding is None else self._encoding.record_event()

    def wait_for_encoding(self, tensors: Iterable[Tensor], encoded: torch.cuda.Event | None) -> None:
        """Let tracking use tensors that encoding has made, once the event ``encoded`` has happened."""
        if self._tracking is None or encoded is None:
            return
        self._tracking.wait_event(encoded)
        for tensor in tensors:
            tensor.record_stream(self._tracking)
