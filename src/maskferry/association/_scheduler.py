"""``DetectorScheduler``: when the detector runs in a pass, and what is remembered where a run stops."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from maskferry.association._assignment import uncovered
from maskferry.association._associator import Associator
from maskferry.association._memory import pack, unpack
from maskferry.association._options import OF_FUNCTIONS, AssociationOptions, DetectorSettings
from maskferry.association._scene_change import Thumbnail, new_share, thumbnail
from maskferry.association._types import Candidate, FrameContext, TrackUpdate
from maskferry.data import Frame, FrameMasks, Mask
from maskferry.engines.base import Session
from maskferry.rle import Rle

__all__ = ["DetectorResult", "DetectorScheduler", "FrameDetector"]


class FrameDetector(Protocol):
    """A detector as a run calls it."""

    def __call__(self, frame: Frame, session: Session | None) -> DetectorResult:
        """What it finds on a frame.

        Args:
            frame: where to look.
            session: that has tracked into this frame, for a detector that is part of the engine; None where there is
                none.
        """
        ...


class DetectorResult(Protocol):
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
class DetectorScheduler:
    """Decides when the detector runs, runs it, and has its detections associated with the tracks.

    In each forward pass, `begin_pass` comes first. `observe` takes every frame, once and in order, also those that a
    resumed run steps over again. Where `is_due` says so, `update` runs the detector. `end_pass` comes last.

    What it decides follows from what `save` wrote and from the frames since, so that a resumed run decides the same.

    Attributes:
        detect: the detector.
        associator: knows the objects.
        defaults: of the options that depend on the detector.
        phrases: that the detector looks for; none where it finds what it finds.
        job: id of the pass that it is in; None before the first.
        last_frame: index of the last frame that `observe` took in this pass; -1 before the first.
    """

    detect: FrameDetector
    associator: Associator = field(default_factory=Associator)
    defaults: DetectorSettings = OF_FUNCTIONS
    phrases: frozenset[str] = frozenset()
    job: int | None = None
    last_frame: int = -1
    _interval: int | None = None  # number of the interval of `every` frames in which the detector ran last
    _view: Thumbnail | None = None  # the frame on which the detector ran last
    _just_lost: bool = False  # whether a reliable object was lost on the last frame

    @property
    def options(self) -> AssociationOptions:
        """See there."""
        return self.associator.options

    @property
    def settings(self) -> DetectorSettings:
        """How often the detector runs, and which scores count."""
        return self.options.settings(self.defaults)

    def begin_with(self, object_ids: Collection[int]) -> None:
        """These objects, found by the detector, start the run: they are tentative until a later detection agrees."""
        self.associator.begin_with(object_ids)

    def begin_pass(self, job: int) -> None:
        """Begin a pass; a no-op if resuming the one that was stopped."""
        if self.job == job:
            return
        self.job, self.last_frame = job, -1
        self._interval, self._view = None, None
        self.associator.begin_pass()

    def observe(self, frame: Frame, masks: FrameMasks) -> None:
        """Take in a tracked frame."""
        self._just_lost = self.associator.observe(frame, masks)
        self.last_frame = frame.index

    def is_due(self, frame: Frame, *, is_last: bool) -> bool:
        """Whether the detector is to run on the frame that was just observed.

        Args:
            frame: it.
            is_last: whether it is the last of its pass.
        """
        if self._interval_of(frame) != self._interval:
            return True
        if self._just_lost and self.options.on_loss:
            return True
        if is_last and self.associator.tentative:
            return True
        return self._is_new_scene(frame)

    def update(self, frame: Frame, context: FrameContext, session: Session | None = None) -> TrackUpdate:
        """Run the detector on the frame that was just observed, and say what that changes.

        Args:
            frame: it.
            context: what is known there.
            session: that has tracked into it.
        """
        self._interval, self._view = self._interval_of(frame), thumbnail(frame.image)
        return self.associator.associate(context, self._candidates(frame, session))

    def beginnings(
        self, frame: Frame, known: Sequence[Rle], session: Session | None = None
    ) -> list[tuple[Mask, str | None]]:
        """Run the detector on a frame that no pass has come to: masks and names of what may begin a run.

        Of what a phrase names, nothing that is known already, and nothing twice, where two phrases name it.

        Args:
            frame: it.
            known: masks of objects on it.
            session: for a detector that is part of the engine.
        """
        candidates = [one for one in self._candidates(frame, session) if one.may_begin]
        chosen: Sequence[int] = range(len(candidates))
        if self.phrases or known:
            there = np.zeros(frame.image.shape[:2], dtype=np.bool_)
            for rle in known:
                there |= rle.decode()
            chosen = uncovered(candidates, chosen, there, self.options.covered)
        return [(candidates[k].mask, candidates[k].label) for k in chosen]

    def _candidates(self, frame: Frame, session: Session | None) -> list[Candidate]:
        """Run the detector: what it finds with a sufficient score."""
        result, settings = self.detect(frame, session), self.settings
        found = []
        for mask, known_score, label in zip(result.masks, result.scores, result.labels, strict=True):
            score = 1.0 if known_score is None else known_score
            if score >= settings.min_score and mask.any():
                may_begin = score >= settings.min_new_score
                found.append(Candidate.describe(frame, mask, label, may_begin=may_begin))
        return found

    def end_pass(self, followed: Collection[int]) -> list[int]:
        """End a pass that followed these objects; ids of those that are still tentative, to be removed."""
        return self.associator.end_pass(followed)

    def _interval_of(self, frame: Frame) -> int:
        return frame.index // self.settings.every

    def _is_new_scene(self, frame: Frame) -> bool:
        """Whether much of the picture is new since the detector ran last."""
        least = self.options.new_area
        if least is None or self._view is None:
            return False
        return new_share(self._view, thumbnail(frame.image)) > least

    # --- suspend and resume -----------------------------------------------------------------------------------------

    def save(self) -> str:
        """Everything that is remembered, as JSON. Tracks files hold this: `restore` must go on reading it."""
        view = None if self._view is None else [self._view.shape, pack(self._view)]
        own = {"job": self.job, "at": self.last_frame, "turn": self._interval, "view": view}
        return json.dumps({**own, **self.associator.state()})

    def restore(self, saved: str) -> None:
        """Go back to what `save` returned."""
        state: dict[str, Any] = json.loads(saved)
        self.job, self.last_frame, self._interval = state["job"], state["at"], state["turn"]
        self._view = None
        if state["view"] is not None:
            shape, packed = state["view"]
            self._view = unpack(packed, np.uint8).reshape(shape)
        self.associator.restore(state)
