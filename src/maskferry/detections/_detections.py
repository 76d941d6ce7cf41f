"""``Detections``: what a model has found on one picture, in the one form that everything else works with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maskferry._arguments import foreign, real
from maskferry.data import Mask
from maskferry.errors import InputError

__all__ = ["Detections", "Names"]

Names = Mapping[int, str] | Sequence[str]
"""Names of classes by number, for models whose results have numbers only."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Objects found on one picture.

    Attributes:
        masks: bool (H, W) each, at the size of the video, none empty.
        scores: in [0, 1]; None where the model gives none.
        labels: names; None where the model gives none.
        object_ids: from 1, each once; None where the model does not track.
    """

    masks: list[Mask]
    scores: list[float | None] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    object_ids: list[int] | None = None

    @foreign("detections")
    def __post_init__(self) -> None:
        count = len(self.masks)
        for name in ("scores", "labels"):
            if not getattr(self, name):
                object.__setattr__(self, name, [None] * count)
        lengths = (len(self.scores), len(self.labels), count if self.object_ids is None else len(self.object_ids))
        if lengths != (count,) * 3:
            raise InputError(f"expected scores, labels and ids for each of {count} masks, got {lengths}")

    def __len__(self) -> int:
        return len(self.masks)

    def at_least(self, min_score: float) -> Detections:
        """Those with this score or a better one; what has no score is kept."""
        least = real(min_score, "min_score")
        kept = [i for i, score in enumerate(self.scores) if score is None or score >= least]
        return Detections(
            [self.masks[i] for i in kept],
            [self.scores[i] for i in kept],
            [self.labels[i] for i in kept],
            None if self.object_ids is None else [self.object_ids[i] for i in kept],
        )
