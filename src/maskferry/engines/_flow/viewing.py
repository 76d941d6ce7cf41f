"""How the network is asked about many objects on a frame: what they share is computed once, the rest in parallel."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TypeVar

from maskferry.data import Image
from maskferry.engines._flow.grid import Box, union
from maskferry.engines._flow.lens import Detail, Lens
from maskferry.engines._flow.network import Features, Network

__all__ = ["FEW", "Viewer", "detail_for", "regions"]

FEW = 5
"""So many objects are looked at as if each were alone; more share pictures, and have less room and fewer pixels."""

TOGETHER = 3.5
"""More have so many times the pixels of one alone, together."""

LEAST = 136 * 136
"""Pixels that an object has in any case."""

CROWDED = Detail(0, room=2.0, smallest=80.0, finest=11, step=math.sqrt(2))
"""How each of more is looked at, but for its pixels: cells of few sizes make shared pictures large."""

LARGEST = 2048
"""Shared pictures have no more cells than this, which bounds the encoder's memory."""

SMALL = 196
"""Pictures of no more cells than this gain little from a second thread."""

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Viewer:
    """Sees objects through their lenses.

    Args:
        workers: two threads.
    """

    def __init__(self, workers: Executor) -> None:
        self._workers = workers
        self._large, self._small = Network(threads=2), Network(threads=1)

    def map(self, task: Callable[[Network, Key], Result], lenses: Mapping[Key, Lens]) -> dict[Key, Result]:
        """What the task gives for each key: large pictures one after the other, small ones at the same time.

        How many threads compute a result may show in its last digits, so that number depends on the picture alone.
        """
        small = [key for key, lens in lenses.items() if _area(lens.box) <= SMALL]
        done = dict(zip(small, self._workers.map(lambda key: task(self._small, key), small), strict=True))
        return {key: done[key] if key in done else task(self._large, key) for key in lenses}

    def see(self, image: Image, lenses: Mapping[int, Lens], *, sharing: bool) -> dict[int, Features]:
        """The features of each object's picture, by object id.

        Where objects share a picture, those near the border of a lens are not quite what they would be in its own.

        Args:
            image: the frame.
            lenses: by object id.
            sharing: lenses that overlap may share a picture; those that are the same do so in any case.
        """
        around = regions(lenses.values()) if sharing else {lens: lens for lens in lenses.values()}
        pictures = {region: region for region in around.values()}
        seen = self.map(lambda network, region: network.encode(region.picture(image)), pictures)
        return {i: seen[around[lens]].part(around[lens].inside(lens)) for i, lens in lenses.items()}


def detail_for(count: int, pixels: float) -> Detail:
    """How closely each of so many objects is looked at.

    Args:
        count: of the objects.
        pixels: of the network's picture of one object alone, at most.
    """
    if count <= FEW:
        return Detail(pixels)
    return CROWDED._replace(pixels=min(pixels, max(LEAST, pixels * TOGETHER / count)))


def regions(lenses: Iterable[Lens]) -> dict[Lens, Lens]:
    """For each lens the one to look through instead, so that few cells are seen twice and few in vain.

    Two of a pitch become one where that has no more cells than both. The order of lenses does not count.
    """
    boxes: dict[int, list[Box]] = {}
    unique = sorted(set(lenses), key=lambda lens: (lens.pitch, lens.box))
    for lens in unique:
        boxes.setdefault(lens.pitch, []).append(lens.box)
    merged = {pitch: _merge(group) for pitch, group in boxes.items()}
    return {
        lens: next(Lens(lens.frame_hw, lens.pitch, box) for box in merged[lens.pitch] if union(box, lens.box) == box)
        for lens in unique
    }


def _merge(boxes: Sequence[Box]) -> list[Box]:
    """Boxes around all of these."""
    merged: list[Box] = []
    for box in boxes:
        grown = box
        while (other := next((b for b in merged if _pays(b, grown)), None)) is not None:
            merged.remove(other)
            grown = union(other, grown)
        merged.append(grown)
    return merged


def _pays(a: Box, b: Box) -> bool:
    both = _area(union(a, b))
    return both <= min(_area(a) + _area(b), max(LARGEST, _area(a), _area(b)))


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
