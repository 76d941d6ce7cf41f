"""What the network remembers of one object, and what it sees of it on a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.engines._flow.grid import Box, FloatArray, Grid
from maskferry.engines._flow.lens import Lens, Place
from maskferry.engines._flow.network import Answer, Features, Memory, Network, join
from maskferry.engines._flow.score import NetworkSigns

__all__ = ["Recollection", "Sighting", "place_of"]

GIVEN, KEPT = 4, 4
"""So many frames on which it was given are remembered (the first, and the last ones), and so many others."""

EVERY, AGREEING = 3, 0.8
"""Every so manieth frame may be kept, where network and segmentation agree on the mask: an IoU above this."""

RECOGNISED = 0.5, 0.8
"""The IoU of a given mask with what the network sees of it on the same frame: not to be believed, to be believed."""

OUTSIDE = -8.0
"""The logit of what the network does not see."""

OUTLIERS = 1.0
"""Percentage of an object's cells that its box may leave out on each side."""


class Sighting(NamedTuple):
    """What the network sees of an object on a frame.

    Attributes:
        lens: through which it was seen.
        features: of the picture.
        answer: what was seen.
        trust: how far the network can be believed about this object, 0 to 1.
    """

    lens: Lens
    features: Features
    answer: Answer
    trust: float

    @property
    def finest(self) -> float:
        """Pixels of the frame a logit."""
        return self.lens.pitch / 8

    @property
    def likely(self) -> FloatArray:
        """How likely each quarter cell of the lens is the object's, float32 (4 h, 4 w)."""
        return _quarter(_likelihood(self.answer.logits))

    def on_grid(self, grid: Grid) -> FloatArray:
        """Logits on the cells of a part of a lattice."""
        return self.lens.on_grid(self.answer.logits, grid, OUTSIDE)

    def on_pixels(self, box: Box) -> FloatArray:
        """Logits on a box of the frame's pixels."""
        return self.lens.on_pixels(self.answer.logits, box, OUTSIDE)


@dataclass(slots=True, eq=False)
class Recollection:
    """The memory of one object.

    Attributes:
        lens: of the last frame.
        carried: where the object was on the last frame, in that lens, float32 (4 h, 4 w) in [0, 1].
        last: the last frame.
        place: where it was seen last.
        given: the frames on which it was given.
        kept: other frames, by the age at each.
        age: frames since it was given.
        trust: how far the network can be believed about this object, 0 to 1.
        looked: the frame on which it was looked for last, -1 before the first.
        signs: what it had to say of the object's masks since it was given; None before the first of them.
    """

    lens: Lens
    carried: FloatArray
    last: Memory
    place: Place
    given: list[Memory] = field(default_factory=list)
    kept: dict[int, Memory] = field(default_factory=dict)
    age: int = 0
    trust: float = 1.0
    looked: int = -1
    signs: NetworkSigns | None = None

    ARRAYS: ClassVar[tuple[str, ...]] = ("carried", "keys", "values")

    @classmethod
    def begin(cls, network: Network, lens: Lens, features: Features, mask: Mask) -> Recollection:
        """Of an object that is given as bool (H, W), on a frame seen through a lens, which ``features`` are of."""
        carried = lens.mask(mask)
        first = network.remember(features, carried)
        memory = cls(lens, carried, first, place_of(mask), [first])
        seen = _quarter(memory.recognise(network, lens, features).answer.logits) > 0
        low, high = RECOGNISED
        memory.trust = float(np.clip((_iou(seen, carried > 0.5) - low) / (high - low), 0, 1))
        return memory

    def give(self, network: Network, lens: Lens, features: Features, mask: Mask) -> None:
        """It is given once more."""
        new = Recollection.begin(network, lens, features, mask)
        self.lens, self.carried, self.last, self.place, self.age = new.lens, new.carried, new.last, new.place, 0
        given = [*self.given, new.last]
        self.given = given if len(given) <= GIVEN else [given[0], *given[-GIVEN + 1 :]]
        self.kept, self.trust, self.signs = {}, new.trust, None

    def recognise(self, network: Network, lens: Lens, features: Features) -> Sighting:
        """Look for it on a frame seen through a lens, which ``features`` are of."""
        pitch = np.float32(lens.pitch)
        places = np.divide(lens.places(), pitch), np.divide(self.lens.places(), pitch)
        carried = self.lens.move(self.carried, lens)
        answer = network.answer(features, join(self.given), join([*self.kept.values()]), self.last, places, carried)
        return Sighting(lens, features, answer, self.trust)

    def judge(self, sighting: Sighting, pixels: Mask, corner_xy: tuple[int, int]) -> NetworkSigns:
        """Remember what the network has to say of a mask, bool, whose first pixel is this one of the frame."""
        mask, keys = sighting.lens.mask(pixels, corner_xy), sighting.features.key[0]
        newest = NetworkSigns.of(mask, sighting.likely, keys, join(self.given))
        self.signs = newest if self.signs is None else self.signs.followed_by(newest)
        return self.signs

    def take_in(self, network: Network, sighting: Sighting, pixels: Mask, corner_xy: tuple[int, int]) -> None:
        """Remember a frame with the mask that was found on it, bool, whose first pixel is this one of the frame."""
        lens = sighting.lens
        likely = sighting.likely
        found = lens.mask(pixels, corner_xy)
        soft = (0.5 * (likely + found)).astype(np.float32) if pixels.any() else likely
        self.age += 1
        if not pixels.any() and not (likely > 0.5).any():
            self.carried = np.zeros_like(self.carried)
            return  # a frame without it says nothing of it
        self.last = network.remember(sighting.features, soft)
        self.lens, self.carried = lens, soft
        self.place = _place_in(soft > 0.5, lens) or self.place
        if self.age % EVERY == 0 and _iou(likely > 0.5, found > 0.5) > AGREEING:
            self._keep()

    def _keep(self) -> None:
        """Keep the last frame. Of too many the one goes whose neighbours are nearest to each other in time."""
        self.kept[self.age] = self.last
        if len(self.kept) > KEPT:
            ages = [0, *self.kept]
            gaps = [after - before for before, after in zip(ages, ages[2:], strict=False)]
            del self.kept[ages[1 + int(np.argmin(gaps))]]

    def to_row(self) -> dict[str, Any]:
        """All but the arrays, ready for JSON."""
        return {
            "pitch": self.lens.pitch,
            "lens": self.lens.box,
            "place": [*self.place.centre_xy, self.place.side],
            "given": [m.keys.shape[1] for m in self.given],
            "kept": [m.keys.shape[1] for m in self.kept.values()],
            "kept_at": [*self.kept],
            "age": self.age,
            "trust": self.trust,
            "looked": self.looked,
            "signs": self.signs,
        }

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, by the names `ARRAYS`."""
        everything = join([*self.given, *self.kept.values(), self.last])
        return {"carried": self.carried, "keys": everything.keys, "values": everything.values}

    @classmethod
    def from_row(
        cls, row: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], frame_hw: tuple[int, int]
    ) -> Recollection:
        """What `to_row`, as JSON gives it back, and `to_arrays` have written."""
        keys, values = arrays["keys"], arrays["values"]
        ends = np.cumsum([*row["given"], *row["kept"]])
        parts = zip(np.split(keys, ends, axis=1), np.split(values, ends, axis=1), strict=True)
        *long, last = (Memory(*part) for part in parts)
        x1, y1, x2, y2 = row["lens"]
        x, y, side = row["place"]
        given, count = len(row["given"]), len(long)
        lens, place = Lens(frame_hw, row["pitch"], (x1, y1, x2, y2)), Place((x, y), side)
        numbers = {name: row[name] for name in ("age", "trust", "looked")}
        kept = dict(zip(row["kept_at"], long[given:count], strict=True))
        signs = row["signs"] and NetworkSigns(*row["signs"])
        return cls(lens, arrays["carried"], last, place, long[:given], kept, **numbers, signs=signs)


def _likelihood(logits: FloatArray) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), dtype=np.float32)


def _quarter(values: FloatArray) -> FloatArray:
    """Means of 2x2 cells."""
    h, w = values.shape
    return np.asarray(values.reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3)), dtype=np.float32)


def _iou(a: Mask, b: Mask) -> float:
    return int(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a | b)))


def _place_in(mask: Mask, lens: Lens) -> Place | None:
    place = _percentiles(mask)
    if place is None:
        return None
    step = lens.pitch / 4
    x, y = ((c + 0.5) * step - 0.5 + first for c, first in zip(place.centre_xy, lens.pixels[:2], strict=True))
    return Place((x, y), place.side * step)


def place_of(mask: Mask) -> Place:
    """Where an object given as bool (H, W) is."""
    return _percentiles(mask) or Place((0.0, 0.0), 1.0)


def _percentiles(mask: Mask) -> Place | None:
    """The box of a mask without a few outliers."""
    columns, rows = (np.repeat(np.arange(n), mask.sum(axis=k)) for k, n in enumerate(reversed(mask.shape)))
    if not columns.size:
        return None
    (x1, x2), (y1, y2) = (np.percentile(v, (OUTLIERS, 100 - OUTLIERS)) for v in (columns, rows))
    return Place((float(x1 + x2) / 2, float(y1 + y2) / 2), float(max(x2 - x1, y2 - y1)) + 1)
