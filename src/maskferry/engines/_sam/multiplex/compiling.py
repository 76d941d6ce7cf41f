"""Compiled stages of SAM 3.1; see `stage_compiler`.

Only the steady state is worth it: all memories and pointers are there, of one prompt frame, or of as many as are ever
read. The number of buckets needs no padding: it grows by one with every sixteen objects.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor

from maskferry.engines._sam.multiplex.network import MultiplexNetwork
from maskferry.engines._sam.multiplex.stage_types import Candidates, FrameFeatures, MemoryBatch, Predictions, Stages
from maskferry.engines._sam.stage_compiler import StageCompiler

__all__ = ["CompiledMultiplexStages"]

QUALITIES_AT = Candidates._fields.index("quality")


class CompiledMultiplexStages(StageCompiler[MultiplexNetwork]):
    """The stages of a network, compiled when it pays; arguments as `StageCompiler` takes them."""

    rows_compared = 1  # a bucket is sixteen objects

    def __init__(self, network: MultiplexNetwork, *, at_once: bool, backend: str = "inductor") -> None:
        super().__init__(network, at_once=at_once, backend=backend)
        self._stages: dict[object, Stages] = {}

    def track(self, features: FrameFeatures, batch: MemoryBatch) -> tuple[Predictions, tuple[Tensor, Tensor, Tensor]]:
        """As `MultiplexNetwork.track`."""
        if not (batch.steady and self._is_long_enough(features)):
            return self._network.track(features, batch)
        key = (len(batch.valid), len(batch.keys))
        if key not in self._stages:
            plain = self._network.stages
            self._stages[key] = self._unless_out_of_memory(plain, lambda: self._compile_stages(features, batch))
        if self._network.device.type == "cuda":
            return self._replay_step(key, features, batch)
        return self._network.track(features, batch, self._stages[key])

    def _replay_step(
        self, key: object, features: FrameFeatures, batch: MemoryBatch
    ) -> tuple[Predictions, tuple[Tensor, Tensor, Tensor]]:
        """The whole step as one CUDA graph."""
        network, stages, frames = self._network, self._stages[key], len(batch.keys)

        def step(fine: Tensor, middle: Tensor, top: Tensor, valid: Tensor, *memories: Tensor) -> list[Tensor]:
            codes, pointers, distances, *keys_values = memories
            keys, values = keys_values[:frames], keys_values[frames:]
            here = MemoryBatch(keys, values, codes, pointers, distances, valid, steady=True)
            found, remembered = network.track(replace(features, fine=fine, middle=middle, top=top), here, stages)
            return [found.logits, found.pointer, found.presence, found.quality, *remembered]

        inputs = [features.fine, features.middle, features.top, batch.valid, *_memories(batch)]
        logits, pointer, presence, quality, memory, keys, values = self._replay(key, step, inputs)
        return Predictions(logits, pointer, presence, quality), (memory, keys, values)

    def _compile_stages(self, features: FrameFeatures, batch: MemoryBatch) -> Stages:
        """Each stage compiled, where that is as good as float32 says it should be, on this very frame."""
        network, exact = self._network, self._in_float32(encoder=False)
        inputs = [features.top, *_memories(batch)]
        attend = self._compile("memory attention", network.attend_to_memory, exact.attend_to_memory, inputs)
        conditioned = network.attend_to_memory(*inputs)
        inputs = [conditioned, features.fine, features.middle, batch.valid]
        decode = self._compile(
            "mask decoder", network.decode_candidates, exact.decode_candidates, inputs, qualities_at=QUALITIES_AT
        )
        found = network.select_best(network.decode_candidates(*inputs))
        inputs = [features.top, found.logits, found.presence, batch.valid]
        remember = self._compile("memory encoder", network.encode_predicted, exact.encode_predicted, inputs)
        return Stages(attend, decode, remember)

    def _copy_in_float32(self, *, encoder: bool) -> MultiplexNetwork:
        shared: dict[int, object] = {} if encoder else {id(self._network.vision): self._network.vision}
        twin = copy.deepcopy(self._network, shared)
        for name, child in twin.named_children():
            if encoder or name != "vision":
                child.float()
        for parameter in twin.parameters(recurse=False):
            parameter.data = parameter.data.float()
        twin.dtype = twin.accurate_dtype = torch.float32
        twin.prepare(trunk=encoder)
        return twin


def _memories(batch: MemoryBatch) -> list[Tensor]:
    """Arguments of `MultiplexNetwork.attend_to_memory` after the first."""
    return [batch.codes, batch.pointers, batch.distances, *batch.keys, *batch.values]
