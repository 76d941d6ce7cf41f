"""The DAVIS benchmark's measures: region similarity J, boundary accuracy F, and what is said of a sequence by them.

Definitions: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (CVPR
2016), and Pont-Tuset et al., "The 2017 DAVIS Challenge on Video Object Segmentation" (arXiv:1704.00675). Where the
papers leave a choice, this follows davisvideochallenge/davis2017-evaluation: ``davis2017/metrics.py`` for J and F,
``db_statistics`` in ``davis2017/utils.py`` for the statistics, ``davis2017/evaluation.py`` for what is averaged. All
values are in [0, 1] (decay in [-1, 1]); percents are for reports.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskferry._arguments import foreign
from maskferry.data import Mask
from maskferry.errors import InputError
from maskferry.masks._regions import box_xyxy

__all__ = [
    "Score",
    "Statistics",
    "boundary_accuracy",
    "boundary_map",
    "mean_score",
    "region_similarity",
    "score_sequence",
    "sequence_statistics",
]

LabelMap = NDArray[np.integer[Any]]
"""(H, W): 0 is background, n is object n."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What DAVIS says of one measure over the frames of a sequence.

    Attributes:
        mean: over all frames, in [0, 1].
        recall: the share of frames whose value is above 0.5.
        decay: mean of the first quarter of the frames less that of the last; below 0 where masks get better.
    """

    mean: float
    recall: float
    decay: float


@dataclass(frozen=True, slots=True)
class Score:
    """J and F of one object, or the mean of several.

    Attributes:
        region: of J, see `region_similarity`.
        boundary: of F, see `boundary_accuracy`.
    """

    region: Statistics
    boundary: Statistics

    @property
    def j_and_f(self) -> float:
        """J&F, the mean of both means: the number by which the challenge ranks."""
        return (self.region.mean + self.boundary.mean) / 2


def region_similarity(truth: Mask, mask: Mask, void: Mask | None = None) -> float:
    """J: intersection over union, 1 where both masks are empty.

    Args:
        truth: bool (H, W).
        mask: bool (H, W), what is scored.
        void: bool (H, W), pixels that count neither way.

    Returns:
        In [0, 1].

    Raises:
        InputError: the shapes differ.
    """
    truth, mask = _without_void(truth, mask, void)
    union = np.count_nonzero(truth | mask)
    return np.count_nonzero(truth & mask) / union if union else 1.0


def boundary_accuracy(truth: Mask, mask: Mask, void: Mask | None = None, bound_th: float = 0.008) -> float:
    """F: harmonic mean of precision and recall of the boundary's pixels.

    A boundary pixel (see `boundary_map`) is right where the other boundary has one within a disk. Void pixels are
    taken out of both masks first. Where neither mask has a boundary F is 1, also where one covers the whole picture
    and the other is empty; where only one has a boundary F is 0.

    Args:
        truth: bool (H, W).
        mask: bool (H, W), what is scored.
        void: bool (H, W), pixels that count neither way.
        bound_th: radius of the disk: below 1 a share of the picture's diagonal, rounded up to pixels; from 1, pixels.

    Returns:
        In [0, 1].

    Raises:
        InputError: the shapes differ, or ``bound_th`` is negative or not finite.
    """
    if not 0 <= bound_th < math.inf:
        raise InputError(f"bound_th: expected a radius >= 0, got {bound_th}")
    truth, mask = _without_void(truth, mask, void)
    radius = bound_th if bound_th >= 1 else math.ceil(bound_th * math.hypot(*truth.shape))
    truth, mask = _crop_to_both(truth, mask)
    wanted, drawn = boundary_map(truth), boundary_map(mask)
    wanted_count, drawn_count = np.count_nonzero(wanted), np.count_nonzero(drawn)
    if not wanted_count or not drawn_count:
        return float(wanted_count == drawn_count)
    precision = np.count_nonzero(drawn & _dilate(wanted, radius)) / drawn_count
    recall = np.count_nonzero(wanted & _dilate(drawn, radius)) / wanted_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_map(mask: Mask) -> Mask:
    """The boundary of a mask, one pixel wide, half a pixel up and left of the true one; bool (H, W).

    A pixel is on it that differs from its right, lower or lower right neighbour inside the picture (``seg2bmap`` by
    D. Martin, 2003, as used in ``davis2017/metrics.py``). The picture's border is none.

    >>> import numpy as np
    >>> dot = np.zeros((4, 4), dtype=bool)
    >>> dot[2, 2] = True
    >>> boundary_map(dot).astype(int).tolist()
    [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    """
    out = np.zeros(mask.shape, dtype=np.bool_)
    across, down = mask[:, :-1] ^ mask[:, 1:], mask[:-1] ^ mask[1:]
    out[:, :-1] = across
    out[:-1] |= down
    out[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return out


def sequence_statistics(values: ArrayLike) -> Statistics:
    """Mean, recall and decay of a measure over a sequence.

    As ``db_statistics`` does: NaN (a frame without a value) is left out of means but counts as a miss in recall; the
    quarters share their border frames. Other than there, long sequences are right too: the reference's 8-bit indices
    wrap around past 255 frames.

    Args:
        values: float (T,), one a scored frame, in order.

    Returns:
        The statistics; NaN where there is nothing to average.

    Raises:
        InputError: ``values`` is not one-dimensional.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1:
        raise InputError(f"values: expected one a frame, shape (T,), got shape {series.shape}")
    if not series.size:
        return Statistics(math.nan, math.nan, math.nan)
    edges = np.round(np.linspace(1, series.size, 5) + 1e-10).astype(np.int64) - 1
    first, last = series[edges[0] : edges[1] + 1], series[edges[3] : edges[4] + 1]
    return Statistics(_nanmean(series), float((series > 0.5).mean()), _nanmean(first) - _nanmean(last))


def score_sequence(
    truth: Iterable[LabelMap],
    result: Iterable[LabelMap],
    *,
    object_ids: Iterable[int] | None = None,
    void_label: int | None = 255,
    skip_ends: bool = True,
) -> dict[int, Score]:
    """Score the label maps of one video, frame by frame; only three pairs of maps are held at a time.

    For DAVIS 2016 (one object, pictures of 0 and 255) pass ``label_map > 0`` on both sides.

    Args:
        truth: integer or bool (H, W) for each frame, in order.
        result: likewise, as many.
        object_ids: what to score; other ids in either map are background. By default the ids of the first frame's
            truth, and then an id that the truth does not have is refused, as the reference does.
        void_label: value in the truth of pixels that count neither way; None where there is none. (The reference
            leaves them out in its unsupervised task, and counts them as background in the semi-supervised one.)
        skip_ends: leave out the first frame, which is given, and the last, as semi-supervised DAVIS does.

    Returns:
        {object id: score}, by ascending id; `mean_score` of the values of all videos is what DAVIS 2017 reports.

    Raises:
        InputError: no object, unknown ids, shapes or numbers of frames that differ, or no frame left to score.
    """
    pairs = _paired(truth, result)
    head = next(pairs, None)
    if head is None:
        raise InputError("nothing to score: the truth has no frames")
    ids = _ids_to_score(head[1], object_ids, void_label)
    table: dict[int, list[tuple[float, float]]] = {i: [] for i in ids}
    pairs = itertools.chain([head], pairs)
    for frame, wanted, drawn in _inner(pairs) if skip_ends else pairs:
        if object_ids is None:
            _check_known(frame, drawn, ids)
        void = None if void_label is None else wanted == void_label
        for i, rows in table.items():
            a, b = wanted == i, drawn == i
            rows.append((region_similarity(a, b, void), boundary_accuracy(a, b, void)))
    if not table[ids[0]]:
        raise InputError("nothing to score: without its first and last frame the video is empty; pass skip_ends=False")
    return {i: Score(*(sequence_statistics(v) for v in zip(*rows, strict=True))) for i, rows in table.items()}


def _ids_to_score(first: LabelMap, object_ids: Iterable[int] | None, void_label: int | None) -> list[int]:
    """The caller's ids, or those of the first frame's truth."""
    ids = sorted(set(object_ids)) if object_ids is not None else _ids(first, void_label)
    if not ids:
        raise InputError(
            "nothing to score: the truth of the first frame holds no object "
            f"(void is {void_label}; for a binary map of 0 and 255 pass label_map > 0)"
        )
    return ids


def _check_known(frame: int, drawn: LabelMap, ids: Sequence[int]) -> None:
    """Refuse ids that the truth does not have, as the reference does."""
    unknown = set(_ids(drawn, None)) - set(ids)
    if unknown:
        raise InputError(f"frame {frame}: the result has object ids {sorted(unknown)}, the truth only {ids}")


def mean_score(scores: Iterable[Score]) -> Score:
    """The mean over objects, each counting once however many share a video, as DAVIS 2017 reports it.

    Raises:
        InputError: there are no scores.
    """
    scores = list(scores)
    if not scores:
        raise InputError("expected at least one score to average, got none")

    def mean(items: list[Statistics]) -> Statistics:
        return Statistics(*np.mean([(s.mean, s.recall, s.decay) for s in items], axis=0).tolist())

    return Score(mean([s.region for s in scores]), mean([s.boundary for s in scores]))


def _without_void(truth: Mask, mask: Mask, void: Mask | None) -> tuple[Mask, Mask]:
    with foreign("masks"):
        truth, mask = np.asarray(truth).astype(np.bool_), np.asarray(mask).astype(np.bool_)
        void = None if void is None else np.asarray(void).astype(np.bool_)
    if truth.ndim != 2 or mask.shape != truth.shape or (void is not None and np.shape(void) != truth.shape):
        shapes = f"truth {truth.shape}, mask {mask.shape}" + ("" if void is None else f", void {np.shape(void)}")
        raise InputError(f"expected masks (H, W) of one size, got {shapes}")
    if void is None:
        return truth, mask
    return truth & ~void, mask & ~void


def _crop_to_both(truth: Mask, mask: Mask) -> tuple[Mask, Mask]:
    """Cut away what is empty in both, less a margin of one pixel: neither boundaries nor their distances change."""
    x1, y1, x2, y2 = box_xyxy(truth | mask) or (0, 0, 0, 0)
    part = np.s_[max(y1 - 1, 0) : y2 + 1, max(x1 - 1, 0) : x2 + 1]
    return truth[part], mask[part]


def _dilate(boundary: Mask, radius: float) -> Mask:
    """All pixels within ``radius`` of the boundary, bool (H, W)."""
    reach = np.arange(-int(radius), int(radius) + 1)
    disk = (reach[:, None] ** 2 + reach**2 <= radius**2).astype(np.uint8)
    return np.asarray(cv2.dilate(boundary.view(np.uint8), disk)).view(np.bool_)


def _nanmean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _ids(label_map: LabelMap, void_label: int | None) -> list[int]:
    return [int(i) for i in np.unique(label_map) if i not in (0, void_label)]


def _paired(truth: Iterable[LabelMap], result: Iterable[LabelMap]) -> Iterator[tuple[int, LabelMap, LabelMap]]:
    """(frame, truth, result), refusing sequences that do not match."""
    with foreign("truth and result"):
        pairs = enumerate(itertools.zip_longest(truth, result))
    for frame, (a, b) in pairs:
        if a is None or b is None:
            short, other = ("truth", "result") if a is None else ("result", "truth")
            raise InputError(f"the {short} ends after {frame} frames, the {other} goes on: give as many of both")
        with foreign(f"frame {frame}"):
            true, found = np.asarray(a), np.asarray(b)
        if true.ndim != 2 or true.shape != found.shape:
            raise InputError(
                f"frame {frame}: expected label maps (H, W) of one size, got {true.shape} and {found.shape}"
            )
        if not {true.dtype.kind, found.dtype.kind} <= set("biu"):
            raise InputError(f"frame {frame}: expected label maps of whole numbers, got {true.dtype} and {found.dtype}")
        yield frame, true, found


def _inner(items: Iterator[tuple[int, LabelMap, LabelMap]]) -> Iterator[tuple[int, LabelMap, LabelMap]]:
    """All but the first and the last."""
    return (item for item, _ in itertools.pairwise(itertools.islice(items, 1, None)))
