"""``AssociationOptions``: when a detector runs, and how its detections are joined to tracks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from maskferry._arguments import real, show, whole
from maskferry.errors import InputError

__all__ = ["OF_FUNCTIONS", "AssociationOptions", "DetectorSettings"]


@dataclass(frozen=True, slots=True)
class DetectorSettings:
    """Those of the `AssociationOptions` whose defaults depend on the detector; see there."""

    every: int
    min_score: float
    min_new_score: float
    max_iou: float


OF_FUNCTIONS = DetectorSettings(every=30, min_score=0.5, min_new_score=0.0, max_iou=1.0)
"""The defaults for a detector of the caller's."""


@dataclass(frozen=True, slots=True)
class AssociationOptions:
    """When a detector runs, and how its detections are joined to tracks.

    An object is *confirmed* where the caller gave it or enough later detections agreed with it, and *tentative* until
    then. One that the engine lost and found again by itself is *in doubt* until a detection agrees. Confirmed objects
    choose among the detections before tentative ones. What is missed by too many runs of the detector in a row is
    undone: a tentative object is removed, one in doubt is marked as lost from where it was found again.

    Attributes:
        every: detector interval in frames. The detector runs on the first frame of a run and on every n-th frame. None:
            30; 10 where words are looked for, which costs a SAM engine far less than a detector of yours.
        on_loss: the detector also runs when a confirmed object has just been lost, so that it is found again soon.
        new_area: the detector also runs where this share of the picture, 0 to 1, is new since it ran last
            (`association.new_share`): after a cut, or when the camera has turned. Lower: new objects are found sooner,
            by more runs. None: never.
        min_score: detections with a lower score are left out; one without a score counts as 1. None: what the
            checkpoint says, where words are looked for; 0.5 for a detector of yours.
        min_new_score: detections with a lower score begin no new object. None: what the checkpoint says, where words
            are looked for; as ``min_score`` for a detector of yours.
        max_iou: of two detections with the same label and a higher IoU, the one with the lower score is left out. Of
            words with ``sam3.1``, with a higher share of the smaller one. None: what the checkpoint says, where words
            are looked for; nothing is left out for a detector of yours.
        min_iou: a detection whose IoU with an object's mask is at least this belongs to that object. Lower: fewer id
            switches after drift, more between neighbours.
        min_looks: least similarity of appearance (Bhattacharyya coefficient of the colours, 0 to 1) for a detection to
            be a lost object. Lower: fewer new ids for old objects, more old ids for new ones.
        reach: greatest distance from where a lost object was seen last, in sizes of the object; as much again for each
            second since then (for each 25 frames, where the video has no rate). Higher: objects that moved far keep
            their ids, and look-alikes are confused over greater distances.
        covered: a detection of which more than this share lies inside known objects is a part of them, and no new
            object. Higher: more objects in front of others are found, and more parts of objects get ids of their own.
        refresh_below: an object whose IoU with its detection is below this takes the detection's mask; 0 never, 1
            always. Higher: drift is repaired sooner, at the price of outlines as rough as the detector's.
        confirm: how many later detections confirm a new object. 0 confirms it at once; more keeps false masks out, and
            removes objects that are seen briefly. What is still tentative at the end of the run is left out.
        first_id: the first object that is begun gets this id; later ones follow the highest that was ever given.
        patience: how many runs of the detector in a row may miss an object that is tentative or in doubt. Higher:
            fewer id switches with a detector that misses much, and false masks that stay longer.
    """

    every: int | None = None
    on_loss: bool = True
    new_area: float | None = 0.3
    min_score: float | None = None
    min_new_score: float | None = None
    max_iou: float | None = None
    min_iou: float = 0.3
    min_looks: float = 0.8
    reach: float = 3.0
    covered: float = 0.6
    refresh_below: float = 0.5
    confirm: int = 1
    patience: int = 1
    first_id: int = 100

    def settings(self, defaults: DetectorSettings = OF_FUNCTIONS) -> DetectorSettings:
        """What is wanted of a detector, with its defaults where nothing is said."""
        own = {name: getattr(self, name) for name in ("every", "min_score", "min_new_score", "max_iou")}
        return replace(defaults, **{name: value for name, value in own.items() if value is not None})

    def __post_init__(self) -> None:
        for name in ("min_iou", "min_looks", "covered", "refresh_below"):
            real(getattr(self, name), name, least=0, most=1)
        for name in ("new_area", "min_score", "min_new_score", "max_iou"):
            if getattr(self, name) is not None:
                real(getattr(self, name), name, least=0, most=1)
        real(self.reach, "reach", least=0)
        for name, least in (("confirm", 0), ("patience", 0), ("first_id", 1)):
            whole(getattr(self, name), name, least=least)
        if self.every is not None:
            whole(self.every, "every", least=1)
        if not isinstance(self.on_loss, bool | int):
            raise InputError(f"on_loss: expected True or False, got {show(self.on_loss)}")
