"""How far a mask can be believed: what speaks for it, and the IoU that is to be expected.

Weights of the signs come from ``benchmarks/fit_score.py``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from maskferry.data import Mask
from maskferry.engines._flow.grid import FloatArray, box_of
from maskferry.engines._flow.network import Half, Memory

__all__ = ["NETWORK_SHARE", "SHARE", "NetworkSigns", "Signs", "expected_iou"]

SHARE, NETWORK_SHARE = 0.1, 0.3
"""Share of the newest frame in what is remembered, without and with a network: what went wrong some frames ago is still
wrong. With a network what went wrong comes right again more often."""

OFFSET, WEIGHTS = -7.19, (8.50, 1.31, 2.22)
"""Of apart, given and whole; where there is no network."""

NETWORK_OFFSET, NETWORK_WEIGHTS = -2.67, (0.60, 1.61, 1.05, 3.73)
"""Of given, whole, seen and known; where there is one. Appearance apart then adds nothing."""

LOG_ODDS, APPEARANCE_LIMIT = 3.0, 1.5
"""An appearance of 1 makes it e^3 times as likely that a cell is the object's; more than 1.5 counts as 1.5."""

SAMPLE = 100
"""So many cells of a mask, about, are compared with the given frames."""

AROUND, SMALLEST = 0.5, 10.0
"""What is around an object is this near, in roots of its area; the root is at least so many reference cells."""


class Signs(NamedTuple):
    """Signs of a good mask, each from 0 to 1 (`given` from -1).

    Attributes:
        apart: the IoU to expect if appearance alone decided, cell by cell, what is the object. Low where
            the background looks alike, and where parts that look like the object are left out.
        given: mean appearance of the mask for a classifier that knows only what the caller gave; the other one has
            learned from the masks since, and from their errors.
        whole: share of the mask that its largest part has.
    """

    apart: float
    given: float
    whole: float

    @classmethod
    def of(cls, mask: Mask, appearance: FloatArray, given: float, unit: float) -> Signs:
        """Measure a mask.

        Args:
            mask: bool (h, w), not empty.
            appearance: how much each cell looks like the object, float32 (h, w), about -1 to 1.
            given: the sign of that name, as it is.
            unit: one reference cell in cells.
        """
        area = int(np.count_nonzero(mask))
        reach = AROUND * max(SMALLEST * unit, math.sqrt(area))
        x1, y1, x2, y2 = box_of(mask, margin=math.ceil(reach)) or (0, 0, 1, 1)
        inside, alike = mask[y1:y2, x1:x2].astype(np.uint8), appearance[y1:y2, x1:x2]
        around = (cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3) < reach) & (inside == 0)
        likely = 1 / (1 + np.exp(-LOG_ODDS * np.clip(alike, -APPEARANCE_LIMIT, APPEARANCE_LIMIT)))
        _, parts = cv2.connectedComponents(inside, connectivity=8)
        return cls(
            apart=float(likely[inside > 0].sum()) / (area + float(likely[around].sum())),
            given=float(np.clip(given, -1, 1)),
            whole=int(np.bincount(parts[inside > 0]).max()) / area,
        )

    def followed_by(self, newest: Signs, share: float = SHARE) -> Signs:
        """What is remembered after one more frame, which has this share in it."""
        return Signs(*_mix(self, newest, share))


class NetworkSigns(NamedTuple):
    """What the network has to say of a mask.

    Attributes:
        seen: the IoU to expect of the mask if every cell is the object's as likely as the network says, as log odds.
        known: how much nearer the mask's keys are to those of the object, on the frames on which it was given, than to
            those of all else on them: (a - b) / (a + b), -1 to 1, where b and a are the distances to the nearest of
            each. Kept frames and the last one may have learned an error; these have not.
    """

    seen: float
    known: float

    @classmethod
    def of(cls, mask: FloatArray, likely: FloatArray, keys: FloatArray, given: Memory) -> NetworkSigns:
        """Measure a mask.

        Args:
            mask: float32 (4 h, 4 w) in [0, 1], as the network's lens shows it.
            likely: how likely each of these quarter cells is the object's, float32 (4 h, 4 w).
            keys: of this frame, float32 (KEY, h, w).
            given: the frames on which the object was given.
        """
        overlap = float((likely * mask).sum())
        seen = overlap / max(1e-6, float(mask.sum() + likely.sum()) - overlap)
        return cls(_log_odds(seen), _known(mask, keys, given))

    def followed_by(self, newest: NetworkSigns) -> NetworkSigns:
        """What is remembered after one more frame."""
        return NetworkSigns(*_mix(self, newest, NETWORK_SHARE))


def expected_iou(signs: Signs, network: NetworkSigns | None = None, trust: float = 1.0) -> float:
    """The score, in (0, 1).

    Args:
        signs: of a mask.
        network: what the network has to say of it; None where it was not asked.
        trust: how far the network is believed, 0 to 1.
    """
    odds = OFFSET + _weighted(WEIGHTS, signs)
    if network is not None:
        joined = NETWORK_OFFSET + _weighted(NETWORK_WEIGHTS, (*signs[1:], *network))
        odds += trust * (joined - odds)
    return 1 / (1 + math.exp(-odds))


def _weighted(weights: tuple[float, ...], signs: tuple[float, ...]) -> float:
    return sum(w * sign for w, sign in zip(weights, signs, strict=True))


def _mix(old: tuple[float, ...], new: tuple[float, ...], share: float) -> tuple[float, ...]:
    return tuple((1 - share) * a + share * b for a, b in zip(old, new, strict=True))


def _log_odds(share: float) -> float:
    """Of something that is never held for more than 99 % sure."""
    share = min(max(share, 0.01), 0.99)
    return math.log(share / (1 - share))


def _known(mask: FloatArray, keys: FloatArray, given: Memory) -> float:
    """The sign of that name; 0 where nothing can be compared."""
    h, w = keys.shape[1:]
    share = mask.reshape(h, 4, w, 4).mean(axis=(1, 3)).ravel()
    covered = given.covered
    inside, theirs, others = share > 0, covered > 0.5 * min(1.0, float(covered.max())), covered < 0.1
    if not inside.any() or not theirs.any() or not others.any():
        return 0.0
    chosen = np.flatnonzero(inside)
    chosen = chosen[:: -(-chosen.size // SAMPLE)]
    here = np.ascontiguousarray(keys.reshape(len(keys), -1)[:, chosen].T)
    near, far = (_distance(here, given.keys[:, those]) for those in (theirs, others))
    return float(np.average((far - near) / np.maximum(far + near, 1e-6), weights=share[chosen]))


def _distance(keys: FloatArray, others: Half) -> FloatArray:
    """How far each key, float32 (n, KEY), is from the nearest of others, (KEY, m): float32 (n,).

    OpenCV computes the same on any number of threads; numpy's products of matrices do not.
    """
    there = np.ascontiguousarray(others.T.astype(np.float32))
    nearest, _ = cv2.batchDistance(keys, there, cv2.CV_32F, normType=cv2.NORM_L2, K=1)
    return np.asarray(nearest[:, 0], dtype=np.float32)
