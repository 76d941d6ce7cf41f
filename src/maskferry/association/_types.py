"""The values that go into the `Associator` and come out of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt
from maskferry.masks._appearance import appearance
from maskferry.masks._regions import centroid_of_rle_xy
from maskferry.rle import Rle

__all__ = ["Candidate", "FrameContext", "LastSeen", "TrackUpdate"]

LastSeen = Callable[[int, int], tuple[int, Rle] | None]
"""Called with (object id, frame): the last frame before this one on which the object was seen, and its mask there."""


@dataclass(slots=True)
class Candidate:
    """One detection with a sufficient score, described so that it can be compared with objects.

    Attributes:
        mask: bool (H, W), not empty.
        label: its name, or None.
        rle: the same mask.
        area: how many pixels it has.
        centre_xy: its centroid, pixels.
        appearance: float32 (512,), of `masks.appearance`.
        may_begin: whether its score is good enough for a new object.
    """

    mask: Mask
    label: str | None
    rle: Rle
    area: int
    centre_xy: tuple[float, float]
    appearance: NDArray[np.float32]
    may_begin: bool = True

    @classmethod
    def describe(cls, frame: Frame, mask: Mask, label: str | None, *, may_begin: bool = True) -> Candidate:
        """Describe a detection.

        Args:
            frame: where it was detected.
            mask: bool (H, W), not empty.
            label: its name, or None.
            may_begin: whether its score is good enough for a new object.
        """
        rle = Rle.encode(mask)
        centre_xy = centroid_of_rle_xy(rle) or (0.0, 0.0)
        return cls(mask, label, rle, rle.area, centre_xy, appearance(frame.image, rle), may_begin)


@dataclass(frozen=True, slots=True)
class FrameContext:
    """A tracked frame, with everything that is needed to associate detections with its objects.

    Attributes:
        masks: what was tracked on it; lost objects have a row.
        others: masks on this frame of objects that this pass does not follow.
        last_seen: where objects were seen last.
        used_ids: ids that new objects must not get.
        is_last: no frame comes after it, so that tentative objects cannot be confirmed later.
        phrases: {object id: phrase} of objects of which it is known which of the phrases that are looked for names
            them: detections of another phrase are not of these objects.
    """

    masks: FrameMasks
    others: Sequence[Rle]
    last_seen: LastSeen
    used_ids: Collection[int]
    is_last: bool = False
    phrases: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """What the detections of one frame change in the tracks.

    Attributes:
        prompts: masks of new objects, of those that came back, and of known ones that take the detection's mask.
        labels: a name for each prompt, or None.
        removed: ids of tentative objects that turned out to be false.
        lost_since: {id: first frame} of known objects that the engine found again wrongly; they are lost from there on.
    """

    prompts: tuple[MaskPrompt, ...] = ()
    labels: tuple[str | None, ...] = ()
    removed: tuple[int, ...] = ()
    lost_since: Mapping[int, int] = field(default_factory=dict)
