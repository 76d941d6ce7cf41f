"""Edits that are made only where nobody else has changed what the editor was looking at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from maskferry._arguments import whole
from maskferry.errors import OutdatedError
from maskferry.tracks._changes import changes_since, edited_since
from maskferry.tracks._tracks import Tracks

__all__ = ["based_on"]


@contextmanager
def based_on(
    tracks: Tracks,
    revision: int,
    objects: Iterable[int] | None = None,
    masks: Iterable[tuple[int, int]] = (),
) -> Iterator[None]:
    """Make the edits of a block all together, if nobody else has edited the same objects since a revision.

    What a run has tracked since is no edit, but for the masks that are named.

    Args:
        tracks: what to change.
        revision: `Tracks.revision` when the editor looked at them. A later one than that of the tracks is of another
            file: everything counts as changed.
        objects: ids of those that are changed; None for all that there are, as `undo` may change any.
        masks: (object id, frame) of masks that must be the same still, whoever has changed them.

    Raises:
        OutdatedError: somebody has.
        RunningElsewhereError: a run of another process writes to the file.
    """
    revision = whole(revision, "revision")
    with tracks.database.transaction():
        now, everyone = tracks.revision, tracks.object_ids
        if revision > now:
            revision = -1
        edited = edited_since(tracks.database, revision, everyone)
        found = edited if objects is None else edited.intersection(objects)
        changed = changes_since(tracks.database, revision, everyone)
        for object_id, frame in masks:
            if any(start <= frame < stop for start, stop in changed.get(object_id, ())):
                found.add(object_id)
        if found:
            ids = tuple(sorted(found))
            raise OutdatedError(
                f"object{'s' * (len(ids) > 1)} {', '.join(map(str, ids[:20]))} changed since revision {revision} (now "
                f"{now}): look at it again, then repeat the edit",
                revision=now,
                objects=ids,
            )
        yield
