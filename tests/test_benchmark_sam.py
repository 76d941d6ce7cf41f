"""benchmarks/sam.py at work, with a tiny model on the CPU."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the SAM engines need torch")
pytest.importorskip("transformers", reason="the SAM engines need transformers")

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "sam.py"


def test_every_measurement_of_sam31_gives_a_row():
    options = "--engine sam3.1 --tiny --device cpu --size 64x48 --objects 20 --frames 30 --growth 10 --growth-objects 2"
    command = [sys.executable, str(SCRIPT), *options.split(), "--what", "step", "run", "stages", "parts"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = {row["what"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert list(rows) == ["step", "run", "stages", "parts", "growth"]
    assert all(row["engine"] == "sam3.1" for row in rows.values())
    assert all(rows[what]["ms"] > 0 for what in ("step", "run"))
    assert all(rows["stages"][f"{stage}_ms"] > 0 for stage in ("encode", "track", "masks"))
    assert (rows["parts"]["buckets"], rows["parts"]["memory_frames"]) == (2, 7)
    assert all(value > 0 for value in rows["parts"]["plain"].values())
    assert (rows["growth"]["frames"], rows["growth"]["objects"]) == (10, 2)
