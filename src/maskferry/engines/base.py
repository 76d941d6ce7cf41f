"""What a tracking backend promises: an `Engine` that is loaded once, a `Session` for each pass over a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, Prompt, VideoInfo

__all__ = ["DetectsText", "Engine", "LooksAhead", "ScoredMask", "Session", "TextThresholds"]

ScoredMask = tuple[Mask, float]
"""A mask, bool (H, W) at the size of the video, not empty, and its score in [0, 1]."""


class Session(Protocol):
    """An engine's memory of one pass over one video. Not thread-safe; open one for each pass."""

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Track into ``frame``, first taking in the prompts that belong to it.

        Frames arrive in the order of the pass (forward, backward, with gaps), each once. The result holds every
        object prompted so far and not dropped, by ascending id; one out of sight keeps its row, with an empty mask.
        An object prompted on this frame comes back as its prompt, to the pixel, whatever it was before. The engine
        copies what it keeps.

        Raises:
            EngineError: the backend failed; the session can only be closed.
        """
        ...

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last, to which its own result gave rise (a new detection).

        The next step goes on from these masks, as if they had come with the frame; the other objects are untouched.

        Raises:
            EngineError: the backend failed; the session can only be closed.
        """
        ...

    def drop(self, object_id: int) -> None:
        """Forget one object; nothing happens where it is unknown. The others go on as if nothing had been said."""
        ...

    def snapshot(self) -> bytes | None:
        """Everything that the next `step` depends on, for `Engine.open`, so that a killed run is resumed exactly.

        None where the engine cannot; a resumed pass is then computed again from its first frame.
        """
        ...

    def close(self) -> None:
        """Free what the session holds. May be called twice."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """What a session may offer beside: work on frames before they are stepped into, several at once."""

    @property
    def ahead(self) -> int:
        """How many frames are best given to `look_ahead` at once; 1 where it does not help."""
        ...

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Frames that are about to be stepped into, in this order. Results do not depend on it.

        Each group is shown before the steps into the group before, so that there is time to work on it: frames of two
        groups are waiting at once.

        Raises:
            EngineError: the backend failed; the session can only be closed.
        """
        ...


@dataclass(frozen=True, slots=True)
class TextThresholds:
    """With which scores the makers of a detector take what it finds for objects.

    Attributes:
        min_score: detections with a lower score are left out, in [0, 1].
        min_new_score: those with a lower one begin no object, in [0, 1].
        max_iou: of two detections of one phrase with a higher IoU, the weaker is left out, in [0, 1]. Of ``sam3.1``,
            with a higher share of the smaller one.
    """

    min_score: float
    min_new_score: float
    max_iou: float


@runtime_checkable
class DetectsText(Protocol):
    """What a session may offer beside, where its engine accepts `TextPrompt`: find what words name on its frames."""

    def text_thresholds(self) -> TextThresholds:
        """The checkpoint's own.

        Raises:
            EngineError: the detector cannot be loaded.
        """
        ...

    def detect(
        self, frame: Frame, phrases: Sequence[str], *, min_score: float, max_iou: float
    ) -> list[list[ScoredMask]]:
        """What each phrase names on a frame, the best first. Nothing that is tracked changes.

        Of the frame that was stepped last, or is stepped next, the features that tracking needs are used: no frame is
        encoded twice.

        Args:
            frame: where to look.
            phrases: short noun phrases.
            min_score: see `TextThresholds`.
            max_iou: see `TextThresholds`.

        Raises:
            EngineError: the backend failed; the session can only be closed.
        """
        ...


class Engine(Protocol):
    """A loaded backend: the expensive, shareable half (weights, device).

    Attributes:
        name: as in the registry.
        accepts: the kinds of prompt that its sessions take.
    """

    name: str
    accepts: frozenset[type[Prompt]]

    def open(self, video: VideoInfo, snapshot: bytes | None = None) -> Session:
        """Start a session, or resume one of the same video from its snapshot.

        Raises:
            EngineError: the snapshot is not one of this engine's.
        """
        ...

    def close(self) -> None:
        """Free weights and device memory. May be called twice."""
        ...
