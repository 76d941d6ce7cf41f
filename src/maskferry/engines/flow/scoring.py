"""How far a mask can be believed: four signs that are measured on every frame, remembered, and weighed.

The weights were learned on the synthetic videos of ``benchmarks/trials.py``, by ``benchmarks/fit_score.py``: a logistic
regression of the IoU, with weights that must not be negative. No real video took part in it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Signs"]

MEMORY = 0.1
"""Share of the newest frame in what is remembered: what went wrong some frames ago is still wrong."""

OFFSET, WEIGHTS = -17.1, (8.2, 4.5, 6.7, 1.1)


class Signs(NamedTuple):
    """Signs of a good mask, each from 0 to 1 (the first from -1).

    Attributes:
        evidence: mean of 2p - 1 over the mask, p the probability of a cell to be object by its evidence alone.
        carried: IoU with where the flow carried the last mask.
        area: the mask's area relative to the usual one, or the reverse.
        flow: mean confidence of the flow on the mask.
    """

    evidence: float = 1.0
    carried: float = 1.0
    area: float = 1.0
    flow: float = 1.0

    def followed_by(self, newest: Signs) -> Signs:
        """What is remembered after one more frame."""
        return Signs(*((1 - MEMORY) * old + MEMORY * new for old, new in zip(self, newest, strict=True)))

    def score(self) -> float:
        """The expected IoU, in (0, 1)."""
        return 1 / (1 + math.exp(-OFFSET - sum(w * sign for w, sign in zip(WEIGHTS, self, strict=True))))
