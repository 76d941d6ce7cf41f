"""Joining new detections to tracks: the options, and the values that `Associator` takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt
from maskferry.errors import InputError
from maskferry.masks._matching import looks
from maskferry.masks._regions import centroid_of_rle_xy
from maskferry.rle import Rle

__all__ = ["AssociationOptions", "Changes", "Find", "LastSeen", "Sight"]

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
        area: how many pixels it has.
        centre_xy: its centroid, pixels.
        looks: see `matching.looks`.
    """

    mask: Mask
    label: str | None
    rle: Rle
    area: int
    centre_xy: tuple[float, float]
    looks: NDArray[np.float32]

    @classmethod
    def on(cls, frame: Frame, mask: Mask, label: str | None) -> Find:
        """Describe a detection; its mask has a pixel at least."""
        rle = Rle.encode(mask)
        return cls(mask, label, rle, rle.area, centroid_of_rle_xy(rle) or (0.0, 0.0), looks(frame.image, rle))


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
