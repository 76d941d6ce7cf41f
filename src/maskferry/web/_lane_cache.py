"""``LaneCache``: states and scores of objects, read again only where masks of the object have changed."""

from __future__ import annotations

import threading
from collections import OrderedDict

from maskferry.tracks import Lane, Tracks

__all__ = ["LaneCache"]

MOST = 512
"""Objects whose lanes are kept."""


class LaneCache:
    """The lanes of tracks, for any thread."""

    def __init__(self, tracks: Tracks) -> None:
        self._tracks, self._lock = tracks, threading.Lock()
        self._lanes: OrderedDict[int, Lane] = OrderedDict()
        self._revision = tracks.revision

    def get(self, object_id: int) -> Lane:
        """The lane of an object as it is now, or as it was a moment ago.

        Raises:
            DamagedTracksError: a row is not the one that was written.
        """
        with self._lock:
            self._forget_outdated()
            if object_id not in self._lanes:
                self._lanes[object_id] = self._tracks.lane(object_id)
                if len(self._lanes) > MOST:
                    self._lanes.popitem(last=False)
            self._lanes.move_to_end(object_id)
            return self._lanes[object_id]

    def _forget_outdated(self) -> None:
        now = self._tracks.revision
        if now != self._revision:
            for object_id in self._tracks.changes_since(self._revision):
                self._lanes.pop(object_id, None)
            self._revision = now
