"""Joining new detections to tracks: which are known objects, which come back, which are new, which were false."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, ObjectMask, State
from maskferry.errors import InputError
from maskferry.masks.matching import assign, iou_matrix, looks, share_matrix
from maskferry.masks.regions import centroid_of_rle_xy
from maskferry.prompts import object_ids
from maskferry.rle import Rle

__all__ = ["AssociationOptions", "Associator", "Changes", "Find", "LastSeen", "Memory", "Sight"]

LastSeen = Callable[[int, int], tuple[int, Rle] | None]
"""The last frame before a frame on which an object was seen, and its mask there: (object id, frame)."""


@dataclass(frozen=True, slots=True)
class AssociationOptions:
    """When a detector runs, and how its detections are joined to tracks.

    An object is *sure* where the caller gave it, or a detection agreed with it. A new one is not, until later
    detections have seen it again; nor is one that the engine lost and found again by itself, until a detection agrees.
    Sure objects choose among the detections first. What stays in doubt for too long is taken back: a new object
    altogether, a known one from where it was found again.

    Attributes:
        every: the detector runs on the first frame of a run and on every n-th frame.
        on_loss: it also runs when a sure object has just been lost, so that a new view of it is found soon.
        new_area: it also runs where this share of the picture is new since it ran last (`novelty.new_share`): after a
            cut, or when the camera has turned. Lower: new objects are found sooner, by more runs. None: never.
        min_score: detections below this score are left out; one without a score counts as 1.
        min_iou: a detection that overlaps an object this much is that object. Lower: fewer id switches after drift,
            more between neighbours.
        min_looks: a lost object is taken to be back where a detection has its colours (Bhattacharyya coefficient, 0 to
            1). Lower: fewer new ids for old objects, more old ids for new ones.
        reach: and where it lies no further than this many times its size from where it was last seen, and as much
            again for each second gone (for each 25 frames, where the video has no rate). Higher: objects that were
            far off keep their ids, and look-alikes are confused over greater distances.
        covered: a detection that lies this much inside known objects is a part of them, and no new object. Higher:
            more objects in front of others are found, and more parts of objects get ids of their own.
        refresh_below: a matched object whose overlap is below this takes the detection's mask; 0 never, 1 always.
            Higher: drift is repaired sooner, at the price of outlines as rough as the detector's.
        confirm: how many later detections must see a new object again before it is believed. 0 believes at once;
            more keeps false masks out, and gives objects that are seen briefly no id. What is not believed by the end
            of the run is left out.
        patience: how many runs of the detector in a row may miss an object in doubt, before it is taken back. Higher:
            fewer id switches with a detector that misses much, and false masks that stay longer.
    """

    every: int = 30
    on_loss: bool = True
    new_area: float | None = 0.3
    min_score: float = 0.5
    min_iou: float = 0.3
    min_looks: float = 0.8
    reach: float = 3.0
    covered: float = 0.6
    refresh_below: float = 0.5
    confirm: int = 1
    patience: int = 1

    def __post_init__(self) -> None:
        for name in ("min_score", "min_iou", "min_looks", "covered", "refresh_below", "new_area"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise InputError(f"{name}: expected 0 to 1, got {value}")
        if self.every < 1 or self.reach < 0 or self.confirm < 0 or self.patience < 0:
            raise InputError(f"expected every >= 1 and no negative reach, confirm or patience, got {self}")


@dataclass(slots=True)
class Find:
    """One detection that is sure enough.

    Attributes:
        mask: bool (H, W).
        label: its name, or None.
        rle: the same mask.
        looks: see `matching.looks`.
    """

    mask: Mask
    label: str | None
    rle: Rle
    looks: NDArray[np.float32]

    @classmethod
    def on(cls, frame: Frame, mask: Mask, label: str | None) -> Find:
        """Describe a detection."""
        rle = Rle.encode(mask)
        return cls(mask, label, rle, looks(frame.image, rle))


@dataclass(frozen=True, slots=True)
class Sight:
    """A tracked frame, with what is needed to join detections to it.

    Attributes:
        masks: what was tracked on it; lost objects have a row.
        others: masks on this frame of objects that this pass does not follow.
        last_seen: where objects were seen last.
        used_ids: ids that new objects must not get.
        is_last: no frame comes after it, so that new objects in doubt are not waited for.
    """

    masks: FrameMasks
    others: Sequence[Rle]
    last_seen: LastSeen
    used_ids: Collection[int]
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Changes:
    """What a detection changes.

    Attributes:
        prompts: masks of new objects, of those that came back, and of known ones that take the detection's mask.
        labels: a name for each prompt, or None.
        dropped: ids of objects that turned out to be false.
        lost: {id: first frame of which its masks are taken back} of known objects that were found again wrongly.
    """

    prompts: tuple[MaskPrompt, ...] = ()
    labels: tuple[str | None, ...] = ()
    dropped: tuple[int, ...] = ()
    lost: Mapping[int, int] = field(default_factory=dict)


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
        for row in masks:
            if row.object_id not in self.memory and row.rle.area:
                believed = row.object_id not in self.first or self.options.confirm == 0
                self.memory[row.object_id] = Memory(looks(frame.image, row.rle), believed)
        known = {row.object_id: self.memory[row.object_id] for row in masks if row.object_id in self.memory}
        lost = {row.object_id for row in masks if row.state is State.LOST}
        for i, memory in known.items():
            if masks[i].state is State.GIVEN:
                memory.returned = None
            elif i in self.lost - lost and memory.sure and memory.confirmed:  # a detector that never saw it has no say
                memory.returned, memory.missed = frame.index, 0
        just_lost, self.lost = lost - self.lost, lost
        return any(known[i].sure for i in just_lost & known.keys())

    @property
    def unproven(self) -> list[int]:
        """Ids of new objects that are not yet believed."""
        return sorted(i for i, memory in self.memory.items() if not memory.believed)

    def forget_unproven(self) -> list[int]:
        """Give up new objects that are not yet believed, and say which."""
        gone = self.unproven
        for i in gone:
            del self.memory[i]
        return gone

    def join(self, sight: Sight, finds: Sequence[Find]) -> Changes:
        """Say which detection is which object, and what follows from it."""
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

    def _stands(self, row: ObjectMask, *, believed: bool) -> bool:
        """Whether an object is where its mask says, as far as is known."""
        memory = self.memory.get(row.object_id)
        return bool(row.rle.area) and memory is not None and memory.returned is None and memory.believed == believed

    def _take(
        self, owners: dict[int, int], masks: FrameMasks, rows: Sequence[int], likeness: NDArray[np.floating]
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
        if last is None:
            return [0.0] * len(finds)
        alike = [float(memory.looks @ find.looks) for find in finds]
        return [
            a * self._nearness(find.rle, last[1], abs(frame - last[0])) if a >= self.options.min_looks else 0.0
            for a, find in zip(alike, finds, strict=True)
        ]

    def _nearness(self, here: Rle, there: Rle, frames: int) -> float:
        """How likely an object has come from there to here, against not having moved at once; 0 out of reach.

        A normal distribution about where it was last seen, whose width grows with time: of two look-alikes, the one
        that was lost just now and close by comes before the one that has been away for long.
        """
        a, b = centroid_of_rle_xy(here), centroid_of_rle_xy(there)
        if a is None or b is None:
            return 0.0
        growth = 1 + frames / self.rate
        limit = self.options.reach * math.sqrt(max(here.area, there.area)) * growth  # two standard deviations
        distance = math.dist(a, b)
        return math.exp(-2 * (distance / limit) ** 2) / growth**2 if distance <= limit and limit else 0.0

    def _new(self, sight: Sight, finds: Sequence[Find], owners: Mapping[int, int]) -> dict[int, int]:
        """{detection: new id} of those that are nobody's, and no part of somebody; larger ones first."""
        known = np.zeros(sight.masks.size_hw, dtype=np.bool_)
        standing = [r.rle for r in sight.masks if self._stands(r, believed=True) or self._stands(r, believed=False)]
        for rle in (*standing, *sight.others, *(finds[k].rle for k in owners)):
            known |= rle.decode()
        fresh = []
        for k in sorted(set(range(len(finds))) - owners.keys(), key=lambda k: (-finds[k].rle.area, k)):
            if np.count_nonzero(known & finds[k].mask) <= self.options.covered * finds[k].rle.area:
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
        self, masks: FrameMasks, overlap: NDArray[np.floating], owners: Mapping[int, int], back: Collection[int]
    ) -> dict[int, int]:
        """{detection: object} of those that take the detection's mask. The caller's own masks stay."""
        rough = {}
        for n, row in enumerate(masks):
            for k, i in owners.items():
                least = max(self.options.refresh_below, self.options.min_iou if k in back else 0)
                if i == row.object_id and row.state is not State.GIVEN and (not row.rle.area or overlap[n, k] < least):
                    rough[k] = i
        return rough

    def _take_back(
        self, sight: Sight, finds: Sequence[Find], owners: Mapping[int, int]
    ) -> tuple[list[int], dict[int, int]]:
        """New objects that nothing confirmed, and {id: from frame} of known ones that were found again wrongly."""
        dropped, lost = [], {}
        doubtful = [row for row in sight.masks if not self._is_sure(row.object_id)]
        of_others = np.zeros(sight.masks.size_hw, dtype=np.bool_)
        for k in owners:
            of_others |= finds[k].mask
        inside = share_matrix([row.rle for row in doubtful], [Rle.encode(of_others)])[:, 0]
        for row, share in zip(doubtful, inside, strict=True):
            i, memory = row.object_id, self.memory[row.object_id]
            if i in owners.values() or row.state is State.GIVEN:
                continue
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
