"""HOTA, IDF1 and id switches of tracks against the truth, computed by TrackEval (the extra ``eval``).

HOTA: Luiten et al., "HOTA: A Higher Order Metric for Evaluating Multi-Object Tracking" (IJCV 2021). IDF1: Ristani et
al. (ECCV 2016). Id switches: Bernardin and Stiefelhagen, "CLEAR MOT" (2008). Masks are compared by IoU.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from maskferry.data import FrameMasks
from maskferry.errors import InputError, MissingExtraError
from maskferry.masks._matching import iou_matrix

__all__ = ["TrackingScore", "score_tracking"]


@dataclass(frozen=True, slots=True)
class TrackingScore:
    """How well objects were found and kept apart; all in [0, 1] but the counts.

    Attributes:
        hota: mean over IoU thresholds from 0.05 to 0.95.
        detection: DetA, its part for finding objects.
        association: AssA, its part for keeping their ids.
        idf1: share of masks with the right id, at IoU 0.5.
        id_switches: times that an object's id changed, at IoU 0.5.
        frames: how many were compared.
    """

    hota: float
    detection: float
    association: float
    idf1: float
    id_switches: int
    frames: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON; shares in percent."""
        return {k: v if isinstance(v, int) else round(100 * v, 2) for k, v in asdict(self).items()}


@dataclass(slots=True)
class _Table:
    """What TrackEval's metrics are fed, frame by frame: ids counted from 0, and the IoU of every pair."""

    numbers: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    truth_ids: list[Any] = field(default_factory=list)
    result_ids: list[Any] = field(default_factory=list)
    likeness: list[Any] = field(default_factory=list)

    def add(self, truth: FrameMasks, result: FrameMasks) -> None:
        """Take in a frame; objects without a pixel are not there."""
        wanted, drawn = ([row for row in masks if row.rle.area] for masks in (truth, result))
        for rows, numbers, ids in (
            (wanted, self.numbers[0], self.truth_ids),
            (drawn, self.numbers[1], self.result_ids),
        ):
            ids.append(np.array([numbers.setdefault(row.object_id, len(numbers)) for row in rows], dtype=int))
        self.likeness.append(iou_matrix([row.rle for row in wanted], [row.rle for row in drawn]))

    def data(self) -> dict[str, Any]:
        """TrackEval's names for it (``trackeval/datasets``, ``get_preprocessed_seq_data``)."""
        return {
            "num_timesteps": len(self.likeness),
            "num_gt_ids": len(self.numbers[0]),
            "num_tracker_ids": len(self.numbers[1]),
            "num_gt_dets": sum(len(ids) for ids in self.truth_ids),
            "num_tracker_dets": sum(len(ids) for ids in self.result_ids),
            "gt_ids": self.truth_ids,
            "tracker_ids": self.result_ids,
            "similarity_scores": self.likeness,
        }


def score_tracking(pairs: Iterable[tuple[FrameMasks, FrameMasks]]) -> TrackingScore:
    """Score a video's tracks; one pair of frames is held at a time.

    Args:
        pairs: (truth, result) of every frame, in order; ids need not be the same in both.

    Raises:
        InputError: no frames, or the truth is empty on all of them.
        MissingExtraError: TrackEval is not installed.
    """
    try:
        from trackeval.metrics import CLEAR, HOTA, Identity
    except ModuleNotFoundError as err:
        raise MissingExtraError("HOTA and id switches need TrackEval: pip install 'maskferry[eval]'") from err
    table = _Table()
    for truth, result in pairs:
        if truth.size_hw != result.size_hw:
            raise InputError(f"frame {truth.frame}: the truth is {truth.size_hw} (H, W), the tracks {result.size_hw}")
        table.add(truth, result)
    data = table.data()
    if not data["num_gt_dets"]:
        raise InputError("nothing to score: there is no object in the truth")
    silent = {"PRINT_CONFIG": False}
    hota = HOTA().eval_sequence(data)
    return TrackingScore(
        hota=float(np.mean(hota["HOTA"])),
        detection=float(np.mean(hota["DetA"])),
        association=float(np.mean(hota["AssA"])),
        idf1=float(Identity(silent).eval_sequence(data)["IDF1"]),
        id_switches=int(CLEAR(silent).eval_sequence(data)["IDSW"]),
        frames=data["num_timesteps"],
    )
