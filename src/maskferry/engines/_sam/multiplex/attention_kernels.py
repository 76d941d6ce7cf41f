"""Which attention kernel is the fastest on this device for memory attention, found out by timing.

Heads of 32 channels are unusual: which of torch's kernels wins depends on the device, on torch, and on the number of
buckets. Beside them there is one of our own, where Triton is; it is taken only if what it gives here, for real
memories, agrees with torch's.
"""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from maskferry.engines._sam.multiplex.layers import join_heads
from maskferry.engines._sam.multiplex.stage_types import MemoryBatch
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["AttentionKernels", "attend_to_tokens", "kernel_times", "name_of"]

log = logging.getLogger(__name__)

Kernel = SDPBackend | Literal["short heads"]
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]

TORCH_KERNELS = (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
"""By preference, where they are equally fast."""

OWN_MODULE = "maskferry.engines._sam.multiplex.short_heads_kernel"

MAX_DIFFERENCE = 0.01
"""Of our own kernel from torch's, as a share of the norm; two of torch's differ by 0.003 in bfloat16."""

RUNS, WARM_UP_RUNS = 5, 2

_own_kernel: Attention | None = None  # in use; set by `using`


def attend_to_tokens(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention with the kernel in use, of heads that are split already, joined again, (..., T, C)."""
    if _own_kernel is not None and query.dtype in (torch.bfloat16, torch.float16):
        return join_heads(_own_kernel(query, key, value))
    return join_heads(F.scaled_dot_product_attention(query, key, value))


@contextmanager
def _using_own_kernel() -> Generator[None]:
    global _own_kernel  # as torch keeps which of its kernels may be used
    before, _own_kernel = _own_kernel, _load_own_kernel()
    try:
        yield
    finally:
        _own_kernel = before


class AttentionKernels:
    """The order of preference of the kernels, for each number of buckets; found when it comes first."""

    def __init__(self) -> None:
        self._orders: dict[int, list[Kernel]] = {}

    def fastest_first(self, batch: MemoryBatch) -> AbstractContextManager[None]:
        """In this context, attention runs with the fastest kernel that can do it."""
        count = len(batch.valid)
        if count not in self._orders:
            if not batch.steady:  # its shapes will not come again
                return sdpa_kernel([*TORCH_KERNELS, SDPBackend.MATH], set_priority=True)
            self._orders[count] = _order(kernel_times(batch), count)
        return _using(self._orders[count])


def kernel_times(batch: MemoryBatch) -> dict[Kernel, float]:
    """Milliseconds that one layer's attention to these memories takes with each kernel; infinite where it fails."""
    query = batch.keys[0][:, 0].contiguous()  # of one layer; (B, heads, HW, d)
    keys = torch.cat([query] * len(batch.keys), dim=2)
    times: dict[Kernel, float] = {kernel: _milliseconds(kernel, query, keys) for kernel in TORCH_KERNELS}
    if _load_own_kernel() is not None:
        times["short heads"] = _milliseconds("short heads", query, keys) if _own_agrees(query, keys) else math.inf
    return times


def _order(times: Mapping[Kernel, float], buckets: int) -> list[Kernel]:
    """All kernels, the fastest first; those that fail here come last."""
    order = sorted(times, key=lambda kernel: times[kernel])
    log.info("attention to memories of %d buckets: %s", buckets, {name_of(k): round(times[k], 2) for k in order})
    return [*order, SDPBackend.MATH]


def name_of(kernel: Kernel) -> str:
    """For a log or a table."""
    return kernel if isinstance(kernel, str) else kernel.name


def _using(order: list[Kernel]) -> AbstractContextManager[None]:
    if order[0] == "short heads":
        return _using_own_kernel()
    return sdpa_kernel([kernel for kernel in order if not isinstance(kernel, str)], set_priority=True)


@cache
def _load_own_kernel() -> Attention | None:
    """Our own, or None where there is no Triton."""
    try:
        module = importlib.import_module(OWN_MODULE)
    except ModuleNotFoundError as err:
        log.info("no attention kernel of our own: %s", err)
        return None
    own: Attention = module.attend_short_heads
    return own


def _own_agrees(query: Tensor, keys: Tensor) -> bool:
    """Whether our own kernel gives here what torch's give."""
    own = _load_own_kernel()
    assert own is not None
    try:
        found, wanted = own(query, keys, keys), F.scaled_dot_product_attention(query, keys, keys)
    except Exception as err:  # Triton compiles here, with tools of the system
        if is_out_of_memory(err):
            raise
        log.warning("the attention kernel of our own does not work here: %s", str(err).splitlines()[:1])
        return False
    difference = float((found.float() - wanted.float()).norm() / wanted.float().norm())
    if not difference <= MAX_DIFFERENCE:  # nor if it is not a number
        log.warning("the attention kernel of our own is wrong here, by %.3g, and is left alone", difference)
    return difference <= MAX_DIFFERENCE


def _milliseconds(kernel: Kernel, query: Tensor, keys: Tensor) -> float:
    """What one call takes; infinite where the kernel cannot do it."""
    try:
        with _using([kernel]):
            for _ in range(WARM_UP_RUNS):
                attend_to_tokens(query, keys, keys)
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(RUNS):
                attend_to_tokens(query, keys, keys)
            end.record()
            end.synchronize()
    except RuntimeError as err:
        if is_out_of_memory(err):
            raise
        return math.inf
    return float(start.elapsed_time(end)) / RUNS
