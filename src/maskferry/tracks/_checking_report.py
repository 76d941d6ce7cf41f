"""What is wrong with a tracks file, in words: one line for each thing, with what of it can be saved."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from maskferry.tracks._damage import UNREADABLE, Gap
from maskferry.tracks._salvage import Salvage
from maskferry.tracks._schema import TABLES
from maskferry.tracks._survey import Keys, Survey, split_keys
from maskferry.tracks._untrusted import Untrusted

__all__ = ["problems_of", "stretches"]

MOST_LINES = 50
"""Of one kind."""

MOST_STRETCHES = MOST_PAGES = MOST_KEYS = 10


def problems_of(opened: Untrusted, survey: Survey, salvage: Salvage | None) -> list[str]:
    """Everything that is wrong."""
    found = [*opened.problems]
    if survey.video is None:
        found.append("what it says of its video is lost: only with the video can anything be saved")
    tables = [line for name in TABLES if name != "mask" for line in _of_table(name, survey)]
    found += tables
    found += _of_index(survey)
    if salvage is not None:
        found += _of_salvage(survey, salvage)
    return found if opened.has_more else found + _of_pages(opened.connection)


def _of_pages(connection: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the structure."""
    try:
        answers = [str(row[0]) for row in connection.execute(f"PRAGMA integrity_check({MOST_PAGES})")]
    except UNREADABLE as err:
        answers = [str(err)]
    lines = [line for answer in answers for line in answer.splitlines() if line not in ("ok", "")]
    return [f"structure: {line}" for line in lines[:MOST_PAGES]]


def _of_table(name: str, survey: Survey) -> Iterator[str]:
    damage = survey.damage[name]
    kinds: dict[str, list[str]] = {}
    for key, problem in damage.bad:
        kinds.setdefault(problem, []).append(f"({_shown(key)})")
    for problem, keys in islice(kinds.items(), MOST_LINES):
        some = ", ".join(keys[:MOST_KEYS]) + (f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else "")
        yield f"table {name}: {'row' if len(keys) == 1 else 'rows'} {some} cannot be saved: {problem}"
    if len(kinds) > MOST_LINES:
        yield f"table {name}: {len(damage.bad)} rows in all cannot be saved"
    for gap in damage.gaps[:MOST_LINES]:
        yield f"table {name}: {_place_of(gap)} cannot be read"
    if len(damage.gaps) > MOST_LINES:
        yield f"table {name}: {len(damage.gaps) - MOST_LINES} more places cannot be read"


def _place_of(gap: Gap) -> str:
    if gap.after is None and gap.before is None:
        return "nothing of it"
    if gap.after is None:
        return f"what lies before row ({_shown(gap.before or ())})"
    if gap.before is None:
        return f"what lies behind row ({_shown(gap.after)})"
    return f"what lies between rows ({_shown(gap.after)}) and ({_shown(gap.before)})"


def _shown(key: Sequence[object]) -> str:
    return ", ".join(str(value)[:40] for value in key)


def _of_index(survey: Survey) -> Iterator[str]:
    if survey.damage["mask_timeline"]:
        yield "the index mask_timeline is damaged: it can be made anew"
    if survey.unindexed:
        yield f"the index mask_timeline lacks {survey.unindexed} masks: it can be made anew"


def _of_salvage(survey: Survey, salvage: Salvage) -> Iterator[str]:
    own = split_keys(salvage.sound)
    restored = {(row[0], row[1]) for row in salvage.restored}
    for i, lost in sorted(salvage.lost.items()):
        back = [frame for frame in lost if (frame, i) in restored]
        there = np.union1d(own.get(i, np.zeros(0, dtype=np.int64)), np.array(back, dtype=np.int64))
        gone = sorted(lost - set(back))
        if gone:
            yield (
                f"object {i}: {len(gone)} of {len(there) + len(gone)} masks are damaged or missing: "
                f"{stretches(there, gone)} can be saved"
            )
        if back:
            at = stretches(np.array(sorted(back)), [])
            yield f"object {i}: its mask on {at} is damaged, but saved, as its prompt holds it, too"
    if survey.rescued:
        yield f"{len(survey.rescued)} masks lie on pages to which none leads any more: they can be saved"
    if salvage.homeless:
        yield f"{salvage.homeless} masks belong to no object: they are left out"
    for i in salvage.unnamed:
        yield f"object {i}: its name is lost; its masks and prompts can be saved"
    frames = survey.lost_frames()
    if frames.size:
        yield f"times and names of {stretches(frames, [])} are lost: they are to be tracked again"
    dropped = [row for row in survey.rows["edit"] if int(str(row[0])) < salvage.first_edit]
    if dropped:
        yield f"{len(dropped)} of {len(survey.rows['edit'])} edits cannot be undone any more once it is repaired"


def stretches(there: Keys, gone: Sequence[int]) -> str:
    """Frames in words, as stretches of those that lie beside each other: "frames 0 to 411 and 413 to 999".

    Args:
        there: frames, ascending.
        gone: frames that end a stretch; others that are missing do not.
    """
    if not there.size:
        return "none"
    cuts = np.searchsorted(np.array(gone), there) if len(gone) else np.concatenate([[0], np.cumsum(np.diff(there) > 1)])
    ends = np.flatnonzero(np.diff(cuts))
    firsts, lasts = there[np.concatenate([[0], ends + 1])], there[np.concatenate([ends, [-1]])]
    parts = [str(a) if a == b else f"{a} to {b}" for a, b in zip(firsts.tolist(), lasts.tolist(), strict=True)]
    if len(parts) > MOST_STRETCHES:
        parts = [*parts[:MOST_STRETCHES], f"{len(parts) - MOST_STRETCHES} more stretches"]
    *some, last = parts
    word = "frame" if there.size == 1 else "frames"
    return f"{word} {', '.join(some)} and {last}" if some else f"{word} {last}"
