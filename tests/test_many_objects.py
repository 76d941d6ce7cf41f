"""A thousand objects on one frame: imported, tracked, and written in every format, in about two minutes."""

from __future__ import annotations

import importlib.util
import logging
import time
from pathlib import Path

import numpy as np
import pytest

import maskferry
from clips import make_clip
from maskferry.formats.registry import BUILT_IN
from maskferry.outputs import export

log = logging.getLogger(__name__)

COUNT, FRAMES, SIZE = 1000, 10, (360, 640)
LIMIT = 1700  # 1230 measured
"""Processor time of the whole, in units of `unit`: how long a second lasts depends on who else is at work."""


def unit() -> float:
    """Processor seconds of some fixed work of the same kind: arithmetic on arrays, and many small steps in Python."""
    start = time.process_time()
    values = np.random.default_rng(0).random((1000, 1000), dtype=np.float32)
    for _ in range(10):
        np.sort(values, axis=1)
        np.exp(values).sum()
        sum(i * i for i in range(100_000))
    return time.process_time() - start


def generated() -> list[dict]:
    """As SAM's mask generator gives them: 40 x 25 blobs, which overlap a little."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    out = []
    for i in range(COUNT):
        center = 8 + 16 * (i % 40), 7 + 14 * (i // 40)
        mask = (x - center[0]) ** 2 / 81 + (y - center[1]) ** 2 / 49 <= 1
        out.append(
            {"segmentation": mask, "predicted_iou": 0.5 + i / 2001, "bbox": [0, 0, 1, 1], "area": int(mask.sum())}
        )
    return out


@pytest.mark.slow
def test_a_thousand_objects(tmp_path: Path):
    clip = make_clip(tmp_path / "clip.mp4", FRAMES, size_hw=SIZE)
    masks = generated()
    plain = [name for name, spec in BUILT_IN.items() if not spec.needs_map]
    formats = [f for f in plain if f != "parquet" or importlib.util.find_spec("pyarrow")]
    units = [unit()]
    clock = {"start": time.process_time()}
    with maskferry.MaskTracker(clip, engine="flow", tracks=tmp_path / "t.sqlite") as tracker:
        ids = tracker.add_masks_prompt(masks)
        clock["import"] = time.process_time()
        tracks = tracker.propagate()
        clock["track"] = time.process_time()
        for name in formats:
            assert export(tracks, tmp_path / "out" / f"{name}{'.webm' if name == 'webm' else ''}", name)
            clock[name] = time.process_time()
        units.append(unit())
        assert len(ids) == len(tracks.object_ids) == COUNT
        assert len(tracks) == FRAMES
        np.testing.assert_array_equal(tracks[0].mask(ids[-1]), masks[-1]["segmentation"])
    took = np.diff(list(clock.values()))
    log.info("%s", dict(zip(list(clock)[1:], took.round(2).tolist(), strict=True)))
    assert took.sum() / np.mean(units) < LIMIT
