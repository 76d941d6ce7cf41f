"""Faster stages: compiled, replayed as a CUDA graph where shapes are fixed, and tested before they are used.

Only the steady state is worth it: one prompted frame, six memories and sixteen pointers an object. All else runs as
it is. Numbers of objects are padded to a few sizes, so that few shapes are ever compiled; torch keeps what it has
compiled on the disk.

A compiled stage is used only after it has been compared, on the first real frame of its shape, with the same stage in
float32: it must be finite, and no further from it than the plain stage is (a fifth more is allowed). Otherwise the
plain stage stays, and the log says so.
"""

from __future__ import annotations

import copy
import logging
import math
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from platformdirs import user_cache_path
from torch import Tensor

from maskferry.engines._sam.memory_bank import Bundle
from maskferry.engines._sam.network import Features, Found, Network, Stages
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["SIZES", "Compiled", "agrees", "padded_size", "plain_follow"]

log = logging.getLogger(__name__)

SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, *range(24, 65, 4))
"""Numbers of objects that are compiled for; others are padded to the next."""

PATIENCE = 500
"""With ``compile="auto"``, so many frames in the steady state are tracked before anything is compiled."""

REPEATS = 3
"""The encoder is compiled for a batch size that has come so often: not for the odd single frame."""

GRAPHS = 4
"""So many CUDA graphs are kept; each holds memory of its own."""

SLACK = 1.2
"""A compiled stage may be so many times as far from float32 as the plain stage is. Of n numbers the ratio of two root
mean squares has by chance alone a deviation of about 1 / sqrt(n): three of these are allowed for on top."""

ROWS = 4
"""So many objects, or frames, of a batch are compared with float32, which takes much memory."""

CLOSE_CALL = 0.004
"""Two masks whose qualities differ by less may change places: a step of bfloat16 just below 1."""

CAPTURING = threading.Lock()
"""torch makes one CUDA graph at a time, whatever the device and the thread."""

Stage = Callable[..., Any]
T = TypeVar("T")


def plain_follow(network: Network, features: Features, bundle: Bundle) -> tuple[Found, Tensor]:
    """`Network.follow` over a bundle."""
    return network.follow(features, bundle.memory, bundle.position, bundle.pointer_tokens, bundle.memories)


def padded_size(count: int) -> int:
    """The number of objects that a batch of ``count`` is padded to."""
    return next((size for size in SIZES if size >= count), count)


def agrees(plain: Tensor, fast: Tensor, exact: Tensor) -> bool:
    """Whether a compiled result is as good as the plain one, or right to the last bit of its own type.

    Args:
        plain: of the stage as it is.
        fast: of the compiled stage.
        exact: of the stage in float32, on the same input.
    """
    if not bool(torch.isfinite(fast).all()):
        return False
    reference = exact.float()
    scale = float(reference.square().mean().sqrt()) + 1e-12
    usual, now = (float((x.float() - reference).square().mean().sqrt()) / scale for x in (plain, fast))
    chance = 1 + 3 / math.sqrt(reference.numel())
    return now <= max(SLACK * chance * usual, torch.finfo(fast.dtype).eps / 2, 1e-4)


class Compiled:
    """The stages of a network, compiled when it pays.

    Args:
        network: as it is.
        at_once: compile at the first frame of the steady state, however short the video may be.
        backend: of torch.compile.
    """

    def __init__(self, network: Network, *, at_once: bool, backend: str = "inductor") -> None:
        self._network, self._backend = network, backend
        self._patience = 0 if at_once else PATIENCE
        self._stages: dict[object, Stages] = {}
        self._graphs: dict[object, _Graph] = {}
        self._encode: dict[tuple[int, ...], Stage] = {}
        self._seen: Counter[tuple[int, ...]] = Counter()
        self._exact: Network | None = None
        self._frame: Features | None = None

    # --- the encoder ----------------------------------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `Network.encode`."""
        shape = tuple(pixels.shape)
        self._seen[shape] += 1
        if self._patience > 0 or self._seen[shape] <= REPEATS:
            return self._network.encode(pixels)
        if shape not in self._encode:
            self._encode[shape] = self._if_there_is_room(self._network.encode, self._tested_encoder, pixels)
        fine, middle, top = self._encode[shape](pixels)
        return fine, middle, top

    def _tested_encoder(self, pixels: Tensor) -> Stage:
        plain = self._network.encode
        fast = self._tested("encoder", plain, self._in_float32(whole=True).encode, [pixels])
        return _Graph(fast, [pixels]) if fast is not plain and pixels.is_cuda else fast

    # --- a tracked frame ------------------------------------------------------------------------------------------

    def follow(self, features: Features, bundle: Bundle) -> tuple[Found, Tensor]:
        """As `Network.follow`."""
        if not self._is_steady(bundle):
            return plain_follow(self._network, features, bundle)
        if features is not self._frame:  # which comes again where objects need several batches
            self._frame, self._patience = features, self._patience - 1
        if self._patience > 0:
            return plain_follow(self._network, features, bundle)
        count = len(bundle.memory)
        full = _pad(bundle, padded_size(count))
        key = (full.memory.shape, full.position.shape)
        if key not in self._stages:
            plain = Stages(self._network.recall, self._network.answers, self._network.remember_found)
            self._stages[key] = self._if_there_is_room(plain, self._tested_stages, features, full)
        if self._network.device.type == "cuda":
            return self._replay(key, features, full, count)
        return _cut(self._run(self._stages[key], features, full), count)

    def _is_steady(self, bundle: Bundle) -> bool:
        config = self._network.config
        split = self._network.model.hidden_dim // self._network.memory_dim
        pointers = int(config.max_object_pointers_in_encoder)
        return bool(bundle.memories == config.num_maskmem) and bundle.pointer_tokens == pointers * split

    def _run(self, stages: Stages, features: Features, bundle: Bundle) -> tuple[Found, Tensor]:
        return self._network.follow(
            features, bundle.memory, bundle.position, bundle.pointer_tokens, bundle.memories, stages
        )

    def _replay(self, key: object, features: Features, bundle: Bundle, count: int) -> tuple[Found, Tensor]:
        """The whole step as one CUDA graph."""
        inputs = [features.fine, features.middle, features.top, bundle.memory, bundle.position]
        if key not in self._graphs:
            stages, shape = self._stages[key], bundle

            def step(fine: Tensor, middle: Tensor, top: Tensor, memory: Tensor, position: Tensor) -> list[Tensor]:
                here = replace(shape, memory=memory, position=position)
                found, remembered = self._run(stages, Features(fine, middle, top), here)
                return [found.logits, found.pointer, found.presence, found.quality, remembered]

            if len(self._graphs) == GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = _Graph(step, inputs)
        logits, pointer, presence, quality, remembered = self._graphs[key](*inputs)
        return _cut((Found(logits, pointer, presence, quality), remembered), count)

    def _if_there_is_room(self, plain: T, make: Callable[..., T], *inputs: Any) -> T:  # noqa: ANN401
        """What ``make`` makes; ``plain`` where the device has no memory for the test."""
        try:
            return make(*inputs)
        except RuntimeError as err:
            if not is_out_of_memory(err):
                raise
            log.warning("no memory to compile and test: the plain stages stay")
            return plain
        finally:
            self._exact = None  # the copy in float32 is not needed again

    # --- tests ----------------------------------------------------------------------------------------------------

    def _tested_stages(self, features: Features, bundle: Bundle) -> Stages:
        """Each stage compiled, where that is as good as float32 says it should be, on this very frame."""
        network, exact = self._network, self._in_float32(whole=False)
        counts = (bundle.pointer_tokens, bundle.memories)
        several, prompt = (network.answers_several(0, first=False),), network.unprompted

        inputs = [features.top, bundle.memory, bundle.position]
        recall = self._tested("memory attention", network.recall, exact.recall, inputs, counts)
        seen = network.recall(features.top, bundle.memory, bundle.position, *counts)
        inputs = [seen, features.fine, features.middle, prompt.sparse, prompt.dense]
        answers = self._tested("mask decoder", network.answers, exact.answers, inputs, several)
        found = network.decode(seen, features.fine, features.middle, several=several[0])
        inputs = [features.top, found.logits, found.presence]
        remember = self._tested("memory encoder", network.remember_found, exact.remember_found, inputs)
        return Stages(recall, answers, remember)

    def _tested(
        self, what: str, plain: Stage, exact: Stage, inputs: Sequence[Tensor], constants: Sequence[object] = ()
    ) -> Stage:
        """``plain`` compiled, or ``plain`` itself; ``exact`` is the same in float32."""
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(user_cache_path("maskferry") / "inductor"))
        try:
            fast: Stage = torch.compile(plain, fullgraph=True, dynamic=False, backend=self._backend)
            now, usual = fast(*inputs, *constants), plain(*inputs, *constants)
        except Exception as err:
            if is_out_of_memory(err):
                raise
            log.warning("the compiled %s does not work here and stays plain: %s", what, str(err).splitlines()[0])
            return plain
        wanted = exact(*(t[:ROWS].float() for t in inputs), *constants)
        triples = [(a[:ROWS], b[:ROWS], c) for a, b, c in zip(*map(_listed, (usual, now, wanted)), strict=True)]
        if not all(agrees(*triple) for triple in triples) or not _chooses_alike(triples):
            log.warning("the compiled %s is further from float32 than the plain one, which therefore stays", what)
            return plain
        log.info("%s: compiled and tested", what)
        return fast

    def _in_float32(self, *, whole: bool) -> Network:
        """A copy of the network in float32; the encoder, which is large, is copied only where it is tested."""
        if self._exact is None:
            model = self._network.model
            memo: dict[int, Any] = {} if whole else {id(model.vision_encoder): model.vision_encoder}
            twin = copy.deepcopy(model, memo)
            for name, child in twin.named_children():
                if whole or name != "vision_encoder":
                    child.float()
            for parameter in twin.parameters(recurse=False):
                parameter.data = parameter.data.float()
            self._exact = Network(twin, torch.float32)
        return self._exact


def _chooses_alike(triples: Sequence[tuple[Tensor, Tensor, Tensor]]) -> bool:
    """Whether the compiled decoder takes the mask that float32 takes, wherever that is no close call."""
    if len(triples) != 4:
        return True
    _, now, wanted = (t[:, 0].float() for t in triples[1])
    if wanted.shape[-1] < 2:
        return True
    top = wanted.topk(2, dim=-1).values
    clear = top[:, 0] - top[:, 1] > CLOSE_CALL
    return bool((now.argmax(-1) == wanted.argmax(-1))[clear].all())


def _listed(value: Any) -> list[Tensor]:  # noqa: ANN401
    return [value] if isinstance(value, Tensor) else list(value)


def _pad(bundle: Bundle, size: int) -> Bundle:
    memory, position = bundle.memory, bundle.position
    if len(memory) < size:
        memory = torch.cat([memory, memory[-1:].expand(size - len(memory), -1, -1)])
    if 1 < len(position) < size:
        position = torch.cat([position, position[-1:].expand(size - len(position), -1, -1)])
    return replace(bundle, memory=memory, position=position)


def _cut(result: tuple[Found, Tensor], count: int) -> tuple[Found, Tensor]:
    found, memory = result
    kept = Found(found.logits[:count], found.pointer[:count], found.presence[:count], found.quality[:count])
    return kept, memory[:count]


class _Graph:
    """A function of tensors as a CUDA graph: inputs are copied in, outputs are copied out.

    It is made on the stream at hand and to be called on that stream alone: graphs that run at the same time must not
    share cuBLAS's workspace, of which each stream has its own.
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> None:
        self._inputs = [t.clone() for t in inputs]
        stream = torch.cuda.current_stream(inputs[0].device)
        with torch.cuda.device(inputs[0].device), CAPTURING:
            for _ in range(3):
                function(*self._inputs)
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._outputs = list(function(*self._inputs))

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs for inputs of the same shapes."""
        for held, new in zip(self._inputs, inputs, strict=True):
            held.copy_(new)
        self._graph.replay()
        return [t.clone() for t in self._outputs]
