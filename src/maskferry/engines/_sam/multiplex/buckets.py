"""Buckets of objects, what is remembered of them, and for how long.

A *bucket* has sixteen slots, which share one memory: what is found of an object depends on all that are in its bucket.
A *group* is of buckets that have the same history: they go through the network as one batch, and share no memory.

Frames are numbered by *step*, as in `memory_bank`. What will not be read again is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import torch
from torch import Tensor

from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines._sam.multiplex.stage_types import MemoryBatch

__all__ = ["Bucket", "BucketGroup", "GroupMemory", "SelectedMemories", "Slot", "SlotUse", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """How far the model looks back.

    Attributes:
        memories: steps before this one whose memories are read.
        pointers: steps from which pointers are read, counting this one.
        prompt_frames: how many prompt frames are read at once, the nearest.
    """

    memories: int
    pointers: int
    prompt_frames: int

    @classmethod
    def of(cls, network: MultiplexNetwork, frame_count: int | None) -> Window:
        """The window of a network, for a video of so many frames; None where their number is unknown."""
        size = network.size
        pointers = size.pointer_frames
        if frame_count is not None:
            pointers = max(2, min(pointers, frame_count))
        return cls(size.temporal_codes - 1, pointers, size.prompt_frames)


class SlotUse(StrEnum):
    """What a slot is used for."""

    FREE = "free"
    LIVE = "live"
    """An object that is reported."""
    GHOST = "ghost"
    """An object that is followed for the sake of the others, and not reported."""
    RETIRED = "retired"
    """Empty after an object; never used again."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One slot of a bucket: the object's id (0 for none), and its use."""

    object_id: int = 0
    use: SlotUse = SlotUse.FREE

    @property
    def valid(self) -> bool:
        """Whether the network is told that there is an object."""
        return self.use in (SlotUse.LIVE, SlotUse.GHOST)


@dataclass(slots=True)
class Bucket:
    """The slots of one bucket."""

    slots: list[Slot]

    def live(self) -> Iterator[tuple[int, int]]:
        """Ids of objects that are reported, and the numbers of their slots."""
        return ((slot.object_id, i) for i, slot in enumerate(self.slots) if slot.use is SlotUse.LIVE)

    def free_slot(self, capacity: int) -> int | None:
        """The first slot that may be used; None where so many have been."""
        used = sum(slot.use is not SlotUse.FREE for slot in self.slots)
        return used if used < min(capacity, len(self.slots)) else None


@dataclass(slots=True)
class GroupMemory:
    """A group on one frame.

    Attributes:
        top: (1, HW, C), of the frame; groups share it. None when too old to be read.
        pointers: (B, M, C), 0 in slots without an object.
        memory: (B, HW, C); None when too old to be read.
        keys: (B, layers, heads, HW, d), with ``memory``.
        values: the same shape, with ``memory``.
    """

    top: Tensor | None
    pointers: Tensor
    memory: Tensor | None
    keys: Tensor | None
    values: Tensor | None

    def forget_memory(self) -> None:
        """Keep the pointers only."""
        self.top = self.memory = self.keys = self.values = None

    def rows(self, rows: Sequence[int]) -> GroupMemory:
        """Of some of the buckets; copied unless they are all."""
        own = (self.pointers, self.memory, self.keys, self.values)
        pointers, *others = (None if t is None else _rows(t, rows) for t in own)
        assert pointers is not None
        return GroupMemory(self.top, pointers, *others)


@dataclass(frozen=True, slots=True)
class SelectedMemories:
    """What is read of a group at one step.

    Attributes:
        memories: row of the table of temporal codes, and the memory.
        pointers: how many steps ago, and the memory.
        steady: all are there that there can ever be of one prompt frame, or of as many as are read: shapes that last.
    """

    memories: list[tuple[int, GroupMemory]]
    pointers: list[tuple[int, GroupMemory]]
    steady: bool

    def batch(self, network: MultiplexNetwork, window: Window, valid: Tensor) -> MemoryBatch:
        """As the network takes it; ``valid`` as there."""
        ago = torch.tensor([[ago for ago, _ in self.pointers]], dtype=network.accurate_dtype)
        return MemoryBatch(
            keys=[m.keys for _, m in self.memories if m.keys is not None],
            values=[m.values for _, m in self.memories if m.values is not None],
            codes=torch.stack([network.key_codes[row] for row, _ in self.memories])[None],
            pointers=torch.cat([m.pointers for _, m in self.pointers], dim=1),
            distances=(ago / (window.pointers - 1)).to(network.device, non_blocking=True),
            valid=valid,
            steady=self.steady,
        )


@dataclass(slots=True, eq=False)
class BucketGroup:
    """Buckets with one history.

    Attributes:
        home: number of the device that it is on.
        buckets: its B buckets.
        prompted: what is remembered of prompt frames, by step.
        recent: what is remembered of the frames tracked last, by step.
    """

    home: int
    buckets: list[Bucket]
    prompted: dict[int, GroupMemory] = field(default_factory=dict)
    recent: dict[int, GroupMemory] = field(default_factory=dict)

    def live(self) -> Iterator[tuple[int, int, int]]:
        """Ids of objects that are reported, the numbers of their buckets, and those of their slots."""
        return ((i, row, slot) for row, bucket in enumerate(self.buckets) for i, slot in bucket.live())

    def valid(self, device: torch.device) -> Tensor:
        """Slots that hold an object, bool (B, M)."""
        valid = torch.tensor([[slot.valid for slot in b.slots] for b in self.buckets])
        return valid.to(device, non_blocking=True)

    def select(self, step: int, window: Window) -> SelectedMemories:
        """What is read of it at ``step``, of the steps before.

        The temporal codes of prompt frames run the other way round than those of tracked frames: so the model was
        trained.
        """
        chosen = sorted(self.prompted)[-window.prompt_frames :]
        others = {s: m for s, m in self.prompted.items() if s not in chosen} | self.recent
        last = window.memories
        memories = [(last - (step - s) if step - s <= last else last, self.prompted[s]) for s in chosen]
        near = ((ago, others.get(step - ago)) for ago in range(last, 0, -1))
        memories += [(ago - 1, m) for ago, m in near if m is not None and m.memory is not None]
        pointers = [(step - s, self.prompted[s]) for s in chosen]
        pointers += [(ago, others[step - ago]) for ago in range(1, window.pointers) if step - ago in others]
        full = len(chosen) + last, len(chosen) + window.pointers - 1
        lasting = len(chosen) in (1, window.prompt_frames)
        return SelectedMemories(memories, pointers, lasting and (len(memories), len(pointers)) == full)

    def forget_old(self, step: int, window: Window) -> None:
        """Delete what will not be read any more once ``step`` is done."""
        chosen = sorted(self.prompted)[-window.prompt_frames :]
        for entries in (self.recent, self.prompted):
            for s in [s for s in entries if s not in chosen]:
                if step + 1 - s >= max(window.pointers, window.memories + 1):
                    del entries[s]
                elif step + 1 - s > window.memories:
                    entries[s].forget_memory()


def _rows(tensor: Tensor, rows: Sequence[int]) -> Tensor:
    """Some rows of a tensor, copied: a view would keep all of them."""
    return tensor if list(rows) == list(range(len(tensor))) else tensor[list(rows)]
