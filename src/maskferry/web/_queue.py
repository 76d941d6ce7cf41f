"""The review queue: moments that may be wrong, as rows, with what a person has said of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from maskferry.child_processes import Message
from maskferry.tracks.review import Moment, ObjectSummary, Verdict, worst_moments

__all__ = ["NEAR", "Row", "is_open", "queue_rows", "row_json"]

NEAR = 12
"""Frames: moments of one object that lie so near to the first of them are one row."""

EVERY = 1 << 62

Verdicts = Mapping[tuple[int, int, str], Verdict]


class Row(NamedTuple):
    """Moments of one object that lie together.

    Attributes:
        key: tells rows apart.
        lead: the worst moment.
        moments: all, by frame.
    """

    key: str
    lead: Moment
    moments: list[Moment]


def queue_rows(summaries: list[ObjectSummary]) -> list[Row]:
    """All rows, the worst first, as `worst_moments` orders them."""
    order = {_id(moment): place for place, moment in enumerate(worst_moments(summaries, EVERY))}
    rows = [_row(own, order) for summary in summaries for own in _together(summary.moments)]
    return sorted(rows, key=lambda row: order[_id(row.lead)])


def _together(moments: Sequence[Moment]) -> list[list[Moment]]:
    found: list[list[Moment]] = []
    for moment in sorted(moments, key=lambda m: m.frame):
        if found and moment.frame - found[-1][0].frame <= NEAR:
            found[-1].append(moment)
        else:
            found.append([moment])
    return found


def _row(moments: list[Moment], order: Mapping[tuple[int, int, str, int], int]) -> Row:
    lead = min(moments, key=lambda moment: order[_id(moment)])
    return Row(f"{lead.frame}-{lead.object_id}-{lead.kind}", lead, moments)


def _id(moment: Moment) -> tuple[int, int, str, int]:
    return moment.frame, moment.object_id, moment.kind, moment.other or 0


def row_json(row: Row, verdicts: Verdicts, before: Collection[tuple[int, int]]) -> Message:
    """A row for the page.

    Args:
        row: which.
        verdicts: what was said.
        before: (object id, frame) of what the queue showed before the last recomputation, where masks have changed
            since.
    """
    lead = row.lead
    said = [verdicts.get((m.frame, m.object_id, m.kind)) for m in row.moments]
    own = verdicts.get((lead.frame, lead.object_id, lead.kind))
    holds = all(verdict is not None and verdict.holds for verdict in said)
    frames = [moment.frame for moment in row.moments]
    return {
        "key": row.key,
        "object": lead.object_id,
        "start": frames[0],
        "stop": frames[-1] + 1,
        **_moment_json(lead),
        "moments": [_moment_json(moment) for moment in row.moments],
        "verdict": None if own is None else own.answer,
        "holds": own is None or holds,
        "still": any(i == lead.object_id and abs(frame - lead.frame) <= NEAR for i, frame in before),
    }


def is_open(row: Message) -> bool:
    """Whether a row is still to be looked at."""
    return row["verdict"] is None or not row["holds"]


def _moment_json(moment: Moment) -> Message:
    return {
        "frame": moment.frame,
        "kind": moment.kind,
        "severity": round(moment.severity, 3),
        "other": moment.other,
        "text": str(moment),
    }
