"""What re-detection with association brings, against matching frame by frame and against propagation alone.

    python benchmarks/association.py [--engine flow] [--seeds 3] [--every 10] [-o benchmarks/results/association.json]

Needs the extra ``eval``. The world is made, see ``crossing.py``: 10 objects, 300 frames, a detector that misses 20 %
and adds 5 % false masks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from crossing import FRAMES, SIZE_HW, Detector, World
from machine import stamp

from maskferry import FrameMasks, MaskTracker, ObjectMask, Rle, State, Tracks
from maskferry.association import AssociationOptions
from maskferry.masks.matching import assign, iou_matrix
from maskferry.metrics.tracking import TrackingScore, score_tracking


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


def propagate(world: World, detector: Detector, engine: str, every: int | None) -> Tracks:
    """Track from what is detected on frame 0; with ``every``, detect again on every n-th frame."""
    video = np.stack([world.frame(index)[0] for index in range(FRAMES)])
    numbered = {frame.tobytes(): index for index, frame in enumerate(video)}
    with MaskTracker(video, engine=engine) as tracker:
        if every is None:
            tracker.add_masks_prompt(detector.at(0))
        return tracker.propagate(
            direction="forward",
            detector=None if every is None else lambda image: detector.at(numbered[image.tobytes()]),
            association=AssociationOptions(every=every) if every is not None else None,
        )


def score(world: World, result: Iterator[FrameMasks]) -> TrackingScore:
    """Against the truth."""
    return score_tracking((world.frame(index)[1], masks) for index, masks in enumerate(result))


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="flow")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("-o", "--out", type=Path)
    options = parser.parse_args()
    rows = []
    for seed in range(options.seeds):
        world = World(seed)
        detector = Detector(world, seed)
        again = propagate(world, detector, options.engine, options.every)
        alone = propagate(world, detector, options.engine, None)
        for name, result in (
            ("matched frame by frame", frame_by_frame(detector)),
            ("propagation alone", (f.masks for f in alone.frames())),
            (f"detected again every {options.every}", (f.masks for f in again.frames())),
        ):
            rows.append({"method": name, "seed": seed, **score(world, result).to_dict()})
            print(rows[-1], flush=True)
    if options.out is not None:
        report = {**stamp(), "engine": options.engine, "every": options.every, "rows": rows}
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
