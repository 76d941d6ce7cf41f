"""What was reviewed, kept in the tracks file: the last summaries, and a person's verdicts on moments."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

from maskferry._arguments import show
from maskferry.errors import DamagedTracksError, InputError
from maskferry.tracks._notes import Notes
from maskferry.tracks._review_rules import Moment
from maskferry.tracks._tracks import Tracks

__all__ = ["Verdict", "load_text", "set_verdict", "store_text", "verdicts"]

Answer = Literal["fine", "fix", "later"]
"""What a person says of a moment."""

SUMMARY = "note:review"
VERDICT = "note:verdict:"

NEAR = 12
"""Frames: a change of the object's masks so near to a moment ends the verdict on it."""


class Verdict(NamedTuple):
    """What a person has said of a moment.

    Attributes:
        answer: "fine", "fix" or "later".
        revision: of the tracks that he looked at.
        holds: nothing has changed since on the object's masks near the moment.
    """

    answer: Answer
    revision: int
    holds: bool


def store_text(tracks: Tracks, summaries: Sequence[dict[str, Any]]) -> None:
    """Keep summaries, as JSON, with the revision that they are of."""
    with tracks.database.transaction():
        Notes(tracks.database).set_json(SUMMARY, [tracks.revision, list(summaries)])


def load_text(tracks: Tracks, read: Callable[[dict[str, Any]], Any]) -> tuple[int, list[Any]] | None:
    """(revision, summaries) that were kept last, each read by ``read``; None where there are none."""
    kept = Notes(tracks.database).json(SUMMARY)
    if kept is None:
        return None
    try:
        revision, summaries = kept
        return int(revision), [read(value) for value in summaries]
    except (TypeError, ValueError, KeyError, AttributeError) as err:
        raise DamagedTracksError(f"{tracks.database.place}: the review that it holds cannot be read: {err}") from err


def set_verdict(tracks: Tracks, moment: Moment, answer: Answer | None) -> None:
    """Keep what a person says of a moment.

    Args:
        tracks: that were reviewed.
        moment: of them.
        answer: "fine", "fix" or "later"; None takes it back.

    Raises:
        InputError: another answer.
        RunningElsewhereError: a run of another process writes to the file.
    """
    if answer is not None and (not isinstance(answer, str) or answer not in get_args(Answer)):
        raise InputError(f"answer: expected one of {', '.join(get_args(Answer))}, or None, got {show(answer)}")
    name = f"{VERDICT}{moment.frame}:{moment.object_id}:{moment.kind}"
    with tracks.database.transaction():
        Notes(tracks.database).set(name, None if answer is None else json.dumps([answer, tracks.revision]))


def verdicts(tracks: Tracks) -> dict[tuple[int, int, str], Verdict]:
    """{(frame, object id, kind of moment): what a person has said of it}."""
    found = {}
    for name, text in Notes(tracks.database).starting_with(VERDICT).items():
        try:
            frame, object_id, kind = name.split(":")
            answer, revision = json.loads(text)
            place, known = (int(frame), int(object_id)), int(revision)
        except ValueError as err:
            raise DamagedTracksError(f"{tracks.database.place}: a verdict cannot be read: {err}") from err
        changed = tracks.changes_since(known).get(place[1], [])
        holds = not any(start <= place[0] + NEAR and place[0] - NEAR < stop for start, stop in changed)
        found[*place, kind] = Verdict(answer, known, holds)
    return found
