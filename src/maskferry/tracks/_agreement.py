"""How well tracks agree with themselves on the way back, kept in the tracks file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskferry.errors import DamagedTracksError
from maskferry.tracks._notes import Notes
from maskferry.tracks._tracks import Tracks

__all__ = ["Agreement", "load_agreements", "save_agreements"]

AGREEMENTS = "note:way back"
DIGITS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """One object's masks, compared with those of a pass the other way.

    Attributes:
        object_id: the object.
        frames: indices that were compared, int64 (n,), ascending.
        iou: of its mask and the one found on the way back, float32 (n,); 1 where both are empty.
    """

    object_id: int
    frames: NDArray[np.int64]
    iou: NDArray[np.float32]

    @classmethod
    def of(cls, object_id: int, found: dict[int, float]) -> Agreement:
        """Of {frame: IoU}."""
        frames = sorted(found)
        return cls(object_id, np.array(frames, np.int64), np.array([found[f] for f in frames], np.float32))

    def without(self, ranges: Iterable[tuple[int, int]]) -> Agreement:
        """Without the frames of these ranges (start, stop)."""
        kept = np.ones(self.frames.size, np.bool_)
        for start, stop in ranges:
            kept &= (self.frames < start) | (self.frames >= stop)
        return Agreement(self.object_id, self.frames[kept], self.iou[kept])


def save_agreements(tracks: Tracks, agreements: Iterable[Agreement], revision: int | None = None) -> None:
    """Keep what a check found, with the revision that it is of; what was kept before is replaced.

    Args:
        tracks: that were checked.
        agreements: what was found.
        revision: of the tracks when the check began; None where nobody has edited them since.

    Raises:
        RunningElsewhereError: a run of another process writes to the file.
    """
    rows = [[one.object_id, one.frames.tolist(), [round(v, DIGITS) for v in one.iou.tolist()]] for one in agreements]
    with tracks.database.transaction():
        Notes(tracks.database).set_json(AGREEMENTS, [tracks.revision if revision is None else revision, rows])


def load_agreements(tracks: Tracks) -> dict[int, Agreement]:
    """{object id: what was kept}, without frames on which the object's mask has changed since.

    Raises:
        DamagedTracksError: it cannot be read.
    """
    kept = Notes(tracks.database).json(AGREEMENTS)
    if kept is None:
        return {}
    try:
        revision, rows = kept
        changes = tracks.changes_since(int(revision))
        found = [Agreement(int(i), np.array(frames, np.int64), np.array(iou, np.float32)) for i, frames, iou in rows]
    except (TypeError, ValueError) as err:
        raise DamagedTracksError(f"{tracks.database.place}: the check that it holds cannot be read: {err}") from err
    if any(one.frames.shape != one.iou.shape for one in found):
        raise DamagedTracksError(f"{tracks.database.place}: the check that it holds cannot be read: it is cut short")
    return {one.object_id: one.without(changes.get(one.object_id, ())) for one in found}
