"""How the network is asked about many objects on a frame: what they share is computed once, the rest in parallel."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from functools import partial
from typing import TypeVar

from maskferry.data import Image
from maskferry.engines._flow.grid import Box, union
from maskferry.engines._flow.lens import Detail, Lens
from maskferry.engines._flow.network import Features, Network

__all__ = ["FEW", "FINER", "SEVERAL", "Viewer", "detail_for", "regions"]

FEW = 5
"""So many objects are looked at as if each were alone; more share pictures, and have less room and fewer pixels."""

SEVERAL, FINER = 3, 7
"""Pictures of so many objects, or fewer, have cells of as little as so many pixels of the frame: small ones are
magnified."""

TOGETHER = 2.5
"""More have so many times the pixels of one alone, together."""

LEAST = 136 * 136
"""Pixels that an object has in any case."""

CROWDED = Detail(0, room=2.0, smallest=80.0, finest=11, step=math.sqrt(2))
"""How each of more is looked at, but for its pixels: cells of few sizes make shared pictures large."""

LARGEST = 2048
"""Shared pictures have no more cells than this, which bounds the encoder's memory."""

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Viewer:
    """Sees objects through their lenses. What is computed does not depend on the number of workers.

    Args:
        workers: threads.
    """

    def __init__(self, workers: Executor) -> None:
        self._workers = workers
        self._network = Network()

    def start(self, task: Callable[[Network, Key], Result], keys: Iterable[Key]) -> dict[Key, Future[Result]]:
        """Let the workers do the task for each key, in this order."""
        return {key: self._workers.submit(task, self._network, key) for key in keys}

    def see(self, image: Image, lenses: Mapping[int, Lens], *, sharing: bool) -> dict[int, Callable[[], Features]]:
        """Let the workers compute the features of each object's picture.

        Where objects share a picture, those near the border of a lens are not quite what they would be in its own.

        Args:
            image: the frame.
            lenses: by object id.
            sharing: lenses that overlap may share a picture; those that are the same do so in any case.

        Returns:
            By object id, what waits for the features and gives them.
        """
        around = regions(lenses.values()) if sharing else {lens: lens for lens in lenses.values()}
        regions_once = dict.fromkeys(around.values())
        seen = self.start(lambda network, region: network.encode(region.picture(image)), regions_once)

        def part(lens: Lens) -> Features:
            return seen[around[lens]].result().part(around[lens].inside(lens))

        return {i: partial(part, lens) for i, lens in lenses.items()}


def detail_for(count: int, pixels: float) -> Detail:
    """How closely each of so many objects is looked at.

    Args:
        count: of the objects.
        pixels: of the network's picture of one object alone, at most.
    """
    if count <= FEW:
        return Detail(pixels, finest=FINER) if count <= SEVERAL else Detail(pixels)
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
