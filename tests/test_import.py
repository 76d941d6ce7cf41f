"""Importing the package is light: nothing heavy, and quick."""

from __future__ import annotations

import json
import subprocess
import sys

import maskferry

HEAVY = ("torch", "transformers", "cv2", "av", "matplotlib", "typer", "click", "numpy", "numba", "PIL", "scipy")
PROBE = """
import json, sys, time
start = time.perf_counter()
import maskferry
print(json.dumps({"seconds": time.perf_counter() - start, "modules": sorted(sys.modules)}))
"""


def probe():
    return json.loads(subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout)


def test_importing_imports_nothing_heavy():
    loaded = {name.split(".")[0] for name in probe()["modules"]}
    assert loaded.isdisjoint(HEAVY)


def test_importing_takes_under_150_ms():
    assert min(probe()["seconds"] for _ in range(5)) < 0.15


def test_every_public_name_can_be_had():
    for name in maskferry.__all__:
        assert getattr(maskferry, name) is not None
    assert set(maskferry.__all__) <= set(dir(maskferry))
