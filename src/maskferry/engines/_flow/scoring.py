"""How far a mask can be believed: three signs that are measured on every frame, remembered, and weighed.

All of them ask the object's looks, which were learned from what the caller gave. Whether a mask lies where the flow
carried it says little: flow carries a wrong mask as steadily as a right one.

The weights were learned on the synthetic videos of ``benchmarks/trials.py``, by ``benchmarks/fit_score.py``: a logistic
regression of the IoU, with weights that must not be negative. No real video took part in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from maskferry.data import Mask
from maskferry.engines._flow.grid import FloatArray, box_of

__all__ = ["Signs"]

MEMORY = 0.1
"""Share of the newest frame in what is remembered: what went wrong some frames ago is still wrong."""

OFFSET, WEIGHTS = -7.19, (8.50, 1.31, 2.22)

SURE, LOOKS_LIMIT = 3.0, 1.5
"""Looks of 1 make it e^3 times as likely that a cell is the object's; more than 1.5 counts as 1.5."""

AROUND, SMALLEST = 0.5, 10.0
"""What is around an object is this near, in roots of its area; the root is at least so many reference cells."""


class Signs(NamedTuple):
    """Signs of a good mask, each from 0 to 1 (`given` from -1).

    Attributes:
        apart: the IoU to expect if looks alone decided, cell by cell, what in the mask and around it is the object.
            Low where the background looks alike, and where parts that look like the object are left out.
        given: mean looks of the mask for a classifier that knows only what the caller gave; the other one has learned
            from the masks since, and from their errors.
        whole: share of the mask that its largest part has.
    """

    apart: float
    given: float
    whole: float

    @classmethod
    def of(cls, mask: Mask, looks: FloatArray, given: float, unit: float) -> Signs:
        """Measure a mask.

        Args:
            mask: bool (h, w), not empty.
            looks: how much each cell looks like the object, float32 (h, w), about -1 to 1.
            given: the sign of that name, as it is.
            unit: one reference cell in cells.
        """
        area = int(np.count_nonzero(mask))
        reach = AROUND * max(SMALLEST * unit, math.sqrt(area))
        x1, y1, x2, y2 = box_of(mask, margin=math.ceil(reach)) or (0, 0, 1, 1)
        inside, alike = mask[y1:y2, x1:x2].astype(np.uint8), looks[y1:y2, x1:x2]
        around = (cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3) < reach) & (inside == 0)
        likely = 1 / (1 + np.exp(-SURE * np.clip(alike, -LOOKS_LIMIT, LOOKS_LIMIT)))
        _, parts = cv2.connectedComponents(inside, connectivity=8)
        return cls(
            apart=float(likely[inside > 0].sum()) / (area + float(likely[around].sum())),
            given=float(np.clip(given, -1, 1)),
            whole=int(np.bincount(parts[inside > 0]).max()) / area,
        )

    def followed_by(self, newest: Signs) -> Signs:
        """What is remembered after one more frame."""
        return Signs(*((1 - MEMORY) * old + MEMORY * new for old, new in zip(self, newest, strict=True)))

    def score(self) -> float:
        """The expected IoU, in (0, 1)."""
        return 1 / (1 + math.exp(-OFFSET - sum(w * sign for w, sign in zip(WEIGHTS, self, strict=True))))
