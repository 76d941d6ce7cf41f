"""What compiled stages have in common: they are tested before they are used, and replayed as CUDA graphs.

A compiled stage is used only after it has been compared, on the first real frame of its shape, with the same stage in
float32: it must be finite, and no further from it than the plain stage is (a fifth more is allowed). Otherwise the
plain stage stays, and the log says so. torch keeps what it has compiled on the disk.
"""

from __future__ import annotations

import logging
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar, cast

import torch
from platformdirs import user_cache_path
from torch import Tensor

from maskferry.engines._sam.cuda_graph import CudaGraph
from maskferry.engines._sam.stage_checks import as_list, stage_agrees
from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["PLAIN_ENCODER_CALLS", "PLAIN_FRAMES", "StageCompiler"]

log = logging.getLogger(__name__)

PLAIN_FRAMES = 500
"""With ``compile="auto"``, so many frames in the steady state are tracked before anything is compiled."""

PLAIN_ENCODER_CALLS = 3
"""The encoder is compiled for a batch size that has come more often than this: not for the odd single frame."""

MAX_GRAPHS = 4
"""So many CUDA graphs are kept; each holds memory of its own."""

EncodeStage = Callable[[Tensor], Sequence[Tensor]]
StageT = TypeVar("StageT", bound=Callable[..., Tensor | Sequence[Tensor]])
T = TypeVar("T")


class CompilableNetwork(Protocol):
    """What is asked of a network here."""

    def encode(self, pixels: Tensor) -> Sequence[Tensor]:
        """Features of T frames (T, 3, S, S)."""


NetworkT = TypeVar("NetworkT", bound=CompilableNetwork)


class StageCompiler(ABC, Generic[NetworkT]):
    """The stages of a network, compiled when it pays. A subclass adds those of tracking.

    Args:
        network: the plain stages.
        at_once: compile at the first frame of the steady state, however short the video may be.
        backend: of torch.compile.
    """

    rows_compared: ClassVar[int] = 4
    """So many rows of a batch are compared with float32, which takes much memory."""

    def __init__(self, network: NetworkT, *, at_once: bool, backend: str = "inductor") -> None:
        self._network, self._backend = network, backend
        self._plain_frames_left = 0 if at_once else PLAIN_FRAMES
        self._graphs: dict[object, CudaGraph] = {}
        self._encoders: dict[tuple[int, ...], EncodeStage] = {}
        self._encoder_calls: Counter[tuple[int, ...]] = Counter()
        self._float32: NetworkT | None = None
        self._frame: object = None

    @abstractmethod
    def _copy_in_float32(self, *, encoder: bool) -> NetworkT:
        """A copy of the network in float32; the frame encoder, which is large, only where it is asked for."""

    # --- the encoder ----------------------------------------------------------------------------------------------

    def encode(self, pixels: Tensor) -> Sequence[Tensor]:
        """As the network's own ``encode``."""
        shape = tuple(pixels.shape)
        self._encoder_calls[shape] += 1
        if self._plain_frames_left > 0 or self._encoder_calls[shape] <= PLAIN_ENCODER_CALLS:
            return self._network.encode(pixels)
        if shape not in self._encoders:
            plain: EncodeStage = self._network.encode
            self._encoders[shape] = self._unless_out_of_memory(plain, lambda: self._compile_encoder(pixels))
        return self._encoders[shape](pixels)

    def _compile_encoder(self, pixels: Tensor) -> EncodeStage:
        plain: EncodeStage = self._network.encode
        compiled = self._compile("encoder", plain, self._in_float32(encoder=True).encode, [pixels])
        return CudaGraph(compiled, [pixels]) if compiled is not plain and pixels.is_cuda else compiled

    # --- a tracked frame ------------------------------------------------------------------------------------------

    def _is_long_enough(self, features: object) -> bool:
        """Whether the video has proved long, counting the steady frame with these features."""
        if features is not self._frame:  # the same frame comes again where objects need several batches
            self._frame = features
            self._plain_frames_left -= 1
        return self._plain_frames_left <= 0

    def _replay(self, key: object, step: Callable[..., Sequence[Tensor]], inputs: Sequence[Tensor]) -> list[Tensor]:
        """The whole step as one CUDA graph."""
        if key not in self._graphs:
            if len(self._graphs) == MAX_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = CudaGraph(step, inputs)
        return self._graphs[key](*inputs)

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
        exact_inputs = [
            rows.float() if rows.is_floating_point() else rows for rows in (t[: self.rows_compared] for t in inputs)
        ]
        exact_outputs = as_list(exact(*exact_inputs, *constants))
        if not stage_agrees(plain_outputs, outputs, exact_outputs, qualities_at):
            log.warning("the compiled %s is further from float32 than the plain one, which therefore stays", what)
            return plain
        log.info("%s: compiled and tested", what)
        return cast(StageT, compiled)

    def _in_float32(self, *, encoder: bool) -> NetworkT:
        """The network in float32, made where it is not there yet."""
        if self._float32 is None:
            self._float32 = self._copy_in_float32(encoder=encoder)
        return self._float32
