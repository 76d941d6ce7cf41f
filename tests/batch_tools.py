"""What tests of whole batches share: folders of clips with their masks, detectors that do harm, receipts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli_tools import label_map
from clips import make_clip
from maskferry import Tracks

__all__ = ["DETECTOR", "KILLER_HW", "clips", "digest", "receipts", "start_batch", "steps_of", "wait_until"]

KILLER_HW = (64, 80)
"""Pictures of this size kill whoever looks at them with `DETECTOR`."""

DETECTOR = """
import os, signal, time

def slow(image):
    time.sleep(0.05)
    return []

def deadly(image):
    if image.shape[:2] == (64, 80):
        os.kill(os.getpid(), signal.SIGKILL)
    return []

def once(image):
    if image.shape[:2] == (64, 80) and not os.path.exists("died"):
        time.sleep(0.05)
        once.seen = getattr(once, "seen", 0) + 1
        if once.seen > 10:
            open("died", "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
    return []
"""


def clips(folder: Path, count: int = 12, frames: int = 12) -> Path:
    """A folder of so many clips, each with its mask beside it, and `DETECTOR` as ``harm.py`` above it."""
    films = folder / "films"
    films.mkdir(parents=True)
    (folder / "harm.py").write_text(DETECTOR)
    first = make_clip(films / "c00.mp4", frames)
    mask = label_map(films / "c00.png")
    for k in range(1, count):
        (films / f"c{k:02}.mp4").write_bytes(first.read_bytes())
        (films / f"c{k:02}.png").write_bytes(mask.read_bytes())
    return films


def start_batch(films: Path, *options: object, out: str = "out") -> subprocess.Popen[str]:
    """``maskferry batch`` of a folder of clips, in a process of its own, beside its ``harm.py``."""
    command = ["batch", "films", "-o", out, "--engine", "hold", "--write", "csv", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "maskferry", *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=films.parent,
        env={**os.environ, "TMPDIR": str(films.parent)},
    )


def receipts(out: Path) -> dict[str, dict[str, Any]]:
    """{id: receipt}."""
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(out.glob("*/receipt.json"))}


def digest(path: Path) -> str:
    """Of the tracks in an output folder."""
    with Tracks.open(path / "tracks.sqlite", read_only=True) as tracks:
        return tracks.digest()


def steps_of(out: Path) -> int:
    """Steps that the attempts took which were committed."""
    return sum(receipt["steps"] for receipt in receipts(out).values())


def wait_until(happens: Callable[[], bool], process: subprocess.Popen[str] | None = None, patience: float = 60) -> None:
    """Wait for something, for as long as a process goes on."""
    end = time.monotonic() + patience
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)
