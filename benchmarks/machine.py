"""What a benchmark's row says of where it was measured: commit, command, machine, versions."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "maskferry",
    "numpy",
    "opencv-python-headless",
    "av",
    "numba",
    "scipy",
    "rasterio",
    "trackeval",
    "torch",
    "transformers",
)


def stamp() -> dict[str, Any]:
    """Commit, command, machine, how busy it is, and versions, for JSON. Of a path in the command the name is kept."""
    root = Path(__file__).parent.parent
    git = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
    return {
        "commit": commit,
        "command": shlex.join(_without_path(a) for a in sys.argv),
        "machine": {"system": platform.system(), "processor": _processor(), "cores": os.cpu_count()},
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "versions": {"python": platform.python_version(), **_versions()},
    }


def _without_path(argument: str) -> str:
    return Path(argument).name if os.sep in argument else argument


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
