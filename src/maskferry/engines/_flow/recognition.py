"""What the memory network does on a frame for all objects: it looks for them, is told of them, and remembers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from maskferry.data import Frame, Image, Mask
from maskferry.engines._flow.lens import Place, lens_for
from maskferry.engines._flow.network import Network
from maskferry.engines._flow.recollection import Recollection, Sighting, place_of
from maskferry.engines._flow.target import Target
from maskferry.engines._flow.viewing import FEW, Viewer, detail_for

__all__ = ["MOST", "REMEMBERED", "Found", "Recognition", "due"]

MOST, REMEMBERED = 100, 200
"""At most so many objects are looked at on a frame, of more in turn; where there are more than so many, new ones go
without the network."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found of an object.

    Attributes:
        sighting: what the network saw of it.
        pixels: the mask, bool, on a part of the frame.
        corner_xy: where in the frame that part's first pixel lies.
    """

    sighting: Sighting
    pixels: Mask
    corner_xy: tuple[int, int]


class Recognition:
    """The memory network's part in a session. It works on the viewer's workers, beside the thread that calls.

    Args:
        viewer: which sees.
        pixels: of the network's picture of one object alone, at most.
    """

    def __init__(self, viewer: Viewer, pixels: float) -> None:
        self._viewer, self._pixels = viewer, pixels
        self._looks: dict[int, Future[Sighting]] = {}

    def begin(self, targets: Mapping[int, Target], frame: Frame) -> bool:
        """Begin to look for objects on the next frame, each about where it was; what was begun before is dropped.

        Returns:
            Whether there is any to look for: then the workers have something to do.
        """
        for look in self._looks.values():
            look.cancel()
        wait(self._looks.values())
        wanted = {i: t.recollection for i, t in targets.items() if t.recollection is not None and not _rests(t)}
        memories = {i: wanted[i] for i in due({i: memory.looked for i, memory in wanted.items()})}
        for memory in memories.values():
            memory.looked = frame.index
        detail = detail_for(len(targets), self._pixels)
        lenses = {i: lens_for(m.lens.frame_hw, _around(targets[i], m), detail, m.lens) for i, m in memories.items()}
        features = self._viewer.see(frame.image, lenses, sharing=len(targets) > FEW)
        self._looks = self._viewer.start(
            lambda network, i: memories[i].recognise(network, lenses[i], features[i]()), memories
        )
        return bool(memories)

    def finish(self) -> dict[int, Sighting]:
        """What is seen of the objects that `begin` was called for, by object id."""
        looks, self._looks = self._looks, {}
        return _results(looks)

    def tell(self, targets: Mapping[int, Target], given: Mapping[int, Mask], image: Image) -> None:
        """Remember masks that are given, bool (H, W) by object id; ``targets`` are all objects there are."""
        if len(targets) > REMEMBERED:
            given = {i: mask for i, mask in given.items() if targets[i].recollection is not None}
        detail, (height, width) = detail_for(len(targets), self._pixels), image.shape[:2]
        lenses = {i: lens_for((height, width), place_of(mask), detail) for i, mask in given.items()}
        features = self._viewer.see(image, lenses, sharing=len(targets) > FEW)

        def remember(network: Network, i: int) -> None:
            target, told = targets[i], (network, lenses[i], features[i](), given[i])
            if target.recollection is None:
                target.recollection = Recollection.begin(*told)
            else:
                target.recollection.give(*told)

        _results(self._viewer.start(remember, given))

    @contextmanager
    def taking_in(self, targets: Mapping[int, Target], found: Mapping[int, Found]) -> Iterator[None]:
        """Remember what was found, by object id, until the context ends."""

        def take_in(network: Network, i: int) -> None:
            memory, new = targets[i].recollection, found[i]
            if memory is not None:
                memory.take_in(network, new.sighting, new.pixels, new.corner_xy)

        tasks = self._viewer.start(take_in, found)
        try:
            yield
        finally:
            wait(tasks.values())
        _results(tasks)


def due(looked: Mapping[int, int]) -> list[int]:
    """The objects to look at, of those that were looked at last on these frames: at most `MOST`, the longest ago."""
    return sorted(sorted(looked, key=lambda i: (looked[i], i))[:MOST])


def _results(tasks: Mapping[int, Future[Any]]) -> dict[int, Any]:
    return {i: task.result() for i, task in tasks.items()}


def _rests(target: Target) -> bool:
    return target.box is None and target.rests


def _around(target: Target, memory: Recollection) -> Place:
    """Where to look for an object: where it was, as nothing is known yet of the frame; more widely while it is lost."""
    place = memory.place
    if target.cut_off:
        height, width = memory.lens.frame_hw
        return Place((width / 2, height / 2), float(max(width, height)))
    if target.hidden and target.box is None:
        return Place(target.grid.to_pixels(target.centre_xy), place.side * min(2.0, 1 + 0.1 * target.hidden))
    return place
