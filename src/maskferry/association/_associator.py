"""``Associator``: which detections are known objects, which come back, which are new, and which were false."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.association._options import AssociationOptions, Changes, Find, Sight
from maskferry.data import Frame, FrameMasks, MaskPrompt, ObjectMask, State
from maskferry.masks._matching import assign, iou_matrix, looks, share_matrix
from maskferry.masks._regions import centroid_of_rle_xy
from maskferry.rle import Rle
from maskferry.tracks._prompt_store import object_ids

__all__ = ["Associator", "Memory"]


@dataclass(slots=True)
class Memory:
    """What is remembered of one object between detections.

    Attributes:
        looks: see `matching.looks`.
        believed: whether it is known that there is such an object.
        confirmed: detections that agreed with it.
        missed: detections in a row that did not; they count while it is in doubt.
        returned: the frame on which the engine found it again, if no detection has agreed since.
    """

    looks: NDArray[np.float32]
    believed: bool = True
    confirmed: int = 0
    missed: int = 0
    returned: int | None = None

    @property
    def sure(self) -> bool:
        """Whether its mask can be relied on."""
        return self.believed and self.returned is None


@dataclass(slots=True)
class Associator:
    """Knows the objects of a run, and says what detections change.

    Attributes:
        options: see there.
        rate: frames per second of the video.
        memory: {object id: what is remembered of it}.
        lost: ids of those out of sight on the last frame.
        first: ids of those that a detector gave the run to begin with: new objects like others.
    """

    options: AssociationOptions = field(default_factory=AssociationOptions)
    rate: float = 25.0
    memory: dict[int, Memory] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    first: set[int] = field(default_factory=set)

    def begin(self) -> None:
        """Come to a pass: objects are known, but not where they are."""
        self.lost.clear()
        for memory in self.memory.values():
            memory.returned, memory.missed = None, 0

    def observe(self, frame: Frame, masks: FrameMasks) -> bool:
        """Take in a tracked frame; whether a sure object has just been lost."""
        lost = {row.object_id for row in masks if row.state is State.LOST}
        for row in masks:
            i, memory = row.object_id, self.memory.get(row.object_id)
            if memory is None:
                if row.rle.area:
                    believed = i not in self.first or self.options.confirm == 0
                    self.memory[i] = Memory(looks(frame.image, row.rle), believed)
            elif row.state is State.GIVEN:
                memory.believed, memory.returned = True, None
            elif i in self.lost - lost and memory.sure and memory.confirmed:  # a detector that never saw it has no say
                memory.returned, memory.missed = frame.index, 0
        just_lost, self.lost = lost - self.lost, lost
        return any(i in self.memory and self.memory[i].sure for i in just_lost)

    @property
    def unproven(self) -> list[int]:
        """Ids of new objects that are not yet believed."""
        return sorted(i for i, memory in self.memory.items() if not memory.believed)

    def end(self, followed: Collection[int]) -> list[int]:
        """Come to the end of a pass: which new objects, of those that it followed, are given up, being in doubt."""
        gone = [i for i in self.unproven if i in followed]
        for i in gone:
            del self.memory[i]
        return gone

    def join(self, sight: Sight, finds: Sequence[Find]) -> Changes:
        """Say which detection is which object, and what follows from it."""
        finds = self._without_others(sight, finds)
        overlap = iou_matrix([row.rle for row in sight.masks], [find.rle for find in finds])
        owners: dict[int, int] = {}  # of detections
        for believed in (True, False):
            rows = [n for n, row in enumerate(sight.masks) if self._stands(row, believed=believed)]
            self._take(owners, sight.masks, rows, np.where(overlap >= self.options.min_iou, overlap, 0))
        back = self._returned(sight, finds, owners)
        owners |= back
        new = self._new(sight, finds, owners)
        for k, i in owners.items():
            if self.memory[i].believed or sight.masks[i].state is not State.GIVEN:  # a find does not confirm itself
                self._confirm(i, finds[k].looks)
        for k, i in new.items():
            self.memory[i] = Memory(finds[k].looks, believed=self.options.confirm == 0)
        rough = self._rough(sight.masks, overlap, owners, back)
        dropped, lost = self._take_back(sight, finds, owners)
        chosen = sorted({**rough, **new}.items(), key=lambda item: item[1])
        self.lost = (self.lost - set(rough.values())) | set(lost)
        return Changes(
            tuple(MaskPrompt(sight.masks.frame, i, finds[k].mask) for k, i in chosen),
            tuple(finds[k].label if k in new else None for k, _ in chosen),
            tuple(dropped),
            lost,
        )

    # --- which detection is which object ----------------------------------------------------------------------------

    def _without_others(self, sight: Sight, finds: Sequence[Find]) -> list[Find]:
        """The detections that are not of objects which this pass does not follow."""
        rles = [find.rle for find in finds]
        own = iou_matrix([row.rle for row in sight.masks], rles).max(axis=0, initial=0)
        other = iou_matrix(sight.others, rles).max(axis=0, initial=0)
        theirs = (other >= self.options.min_iou) & (other > own)
        return [find for find, is_theirs in zip(finds, theirs, strict=True) if not is_theirs]

    def _stands(self, row: ObjectMask, *, believed: bool) -> bool:
        """Whether an object is where its mask says, as far as is known."""
        memory = self.memory.get(row.object_id)
        return bool(row.rle.area) and memory is not None and memory.returned is None and memory.believed == believed

    def _take(
        self, owners: dict[int, int], masks: FrameMasks, rows: Sequence[int], likeness: NDArray[np.floating[Any]]
    ) -> None:
        """Give detections that have no owner to the objects of these rows, by the best assignment."""
        free = [k for k in range(likeness.shape[1]) if k not in owners]
        for n, j in assign(likeness[np.ix_(rows, free)], 1e-9):
            owners[free[j]] = masks.objects[rows[n]].object_id

    def _returned(self, sight: Sight, finds: Sequence[Find], owners: Mapping[int, int]) -> dict[int, int]:
        """{detection: object} of lost objects, and of those the engine found again, that a detection shows."""
        likeness = np.zeros((len(sight.masks), len(finds)))
        sought: dict[bool, list[int]] = {True: [], False: []}  # rows, by whether their object is believed
        for n, row in enumerate(sight.masks):
            memory = self.memory.get(row.object_id)
            if memory is not None and (not row.rle.area or memory.returned is not None):
                sought[memory.believed].append(n)
                likeness[n] = self._likeness(sight, row.object_id, memory, finds)
        found = dict(owners)
        for rows in sought.values():
            self._take(found, sight.masks, rows, likeness)
        return {k: i for k, i in found.items() if k not in owners}

    def _likeness(self, sight: Sight, object_id: int, memory: Memory, finds: Sequence[Find]) -> list[float]:
        """How likely each detection is an object that was lost; 0 where it looks different or is out of reach."""
        frame = sight.masks.frame
        last = sight.last_seen(object_id, frame if memory.returned is None else memory.returned)
        there = centroid_of_rle_xy(last[1]) if last is not None else None
        if last is None or there is None:
            return [0.0] * len(finds)
        alike = [float(memory.looks @ find.looks) for find in finds]
        area = last[1].area
        sizes = [math.sqrt(max(find.area, area)) for find in finds]
        return [
            a * self._nearness(math.dist(find.centre_xy, there) / size, abs(frame - last[0]))
            if a >= self.options.min_looks
            else 0.0
            for a, size, find in zip(alike, sizes, finds, strict=True)
        ]

    def _nearness(self, distance: float, frames: int) -> float:
        """How likely an object has come from there to here, against not having moved at once; 0 out of reach.

        A normal distribution about where it was last seen, whose width grows with time: of two look-alikes, the one
        that was lost just now and close by comes before the one that has been away for long.

        Args:
            distance: in sizes of the object.
            frames: how long ago.
        """
        growth = 1 + frames / self.rate
        limit = self.options.reach * growth  # two standard deviations
        return math.exp(-2 * (distance / limit) ** 2) / growth**2 if 0 < limit >= distance else 0.0

    def _new(self, sight: Sight, finds: Sequence[Find], owners: Mapping[int, int]) -> dict[int, int]:
        """{detection: new id} of those that are nobody's, and no part of somebody; larger ones first."""
        known = np.zeros(sight.masks.size_hw, dtype=np.bool_)
        standing = [r.rle for r in sight.masks if self._stands(r, believed=True) or self._stands(r, believed=False)]
        for rle in (*standing, *sight.others, *(finds[k].rle for k in owners)):
            known |= rle.decode()
        fresh = []
        for k in sorted(set(range(len(finds))) - owners.keys(), key=lambda k: (-finds[k].area, k)):
            if np.count_nonzero(known & finds[k].mask) <= self.options.covered * finds[k].area:
                fresh.append(k)
                known |= finds[k].mask
        return dict(zip(sorted(fresh), object_ids(None, len(fresh), sight.used_ids), strict=True))

    # --- what follows from it ---------------------------------------------------------------------------------------

    def _confirm(self, object_id: int, seen: NDArray[np.float32]) -> None:
        memory = self.memory[object_id]
        mixed = memory.looks + seen
        memory.looks = mixed / max(float(np.linalg.norm(mixed)), 1e-6)
        memory.confirmed, memory.missed, memory.returned = memory.confirmed + 1, 0, None
        memory.believed |= memory.confirmed >= self.options.confirm

    def _rough(
        self, masks: FrameMasks, overlap: NDArray[np.floating[Any]], owners: Mapping[int, int], back: Collection[int]
    ) -> dict[int, int]:
        """{detection: object} of those that take the detection's mask. The caller's own masks stay."""
        rough, numbers = {}, {row.object_id: n for n, row in enumerate(masks)}
        for k, i in owners.items():
            row, least = masks[i], max(self.options.refresh_below, self.options.min_iou if k in back else 0)
            if row.state is not State.GIVEN and (not row.rle.area or overlap[numbers[i], k] < least):
                rough[k] = i
        return rough

    def _take_back(
        self, sight: Sight, finds: Sequence[Find], owners: Mapping[int, int]
    ) -> tuple[list[int], dict[int, int]]:
        """New objects that nothing confirmed, and {id: from frame} of known ones that were found again wrongly."""
        dropped, lost = [], {}
        matched = set(owners.values())
        unseen = [row for row in sight.masks if row.object_id not in matched]
        doubtful = [row for row in unseen if not self._is_sure(row.object_id) and row.state is not State.GIVEN]
        of_others = np.zeros(sight.masks.size_hw, dtype=np.bool_)
        for k in owners:
            of_others |= finds[k].mask
        inside = share_matrix([row.rle for row in doubtful], [Rle.encode(of_others)])[:, 0]
        for row, share in zip(doubtful, inside, strict=True):
            i, memory = row.object_id, self.memory[row.object_id]
            memory.missed += 1
            wrong = memory.missed > self.options.patience
            if not memory.believed and (wrong or sight.is_last):
                dropped.append(i)
                del self.memory[i]
            elif memory.returned is not None and (wrong or share > self.options.covered):
                lost[i], memory.returned = memory.returned, None
        return dropped, lost

    def _is_sure(self, object_id: int) -> bool:
        memory = self.memory.get(object_id)
        return memory is None or memory.sure
