"""``Associator``: which detections are known objects, which come back, which are new, and which were false."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskferry.association._assignment import Assigner, Assignment
from maskferry.association._memory import ObjectMemory
from maskferry.association._options import AssociationOptions
from maskferry.association._types import Candidate, FrameContext, TrackUpdate
from maskferry.data import Frame, FrameMasks, MaskPrompt, ObjectMask, State
from maskferry.masks._appearance import appearance
from maskferry.masks._matching import share_matrix
from maskferry.rle import Rle

__all__ = ["Associator"]


@dataclass(slots=True)
class Associator:
    """Remembers the objects of a run, and says what detections change.

    `observe` takes every tracked frame, in order; `associate` the detections of some of them. What it knows is in
    `state`, and comes back with `restore`.

    Attributes:
        options: see there.
        rate: frames per second of the video.
    """

    options: AssociationOptions = field(default_factory=AssociationOptions)
    rate: float = 25.0
    _memory: dict[int, ObjectMemory] = field(default_factory=dict)
    _lost: set[int] = field(default_factory=set)  # ids of those that are out of sight on the last frame
    _begun_with: set[int] = field(default_factory=set)  # ids of those that start out as tentative

    def begin_with(self, object_ids: Collection[int]) -> None:
        """These objects start the run. A detector found them, so that they are tentative, as all that it finds."""
        self._begun_with = set(object_ids)

    def begin_pass(self) -> None:
        """A new pass begins: objects are known, but not where they are."""
        self._lost.clear()
        for memory in self._memory.values():
            memory.begin_pass()

    def observe(self, frame: Frame, masks: FrameMasks) -> bool:
        """Take in a tracked frame.

        Args:
            frame: the picture.
            masks: what was tracked on it.

        Returns:
            Whether a reliable object has just been lost.
        """
        lost = {row.object_id for row in masks if row.state is State.LOST}
        recovered = self._lost - lost
        for row in masks:
            memory = self._memory.get(row.object_id)
            if memory is None:
                self._remember(frame, row)
            elif row.state is State.GIVEN:
                memory.confirm()
            elif row.object_id in recovered:
                memory.mark_returned(frame.index)
        just_lost = [self._memory[i] for i in lost - self._lost if i in self._memory]
        self._lost = lost
        return any(memory.is_reliable for memory in just_lost)

    def _remember(self, frame: Frame, row: ObjectMask) -> None:
        """Remember an object that is met for the first time, if it can be seen."""
        if not row.rle.area:
            return
        is_confirmed = row.object_id not in self._begun_with or self.options.confirm == 0
        self._memory[row.object_id] = ObjectMemory(appearance(frame.image, row.rle), is_confirmed)

    @property
    def tentative(self) -> list[int]:
        """Ids of objects that are not yet confirmed, ascending."""
        return sorted(i for i, memory in self._memory.items() if not memory.confirmed)

    def end_pass(self, followed: Collection[int]) -> list[int]:
        """A pass ends.

        Args:
            followed: ids of the objects that it followed.

        Returns:
            Ids of those that are still tentative; they are forgotten, and their tracks are to be removed.
        """
        removed = [i for i in self.tentative if i in followed]
        for object_id in removed:
            del self._memory[object_id]
        return removed

    def associate(self, context: FrameContext, candidates: Sequence[Candidate]) -> TrackUpdate:
        """Say which detection is which object, and what follows from it.

        Args:
            context: the frame that `observe` took in last.
            candidates: what the detector found on it.
        """
        assigner = Assigner(self.options, self.rate, self._memory)
        candidates = assigner.without_others(context, candidates)
        assignment = assigner.assign(context, candidates)
        self._add_hits(context, candidates, assignment)
        for k, object_id in assignment.new.items():
            self._memory[object_id] = ObjectMemory(candidates[k].appearance, confirmed=self.options.confirm == 0)
        refreshed = self._refreshed(context.masks, assignment)
        removed, lost_since = self._undo(context, candidates, assignment)
        self._lost = (self._lost - set(refreshed.values())) | set(lost_since)
        chosen = sorted({**refreshed, **assignment.new}.items(), key=lambda item: item[1])
        return TrackUpdate(
            prompts=tuple(MaskPrompt(context.masks.frame, i, candidates[k].mask) for k, i in chosen),
            labels=tuple(candidates[k].label if k in assignment.new else None for k, _ in chosen),
            removed=tuple(removed),
            lost_since=lost_since,
        )

    def _add_hits(self, context: FrameContext, candidates: Sequence[Candidate], assignment: Assignment) -> None:
        """Count the detections that agree with known objects."""
        for k, object_id in assignment.owners.items():
            memory = self._memory[object_id]
            # A tentative object whose mask is given on this frame was found here: its own detection confirms nothing.
            if memory.confirmed or context.masks[object_id].state is not State.GIVEN:
                memory.add_hit(candidates[k].appearance, self.options.confirm)

    def _refreshed(self, masks: FrameMasks, assignment: Assignment) -> dict[int, int]:
        """{candidate: object} of known objects that take the detection's mask. The caller's own masks stay."""
        refreshed = {}
        row_of = {row.object_id: n for n, row in enumerate(masks)}
        for k, object_id in assignment.owners.items():
            row = masks[object_id]
            needed = self.options.refresh_below
            if k in assignment.returned:
                needed = max(needed, self.options.min_iou)
            is_rough = not row.rle.area or assignment.overlap[row_of[object_id], k] < needed
            if is_rough and row.state is not State.GIVEN:
                refreshed[k] = object_id
        return refreshed

    def _undo(
        self, context: FrameContext, candidates: Sequence[Candidate], assignment: Assignment
    ) -> tuple[list[int], dict[int, int]]:
        """Count the misses of objects that no detection agreed with, and give up those that were missed too often.

        Returns:
            Ids of tentative objects to remove, and {id: first frame} of objects that were found again wrongly.
        """
        removed: list[int] = []
        lost_since: dict[int, int] = {}
        doubtful = self._doubtful_rows(context, assignment.owners)
        for row, share in zip(doubtful, _shares_inside(doubtful, context, candidates, assignment), strict=True):
            object_id, memory = row.object_id, self._memory[row.object_id]
            memory.misses += 1
            is_missed = memory.misses > self.options.patience
            if not memory.confirmed and (is_missed or context.is_last):
                removed.append(object_id)
                del self._memory[object_id]
            elif memory.returned_at is not None and (is_missed or share > self.options.covered):
                lost_since[object_id] = memory.returned_at
                memory.returned_at = None
        return removed, lost_since

    def _doubtful_rows(self, context: FrameContext, owners: Mapping[int, int]) -> list[ObjectMask]:
        """Rows of known objects that are not reliable and that no detection agreed with."""
        hit = set(owners.values())
        rows = [row for row in context.masks if row.object_id not in hit and row.object_id in self._memory]
        return [row for row in rows if not self._memory[row.object_id].is_reliable and row.state is not State.GIVEN]

    # --- suspend and resume -----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that is remembered, ready for JSON. Tracks files hold this: `restore` must go on reading it."""
        return {
            "lost": sorted(self._lost),
            "first": sorted(self._begun_with),
            "memory": {str(i): memory.to_json() for i, memory in self._memory.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go back to what `state` returned."""
        self._lost = set(state["lost"])
        self._begun_with = set(state["first"])
        self._memory = {int(i): ObjectMemory.from_json(values) for i, values in state["memory"].items()}


def _shares_inside(
    rows: Sequence[ObjectMask], context: FrameContext, candidates: Sequence[Candidate], assignment: Assignment
) -> list[float]:
    """How much of each row's mask lies inside the detections of other objects, 0 to 1."""
    if not rows:
        return []
    others = np.zeros(context.masks.size_hw, dtype=np.bool_)
    for k in assignment.owners:
        others |= candidates[k].mask
    shares: list[float] = share_matrix([row.rle for row in rows], [Rle.encode(others)])[:, 0].tolist()
    return shares
