"""Importing the package is light: nothing heavy, and few modules of its own."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import maskferry

HEAVY = ("torch", "transformers", "cv2", "av", "matplotlib", "typer", "click", "numpy", "numba", "PIL", "scipy")
PROBE = """
import json, sys
import maskferry
print(json.dumps(sorted(sys.modules)))
"""


def probe():
    return json.loads(subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout)


def test_importing_imports_nothing_heavy():
    assert {name.split(".")[0] for name in probe()}.isdisjoint(HEAVY)


def test_importing_loads_no_module_that_a_name_is_from():
    own = {name for name in probe() if name.startswith("maskferry.")}
    assert own == {"maskferry._lazy", "maskferry._moved", "maskferry._version"}


def test_every_public_name_is_there():
    for name in maskferry.__all__:
        assert getattr(maskferry, name) is not None
    assert set(maskferry.__all__) <= set(dir(maskferry))


def test_every_module_can_be_imported():
    """But those that need torch; what an extra brings may be missing."""
    root = Path(maskferry.__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        if "._sam." not in f"{name}.":
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as err:
                assert str(err.name).split(".")[0] in {"matplotlib", "pyarrow", "pytest", "supervision"}, name
