"""Public names: each package shows what it says, and the paths of earlier versions go on working."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

import maskferry
from maskferry._lazy import HOMES
from maskferry._moved import MOVED

ROOT = Path(maskferry.__file__).parent
PACKAGES = sorted(".".join(p.parent.relative_to(ROOT.parent).parts) for p in ROOT.rglob("__init__.py"))


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_path_works_and_says_where_it_is_now(old):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"is now {MOVED[old]}"):
        module = importlib.import_module(old)
    new = importlib.import_module(MOVED[old])
    if new.__name__ == "maskferry.engines":
        pytest.importorskip("torch", reason="SamEngine needs torch")
    for name in new.__all__:
        assert getattr(module, name) is getattr(new, name)


def test_the_paths_that_the_tutorial_showed():
    sys.modules.pop("maskferry.filming", None)
    with pytest.warns(DeprecationWarning, match="is now maskferry.rendering"):
        from maskferry.filming import render_sheet
    assert render_sheet is importlib.import_module("maskferry.rendering").render_sheet


def test_a_path_that_never_was_is_an_import_error():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("maskferry.nothing")


@pytest.mark.parametrize("package", PACKAGES)
def test_what_type_checkers_see_is_what_there_is(package):
    if package == "maskferry.engines._sam":
        pytest.importorskip("torch", reason="it needs torch")
    module = importlib.import_module(package)
    if package not in HOMES:
        return
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    seen = {
        alias.asname: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == HOMES[package]
    assert set(HOMES[package]) <= set(module.__all__)
