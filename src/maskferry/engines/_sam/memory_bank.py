"""What is remembered of each object, for how long, and how memories become a batch for the network.

Frames are numbered by *step*: the first frame that a session sees is step 0, the next is step 1, whatever their
indices. Distances are counted in steps, so that a backward pass and one with gaps look to the model like any other.
With memory selection, distances are places in the list of selected frames. What will not be read again is deleted: the
bank does not grow with the length of the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskferry.engines._sam.memory_selection import MIN_EFFECTIVE_QUALITY, kept_steps, selected_steps
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.stage_types import MemoryBatch

__all__ = ["MemoryBank", "MemoryEntry", "MemoryWindow", "SelectedMemories", "TrackedObject", "batch_memories"]


@dataclass(frozen=True, slots=True)
class MemoryWindow:
    """How far a model looks back.

    Attributes:
        memories: steps before this one whose memories are read.
        pointers: steps before this one whose pointers are read; less than this many.
        prompt_frames: how many prompt frames are read at once, the latest; -1 for all of them.
        selects: with memory selection, which counts selected frames instead of steps.
    """

    memories: int
    pointers: int
    prompt_frames: int
    selects: bool = False

    @classmethod
    def of(cls, network: Network, frame_count: int | None, *, selects: bool = False) -> MemoryWindow:
        """The window of a model, for a video of so many frames; None where their number is unknown."""
        config = network.config
        pointers = int(config.max_object_pointers_in_encoder)
        if frame_count is not None:
            pointers = max(2, min(pointers, frame_count))
        return cls(int(config.num_maskmem) - 1, pointers, int(config.max_cond_frame_num), selects)


@dataclass(slots=True)
class MemoryEntry:
    """One object on one frame: a row of what the network computed for a whole batch.

    Attributes:
        memory: (B, T, 64); None when too old to be read.
        pointer: (B, C).
        row: which of the B.
        good: the object was well in sight; known of tracked frames with memory selection.
    """

    memory: Tensor | None
    pointer: Tensor
    row: int
    good: bool = False

    def leave_batch(self) -> None:
        """Keep this row alone, so that the other objects' rows can be freed."""
        if len(self.pointer) > 1:
            self.pointer = self.pointer[self.row : self.row + 1].clone()
            if self.memory is not None:
                self.memory = self.memory[self.row : self.row + 1].clone()
            self.row = 0


@dataclass(frozen=True, slots=True)
class SelectedMemories:
    """What is read of one object at one step.

    Attributes:
        memories: how many steps ago (0 for prompt frames), and the entry.
        pointers: how many steps ago, and the entry.
        padding: with memory selection, whether a pointer only stands in for one that there is not, so that all objects
            have as many; what is read of it is taken out again.
    """

    memories: list[tuple[int, MemoryEntry]]
    pointers: list[tuple[int, MemoryEntry]]
    padding: list[bool] = field(default_factory=list)

    @property
    def shape(self) -> tuple[tuple[int, ...], int]:
        """Objects with the same shape go through the network together."""
        return tuple(ago for ago, _ in self.memories), len(self.pointers)


_Distant = tuple[int, MemoryEntry]
"""How many steps ago, and the entry."""


@dataclass(slots=True)
class TrackedObject:
    """What is remembered of one object.

    Attributes:
        object_id: the caller's.
        prompted: entries of its prompt frames, by step.
        recent: entries of the frames tracked last, by step.
        lost: it was not in sight on the last frame.
        usual_area: running mean of its area in pixels.
    """

    object_id: int
    prompted: dict[int, MemoryEntry] = field(default_factory=dict)
    recent: dict[int, MemoryEntry] = field(default_factory=dict)
    lost: bool = False
    usual_area: float = 0.0

    def select(self, step: int, window: MemoryWindow) -> SelectedMemories:
        """What is read of it at ``step``, of the steps before."""
        steps = sorted(self.prompted)
        chosen = steps if window.prompt_frames < 0 else steps[-window.prompt_frames :]
        memories = [(0, self.prompted[s]) for s in chosen]
        pointers = [(step - s, self.prompted[s]) for s in chosen]
        if window.selects:
            return self._select_good(step, window, memories, pointers)
        others = {s: self.prompted[s] for s in steps if s not in chosen} | self.recent
        by_distance = {step - s: entry for s, entry in others.items()}
        memories += _memories(by_distance, window)
        pointers += [(ago, by_distance[ago]) for ago in range(1, window.pointers) if ago in by_distance]
        return SelectedMemories(memories, pointers)

    def _select_good(
        self, step: int, window: MemoryWindow, memories: list[_Distant], pointers: list[_Distant]
    ) -> SelectedMemories:
        """The same with memory selection, given what is read of prompt frames; see `memory_selection`."""
        listed = selected_steps(self._good_steps(), step - 1, window.pointers - 1)
        by_place = {len(listed) - i: self.recent[s] for i, s in enumerate(listed) if s in self.recent}
        memories = memories + _memories(by_place, window)
        padding = [False] * len(pointers)
        stand_in = pointers[-1][1]
        for place in range(1, window.pointers):
            is_read = place in by_place and place < len(listed)
            pointers.append((place, by_place[place] if is_read else stand_in))
            padding.append(not is_read)
        return SelectedMemories(memories, pointers, padding)

    def _good_steps(self) -> list[int]:
        return [s for s, entry in self.recent.items() if entry.good]

    def forget_old(self, step: int, window: MemoryWindow) -> None:
        """Delete what will not be read any more once ``step`` is done."""
        if window.selects:
            self._keep_good(step, window)
        else:
            self._keep_recent(step, window)
        if window.prompt_frames < 0:
            return
        horizon = max(window.pointers, window.memories + 1)
        for s in sorted(self.prompted)[: -window.prompt_frames]:
            if window.selects or step + 1 - s >= horizon:
                del self.prompted[s]

    def _keep_recent(self, step: int, window: MemoryWindow) -> None:
        """Of the tracked frames, those that are near enough."""
        for old in [s for s in self.recent if step + 1 - s >= window.pointers]:
            del self.recent[old]
        for s, entry in self.recent.items():
            if step + 1 - s > window.memories:
                entry.memory = None

    def _keep_good(self, step: int, window: MemoryWindow) -> None:
        """Of the tracked frames, the latest good ones and the last; with memory selection."""
        kept = kept_steps(self._good_steps(), step, window.pointers - 1)
        self.recent = {s: self.recent[s] for s in kept if s in self.recent}
        for s in kept[: -window.memories]:
            self.recent[s].memory = None
        for s, entry in self.recent.items():
            shared = window.pointers if entry.memory is None else window.memories
            if step + 1 - s > shared:  # older than what other objects of its batch keep
                entry.leave_batch()


@dataclass(slots=True, eq=False)
class MemoryBank:
    """Everything that a session remembers: what the next step depends on, besides the frame.

    Attributes:
        step: of the last frame; -1 before the first.
        objects: by ascending object id.
    """

    step: int = -1
    objects: dict[int, TrackedObject] = field(default_factory=dict)

    def prompted_object(self, object_id: int) -> TrackedObject:
        """The object that is prompted at this step, added where it is new; what was tracked at this step is void."""
        if object_id not in self.objects:
            self.objects = dict(sorted((self.objects | {object_id: TrackedObject(object_id)}).items()))
        known = self.objects[object_id]
        known.recent.pop(self.step, None)
        return known

    def rate(self, object_ids: Iterable[int], qualities: Iterable[float]) -> None:
        """Take in the effective quality of tracked objects at this step; see `memory_selection`."""
        for object_id, quality in zip(object_ids, qualities, strict=True):
            entry = self.objects[object_id].recent.get(self.step)
            if entry is not None:
                entry.good = quality > MIN_EFFECTIVE_QUALITY

    def forget_old(self, window: MemoryWindow) -> None:
        """Delete what will not be read any more once this step is done."""
        for known in self.objects.values():
            known.forget_old(self.step, window)


def _memories(by_distance: Mapping[int, MemoryEntry], window: MemoryWindow) -> list[_Distant]:
    """Those of tracked frames that are read, the farthest first."""
    distances = [ago for ago in range(window.memories, 0, -1) if ago in by_distance]
    return [(ago, by_distance[ago]) for ago in distances if by_distance[ago].memory is not None]


def batch_memories(network: Network, selected: Sequence[SelectedMemories], window: MemoryWindow) -> MemoryBatch:
    """The memories of objects of one shape as one batch."""
    padding = torch.tensor([one.padding for one in selected], device=network.device, dtype=network.dtype)
    memories = [
        _stack_rows([(entry.memory, entry.row) for entry in entries]).to(network.dtype)
        for entries in zip(*([entry for _, entry in one.memories] for one in selected), strict=True)
    ]
    pointers = [
        _stack_rows([(entry.pointer, entry.row) for entry in entries])
        for entries in zip(*([entry for _, entry in one.pointers] for one in selected), strict=True)
    ]
    tokens = torch.stack(pointers, dim=1).reshape(len(selected), -1, network.memory_dim).to(network.dtype)
    position = torch.cat(_positions(network, selected, window), dim=1)
    return MemoryBatch(
        torch.cat([*memories, tokens], dim=1),
        position,
        padding.repeat_interleave(network.tokens_each, dim=1),
        tokens.shape[1],
        len(memories),
    )


def _stack_rows(rows: Sequence[tuple[Tensor | None, int]]) -> Tensor:
    """One frame of many objects (B, ...); without a copy where they were remembered as one batch."""
    batch = rows[0][0]
    if (
        batch is not None
        and len(rows) == len(batch)
        and all(t is batch and row == i for i, (t, row) in enumerate(rows))
    ):
        return batch
    return torch.stack([t[row] for t, row in rows if t is not None])


def _positions(network: Network, selected: Sequence[SelectedMemories], window: MemoryWindow) -> tuple[Tensor, Tensor]:
    """The position codes of memories and of pointers, each (B or 1, S, 64)."""
    distances = [[ago for ago, _ in one.pointers] for one in selected]
    if all(other == distances[0] for other in distances):
        distances = distances[:1]
    pointers = _pointer_position(network, distances, window)
    memories = _memory_position(network, [ago for ago, _ in selected[0].memories])
    return memories.expand(pointers.shape[0], -1, -1), pointers


def _memory_position(network: Network, distances: Sequence[int]) -> Tensor:
    """(1, S, 64); prompt frames have the last code of the table."""
    table = network.model.memory_temporal_positional_encoding.to(network.accurate_dtype)  # (memories + 1, 1, 1, 64)
    parts = [network.memory_position + table[ago - 1] for ago in distances]
    return torch.cat(parts, dim=1).to(network.dtype)


def _pointer_position(network: Network, distances: Sequence[Sequence[int]], window: MemoryWindow) -> Tensor:
    """(B or 1, S, 64): sines of the distance, projected; as ``get_1d_sine_pe`` of transformers."""
    config, model, tokens_each = network.config, network.model, network.tokens_each
    distance = torch.tensor(distances, device=network.device, dtype=torch.float32) / float(window.pointers - 1)
    if not config.enable_temporal_pos_encoding_for_object_pointers:
        zeros = distance.new_zeros((*distance.shape, network.memory_dim), dtype=network.dtype)
        return zeros.repeat_interleave(tokens_each, 1)
    half = model.hidden_dim // 2
    exponent = torch.arange(half, device=network.device, dtype=torch.float32)
    scale = 10000 ** (2 * (exponent // 2) / half)
    phase = distance[..., None] / scale
    sines = torch.cat([phase.sin(), phase.cos()], dim=-1).to(network.accurate_dtype)
    code: Tensor = model.temporal_positional_encoding_projection_layer(sines).to(network.dtype)
    return code.repeat_interleave(tokens_each, dim=1)
