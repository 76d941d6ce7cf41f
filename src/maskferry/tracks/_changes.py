"""Which masks have changed after a revision of a tracks file."""

from __future__ import annotations

from collections.abc import Sequence

from maskferry.errors import DamagedTracksError
from maskferry.tracks._database import Database
from maskferry.tracks._intervals import Interval, unite
from maskferry.tracks._table import Table

__all__ = ["Ranges", "changes_since"]

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
    rows = Table(database, "change").find("WHERE revision > ? ORDER BY revision", [revision])
    if revision < database.revision and (not rows or rows[0][0] != revision + 1):
        return {i: [EVERYWHERE] for i in everyone}
    found: Ranges = {}
    try:
        for _, objects, start, stop in rows:
            for i in str(objects).split(","):
                found.setdefault(int(i), []).append((int(str(start)), int(str(stop))))
    except ValueError as err:
        raise DamagedTracksError(f"{database.place}: its list of changes cannot be read: {err}") from err
    return {i: unite(found[i]) for i in sorted(found)}
