"""One hash of everything that an engine finds, for a change of the code that must not change a result.

    python benchmarks/hashes.py > before.txt
    python benchmarks/hashes.py | diff before.txt -

Each line is the SHA-256 of every mask, score, state and fidelity of a run: objects given on several frames, both
directions, a correction, an object that leaves, a detector. The tiny SAM models of the tests are run where torch is
there. Only public names are used, so that the script runs on the commit before the change too. Hashes hold for one
machine and one set of package versions.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import maskferry
from maskferry import MaskTracker, Tracks

SIZE_HW = (96, 144)
FRAMES = 40

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def disc(frame: int, object_id: int) -> Mask:
    """Where an object is: two discs that cross; the second one leaves on the right and comes back."""
    height, width = SIZE_HW
    y, x = np.mgrid[:height, :width]
    if object_id == 1:
        centre = 30 + 1.6 * frame, 50 + 12 * np.sin(frame / 7)
    else:
        centre = 60 + 100 * np.sin(frame / 10), 42 + 0.3 * frame
    return np.asarray((x - centre[0]) ** 2 + (y - centre[1]) ** 2 < (11 + object_id) ** 2)


def film() -> NDArray[np.uint8]:
    """uint8 (T, H, W, 3): the discs with a texture of their own, over a ground that pans."""
    random = np.random.default_rng(3)
    ground = random.integers(0, 120, (SIZE_HW[0] + 80, SIZE_HW[1] + 80, 3), dtype=np.uint8)
    texture = {i: random.integers(0, 70, (*SIZE_HW, 3), dtype=np.uint8) for i in (1, 2)}
    colour = {1: (150, 60, 40), 2: (40, 90, 170)}
    frames = []
    for t in range(FRAMES):
        image = ground[t : t + SIZE_HW[0], t // 2 : t // 2 + SIZE_HW[1]].copy()
        for i in (2, 1):
            mask = disc(t, i)
            image[mask] = texture[i][mask] + np.array(colour[i], dtype=np.uint8)
        frames.append(image)
    return np.stack(frames)


def digest(tracks: Tracks) -> str:
    """Of all rows, in order."""
    found = hashlib.sha256()
    for frame in tracks.frames():
        found.update(repr((frame.info.index, frame.info.time, frame.info.name)).encode())
        for row in frame.masks:
            found.update(repr((row.object_id, row.score, str(row.state), row.fidelity)).encode())
            found.update(row.rle.counts)
    return found.hexdigest()


def both_ways(tracker: MaskTracker) -> None:
    """Objects given on frames 10 and 4, tracked to both ends, then one of them corrected on frame 30."""
    tracker.add_mask_prompt(disc(10, 1), 1, 10)
    tracker.add_mask_prompt(disc(4, 2), 2, 4)
    tracker.propagate()
    tracker.add_mask_prompt(disc(30, 1), 1, 30)
    tracker.propagate()


def with_detector(tracker: MaskTracker) -> None:
    """Nothing given; a detector finds the discs, and now and then something that is not there."""
    calls = iter(range(1000))

    def detect(image: Image) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]]:
        frame = next(t for t in range(FRAMES) if (image == frames[t]).all())
        masks = [mask for i in (1, 2) if (mask := disc(frame, i)).sum() > 60]
        if next(calls) % 2:
            masks.append(np.roll(disc(frame, 1), 40, axis=1))
        return {"masks": np.stack(masks), "scores": np.linspace(0.9, 0.6, len(masks))}

    frames = film()
    options = maskferry.AssociationOptions(every=8)
    tracker.propagate(detector=detect, association=options)


def runs(only: str) -> Iterator[tuple[str, str]]:
    """(name, digest) of every run whose name contains ``only``."""
    tests: dict[str, tuple[Callable[[MaskTracker], None], str, dict[str, Any]]] = {}
    for engine in ("hold", "flow", "flow-accurate"):
        tests[f"{engine}, given masks"] = both_ways, engine, {}
        tests[f"{engine}, detector"] = with_detector, engine, {}
    with tempfile.TemporaryDirectory() as folder:
        if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
            sys.path.append(str(Path(__file__).parent.parent / "tests"))
            import torch

            import sam_models

            for name in sam_models.SIZES:
                tests[f"{name}, given masks"] = both_ways, name, {"device": "cpu"}
        for name, (do, engine, options) in tests.items():
            if only in name:
                if options:
                    torch.manual_seed(0)
                    options = {**options, "checkpoint": sam_models.save(engine, Path(folder) / engine)}
                with MaskTracker(film(), engine=engine, **options) as tracker:
                    do(tracker)
                    yield name, digest(tracker.tracks)


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="runs whose name contains this")
    warnings.simplefilter("ignore")
    for name, found in runs(parser.parse_args().only):
        print(f"{found}  {name}", flush=True)


if __name__ == "__main__":
    main()
