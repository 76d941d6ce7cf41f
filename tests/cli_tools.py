"""What the tests of the command line share: small inputs, and the program run in this process or in its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from clips import SIZE_HW, make_clip
from maskferry.cli import main

COUNT = 12

SLOW = """
import sys, time
from maskferry.engines._hold import HoldSession
step = HoldSession.step
def slow(self, frame, prompts=()):
    time.sleep(0.05)
    return step(self, frame, prompts)
HoldSession.step = slow
from maskferry.cli import main
sys.exit(main())
"""


def clip(folder: Path, name: str = "clip.mp4", count: int = COUNT) -> Path:
    """A short numbered video."""
    return make_clip(folder / name, count)


def label_map(path: Path, *boxes_xyxy: tuple[int, int, int, int], size_hw: tuple[int, int] = SIZE_HW) -> Path:
    """A label map with object 1, 2, ... in these boxes."""
    labels = np.zeros(size_hw, dtype=np.uint8)
    for object_id, (x1, y1, x2, y2) in enumerate(boxes_xyxy or ((10, 20, 40, 60),), 1):
        labels[y1:y2, x1:x2] = object_id
    Image.fromarray(labels).save(path)
    return path


def run(*arguments: object) -> int:
    """The command line, in this process."""
    return main([str(a) for a in arguments])


def tracked(folder: Path, *options: object, engine: str = "hold") -> Path:
    """The output folder of a finished run."""
    folder.mkdir(exist_ok=True)
    video = clip(folder) if not (folder / "clip.mp4").exists() else folder / "clip.mp4"
    masks = label_map(folder / "first.png", (10, 20, 40, 60), (60, 30, 90, 70))
    assert run("track", video, "--masks", masks, "--engine", engine, "-o", folder / "out", "-q", *options) == 0
    return folder / "out"


def one_json(text: str) -> dict:
    """Exactly one JSON object, and nothing else."""
    value = json.loads(text)
    assert isinstance(value, dict)
    return value


def start(*arguments: object, slow: bool = False) -> subprocess.Popen[str]:
    """The command line, in a process of its own; ``slow`` takes 50 ms a frame."""
    program = ["-c", SLOW] if slow else ["-m", "maskferry"]
    return subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(exit code, stdout, stderr)."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err
