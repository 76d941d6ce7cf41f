"""Attention as one Triton kernel for short heads on CUDA devices; loaded by name, where Triton is.

Softmax on the way, as in Milakov and Gimelshein 2018 and FlashAttention (Dao et al. 2022). With heads of 32 numbers,
exponentials take longer than products: tiles are small, so that several of them are in flight on each multiprocessor.
"""

# ruff: noqa: ANN001, ANN202, N803, PLR0913  # Triton takes pointers and strides; capitals are its constants

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["attend_short_heads"]

QUERIES, KEYS, WARPS, STAGES = 64, 64, 4, 3
"""Of a tile; found by timing on an H100 from 40 settings, for 1, 4 and 8 buckets."""

LOG2_E = math.log2(math.e)


@torch.library.custom_op(
    "maskferry::attend_short_heads",
    mutates_args=(),
    schema="(Tensor query, Tensor key, Tensor value) -> Tensor",
)
def attend_short_heads(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention without a mask.

    Args:
        query: (B, heads, T, d), d a power of 2 from 16 on, in half precision.
        key: (B, heads, S, d).
        value: the same shape.

    Returns:
        (B, heads, T, d), in memory (B, T, heads, d), as it is joined.
    """
    query, key, value = (t if t.stride(-1) == 1 else t.contiguous() for t in (query, key, value))
    out: Tensor = _empty(query, key, value)
    batch, heads, count, channels = query.shape
    with torch.cuda.device_of(query):
        _kernel[(triton.cdiv(count, QUERIES), batch * heads)](
            query,
            key,
            value,
            out,
            *query.stride()[:3],
            *key.stride()[:3],
            *value.stride()[:3],
            *out.stride()[:3],
            heads,
            count,
            key.shape[2],
            LOG2_E / math.sqrt(channels),
            CHANNELS=channels,
            QUERIES=QUERIES,
            KEYS=KEYS,
            num_warps=WARPS,
            num_stages=STAGES,
        )
    return out


@attend_short_heads.register_fake
def _empty(query: Tensor, _key: Tensor, _value: Tensor) -> Tensor:
    batch, heads, count, channels = query.shape
    out: Tensor = query.new_empty(batch, count, heads, channels).transpose(1, 2)
    return out


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    query,
    key,
    value,
    out,
    query_batch,
    query_head,
    query_row,
    key_batch,
    key_head,
    key_row,
    value_batch,
    value_head,
    value_row,
    out_batch,
    out_head,
    out_row,
    heads,
    count,
    key_count,
    scale,
    CHANNELS: tl.constexpr,
    QUERIES: tl.constexpr,
    KEYS: tl.constexpr,
):
    """One tile of queries of one head; ``scale`` is that of logits to the base 2."""
    batch = (tl.program_id(1) // heads).to(tl.int64)
    head = (tl.program_id(1) % heads).to(tl.int64)
    rows = tl.program_id(0) * QUERIES + tl.arange(0, QUERIES)
    columns, channels = tl.arange(0, KEYS), tl.arange(0, CHANNELS)
    there = rows[:, None] < count
    tile = query + batch * query_batch + head * query_head + rows[:, None] * query_row + channels[None, :]
    q = tl.load(tile, mask=there, other=0.0)
    keys = key + batch * key_batch + head * key_head + columns[None, :] * key_row + channels[:, None]
    values = value + batch * value_batch + head * value_head + columns[:, None] * value_row + channels[None, :]
    largest = tl.full([QUERIES], -1e30, tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    summed = tl.zeros([QUERIES, CHANNELS], tl.float32)
    whole = key_count // KEYS * KEYS
    for start in range(0, whole, KEYS):
        k = tl.load(keys + start * key_row)
        v = tl.load(values + start * value_row)
        largest, total, summed = _take_in(tl.dot(q, k), scale, v, largest, total, summed)
    if whole < key_count:
        inside = whole + columns < key_count
        k = tl.load(keys + whole * key_row, mask=inside[None, :], other=0.0)
        v = tl.load(values + whole * value_row, mask=inside[:, None], other=0.0)
        logits = tl.where(inside[None, :], tl.dot(q, k), -float("inf"))
        largest, total, summed = _take_in(logits, scale, v, largest, total, summed)
    tile = out + batch * out_batch + head * out_head + rows[:, None] * out_row + channels[None, :]
    tl.store(tile, (summed / total[:, None]).to(out.dtype.element_ty), mask=there)


@triton.jit
def _take_in(logits, scale, v, largest, total, summed):  # type: ignore[no-untyped-def]
    """A further tile of keys and values: the largest logit, the sum of weights and of weighted values so far."""
    now = tl.maximum(largest, tl.max(logits, 1) * scale)
    weights = tl.math.exp2(logits * scale - now[:, None])
    faded = tl.math.exp2(largest - now)
    total = total * faded + tl.sum(weights, 1)
    return now, total, tl.dot(weights.to(v.dtype), v, summed * faded[:, None])
