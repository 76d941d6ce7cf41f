"""Summaries kept up to date: where a review is there, only what has changed since is judged anew."""

from __future__ import annotations

from dataclasses import replace

from maskferry.data import Source
from maskferry.tracks import Tracks
from maskferry.tracks.review import Moment, ObjectSummary, summarize

__all__ = ["judge"]

PICTURES = ("looks", "swap")
"""Kinds of moments that are seen in the video; all others follow from the rows."""

BEHIND = 12
"""Frames behind a change that may look otherwise after it, as they are compared with those in it."""

Reach = tuple[int, int]


def judge(tracks: Tracks, source: Source | None, kept: tuple[int, list[ObjectSummary]] | None) -> list[ObjectSummary]:
    """Summaries of tracks as they are now.

    Args:
        tracks: what to look at.
        source: its video; None where there is none.
        kept: (revision, summaries) of an earlier look; None to look at everything.
    """
    if kept is None:
        return summarize(tracks, source)
    revision, before = kept
    there = set(tracks.object_ids)
    known = {summary.object_id: summary for summary in before if summary.object_id in there}
    changes = tracks.changes_since(revision)
    fresh = sorted(there.intersection(changes) | (there - known.keys()))
    reaches = {i: _reach(tracks, changes.get(i, []) if i in known else [(0, 1 << 62)]) for i in fresh}
    if not fresh:
        return [known[i] for i in sorted(known)]
    for summary in summarize(tracks, None, objects=fresh):
        seen = _seen_moments(known.get(summary.object_id), reaches)
        known[summary.object_id] = replace(summary, moments=_in_order([*summary.moments, *seen]))
    for i, summary in known.items():
        if i not in reaches:
            moments = [m for m in summary.moments if not _is_outdated(m, reaches)]
            known[i] = replace(summary, label=tracks.labels.get(i), moments=moments)
    if source is not None:
        _look(tracks, source, reaches, known)
    return [known[i] for i in sorted(known)]


def _look(tracks: Tracks, source: Source, reaches: dict[int, Reach | None], known: dict[int, ObjectSummary]) -> None:
    """Add the moments that the video shows, where masks have changed."""
    by_reach: dict[Reach, list[int]] = {}
    for i, reach in reaches.items():
        if reach is not None:
            by_reach.setdefault(reach, []).append(i)
    for reach, objects in by_reach.items():
        for summary in summarize(tracks, source, objects=objects, frames=reach):
            found = [moment for moment in summary.moments if moment.kind in PICTURES]
            own = known[summary.object_id]
            known[summary.object_id] = replace(own, moments=_in_order([*own.moments, *found]))


def _reach(tracks: Tracks, changes: list[Reach]) -> Reach | None:
    """The frames on which an object is to be judged anew; None where none of its masks has changed."""
    count = max(tracks.video.frame_count or 0, 1)
    starts, stops = [start for start, stop in changes if stop > start], [stop for _, stop in changes]
    if not starts:
        return None
    return min(starts), min(count, max(stops) + BEHIND)


def _seen_moments(before: ObjectSummary | None, reaches: dict[int, Reach | None]) -> list[Moment]:
    """What the video showed of an object before, where nothing has changed."""
    moments = [] if before is None else before.moments
    return [m for m in moments if m.kind in PICTURES and not _is_outdated(m, reaches)]


def _is_outdated(moment: Moment, reaches: dict[int, Reach | None]) -> bool:
    """Whether masks of its object, or of the other one, have changed there."""
    for i in (moment.object_id, moment.other):
        reach = reaches.get(i) if i is not None else None
        if reach is not None and moment.kind in PICTURES and reach[0] <= moment.frame < reach[1]:
            return True
    return False


def _in_order(moments: list[Moment]) -> list[Moment]:
    return sorted(moments, key=lambda m: (m.frame, m.kind, m.other or 0))
