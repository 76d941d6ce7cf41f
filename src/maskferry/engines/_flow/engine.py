"""The engines ``flow`` and ``flow-accurate`` as a caller loads them: one method, two presets."""

from __future__ import annotations

from contextlib import nullcontext

from maskferry.data import MaskPrompt, Prompt, VideoInfo
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.session import FlowSession
from maskferry.engines._flow.timing import Timer
from maskferry.errors import InputError

__all__ = ["AccurateFlowEngine", "FlowEngine"]


class FlowEngine:
    """Optical flow, a small appearance model and a small memory network, on any CPU.

    The same frames, prompts, options and seed give the same bytes on one machine, whatever the order of objects and
    wherever a run was resumed.

    Args:
        preset: "standard", "fast" or "best", see `maskferry.engines._flow.options.PRESETS`.
        seed: of the random features and of what is sampled, a whole number >= 0.
        overrides: single numbers of `FlowOptions`.

    Attributes:
        timer: for measurements: gives the context in which a stage of a frame runs, see `timing.Timer`.

    Raises:
        InputError: no such preset or option, or a value outside of its range.
    """

    name = "flow"
    accepts: frozenset[type[Prompt]] = frozenset({MaskPrompt})

    def __init__(self, preset: str = "standard", seed: int = 0, **overrides: float) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise InputError(f"engine 'flow': seed must be a whole number >= 0, got {seed!r}")
        self.options = FlowOptions.from_preset(preset, **overrides)
        self.seed = seed
        self.timer: Timer = nullcontext

    def open(self, video: VideoInfo, snapshot: bytes | None = None) -> FlowSession:
        """Start a session, or resume one from a snapshot.

        Raises:
            EngineError: the snapshot is not one of this engine's with these options.
        """
        return FlowSession(video, self.options, self.seed, snapshot, self.timer)

    def close(self) -> None:
        """Nothing is held: memory belongs to sessions."""


class AccurateFlowEngine(FlowEngine):
    """`FlowEngine` with the preset "best": a finer grid and a finer appearance model, less than half as fast.

    Args:
        seed: of the random features and of what is sampled, a whole number >= 0.
        overrides: single numbers of `FlowOptions`.

    Raises:
        InputError: no such option, or a value outside of its range.
    """

    name = "flow-accurate"

    def __init__(self, seed: int = 0, **overrides: float) -> None:
        super().__init__("best", seed, **overrides)
