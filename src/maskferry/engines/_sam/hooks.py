"""What a caller may watch or change in a session, for measurements. Without hooks nothing is called."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from torch import Tensor

__all__ = ["SessionHooks"]


@dataclass(frozen=True, slots=True)
class SessionHooks:
    """Functions that a session calls at certain points.

    Attributes:
        timer: gives the context in which a stage runs, by the stage's name: "encode" (frames into features), "detect"
            (what words name), "track" (objects without a prompt), "prompts" (objects with one) and "masks" (logits into
            run lengths). CUDA works asynchronously: to measure the device's time, synchronise at both ends.
        change_logits: float (B, 1, h, w) -> the same, before masks are made of them; memories keep the model's own.
    """

    timer: Callable[[str], AbstractContextManager[object]] | None = None
    change_logits: Callable[[Tensor], Tensor] | None = None

    def timed(self, stage: str) -> AbstractContextManager[object]:
        """The timer's context for a stage; an empty one without a timer."""
        return nullcontext() if self.timer is None else self.timer(stage)

    def changed(self, logits: Tensor) -> Tensor:
        """The logits of which masks are to be made."""
        return logits if self.change_logits is None else self.change_logits(logits)
