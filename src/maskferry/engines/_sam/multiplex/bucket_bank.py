"""All buckets of a session: which slot an object gets, and how the others are left alone.

With ``isolate``, what is said of an object later never touches another one:

- objects that are first prompted on one frame get buckets of their own;
- an object that is corrected leaves its bucket for a *twin* of it, which has the same memories and goes its own way;
- an object that is dropped, or has left for a twin, stays in its slot as a *ghost*.

Without it, as in Meta's predictor: a new object takes the next free slot, and corrections and removals change the
bucket for all that are in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from maskferry.engines._sam.multiplex.buckets import Bucket, BucketGroup, Slot, SlotUse, Window

__all__ = ["BucketBank", "BucketOptions", "KnownObject", "Place"]


@dataclass(frozen=True, slots=True)
class BucketOptions:
    """How objects are put into buckets.

    Attributes:
        slots: of a bucket.
        capacity: how many of them are used.
        isolate: as above.
        devices: over which groups are spread.
    """

    slots: int
    capacity: int
    isolate: bool
    devices: int = 1


@dataclass(slots=True)
class KnownObject:
    """What is known of an object besides its slot; see `reporting`."""

    lost: bool = False
    usual_area: float = 0.0


class Place(NamedTuple):
    """Where an object is: its group, and the numbers of its bucket there and of its slot."""

    group: BucketGroup
    row: int
    slot: int


@dataclass(slots=True)
class BucketBank:
    """Everything that a session remembers: what the next step depends on, besides the frame.

    Attributes:
        options: how objects are put into buckets.
        step: of the last frame; -1 before the first.
        groups: in the order in which they were made.
        objects: that are reported, by id.
    """

    options: BucketOptions
    step: int = -1
    groups: list[BucketGroup] = field(default_factory=list)
    objects: dict[int, KnownObject] = field(default_factory=dict)

    def places(self) -> dict[int, Place]:
        """Where each object is that is reported."""
        return {i: Place(group, row, slot) for group in self.groups for i, row, slot in group.live()}

    def drop(self, object_id: int) -> None:
        """Report an object no longer; a no-op where it is unknown."""
        if self.objects.pop(object_id, None) is not None:
            use = SlotUse.GHOST if self.options.isolate else SlotUse.RETIRED
            _mark(self.places()[object_id], use)
            self._delete_empty()

    def forget_old(self, window: Window) -> None:
        """Delete what will not be read any more once this step is done."""
        for group in self.groups:
            group.forget_old(self.step, window)

    # --- places for prompted objects --------------------------------------------------------------------------------

    def add(self, object_ids: Iterable[int]) -> None:
        """Give new objects a slot, by ascending id."""
        new = sorted(object_ids)
        if not self.options.isolate:
            new = [i for i in new if not self._fill_free_slot(i)]
        capacity = self.options.capacity
        parts = [new[start : start + capacity] for start in range(0, len(new), capacity)]
        made: dict[int, BucketGroup] = {}
        for part in parts:
            home = self._emptiest_device(made.values())
            group = made.setdefault(home, BucketGroup(home, []))
            slots = [Slot(i, SlotUse.LIVE) for i in part]
            group.buckets.append(Bucket(slots + [Slot()] * (self.options.slots - len(slots))))
        self.groups += made.values()
        for i in object_ids:
            self.objects[i] = KnownObject()

    def correct(self, object_ids: Iterable[int]) -> dict[BucketGroup, tuple[BucketGroup, list[int]]]:
        """Prepare known objects for new masks on this frame: with ``isolate`` they get places in twins.

        Returns:
            Each twin, with the group that it is made of and the numbers of the buckets there.
        """
        if not self.options.isolate:
            return {}
        twins: dict[BucketGroup, tuple[BucketGroup, list[int]]] = {}
        places = self.places()
        wanted = {i: places[i] for i in object_ids}
        for group in list(self.groups):
            own = {i: place for i, place in wanted.items() if place.group is group}
            if own and not (len(group.buckets) == 1 and own.keys() == {i for i, *_ in group.live()}):
                rows = sorted({place.row for place in own.values()})
                twins[self._twin(group, rows, own)] = (group, rows)
        self._delete_empty()
        return twins

    def _twin(self, group: BucketGroup, rows: Sequence[int], own: dict[int, Place]) -> BucketGroup:
        """A group of some buckets of another, in which only some objects are reported; there they become ghosts."""
        buckets = [Bucket([_haunted(slot, own) for slot in group.buckets[row].slots]) for row in rows]
        twin = BucketGroup(group.home, buckets)
        twin.prompted = {step: memory.rows(rows) for step, memory in group.prompted.items()}
        twin.recent = {step: memory.rows(rows) for step, memory in group.recent.items()}
        for place in own.values():
            _mark(place, SlotUse.GHOST)
        self.groups.append(twin)
        return twin

    def _fill_free_slot(self, object_id: int) -> bool:
        for group in self.groups:
            for bucket in group.buckets:
                slot = bucket.free_slot(self.options.capacity)
                if slot is not None:
                    bucket.slots[slot] = Slot(object_id, SlotUse.LIVE)
                    return True
        return False

    def _emptiest_device(self, made: Iterable[BucketGroup]) -> int:
        load = Counter[int]()
        for group in [*self.groups, *made]:
            load[group.home] += len(group.buckets)
        return min(range(self.options.devices), key=lambda home: load[home])

    def _delete_empty(self) -> None:
        """Forget groups without any object that is reported; the shapes of the others stay as they are."""
        self.groups = [group for group in self.groups if any(group.live())]


def _mark(place: Place, use: SlotUse) -> None:
    """Change the use of an object's slot."""
    slots = place.group.buckets[place.row].slots
    slots[place.slot] = Slot(slots[place.slot].object_id, use)


def _haunted(slot: Slot, own: dict[int, Place]) -> Slot:
    """A slot of a twin: all objects but its own are ghosts."""
    if slot.use is SlotUse.LIVE and slot.object_id not in own:
        return Slot(slot.object_id, SlotUse.GHOST)
    return slot
