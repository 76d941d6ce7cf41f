"""Detecting again while a pass is tracked: when the detector runs, and what is remembered where a run stops."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from maskferry.association._associator import Associator, Memory
from maskferry.association._options import AssociationOptions, Changes, Find, Sight
from maskferry.association._scene_change import Thumbnail, new_share, thumbnail
from maskferry.data import Frame, FrameMasks, Mask

__all__ = ["Found", "Redetector"]


class Found(Protocol):
    """What a detector found on a frame: N objects at the size of the video. `detections.Detections` is one."""

    @property
    def masks(self) -> Sequence[Mask]:
        """bool (H, W) each."""
        ...

    @property
    def scores(self) -> Sequence[float | None]:
        """In [0, 1], or None."""
        ...

    @property
    def labels(self) -> Sequence[str | None]:
        """Names, or None."""
        ...


@dataclass(slots=True)
class Redetector:
    """Runs a detector now and then, and joins what it finds to the tracks.

    Every frame of a pass is shown to `observe`, once and in order, those too over which a run that goes on steps again;
    where `is_due` then says so, `look` lets the detector run. What it decides follows from what `save` keeps and from
    the frames since, so that a run that was stopped and goes on decides the same.

    Attributes:
        detect: the detector.
        associator: knows the objects.
        job: the pass that it is in.
        at: the last frame that it has taken in of this pass; -1 before the first.
    """

    detect: Callable[[Frame], Found]
    associator: Associator = field(default_factory=Associator)
    job: int | None = None
    at: int = -1
    _turn: int | None = None  # in which block of `every` frames the detector ran last
    _view: Thumbnail | None = None  # when the detector ran last
    _just_lost: bool = False

    @property
    def options(self) -> AssociationOptions:
        """See there."""
        return self.associator.options

    def begin(self, job: int) -> None:
        """Come to a pass; nothing happens where that is the one that was stopped."""
        if self.job != job:
            self.job, self.at, self._turn, self._view = job, -1, None, None
            self.associator.begin()

    def observe(self, frame: Frame, masks: FrameMasks) -> None:
        """Take in a tracked frame."""
        self._just_lost = self.associator.observe(frame, masks)
        self.at = frame.index

    def is_due(self, frame: Frame, *, is_last: bool) -> bool:
        """Whether the detector is to look at the frame that was just taken in, the last of its pass or not."""
        options, seen = self.options, self._view
        return (
            frame.index // options.every != self._turn
            or (options.on_loss and self._just_lost)
            or (is_last and bool(self.associator.unproven))
            or (options.new_area is not None and seen is not None and _is_new(frame, seen, options.new_area))
        )

    def look(self, frame: Frame, sight: Sight) -> Changes:
        """Let the detector look at the frame that was just taken in."""
        self._turn, self._view = frame.index // self.options.every, thumbnail(frame.image)
        return self.associator.join(sight, [Find.on(frame, mask, label) for mask, label in self.finds(frame)])

    def finds(self, frame: Frame) -> list[tuple[Mask, str | None]]:
        """What the detector sees on a frame and is sure enough of: masks and names."""
        found = self.detect(frame)
        scores = [1.0 if score is None else score for score in found.scores]
        keep = (k for k, score in enumerate(scores) if score >= self.options.min_score and found.masks[k].any())
        return [(found.masks[k], found.labels[k]) for k in keep]

    # --- going on with a stopped run --------------------------------------------------------------------------------

    def save(self) -> str:
        """What is remembered, as JSON."""
        memory = {
            i: [_pack(m.looks), m.believed, m.confirmed, m.missed, m.returned]
            for i, m in self.associator.memory.items()
        }
        view = None if self._view is None else [self._view.shape, _pack(self._view)]
        lost, first = sorted(self.associator.lost), sorted(self.associator.first)
        state = {"job": self.job, "at": self.at, "turn": self._turn, "view": view}
        return json.dumps({**state, "lost": lost, "first": first, "memory": memory})

    def restore(self, saved: str) -> None:
        """Take over what `save` gave."""
        value: dict[str, Any] = json.loads(saved)
        self.job, self.at, self._turn = value["job"], value["at"], value["turn"]
        view = value["view"]
        self._view = None if view is None else np.frombuffer(b64decode(view[1]), dtype=np.uint8).reshape(view[0])
        self.associator.lost, self.associator.first = set(value["lost"]), set(value["first"])
        self.associator.memory = {
            int(i): Memory(np.frombuffer(b64decode(packed), dtype=np.float32).copy(), *rest)
            for i, (packed, *rest) in value["memory"].items()
        }


def _is_new(frame: Frame, seen: Thumbnail, share: float) -> bool:
    return new_share(seen, thumbnail(frame.image)) > share


def _pack(values: np.ndarray[Any, Any]) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()
