"""The maps that package docstrings and docs/design.md draw list everything that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import maskferry

ROOT = Path(maskferry.__file__).parent
DESIGN = ROOT.parent.parent / "docs" / "design.md"


@pytest.mark.parametrize(
    "package", ["batch", "formats", "web", "engines._flow", "engines._sam", "engines._sam.multiplex"]
)
def test_a_package_lists_its_modules(package):
    folder = ROOT.joinpath(*package.split("."))
    there = {path.stem.removeprefix("_") for path in folder.glob("*.py")} - {"_init__"}
    doc = str(ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))))  # without torch, too
    listed = set(re.findall(r"^    (\w+) +\S", doc, re.MULTILINE))
    assert listed == there


def test_the_design_lists_every_part():
    text = DESIGN.read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `([\w.]+)/?` \|", text, re.MULTILINE))
    there = {path.name for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    named = {name if name.endswith(".py") or (ROOT / name).is_dir() else f"{name}.py" for name in table}
    assert there - {"__init__.py", "__main__.py", "_version.py"} == named
