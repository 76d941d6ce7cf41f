"""How long the tracks of a long video with many objects take to read, edit and review.

    python benchmarks/large_tracks.py
    python benchmarks/large_tracks.py --frames 1000 --objects 50 --only summarize
    python benchmarks/large_tracks.py --keep big.sqlite --only none

A tracks file is made of discs with a rough outline that wander, some of them lost now and then: by default 2 million
rows of about 250 bytes of run lengths. Each task is timed once, on the file as it is then: what is measured are
seconds, not milliseconds. Times are CPU seconds of this process and seconds by the clock. One JSON object is printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import stamp

from maskferry import FrameInfo, MaskPrompt, ObjectMask, Rle, State, Tracks, VideoInfo
from maskferry.data import Mask
from maskferry.tracks import editing, review
from maskferry.tracks._journal import Journal

SIZE_HW = (720, 1280)
SHAPES = 64
"""Different outlines; each is drawn at many places."""

LOST_EVERY, LOST_FOR = 400, 20
"""Each object is lost for so many frames, once in so many."""


def outline(rng: np.random.Generator) -> Mask:
    """A disc with a rough outline, bool (81, 81)."""
    y, x = np.mgrid[-40:41, -40:41]
    angle = np.arctan2(y, x)
    waves = sum(rng.uniform(0, 1.5) * np.sin(k * angle + rng.uniform(0, 6)) for k in range(2, 12))
    return np.asarray(np.hypot(x, y) < 25 + waves + rng.normal(0, 0.7, x.shape))


def shapes(rng: np.random.Generator, places: int = 32) -> list[list[bytes]]:
    """Counts of every outline at some places along a line."""
    found = []
    for _ in range(SHAPES):
        mask, (x, y) = outline(rng), rng.integers(0, [SIZE_HW[1] - 200, SIZE_HW[0] - 200])
        steps = [(int(x) + k, int(y) + k // 2) for k in range(places)]
        found.append([Rle.encode_crop(mask, corner, SIZE_HW).counts for corner in steps])
    return found


def row_of(frame: int, object_id: int, known: list[list[bytes]], empty: bytes) -> ObjectMask:
    """An object that goes one way and back, and is lost for a while."""
    places = known[object_id % len(known)]
    if frame and (frame + 37 * object_id) % LOST_EVERY < LOST_FOR:
        return ObjectMask(object_id, Rle(SIZE_HW, empty), 0.0, State.LOST)
    step = (frame + object_id) % (2 * len(places))
    counts = places[min(step, 2 * len(places) - 1 - step)]
    score = 0.8 + 0.15 * np.sin(frame / 50 + object_id)
    return ObjectMask(object_id, Rle(SIZE_HW, counts), float(score), State.GIVEN if frame == 0 else State.TRACKED)


def make(path: Path, frames: int, objects: int) -> dict[str, Any]:
    """Write the tracks file, through the same path as a run; what it holds."""
    known, empty = shapes(np.random.default_rng(1)), Rle.empty(SIZE_HW).counts
    with Tracks.create(VideoInfo(SIZE_HW[1], SIZE_HW[0], None, frames, "made"), path) as tracks:
        journal, ids = Journal(tracks), range(1, objects + 1)
        first = [row_of(0, i, known, empty) for i in ids]
        with tracks.database.transaction():
            journal.add_prompts([MaskPrompt(0, row.object_id, row.rle.decode()) for row in first])
        for start in range(0, frames, 500):
            with tracks.database.transaction():
                for frame in range(start, min(start + 500, frames)):
                    rows = [row_of(frame, i, known, empty) for i in ids]
                    journal.frames.write(FrameInfo(frame, frame / 25, f"{frame:06d}"), rows)
        mean = np.mean([len(counts) for places in known for counts in places])
    return {
        "frames": frames,
        "objects": objects,
        "rows": frames * objects,
        "bytes_of_counts_per_row": round(float(mean)),
        "megabytes": round(path.stat().st_size / 1e6),
    }


def read_all(tracks: Tracks) -> None:
    """Every row as a value; nothing is decoded."""
    for _ in tracks.frames():
        pass


def read_lane(tracks: Tracks) -> None:
    """States and scores of one object."""
    tracks.lane(tracks.object_ids[-1])


def read_timeline(tracks: Tracks) -> None:
    """Every row of one object."""
    for _ in tracks.timeline(tracks.object_ids[-1]):
        pass


def summarize_a_part(tracks: Tracks) -> None:
    """Three objects on a hundred frames in the middle."""
    middle = len(tracks) // 2
    review.summarize(tracks, objects=tracks.object_ids[:3], frames=(middle, middle + 100))


TASKS: dict[str, Callable[[Tracks], object]] = {
    "len": len,
    "iterate": list,
    "frames": read_all,
    "lane": read_lane,
    "timeline": read_timeline,
    "rename": lambda tracks: editing.rename(tracks, tracks.object_ids[0], "renamed"),
    "mark_returns": lambda tracks: Journal(tracks).frames.mark_returns(tracks.object_ids),
    "summarize": review.summarize,
    "summarize_a_part": summarize_a_part,
}


def measure(path: Path, only: str) -> Iterator[tuple[str, dict[str, float]]]:
    """Time each task whose name contains ``only``, on the file opened anew."""
    for name, task in TASKS.items():
        if only in name:
            with Tracks.open(path) as tracks:
                busy, clock = time.process_time(), time.perf_counter()
                task(tracks)
                seconds = {"cpu_s": time.process_time() - busy, "s": time.perf_counter() - clock}
                yield name, {key: round(value, 3) for key, value in seconds.items()}


def main() -> None:
    """Make the file, time the tasks, print JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--only", default="", help="tasks whose name contains this")
    parser.add_argument("--keep", type=Path, help="use this tracks file; make it where it is missing, and leave it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "large.sqlite"
        started = time.perf_counter()
        made = {} if path.exists() else make(path, options.frames, options.objects)
        made["making_s"] = round(time.perf_counter() - started, 1)
        print(json.dumps({**stamp(), "tracks": made, "tasks": dict(measure(path, options.only))}, indent=2))


if __name__ == "__main__":
    main()
