"""The architecture of docs/design.md, held: imports go down, and never sideways between the adapters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "maskferry"

LAYERS = (
    {"_version", "_lazy", "closing", "errors", "_held_open"},
    {"_locks", "child_processes", "_arguments", "_palettes", "_plugins", "_own_files", "images"},
    {"limits"},
    {"_apart", "_replacing", "_staging"},
    {"files"},
    {"rle"},
    {"data"},
    {"masks", "drawing", "_maps", "_ffmpeg", "_pillow"},
    {"sources", "engines", "detections", "formats", "tracks", "metrics"},
    {"rendering"},
    {"outputs"},
    {"association"},
    {"prompts"},
    {"run"},
    {"tracker"},
    {"one_call", "whole_run", "evaluation", "engine_check", "way_back"},
    {"batch"},
    {"testing", "samgeo", "web"},
    {"cli"},
    {"__main__", "_moved"},
)
"""From the ground up: a module imports only from lower lines, and from its own package."""

FACES = {"testing", "samgeo", "web", "cli"}
"""The faces that import public names only."""

MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def part_of(path: Path) -> str:
    """The top-level module or package that a file belongs to."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def layer_of(part: str) -> int:
    for number, parts in enumerate(LAYERS):
        if part in parts:
            return number
    return pytest.fail(f"{part} has no layer yet: give it one here and in docs/design.md")


def imports_of(path: Path) -> set[str]:
    """Full names of what a module imports from maskferry, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("maskferry.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_down(path: Path) -> None:
    part = part_of(path)
    for name in imports_of(path):
        other = name.split(".")[1]
        if other == part or (not (ROOT / other).is_dir() and not (ROOT / f"{other}.py").is_file()):
            continue  # its own package, or a name of the package maskferry itself
        assert layer_of(other) < layer_of(part), f"{part} imports {name}, which is not below it"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if part_of(p) in FACES], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_a_face_imports_what_is_public(path: Path) -> None:
    for name in imports_of(path):
        _, other, *rest = name.split(".")
        if other != part_of(path):
            private = [word for word in (other, *rest) if word.startswith("_") and not word.startswith("__")]
            assert not private, f"{path}: {name} is private: import it from its package, or make it public there"


def test_the_engines_do_not_import_each_other() -> None:
    for path in MODULES:
        for mine, other in (("_flow", "_sam"), ("_sam", "_flow")):
            if mine in path.parts:
                assert not any(f".{other}" in name for name in imports_of(path)), path


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Inside of a package, too: what a module needs when it is loaded never needs that module."""
    names = {module_name(path): path for path in MODULES}
    needs: dict[str, set[str]] = {}
    for name, path in names.items():
        found = set()
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # not inside of functions or `if TYPE_CHECKING`
            if isinstance(node, ast.ImportFrom):
                submodules = {f"{node.module}.{alias.name}" for alias in node.names} & names.keys()
                found |= submodules or {str(node.module)}
        needs[name] = {other for other in found if other in names and other != name}
    while ready := [name for name, others in needs.items() if not others & needs.keys()]:
        for name in ready:
            del needs[name]
    assert not needs, f"these import each other: {sorted(needs)}"
