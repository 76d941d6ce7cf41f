"""The wheel holds everything that the package is made of, and is small."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_is_whole_and_small(tmp_path):
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("maskferry-*.whl")
    assert wheel.stat().st_size < 12_000_000
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    package = ROOT / "src"
    files = (p for p in (package / "maskferry").rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    missing = {path.relative_to(package).as_posix() for path in files} - names
    assert not missing
    assert "maskferry/web/static/index.html" in names
    licences = {name.rpartition("/")[2] for name in names if ".dist-info/licenses/" in name}
    assert licences >= {"LICENSE", "LICENSE_DEJAVU", "LICENSES.txt", "NOTICE", "ATTRIBUTION.txt"}
