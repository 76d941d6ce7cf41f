"""Which masks have changed after a revision of a tracks file, and which objects somebody has edited."""

from __future__ import annotations

from collections.abc import Sequence

from maskferry.errors import DamagedTracksError
from maskferry.tracks._database import Database
from maskferry.tracks._intervals import Interval, unite
from maskferry.tracks._table import Table

__all__ = ["Ranges", "changes_since", "edited_since"]

Ranges = dict[int, list[Interval]]
"""{object id: stretches}: first frame, and the frame to end before."""

EVERYWHERE = (0, 1 << 62)


def changes_since(database: Database, revision: int, everyone: Sequence[int]) -> Ranges:
    """Stretches whose masks may have changed, by object.

    Args:
        database: of the tracks.
        revision: of an earlier look. Of one that is too old to be known, everything has changed.
        everyone: ids of all objects.
    """
    rows = _rows(database, revision)
    if rows is None:
        return {i: [EVERYWHERE] for i in everyone}
    found: Ranges = {}
    for objects, start, stop in rows:
        for i in objects:
            found.setdefault(i, []).append((start, stop))
    return {i: unite(found[i]) for i in sorted(found)}


def edited_since(database: Database, revision: int, everyone: Sequence[int]) -> set[int]:
    """Ids of objects whose name, prompts or masks somebody has edited; what runs have tracked is no edit.

    The arguments are those of `changes_since`.
    """
    rows = _rows(database, revision)
    if rows is None:
        return set(everyone)
    return {i for objects, start, stop in rows if stop <= start for i in objects}


def _rows(database: Database, revision: int) -> list[tuple[list[int], int, int]] | None:
    """(ids, first frame, frame to end before) of each change after a revision; None where that is not known any more.

    An edit has a change of its own, without frames.
    """
    rows = Table(database, "change").find("WHERE revision > ? ORDER BY revision", [revision])
    if revision < database.revision and (not rows or rows[0][0] != revision + 1):
        return None
    try:
        return [([int(i) for i in str(ids).split(",")], int(str(a)), int(str(b))) for _, ids, a, b in rows]
    except ValueError as err:
        raise DamagedTracksError(f"{database.place}: its list of changes cannot be read: {err}") from err
