"""What re-detection with association brings, against matching frame by frame and against propagation alone.

    python benchmarks/association.py                     # all seeds; results and the table of docs/tutorial.md
    python benchmarks/association.py --seed 3 --seed 4   # replaces the rows of these
    python benchmarks/association.py --render            # the table from the results there are

Needs the extra ``eval``. The world is made, see ``crossing.py``: 10 objects, 300 frames, a detector that misses 20 %
and adds 5 % false masks. All three methods know the world by that detector alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from crossing import FRAMES, SIZE_HW, Detector, World
from machine import stamp
from numpy.typing import NDArray

from maskferry import AssociationOptions, FrameMasks, MaskTracker, ObjectMask, Rle, State
from maskferry.masks import assign, iou_matrix
from maskferry.metrics import score_tracking

HERE = Path(__file__).resolve().parent
RESULTS, PAGE = HERE / "results" / "association.json", HERE.parent / "docs" / "tutorial.md"
METHODS = ("matched frame by frame", "propagation alone", "detected again")
SEEDS, EVERY = range(10), 10

Row = dict[str, Any]


def frame_by_frame(detector: Detector) -> Iterator[FrameMasks]:
    """Detect on every frame and match with the frame before by IoU: what people write first."""
    before: dict[int, Rle] = {}
    count = 0
    for index in range(FRAMES):
        found = [Rle.encode(mask) for mask in detector.at(index)]
        ids = list(before)
        pairs = dict((k, ids[i]) for i, k in assign(iou_matrix(list(before.values()), found), 0.3))
        before = {}
        for k, rle in enumerate(found):
            if k not in pairs:
                count += 1
            before[pairs.get(k, count)] = rle
        rows = (ObjectMask(i, rle, 1.0, State.GIVEN) for i, rle in sorted(before.items()))
        yield FrameMasks(index, SIZE_HW, tuple(rows))


def propagate(world: World, detector: Detector, engine: str, *, again: bool) -> tuple[list[FrameMasks], int]:
    """Track from what is detected on frame 0, and perhaps detect again on the way: masks, and runs of the detector."""
    video = np.stack([world.frame(index)[0] for index in range(FRAMES)])
    numbered = {frame.tobytes(): index for index, frame in enumerate(video)}
    runs = {0}

    def detect(image: NDArray[np.uint8]) -> list[NDArray[np.bool_]]:
        runs.add(numbered[image.tobytes()])
        return detector.at(numbered[image.tobytes()])

    with MaskTracker(video, engine=engine) as tracker:
        if again:
            options = AssociationOptions(every=EVERY)
            tracks = tracker.propagate(direction="forward", detector=detect, association=options)
        else:
            tracker.add_masks_prompt(detector.at(0))
            tracks = tracker.propagate(direction="forward")
        return [frame.masks for frame in tracks.frames()], len(runs)


def measure(seed: int, engine: str) -> Iterator[Row]:
    """The rows of one world."""
    world = World(seed)
    detector = Detector(world, seed)
    alone, again = (propagate(world, detector, engine, again=again) for again in (False, True))
    results = (list(frame_by_frame(detector)), FRAMES), alone, again
    for method, (masks, runs) in zip(METHODS, results, strict=True):
        score = score_tracking((world.frame(index)[1], found) for index, found in enumerate(masks))
        yield {"method": method, "seed": seed, **score.to_dict(), "detector_runs": runs, "engine": engine}


def render(rows: list[Row]) -> None:
    """Put the table between the markers of docs/tutorial.md."""
    heads = ("seed", *METHODS, "runs of the detector in it")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for seed in sorted({row["seed"] for row in rows}):
        own = {row["method"]: row for row in rows if row["seed"] == seed}
        cells = [f"{own[m]['hota']:.1f} / {own[m]['id_switches']}" for m in METHODS]
        lines.append(f"| {seed} | {' | '.join(cells)} | {own[METHODS[-1]]['detector_runs']} |")
    start, end = "<!-- table:association -->", "<!-- end:association -->"
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.split(start)[0], text.split(end)[1]
    PAGE.write_text("\n".join([head + start, *lines, end + tail]), encoding="utf-8")


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="flow")
    parser.add_argument("--seed", type=int, action="append", help="only these worlds")
    parser.add_argument("--render", action="store_true", help="only make the table")
    options = parser.parse_args()
    where = stamp()
    rows: list[Row] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []
    for seed in [] if options.render else options.seed or SEEDS:
        rows = [row for row in rows if row["seed"] != seed]
        for row in measure(seed, options.engine):
            print(row, flush=True)
            rows.append({**row, **where})
        rows.sort(key=lambda row: (row["seed"], METHODS.index(row["method"])))
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    render(rows)


if __name__ == "__main__":
    main()
