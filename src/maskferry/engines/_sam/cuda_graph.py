"""A function of tensors, captured as a CUDA graph and replayed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["CudaGraph"]

_CAPTURE = threading.Lock()
"""torch captures one CUDA graph at a time, whatever the device and the thread."""

WARM_UP_CALLS = 3
"""Calls before the capture, in which kernels are chosen and memory is allocated."""


class CudaGraph:
    """A function of tensors as a CUDA graph: inputs are copied in, outputs are copied out.

    It is captured on the current stream and to be called on that stream alone: graphs that run at the same time must
    not share cuBLAS's workspace, of which each stream has its own.

    Args:
        function: of tensors of fixed shapes.
        inputs: an example.
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
        self._inputs = [t.clone() for t in inputs]
        stream = torch.cuda.current_stream(inputs[0].device)
        with torch.cuda.device(inputs[0].device), _CAPTURE:
            for _ in range(WARM_UP_CALLS):
                function(*self._inputs)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._outputs = list(function(*self._inputs))

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs for inputs of the same shapes."""
        for held, new in zip(self._inputs, inputs, strict=True):
            held.copy_(new)
        self._graph.replay()
        return [t.clone() for t in self._outputs]
