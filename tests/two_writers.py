"""A process that writes to a tracks file, once for each line that it reads; for `test_tracks_file`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from maskferry import MaskTracker, Tracks
from maskferry.errors import RunningElsewhereError
from maskferry.tracks import editing

VIDEO = np.zeros((16, 24, 32, 3), dtype=np.uint8)


def block(x: int) -> np.ndarray:
    """A square mask."""
    mask = np.zeros((24, 32), dtype=bool)
    mask[4:10, x : x + 6] = True
    return mask


def add(path: Path) -> list[int]:
    """Give five masks without an id; the ids that they got."""
    with MaskTracker(VIDEO, engine="hold", tracks=path, resume=True) as tracker:
        return [tracker.add_mask_prompt(block(10 + i)) for i in range(5)]


def edit(path: Path) -> str:
    """Rename five times."""
    with Tracks.open(path) as tracks:
        for i in range(5):
            editing.rename(tracks, 1, f"car {i}")
    return "edited"


def run(path: Path) -> str:
    """Correct an object, and track it."""
    with MaskTracker(VIDEO, engine="hold", tracks=path, resume=True) as tracker:
        tracker.add_mask_prompt(block(2), 1, 5, replace=True)
        tracker.propagate()
    return "ran"


if __name__ == "__main__":
    work = {"add": add, "edit": edit, "run": run}[sys.argv[1]]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        try:
            result: object = work(Path(sys.argv[2]))
        except RunningElsewhereError:
            result = [] if work is add else "refused"
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()
