"""What is done on one device for the groups of buckets on it: tracking into a frame, and taking in prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskferry.data import Frame, Mask
from maskferry.engines._sam.batching import BatchRunner
from maskferry.engines._sam.frame_encoder import FrameEncoder
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.multiplex.buckets import BucketGroup, GroupMemory, Window
from maskferry.engines._sam.multiplex.loaded_model import LoadedMultiplex
from maskferry.engines._sam.multiplex.network import enlarge
from maskferry.engines._sam.multiplex.stage_types import FrameFeatures, Predictions, PromptFeatures
from maskferry.engines._sam.prompting import MAX_LOGIT, mask_fidelity, resize_masks

__all__ = ["GroupTracker", "SlotStates"]

MASKS_AT_ONCE = 16
"""So many given masks go through the network together."""


@dataclass(slots=True)
class SlotStates:
    """What is in the slots of a group on the present frame.

    Attributes:
        found: by tracking, of its B buckets; None for a group that begins on this frame.
        given: by prompts, by the numbers of bucket and slot: what was taken of each, of one object.
    """

    found: Predictions | None = None
    given: dict[tuple[int, int], Predictions] = field(default_factory=dict)

    def of_buckets(self, rows: Sequence[int]) -> SlotStates:
        """Of some of the buckets, which are numbered anew."""
        found = self.found
        if found is not None:
            parts = (found.logits, found.pointer, found.presence, found.quality)
            found = Predictions(*(t[list(rows)] for t in parts))
        given = {(rows.index(row), slot): one for (row, slot), one in self.given.items() if row in rows}
        return SlotStates(found, given)


class GroupTracker:
    """The part of a session on one device.

    Args:
        model: loaded there.
        window: how far it looks back.
        hooks: of the session.

    Attributes:
        encoder: of frames.
    """

    def __init__(self, model: LoadedMultiplex, window: Window, hooks: SessionHooks) -> None:
        self.model, self._network, self._window = model, model.network, window
        self.encoder = FrameEncoder(model, hooks)
        self._batches = BatchRunner(model.max_buckets, "buckets")
        self._masks = BatchRunner(MASKS_AT_ONCE, "masks")
        self._features: FrameFeatures | None = None
        self._prompt_features: PromptFeatures | None = None

    def begin(self, frame: Frame) -> None:
        """Take up a frame."""
        self._features, self._prompt_features = self.encoder.features(frame), None

    def end(self) -> None:
        """Forget the frame and what is encoded."""
        self._features = self._prompt_features = None
        self.encoder.close()

    @property
    def _frame(self) -> FrameFeatures:
        assert self._features is not None, "begin comes first"
        return self._features

    # --- tracking -------------------------------------------------------------------------------------------------

    def track(self, group: BucketGroup, step: int) -> Predictions:
        """Track a group into the frame, and remember what is found."""
        valid = group.valid(self._network.device)
        batch = group.select(step, self._window).batch(self._network, self._window, valid)

        def run(rows: Sequence[int]) -> tuple[Predictions, tuple[Tensor, Tensor, Tensor]]:
            return self.model.track(self._frame, batch.rows(rows[0], rows[-1] + 1))

        parts = self._batches.run(range(len(group.buckets)), run)
        found = _joined([found for found, _ in parts])
        memory, keys, values = (_concatenated(tensors) for tensors in zip(*(own for _, own in parts), strict=True))
        pointers = found.pointer * valid[..., None]
        group.recent[step] = GroupMemory(self._frame.top, pointers, memory, keys, values)
        return found

    # --- prompts --------------------------------------------------------------------------------------------------

    def take_masks(self, masks: Mapping[int, Mask]) -> tuple[dict[int, Predictions], dict[int, float]]:
        """What is taken of given masks, and how well each is seen (IoU), by object id."""
        taken: dict[int, Predictions] = {}
        fidelity: dict[int, float] = {}
        size, device = self._network.size.mask_size, self._network.device

        def take(ids: Sequence[int]) -> None:
            given = [masks[i] for i in ids]
            resized = resize_masks(given, size, device)
            found = self._network.take_masks(self._prompts(), resized.to(self._network.accurate_dtype))
            taken.update((i, found.rows(n, n + 1)) for n, i in enumerate(ids))
            fidelity.update(zip(ids, mask_fidelity(given, resized), strict=True))

        self._masks.run(sorted(masks), take)
        return taken, fidelity

    def take_points(self, xy: Tensor, labels: Tensor, before: Tensor | None) -> Predictions:
        """What is found at points and in boxes; see `MultiplexNetwork.take_points`.

        Args:
            xy: (1, K, 2).
            labels: (1, K).
            before: (1, 1, 4h, 4w), the logits found of a known object on this frame; None for a new one.
        """
        device = self._network.device
        logits = None if before is None else before.clamp(-MAX_LOGIT, MAX_LOGIT)
        return self._network.take_points(self._prompts(), xy.to(device), labels.to(device), logits)

    def remember_prompts(self, group: BucketGroup, states: SlotStates, step: int) -> None:
        """Make the frame a prompt frame of a group: all its slots are remembered anew, one bucket after the other."""
        valid = group.valid(self._network.device)
        memories, pointers = [], []
        for row in range(len(group.buckets)):
            large, presence, pointer, flags = self._canvas(states, row)
            own = valid[row : row + 1]
            memories.append(self._network.encode_prompted(self._frame.top, large, flags, presence, own))
            pointers.append(pointer * own[..., None])
        group.recent.pop(step, None)
        memory, keys, values = (_concatenated(tensors) for tensors in zip(*memories, strict=True))
        group.prompted[step] = GroupMemory(self._frame.top, torch.cat(pointers), memory, keys, values)

    def _canvas(self, states: SlotStates, row: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (1, M, S, S), presences (1, M), pointers (1, M, C) and flags (1, M) of one bucket.

        S is the size of masks where any was given to the group, as in Meta's predictor; otherwise that of the picture.
        """
        size, network = self._network.size, self._network
        masks = any(one.logits.shape[-1] == size.mask_size for one in states.given.values())
        side = size.mask_size if masks else size.image_size
        if states.found is None:
            large = torch.zeros(1, size.slots, side, side, dtype=network.dtype, device=network.device)
            presence = large.new_zeros(1, size.slots)
            pointer = large.new_zeros(1, size.slots, size.hidden)
        else:
            found = states.found.rows(row, row + 1)
            large = self._enlarged(found.logits, side)
            presence, pointer = found.presence.clone(), found.pointer.clone()
        flags = torch.zeros_like(presence)
        for (own_row, slot), one in states.given.items():
            if own_row == row:
                large[0, slot] = self._enlarged(one.logits, side)[0, 0]
                presence[0, slot], pointer[0, slot], flags[0, slot] = one.presence[0, 0], one.pointer[0, 0], 1
        return large, presence, pointer, flags

    def _enlarged(self, logits: Tensor, side: int) -> Tensor:
        """Logits (1, M, s, s) as (1, M, side, side), by way of the size of the picture; given masks as they are."""
        size = self._network.size
        if logits.shape[-1] == size.mask_size:
            return logits
        return enlarge(enlarge(logits, size.image_size), side)

    def _prompts(self) -> PromptFeatures:
        if self._prompt_features is None:
            self._prompt_features = self._network.prompt_features(self._frame)
        return self._prompt_features


def _joined(parts: Sequence[Predictions]) -> Predictions:
    """Predictions of several batches as one."""
    columns = ((p.logits, p.pointer, p.presence, p.quality) for p in parts)
    return Predictions(*(_concatenated(tensors) for tensors in zip(*columns, strict=True)))


def _concatenated(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))
