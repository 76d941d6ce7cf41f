"""Compiled stages of the models of transformers.

Only the steady state is worth it: one prompt frame, six memories and sixteen pointers an object. With memory selection
there are always sixteen, some of which are padding. Everything else runs plain. Numbers of objects are padded to a few
sizes, so that few shapes are ever compiled.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from maskferry.engines._sam.network import Network
from maskferry.engines._sam.stage_compiler import StageCompiler
from maskferry.engines._sam.stage_types import Features, MemoryBatch, Predictions, Stages

__all__ = ["BATCH_SIZES", "CompiledStages", "padded_size"]

BATCH_SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, *range(24, 65, 4))
"""Numbers of objects that are compiled for; others are padded to the next."""


def padded_size(count: int) -> int:
    """The number of objects that a batch of ``count`` is padded to."""
    return next((size for size in BATCH_SIZES if size >= count), count)


class CompiledStages(StageCompiler[Network]):
    """The stages of a network, compiled when it pays; arguments as `StageCompiler` takes them."""

    def __init__(self, network: Network, *, at_once: bool, backend: str = "inductor") -> None:
        super().__init__(network, at_once=at_once, backend=backend)
        self._stages: dict[object, Stages] = {}

    def track(self, features: Features, batch: MemoryBatch) -> tuple[Predictions, Tensor]:
        """As `Network.track`."""
        if not (self._is_steady(batch) and self._is_long_enough(features)):
            return self._network.track(features, batch)
        count = len(batch.memory)
        padded = _pad(batch, padded_size(count))
        key = (padded.memory.shape, padded.position.shape, padded.padding.shape)
        if key not in self._stages:
            plain = self._network.stages
            self._stages[key] = self._unless_out_of_memory(plain, lambda: self._compile_stages(features, padded))
        if self._network.device.type == "cuda":
            return _first_rows(self._replay_step(key, features, padded), count)
        return _first_rows(self._network.track(features, padded, self._stages[key]), count)

    def _is_steady(self, batch: MemoryBatch) -> bool:
        config = self._network.config
        pointers = int(config.max_object_pointers_in_encoder)
        full = batch.pointer_tokens == pointers * self._network.tokens_each
        return bool(batch.memory_frames == config.num_maskmem) and full

    def _replay_step(self, key: object, features: Features, batch: MemoryBatch) -> tuple[Predictions, Tensor]:
        """The whole step as one CUDA graph."""
        stages = self._stages[key]

        def step(fine: Tensor, middle: Tensor, top: Tensor, *memories: Tensor) -> list[Tensor]:
            memory, position, padding = memories
            here = replace(batch, memory=memory, position=position, padding=padding)
            found, remembered = self._network.track(Features(fine, middle, top), here, stages)
            return [found.logits, found.pointer, found.presence, found.quality, remembered]

        inputs = [features.fine, features.middle, features.top, batch.memory, batch.position, batch.padding]
        logits, pointer, presence, quality, remembered = self._replay(key, step, inputs)
        return Predictions(logits, pointer, presence, quality), remembered

    def _compile_stages(self, features: Features, batch: MemoryBatch) -> Stages:
        """Each stage compiled, where that is as good as float32 says it should be, on this very frame."""
        network, exact = self._network, self._in_float32(encoder=False)
        counts = (batch.pointer_tokens, batch.memory_frames)
        multimask, prompt = network.uses_multimask(0, first=False), network.unprompted

        inputs = [features.top, batch.memory, batch.position, batch.padding]
        attend = self._compile("memory attention", network.attend_to_memory, exact.attend_to_memory, inputs, counts)
        conditioned = network.attend_to_memory(features.top, batch.memory, batch.position, batch.padding, *counts)
        inputs = [conditioned, features.fine, features.middle, prompt.sparse, prompt.dense]
        decode = self._compile(
            "mask decoder", network.decode_candidates, exact.decode_candidates, inputs, (multimask,), qualities_at=1
        )
        found = network.decode(conditioned, features, multimask=multimask)
        inputs = [features.top, found.logits, found.presence]
        remember = self._compile("memory encoder", network.encode_predicted, exact.encode_predicted, inputs)
        return Stages(attend, decode, remember)

    def _copy_in_float32(self, *, encoder: bool) -> Network:
        model = self._network.model
        shared: dict[int, object] = {} if encoder else {id(model.vision_encoder): model.vision_encoder}
        twin = copy.deepcopy(model, shared)
        for name, child in twin.named_children():
            if encoder or name != "vision_encoder":
                child.float()
        for parameter in twin.parameters(recurse=False):
            parameter.data = parameter.data.float()
        return Network(twin, torch.float32)


def _pad(batch: MemoryBatch, size: int) -> MemoryBatch:
    """The same batch with its last row repeated up to ``size`` rows."""
    position = batch.position if len(batch.position) == 1 else _repeat_last(batch.position, size)
    return replace(
        batch,
        memory=_repeat_last(batch.memory, size),
        position=position,
        padding=_repeat_last(batch.padding, size),
    )


def _repeat_last(rows: Tensor, size: int) -> Tensor:
    missing = size - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


def _first_rows(result: tuple[Predictions, Tensor], count: int) -> tuple[Predictions, Tensor]:
    found, memory = result
    kept = Predictions(found.logits[:count], found.pointer[:count], found.presence[:count], found.quality[:count])
    return kept, memory[:count]
