"""Which of torch's attention kernels is the fastest on this device for memory attention, found out by timing.

Heads of 32 channels are unusual: which kernel wins depends on the device, on torch, and on the number of buckets.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from maskferry.engines._sam.multiplex.stage_types import MemoryBatch
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["AttentionKernels"]

log = logging.getLogger(__name__)

CANDIDATES = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
"""By preference, where they are equally fast."""

RUNS, WARM_UP_RUNS = 5, 2


class AttentionKernels:
    """The order of preference of the kernels, for each number of buckets; found when it comes first."""

    def __init__(self) -> None:
        self._orders: dict[int, list[SDPBackend]] = {}

    def fastest_first(self, batch: MemoryBatch) -> AbstractContextManager[None]:
        """In this context, attention runs with the fastest kernel that can do it."""
        count = len(batch.valid)
        if count not in self._orders:
            if not batch.steady:  # its shapes will not come again
                return sdpa_kernel([*CANDIDATES, SDPBackend.MATH], set_priority=True)
            self._orders[count] = _timed_order(batch)
        return sdpa_kernel(self._orders[count], set_priority=True)


def _timed_order(batch: MemoryBatch) -> list[SDPBackend]:
    """All kernels, the fastest first; those that fail here come last."""
    query = batch.keys[0][:, 0].contiguous()  # of one layer; (B, heads, HW, d)
    keys = torch.cat([query] * len(batch.keys), dim=2)
    times = {kernel: _milliseconds(kernel, query, keys) for kernel in CANDIDATES}
    order = sorted(CANDIDATES, key=lambda kernel: times[kernel])
    log.info("attention to memories of %d buckets: %s", len(query), {k.name: round(times[k], 2) for k in order})
    return [*order, SDPBackend.MATH]


def _milliseconds(kernel: SDPBackend, query: Tensor, keys: Tensor) -> float:
    """What one call takes; infinite where the kernel cannot do it."""
    try:
        with sdpa_kernel(kernel):
            for _ in range(WARM_UP_RUNS):
                F.scaled_dot_product_attention(query, keys, keys)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(RUNS):
                F.scaled_dot_product_attention(query, keys, keys)
            end.record()
            end.synchronize()
    except RuntimeError as err:
        if is_out_of_memory(err):
            raise
        return float("inf")
    return float(start.elapsed_time(end)) / RUNS
