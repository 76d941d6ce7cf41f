"""Where tracks are likely to be wrong: for each object what was seen of it, what jumped, and with whom it may have
been confused."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from maskferry.data import Source
from maskferry.errors import InputError, UnknownObjectError
from maskferry.tracks import _review_rules as rules
from maskferry.tracks._agreement import Agreement, load_agreements, save_agreements
from maskferry.tracks._jobs import ENDLESS, FrameRange
from maskferry.tracks._review_contacts import partings
from maskferry.tracks._review_lanes import Lane, Scores, joined, read_lane, read_lanes, read_row, read_scores
from maskferry.tracks._review_pictures import picture_moments
from maskferry.tracks._review_rules import Moment
from maskferry.tracks._review_store import Verdict, load_text, set_verdict, store_text, verdicts
from maskferry.tracks._tracks import Tracks

__all__ = [
    "Agreement",
    "Moment",
    "ObjectSummary",
    "Verdict",
    "load_agreements",
    "load_summaries",
    "save_agreements",
    "save_summaries",
    "set_verdict",
    "summarize",
    "verdicts",
    "worst_moments",
]

ORDER = ("swap", "looks", "back", "place", "area", "lost", "score", "fidelity")
"""Kinds of moments: what to look at first."""


@dataclass(slots=True)
class ObjectSummary:
    """What is known of one object over the whole video, or over the range that was asked for.

    Attributes:
        object_id: the object.
        label: its name, if it has one.
        frames: on which it has a row.
        seen: on which it has a mask.
        given: on which the caller gave its mask.
        occluded: on which a good part of it is hidden.
        lost_spans: (first, last) frame of each stretch without a mask.
        mean_score: over the frames on which it is seen.
        fidelity: the lowest of its given masks (see `ObjectMask`); None where the engine does not say.
        moments: in the order of frames.
    """

    object_id: int
    label: str | None
    frames: int = 0
    seen: int = 0
    given: int = 0
    occluded: int = 0
    lost_spans: list[tuple[int, int]] = field(default_factory=list)
    mean_score: float = 0.0
    fidelity: float | None = None
    moments: list[Moment] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> ObjectSummary:
        """What `to_dict` gave."""
        spans = [(int(first), int(last)) for first, last in value["lost_spans"]]
        return cls(**value | {"lost_spans": spans, "moments": [Moment(**moment) for moment in value["moments"]]})


def save_summaries(tracks: Tracks, summaries: Iterable[ObjectSummary]) -> None:
    """Keep summaries in the tracks file, with the revision that they are of; those of before are replaced.

    Raises:
        RunningElsewhereError: a run of another process writes to the file.
    """
    store_text(tracks, [summary.to_dict() for summary in summaries])


def load_summaries(tracks: Tracks) -> tuple[int, list[ObjectSummary]] | None:
    """(revision, summaries) that were kept last; None where there are none.

    `Tracks.changes_since` tells of that revision what is outdated.
    """
    return load_text(tracks, ObjectSummary.from_dict)


def summarize(
    tracks: Tracks,
    source: Source | None = None,
    *,
    objects: Iterable[int] | None = None,
    frames: tuple[int, int] | None = None,
) -> list[ObjectSummary]:
    """Go through tracks and say where to look.

    Args:
        tracks: what to look at.
        source: its video; without it, changes of appearance and swaps are not reported.
        objects: only these, by their ids; None for all.
        frames: only this range, (start, stop), stop not included. The moments in it are those that a summary of the
            whole video has there; the numbers and the stretches without a mask are of the range alone.

    Returns:
        One summary for each object, by ascending id.

    Raises:
        UnknownObjectError: one of the objects is not there.
        InputError: the range is empty or begins outside of the video; or a mask is damaged.
    """
    ids = _check_objects(tracks, objects)
    start, stop = _check_range(tracks, frames)
    lanes, labels = read_lanes(tracks, ids, start, stop), tracks.labels
    reviews = {i: _Review(tracks, i, lanes[i], is_whole=frames is None) for i in ids}
    found = {i: [*review.moments()] for i, review in reviews.items()}
    for i, agreement in load_agreements(tracks).items():
        if i in reviews:
            found[i] += [m for m in reviews[i].parting(agreement) if _is_inside(m.frame, start, stop)]
    if source is not None:
        before = {i: frame for i, review in reviews.items() if (frame := review.last_seen()) is not None}
        parted = partings(tracks, ids, start, stop)
        for moment in picture_moments(tracks, source, lanes, before, parted):
            found[moment.object_id].append(moment)
    return [_summary(i, labels.get(i), lanes[i], found[i]) for i in ids]


def worst_moments(summaries: list[ObjectSummary], count: int = 12) -> list[Moment]:
    """The moments to look at first: swaps, then appearance, what the way back denies, leaps, areas, losses, low scores,
    given masks that the engine sees differently; the worst of each first."""
    every = [moment for summary in summaries for moment in summary.moments]
    return sorted(every, key=lambda m: (ORDER.index(m.kind), -m.severity, m.frame, m.object_id))[:count]


def _check_objects(tracks: Tracks, objects: Iterable[int] | None) -> list[int]:
    """The ids that are meant, each once, ascending."""
    known = tracks.object_ids
    if objects is None:
        return list(known)
    try:
        wanted = sorted({operator.index(i) for i in objects})
    except TypeError as err:
        raise InputError(f"objects: expected whole numbers, the ids of objects, got {objects!r}") from err
    for i in wanted:
        if i not in known:
            raise UnknownObjectError(f"there is no object {i}; there are {list(known)}")
    return wanted


def _check_range(tracks: Tracks, frames: tuple[int, int] | None) -> tuple[int, int | None]:
    """First frame, and the frame to end before."""
    if frames is None:
        return 0, None
    try:
        start, stop = (operator.index(frame) for frame in frames)
    except (TypeError, ValueError) as err:
        raise InputError(f"frames: expected two whole numbers, (start, stop), got {frames!r}") from err
    limits = FrameRange(start, min(stop, ENDLESS)).within(tracks.video.frame_count)
    return limits.start, limits.stop


def _is_inside(frame: int, start: int, stop: int | None) -> bool:
    return start <= frame and (stop is None or frame < stop)


class _Review:
    """One object, whose rows in the range are known; what else its moments follow from is read where it is needed."""

    def __init__(self, tracks: Tracks, object_id: int, lane: Lane, *, is_whole: bool) -> None:
        self._tracks, self._id, self._lane, self._is_whole = tracks, object_id, lane, is_whole
        self._scores: Scores = lane.without_masks() if is_whole else read_scores(tracks, object_id)

    def moments(self) -> list[Moment]:
        """All that its own rows show."""
        lane = self._with_row_before()
        found = [
            *rules.lost_moments(self._id, lane),
            *rules.area_moments(self._id, lane),
            *rules.place_moments(self._id, lane, self._usual_step),
            *rules.score_moments(self._id, self._scores),
            *rules.fidelity_moments(self._id, lane),
        ]
        frames = self._lane.frames
        return [m for m in found if frames.size and frames[0] <= m.frame <= frames[-1]]

    def parting(self, agreement: Agreement) -> list[Moment]:
        """Where its masks and those of the way back part, in the whole video."""
        return [*rules.agreement_moments(self._id, agreement, self._scores.frames[self._scores.given])]

    def last_seen(self) -> int | None:
        """The last frame before the range on which it was seen."""
        earlier = self._earlier(~self._scores.lost)
        for frame in reversed(earlier):
            if self._tracks[frame][self._id].rle.area:
                return frame
        return None

    def _with_row_before(self) -> Lane:
        """Its rows in the range, and the one before them, with which the first is compared."""
        earlier = self._earlier(np.ones(self._scores.frames.size, np.bool_))[-1:]
        return joined([*(read_row(self._tracks, frame, self._id) for frame in earlier), self._lane])

    def _earlier(self, which: np.ndarray) -> list[int]:
        """Its frames before the range, of some rows."""
        if not len(self._lane):
            return []
        return [int(f) for f in self._scores.frames[which & (self._scores.frames < self._lane.frames[0])]]

    def _usual_step(self) -> float:
        return rules.usual_step(self._lane if self._is_whole else read_lane(self._tracks, self._id))


def _summary(object_id: int, label: str | None, lane: Lane, moments: list[Moment]) -> ObjectSummary:
    seen, told = lane.seen, lane.fidelity[~np.isnan(lane.fidelity)]
    count = int(np.count_nonzero(seen))
    return ObjectSummary(
        object_id,
        label,
        frames=len(lane),
        seen=count,
        given=int(np.count_nonzero(lane.given)),
        occluded=int(np.count_nonzero(lane.occluded)),
        lost_spans=rules.lost_spans(lane),
        mean_score=float(np.cumsum(lane.scores[seen])[-1]) / count if count else 0.0,
        fidelity=float(told.min()) if told.size else None,
        moments=sorted(moments, key=lambda m: (m.frame, m.kind, m.other or 0)),
    )
