"""What is remembered of each object, how long, and how it is laid before the network.

A frame's *place* is its number in the pass: the first frame that the session saw is 0, the next 1, whatever their
indices. Distances are counted in places, so that a backward pass and one with gaps look to the model like any other.
Nothing is kept that cannot be read again: memory does not depend on the length of the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskferry.engines._sam.network import Network

__all__ = ["Bundle", "Entry", "Layout", "Limits", "Target", "gather"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a model looks back.

    Attributes:
        memories: frames before this one, whose memories are read.
        pointers: frames before this one, whose pointers are read; less than this many.
        given: prompted frames that are read at once, the latest; -1 for all of them.
    """

    memories: int
    pointers: int
    given: int

    @classmethod
    def of(cls, network: Network, frame_count: int | None) -> Limits:
        """Of a model, for a video of so many frames, None where that is unknown."""
        config = network.config
        pointers = int(config.max_object_pointers_in_encoder)
        if frame_count is not None:
            pointers = max(2, min(pointers, frame_count))
        return cls(int(config.num_maskmem) - 1, pointers, int(config.max_cond_frame_num))


@dataclass(slots=True)
class Entry:
    """One object on one frame: a row of what the network gave for a whole batch.

    Attributes:
        memory: (B, T, 64); None when too old to be read.
        pointer: (B, C).
        row: which of the B.
    """

    memory: Tensor | None
    pointer: Tensor
    row: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What is read of one object on one frame.

    Attributes:
        memories: how many places ago (0 for prompted frames), and the entry.
        pointers: how many places ago, and the entry.
    """

    memories: list[tuple[int, Entry]]
    pointers: list[tuple[int, Entry]]

    @property
    def shape(self) -> tuple[tuple[int, ...], int]:
        """Objects with the same shape go through the network together."""
        return tuple(ago for ago, _ in self.memories), len(self.pointers)


@dataclass(slots=True)
class Target:
    """One object of a session.

    Attributes:
        object_id: the caller's.
        given: what is remembered of prompted frames, by place.
        recent: what is remembered of the frames tracked last, by place.
        lost: it was not in sight on the last frame.
        usual_area: running mean of its area in pixels.
    """

    object_id: int
    given: dict[int, Entry] = field(default_factory=dict)
    recent: dict[int, Entry] = field(default_factory=dict)
    lost: bool = False
    usual_area: float = 0.0

    def layout(self, place: int, limits: Limits) -> Layout:
        """What is read of it at ``place``, of the frames before."""
        places = sorted(self.given)
        chosen = places if limits.given < 0 else places[-limits.given :]
        other = {p: self.given[p] for p in places if p not in chosen} | self.recent
        memories = [(0, self.given[p]) for p in chosen]
        ago = range(limits.memories, 0, -1)
        memories += [(d, e) for d in ago if (e := other.get(place - d)) is not None and e.memory is not None]
        pointers = [(place - p, self.given[p]) for p in chosen]
        pointers += [(d, e) for d in range(1, limits.pointers) if (e := other.get(place - d)) is not None]
        return Layout(memories, pointers)

    def forget(self, place: int, limits: Limits) -> None:
        """Let go of what will not be read any more once ``place`` is done."""
        for p in [p for p in self.recent if place + 1 - p >= limits.pointers]:
            del self.recent[p]
        for p, entry in self.recent.items():
            if place + 1 - p > limits.memories:
                entry.memory = None
        if limits.given >= 0:
            horizon = max(limits.pointers, limits.memories + 1)
            for p in sorted(self.given)[: -limits.given]:
                if place + 1 - p >= horizon:
                    del self.given[p]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The memories of B objects, as `Network.recall` takes them.

    Attributes:
        memory: (B, S, 64).
        position: (B or 1, S, 64).
        pointer_tokens: tokens at the end that are pointers.
        memories: of how many frames the others are.
    """

    memory: Tensor
    position: Tensor
    pointer_tokens: int
    memories: int


def gather(network: Network, layouts: Sequence[Layout], limits: Limits) -> Bundle:
    """Lay the memories of objects of one shape side by side."""
    first = layouts[0]
    memories = [
        _column([(e.memory, e.row) for e in entries]).to(network.dtype)
        for entries in zip(*([e for _, e in layout.memories] for layout in layouts), strict=True)
    ]
    pointers = [
        _column([(e.pointer, e.row) for e in entries])
        for entries in zip(*([e for _, e in layout.pointers] for layout in layouts), strict=True)
    ]
    tokens = torch.stack(pointers, dim=1).reshape(len(layouts), -1, network.memory_dim).to(network.dtype)
    position = _memory_position(network, [ago for ago, _ in first.memories])
    agos = [[ago for ago, _ in layout.pointers] for layout in layouts]
    pointed = _pointer_position(network, agos if any(a != agos[0] for a in agos) else agos[:1], limits)
    position = torch.cat([position.expand(pointed.shape[0], -1, -1), pointed], dim=1)
    return Bundle(torch.cat([*memories, tokens], dim=1), position, tokens.shape[1], len(memories))


def _column(rows: Sequence[tuple[Tensor | None, int]]) -> Tensor:
    """One frame of many objects (B, ...); without a copy where they were remembered as one batch."""
    batch = rows[0][0]
    if (
        batch is not None
        and all(t is batch and row == i for i, (t, row) in enumerate(rows))
        and len(rows) == len(batch)
    ):
        return batch
    return torch.stack([t[row] for t, row in rows if t is not None])


def _memory_position(network: Network, agos: Sequence[int]) -> Tensor:
    """(1, S, 64); prompted frames have the code that is the last in the table."""
    table = network.model.memory_temporal_positional_encoding.to(network.exact)  # (memories + 1, 1, 1, 64)
    parts = [network.memory_position + table[ago - 1] for ago in agos]
    return torch.cat(parts, dim=1).to(network.dtype)


def _pointer_position(network: Network, agos: Sequence[Sequence[int]], limits: Limits) -> Tensor:
    """(B or 1, S, 64): sines of the distance, projected; as ``get_1d_sine_pe`` of transformers."""
    config, model = network.config, network.model
    split = model.hidden_dim // network.memory_dim
    distance = torch.tensor(agos, device=network.device, dtype=torch.float32) / float(limits.pointers - 1)
    if not config.enable_temporal_pos_encoding_for_object_pointers:
        return distance.new_zeros((*distance.shape, network.memory_dim), dtype=network.dtype).repeat_interleave(
            split, 1
        )
    half = model.hidden_dim // 2
    exponent = torch.arange(half, device=network.device, dtype=torch.float32)
    scale = 10000 ** (2 * (exponent // 2) / half)
    phase = distance[..., None] / scale
    sines = torch.cat([phase.sin(), phase.cos()], dim=-1).to(network.exact)
    code: Tensor = model.temporal_positional_encoding_projection_layer(sines).to(network.dtype)
    return code.repeat_interleave(split, dim=1)
