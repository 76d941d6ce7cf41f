"""Compiled stages: replayed as a CUDA graph where shapes are fixed, and tested before they are used.

Only the steady state is worth it: one prompt frame, six memories and sixteen pointers an object. With memory selection
there are always sixteen, some of which are padding. Everything else runs plain. Numbers of objects are padded to a few
sizes, so that few shapes are ever compiled; torch keeps what it has compiled on the disk.

A compiled stage is used only after it has been compared, on the first real frame of its shape, with the same stage in
float32: it must be finite, and no further from it than the plain stage is (a fifth more is allowed). Otherwise the
plain stage stays, and the log says so.
"""

from __future__ import annotations

import copy
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar, cast

import torch
from platformdirs import user_cache_path
from torch import Tensor

from maskferry.engines._sam.cuda_graph import CudaGraph
from maskferry.engines._sam.network import Network
from maskferry.engines._sam.stage_checks import ROWS_COMPARED, as_list, stage_agrees
from maskferry.engines._sam.stage_types import Features, MemoryBatch, Predictions, Stages
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["BATCH_SIZES", "CompiledStages", "padded_size"]

log = logging.getLogger(__name__)

BATCH_SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, *range(24, 65, 4))
"""Numbers of objects that are compiled for; others are padded to the next."""

PLAIN_FRAMES = 500
"""With ``compile="auto"``, so many frames in the steady state are tracked before anything is compiled."""

PLAIN_ENCODER_CALLS = 3
"""The encoder is compiled for a batch size that has come more often than this: not for the odd single frame."""

MAX_GRAPHS = 4
"""So many CUDA graphs are kept; each holds memory of its own."""

EncodeStage = Callable[[Tensor], Sequence[Tensor]]
StageT = TypeVar("StageT", bound=Callable[..., Tensor | Sequence[Tensor]])
T = TypeVar("T")


def padded_size(count: int) -> int:
    """The number of objects that a batch of ``count`` is padded to."""
    return next((size for size in BATCH_SIZES if size >= count), count)


class CompiledStages:
    """The stages of a network, compiled when it pays.

    Args:
        network: the plain stages.
        at_once: compile at the first frame of the steady state, however short the video may be.
        backend: of torch.compile.
    """

    def __init__(self, network: Network, *, at_once: bool, backend: str = "inductor") -> None:
        self._network, self._backend = network, backend
        self._plain_frames_left = 0 if at_once else PLAIN_FRAMES
        self._stages: dict[object, Stages] = {}
        self._graphs: dict[object, CudaGraph] = {}
        self._encoders: dict[tuple[int, ...], EncodeStage] = {}
        self._encoder_calls: Counter[tuple[int, ...]] = Counter()
        self._float32: Network | None = None
        self._frame: Features | None = None

    # --- the encoder ----------------------------------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """As `Network.encode`."""
        shape = tuple(pixels.shape)
        self._encoder_calls[shape] += 1
        if self._plain_frames_left > 0 or self._encoder_calls[shape] <= PLAIN_ENCODER_CALLS:
            return self._network.encode(pixels)
        if shape not in self._encoders:
            plain: EncodeStage = self._network.encode
            self._encoders[shape] = self._unless_out_of_memory(plain, lambda: self._compile_encoder(pixels))
        return tuple(self._encoders[shape](pixels))

    def _compile_encoder(self, pixels: Tensor) -> EncodeStage:
        plain: EncodeStage = self._network.encode
        compiled = self._compile("encoder", plain, self._in_float32(encoder=True).encode, [pixels])
        return CudaGraph(compiled, [pixels]) if compiled is not plain and pixels.is_cuda else compiled

    # --- a tracked frame ------------------------------------------------------------------------------------------

    def track(self, features: Features, batch: MemoryBatch) -> tuple[Predictions, Tensor]:
        """As `Network.track`."""
        if not self._is_steady(batch):
            return self._network.track(features, batch)
        if features is not self._frame:  # the same frame comes again where objects need several batches
            self._frame = features
            self._plain_frames_left -= 1
        if self._plain_frames_left > 0:
            return self._network.track(features, batch)
        count = len(batch.memory)
        padded = _pad(batch, padded_size(count))
        key = (padded.memory.shape, padded.position.shape, padded.padding.shape)
        if key not in self._stages:
            plain = self._network.stages
            self._stages[key] = self._unless_out_of_memory(plain, lambda: self._compile_stages(features, padded))
        if self._network.device.type == "cuda":
            return _first_rows(self._replay(key, features, padded), count)
        return _first_rows(self._network.track(features, padded, self._stages[key]), count)

    def _is_steady(self, batch: MemoryBatch) -> bool:
        config = self._network.config
        pointers = int(config.max_object_pointers_in_encoder)
        full = batch.pointer_tokens == pointers * self._network.tokens_each
        return bool(batch.memory_frames == config.num_maskmem) and full

    def _replay(self, key: object, features: Features, batch: MemoryBatch) -> tuple[Predictions, Tensor]:
        """The whole step as one CUDA graph."""
        inputs = [features.fine, features.middle, features.top, batch.memory, batch.position, batch.padding]
        if key not in self._graphs:
            stages = self._stages[key]

            def step(fine: Tensor, middle: Tensor, top: Tensor, *memories: Tensor) -> list[Tensor]:
                memory, position, padding = memories
                here = replace(batch, memory=memory, position=position, padding=padding)
                found, remembered = self._network.track(Features(fine, middle, top), here, stages)
                return [found.logits, found.pointer, found.presence, found.quality, remembered]

            if len(self._graphs) == MAX_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = CudaGraph(step, inputs)
        logits, pointer, presence, quality, remembered = self._graphs[key](*inputs)
        return Predictions(logits, pointer, presence, quality), remembered

    # --- compiling and testing ------------------------------------------------------------------------------------

    def _unless_out_of_memory(self, plain: T, make: Callable[[], T]) -> T:
        """What ``make`` makes; ``plain`` where the device has no memory for the test."""
        try:
            return make()
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            log.warning("no memory to compile and test: the plain stages stay")
            return plain
        finally:
            self._float32 = None  # the copy in float32 is not needed again

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

    def _compile(
        self,
        what: str,
        plain: StageT,
        exact: StageT,
        inputs: Sequence[Tensor],
        constants: Sequence[object] = (),
        qualities_at: int | None = None,
    ) -> StageT:
        """``plain`` compiled and tested, or ``plain`` itself.

        Args:
            what: the stage's name, for the log.
            plain: the stage.
            exact: the stage in float32.
            inputs: of a real frame.
            constants: further arguments.
            qualities_at: as `stage_agrees` takes it.
        """
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("maskferry") / "inductor"))
        try:
            compiled = torch.compile(plain, fullgraph=True, dynamic=False, backend=self._backend)
            outputs = as_list(compiled(*inputs, *constants))
            plain_outputs = as_list(plain(*inputs, *constants))
        except Exception as err:
            if is_out_of_memory(err):
                raise
            log.warning("the compiled %s does not work here and stays plain: %s", what, str(err).splitlines()[0])
            return plain
        exact_outputs = as_list(exact(*(t[:ROWS_COMPARED].float() for t in inputs), *constants))
        if not stage_agrees(plain_outputs, outputs, exact_outputs, qualities_at):
            log.warning("the compiled %s is further from float32 than the plain one, which therefore stays", what)
            return plain
        log.info("%s: compiled and tested", what)
        return cast(StageT, compiled)

    def _in_float32(self, *, encoder: bool) -> Network:
        """A copy of the network in float32; the frame encoder, which is large, is copied only where it is tested."""
        if self._float32 is None:
            model = self._network.model
            shared: dict[int, object] = {} if encoder else {id(model.vision_encoder): model.vision_encoder}
            twin = copy.deepcopy(model, shared)
            for name, child in twin.named_children():
                if encoder or name != "vision_encoder":
                    child.float()
            for parameter in twin.parameters(recurse=False):
                parameter.data = parameter.data.float()
            self._float32 = Network(twin, torch.float32)
        return self._float32


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
