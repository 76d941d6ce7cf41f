"""Joining new detections to tracks: which are known objects, which come back, which are new, which were false."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, ObjectMask, State
from maskferry.errors import InputError
from maskferry.masks.matching import assign, iou_matrix, looks, share_matrix
from maskferry.masks.regions import centroid_of_rle_xy
from maskferry.prompts import object_ids
from maskferry.rle import Rle

__all__ = ["AssociationOptions", "Associator", "Found", "LastSeen"]


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


LastSeen = Callable[[int], tuple[int, Rle] | None]
"""The last frame on which an object was seen, and its mask there."""


@dataclass(frozen=True, slots=True)
class AssociationOptions:
    """How detections are joined to tracks.

    Attributes:
        every: the detector runs on every n-th frame.
        on_loss: it also runs when an object has just been lost, so that a new view of it is found soon.
        min_score: detections below this score are left out; one without a score counts as 1.
        min_iou: a detection that overlaps an object this much is that object. Lower: fewer id switches after drift,
            more confusion between neighbours.
        min_looks: a lost object is taken to be back where a detection has its colours (Bhattacharyya coefficient, 0 to
            1). Lower: fewer new ids for old objects, more old ids for new ones.
        reach: and where it lies no further than this many times its size from where it was last seen, and as much
            again for each second gone (for each 25 frames, where the video has no rate).
        covered: a detection that lies this much inside known objects is a part of them, and no new object.
        refresh_below: a matched object whose overlap is below this takes the detection's mask; 0 never, 1 always.
        confirm: how many later detections must see a new object again before it is believed. 0 believes at once;
            more keeps false masks out, and gives objects that are seen briefly no id.
        patience: how many detections in a row may miss an object that is not yet believed, before it is dropped.
    """

    every: int = 30
    on_loss: bool = True
    min_score: float = 0.5
    min_iou: float = 0.3
    min_looks: float = 0.8
    reach: float = 3.0
    covered: float = 0.6
    refresh_below: float = 0.8
    confirm: int = 1
    patience: int = 1

    def __post_init__(self) -> None:
        for name in ("min_score", "min_iou", "min_looks", "covered", "refresh_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.every < 1 or self.reach < 0 or self.confirm < 0 or self.patience < 0:
            raise InputError(f"expected every >= 1 and no negative reach, confirm or patience, got {self}")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a detection changes.

    Attributes:
        prompts: masks of new objects, of those that came back, and of known ones that take the detection's mask.
        labels: a name for each prompt, or None.
        dropped: ids of objects that turned out to be false.
    """

    prompts: tuple[MaskPrompt, ...] = ()
    labels: tuple[str | None, ...] = ()
    dropped: tuple[int, ...] = ()


@dataclass(slots=True)
class Memory:
    """What is remembered of one object between detections.

    Attributes:
        looks: see `matching.looks`.
        confirmed: detections that saw it again.
        missed: detections in a row that did not; both only count until it is believed.
        believed: whether it is.
    """

    looks: NDArray[np.float32]
    confirmed: int = 0
    missed: int = 0
    believed: bool = True


@dataclass(slots=True)
class Associator:
    """Runs a detector now and then, and says what its finds change.

    Attributes:
        detect: the detector.
        options: see there.
        rate: frames per second of the video.
    """

    detect: Callable[[Frame], Found]
    options: AssociationOptions = field(default_factory=AssociationOptions)
    rate: float = 25.0
    _memory: dict[int, Memory] = field(default_factory=dict)
    _lost: set[int] = field(default_factory=set)

    def look(self, frame: Frame, masks: FrameMasks, last_seen: LastSeen, used_ids: Collection[int]) -> Changes | None:
        """Take in a tracked frame; None where it is no turn for the detector.

        Args:
            frame: the picture.
            masks: what was tracked on it.
            last_seen: where objects were seen last.
            used_ids: ids that new objects must not get.
        """
        self._get_to_know(frame, masks)
        lost = {row.object_id for row in masks if row.state is State.LOST}
        just_lost, self._lost = lost - self._lost, lost
        if frame.index % self.options.every and not (self.options.on_loss and just_lost):
            return None
        found = self.finds(frame)
        masks_found, labels = [mask for mask, _ in found], [label for _, label in found]
        return self._join(frame, masks, masks_found, labels, last_seen, used_ids)

    def finds(self, frame: Frame) -> list[tuple[Mask, str | None]]:
        """What the detector sees on a frame and is sure enough of: masks and names."""
        found = self.detect(frame)
        scores = [1.0 if score is None else score for score in found.scores]
        keep = (k for k, score in enumerate(scores) if score >= self.options.min_score and found.masks[k].any())
        return [(found.masks[k], found.labels[k]) for k in keep]

    def _get_to_know(self, frame: Frame, masks: FrameMasks) -> None:
        for row in masks:
            if row.object_id not in self._memory and row.rle.area:
                self._memory[row.object_id] = Memory(looks(frame.image, row.rle))

    def _join(
        self,
        frame: Frame,
        masks: FrameMasks,
        found: list[Mask],
        labels: list[str | None],
        last_seen: LastSeen,
        used_ids: Collection[int],
    ) -> Changes:
        rles = [Rle.encode(mask) for mask in found]
        seen = [row for row in masks if row.rle.area]
        overlap = iou_matrix([row.rle for row in seen], rles)
        pairs = assign(overlap, self.options.min_iou)
        same = {k: seen[i].object_id for i, k in pairs}
        poor = {k: seen[i].object_id for i, k in pairs if overlap[i, k] < self.options.refresh_below}
        back = self._returned(frame, masks, rles, same, last_seen)
        new = self._new(masks, rles, {**same, **back}, used_ids)
        for k, object_id in {**same, **back, **new}.items():
            self._confirm(object_id, looks(frame.image, rles[k]), new=k in new)
        dropped = self._miss(set(masks.object_ids) - set(same.values()) - set(back.values()))
        chosen = sorted({**poor, **back, **new}.items(), key=lambda item: item[1])
        prompts = tuple(MaskPrompt(frame.index, object_id, found[k]) for k, object_id in chosen)
        return Changes(prompts, tuple(labels[k] if k in new else None for k, _ in chosen), tuple(dropped))

    def _new(
        self, masks: FrameMasks, rles: list[Rle], taken: Mapping[int, int], used_ids: Collection[int]
    ) -> dict[int, int]:
        """{detection: new id} of those that are nobody's, and no part of somebody."""
        known = np.zeros(masks.size_hw, dtype=np.bool_)
        for row in masks:
            known |= row.rle.decode()
        inside = share_matrix(rles, [Rle.encode(known)])
        fresh = [k for k in range(len(rles)) if k not in taken and inside[k, 0] <= self.options.covered]
        return dict(zip(fresh, object_ids(None, len(fresh), used_ids), strict=True))

    def _returned(
        self, frame: Frame, masks: FrameMasks, rles: list[Rle], taken: Collection[int], last_seen: LastSeen
    ) -> dict[int, int]:
        """{detection: object} of lost objects that are seen again: they look alike and are within reach."""
        lost = [row for row in masks if not row.rle.area and row.object_id in self._memory]
        free = [k for k in range(len(rles)) if k not in taken]
        likeness = np.zeros((len(lost), len(free)))
        for i, row in enumerate(lost):
            for j, k in enumerate(free):
                if self._within_reach(row, rles[k], frame.index, last_seen):
                    likeness[i, j] = self._memory[row.object_id].looks @ looks(frame.image, rles[k])
        return {free[j]: lost[i].object_id for i, j in assign(likeness, self.options.min_looks)}

    def _within_reach(self, row: ObjectMask, rle: Rle, frame: int, last_seen: LastSeen) -> bool:
        last = last_seen(row.object_id)
        here = centroid_of_rle_xy(rle)
        there = centroid_of_rle_xy(last[1]) if last else None
        if last is None or here is None or there is None:
            return False
        size = math.sqrt(max(rle.area, last[1].area))
        return math.dist(here, there) <= self.options.reach * size * (1 + abs(frame - last[0]) / self.rate)

    def _confirm(self, object_id: int, seen: NDArray[np.float32], *, new: bool) -> None:
        if new:
            self._memory[object_id] = Memory(seen, believed=self.options.confirm == 0)
            return
        memory = self._memory.setdefault(object_id, Memory(seen))
        mixed = memory.looks + seen
        memory.looks = mixed / max(float(np.linalg.norm(mixed)), 1e-6)
        memory.confirmed, memory.missed = memory.confirmed + 1, 0
        memory.believed |= memory.confirmed >= self.options.confirm

    def _miss(self, object_ids: Collection[int]) -> list[int]:
        dropped = []
        for i in sorted(object_ids):
            memory = self._memory.get(i)
            if memory is not None and not memory.believed:
                memory.missed += 1
                if memory.missed > self.options.patience:
                    dropped.append(i)
                    del self._memory[i]
        return dropped

    # --- going on with a stopped run --------------------------------------------------------------------------------

    def save(self) -> str:
        """What is remembered, as JSON."""
        rows = {
            i: [m.looks.astype(np.float32).tobytes().hex(), m.confirmed, m.missed, m.believed]
            for i, m in self._memory.items()
        }
        return json.dumps({"memory": rows, "lost": sorted(self._lost)})

    def restore(self, saved: str) -> None:
        """Take over what `save` gave."""
        value: Mapping[str, Mapping[str, tuple[str, int, int, bool]]] = json.loads(saved)
        self._lost = set(value["lost"])  # type: ignore[arg-type]
        self._memory = {
            int(i): Memory(np.frombuffer(bytes.fromhex(row[0]), dtype=np.float32).copy(), *row[1:])
            for i, row in value["memory"].items()
        }
