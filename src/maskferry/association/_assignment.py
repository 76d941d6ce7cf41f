"""``Assigner``: which detection of a frame is which known object, which is a new one, which is neither."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.association._memory import ObjectMemory
from maskferry.association._options import AssociationOptions
from maskferry.association._types import Candidate, FrameContext
from maskferry.data import ObjectMask
from maskferry.masks._appearance import similarity
from maskferry.masks._matching import assign, iou_matrix
from maskferry.masks._regions import centroid_of_rle_xy
from maskferry.tracks._prompt_store import object_ids

__all__ = ["Assigner", "Assignment", "uncovered"]

LEAST = 1e-9
"""A pair whose likelihood is lower is not made: 0 means that it is impossible."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Which candidate is which object. Candidates are named by their index.

    Attributes:
        overlap: IoU of each object's tracked mask with each candidate, float32 (N objects, K candidates).
        owners: {candidate: known object}.
        returned: the part of ``owners`` whose object was lost, or found again by the engine alone.
        new: {candidate: id of a new object}. A candidate that is in neither is a part of something known.
    """

    overlap: NDArray[np.float32]
    owners: dict[int, int]
    returned: dict[int, int]
    new: dict[int, int]


@dataclass(frozen=True, slots=True)
class Assigner:
    """Assigns the detections of a frame to objects; changes nothing.

    Confirmed objects choose before tentative ones. Objects whose mask can be trusted are matched by overlap; those
    that are lost, or that the engine found again by itself, by appearance and distance.

    Attributes:
        options: see there.
        rate: frames per second of the video.
        memory: {object id: what is remembered of it}.
    """

    options: AssociationOptions
    rate: float
    memory: Mapping[int, ObjectMemory]

    def without_others(self, context: FrameContext, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates without those of objects that this pass does not follow."""
        if not context.others:
            return list(candidates)
        rles = [candidate.rle for candidate in candidates]
        own = iou_matrix([row.rle for row in context.masks], rles).max(axis=0, initial=0)
        other = iou_matrix(context.others, rles).max(axis=0, initial=0)
        is_others = (other >= self.options.min_iou) & (other > own)
        return [candidate for candidate, drop in zip(candidates, is_others, strict=True) if not drop]

    def assign(self, context: FrameContext, candidates: Sequence[Candidate]) -> Assignment:
        """Assign each candidate to at most one object, and each object to at most one candidate."""
        overlap = iou_matrix([row.rle for row in context.masks], [candidate.rle for candidate in candidates])
        fits = _fits(context, candidates)
        present = self._by_overlap(context, np.where(fits, overlap, 0))
        returned = self._by_appearance(context, candidates, present, fits)
        owners = {**present, **returned}
        return Assignment(overlap, owners, returned, self._new(context, candidates, owners))

    # --- objects that are where their mask says ---------------------------------------------------------------------

    def _by_overlap(self, context: FrameContext, overlap: NDArray[np.floating[Any]]) -> dict[int, int]:
        """{candidate: object} of objects whose mask overlaps a candidate enough."""
        owners: dict[int, int] = {}
        likelihood = np.where(overlap >= self.options.min_iou, overlap, 0)
        for confirmed in (True, False):
            rows = [
                n
                for n, row in enumerate(context.masks)
                if self._is_present(row) and self.memory[row.object_id].confirmed == confirmed
            ]
            owners |= _assign_free(context, rows, likelihood, owners)
        return owners

    def _is_present(self, row: ObjectMask) -> bool:
        """Whether an object is where its mask says, as far as is known."""
        memory = self.memory.get(row.object_id)
        return memory is not None and bool(row.rle.area) and memory.returned_at is None

    # --- objects that were lost -------------------------------------------------------------------------------------

    def _by_appearance(
        self,
        context: FrameContext,
        candidates: Sequence[Candidate],
        present: Mapping[int, int],
        fits: NDArray[np.bool_],
    ) -> dict[int, int]:
        """{candidate: object} of objects that were lost, or that the engine found again, and that a candidate shows."""
        likelihood = np.zeros((len(context.masks), len(candidates)))
        rows: dict[bool, list[int]] = {True: [], False: []}  # of the objects that are sought, by whether confirmed
        for n, row in enumerate(context.masks):
            memory = self.memory.get(row.object_id)
            if memory is not None and not self._is_present(row):
                rows[memory.confirmed].append(n)
                likelihood[n] = np.where(fits[n], self._likelihoods(context, row.object_id, candidates), 0)
        owners: dict[int, int] = {}
        for confirmed in (True, False):
            owners |= _assign_free(context, rows[confirmed], likelihood, {**present, **owners})
        return owners

    def _likelihoods(self, context: FrameContext, object_id: int, candidates: Sequence[Candidate]) -> list[float]:
        """How likely each candidate is an object that was lost; 0 where it looks different or is out of reach."""
        memory, frame = self.memory[object_id], context.masks.frame
        last = context.last_seen(object_id, frame if memory.returned_at is None else memory.returned_at)
        if last is None:
            return [0.0] * len(candidates)
        last_frame, last_rle = last
        last_xy = centroid_of_rle_xy(last_rle)
        if last_xy is None:
            return [0.0] * len(candidates)
        found = []
        for candidate in candidates:
            alike = similarity(memory.appearance, candidate.appearance)
            size = math.sqrt(max(candidate.area, last_rle.area))
            distance = math.dist(candidate.centre_xy, last_xy) / size
            likely = alike * self._nearness(distance, abs(frame - last_frame))
            found.append(likely if alike >= self.options.min_looks else 0.0)
        return found

    def _nearness(self, distance: float, frames: int) -> float:
        """How likely an object has moved this far, relative to not having moved at all; 0 out of reach.

        A normal distribution about where it was last seen, whose width grows with time: of two look-alikes, the one
        that was lost just now and close by comes before the one that has been away for long.

        Args:
            distance: in sizes of the object.
            frames: since it was last seen.
        """
        growth = 1 + frames / self.rate
        limit = self.options.reach * growth  # two standard deviations
        if limit <= 0 or distance > limit:
            return 0.0
        return math.exp(-2 * (distance / limit) ** 2) / growth**2

    # --- new objects ------------------------------------------------------------------------------------------------

    def _new(self, context: FrameContext, candidates: Sequence[Candidate], owners: Mapping[int, int]) -> dict[int, int]:
        """{candidate: new id} of candidates that are no known object and no part of one; larger ones go first."""
        free = [k for k in range(len(candidates)) if k not in owners and candidates[k].may_begin]
        if not free:
            return {}
        known = np.zeros(context.masks.size_hw, dtype=np.bool_)
        present = [row.rle for row in context.masks if self._is_present(row)]
        for rle in (*present, *context.others, *(candidates[k].rle for k in owners)):
            known |= rle.decode()
        fresh = uncovered(candidates, free, known, self.options.covered)
        ids = object_ids(None, len(fresh), context.used_ids, self.options.first_id)
        return dict(zip(fresh, ids, strict=True))


def uncovered(
    candidates: Sequence[Candidate], free: Sequence[int], known: NDArray[np.bool_], covered: float
) -> list[int]:
    """Those that are no part of something known, nor of a larger one among them.

    Args:
        candidates: of a frame.
        free: indices of those that are asked for.
        known: bool (H, W), what is known already.
        covered: the share of a candidate, 0 to 1, from which on it is a part.

    Returns:
        Indices, ascending.
    """
    known, fresh = known.copy(), []
    for k in sorted(free, key=lambda k: -candidates[k].area):
        if np.count_nonzero(known & candidates[k].mask) <= covered * candidates[k].area:
            fresh.append(k)
            known |= candidates[k].mask
    return sorted(fresh)


def _fits(context: FrameContext, candidates: Sequence[Candidate]) -> NDArray[np.bool_]:
    """Whether each candidate can be each object, as far as phrases tell, (N objects, K candidates)."""
    fits = np.ones((len(context.masks), len(candidates)), dtype=np.bool_)
    for n, row in enumerate(context.masks):
        phrase = context.phrases.get(row.object_id)
        if phrase is not None:
            fits[n] = [candidate.label == phrase for candidate in candidates]
    return fits


def _assign_free(
    context: FrameContext, rows: Sequence[int], likelihood: NDArray[np.floating[Any]], taken: Mapping[int, int]
) -> dict[int, int]:
    """{candidate: object} of the best assignment of the objects in these rows to candidates that are not taken."""
    free = [k for k in range(likelihood.shape[1]) if k not in taken]
    pairs = assign(likelihood[np.ix_(rows, free)], LEAST)
    return {free[j]: context.masks.objects[rows[n]].object_id for n, j in pairs}
