"""Imports go down the house, never up, and never sideways between the rooms of floor 2 (see docs/design.md)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "maskferry"

FLOORS = {
    "errors": -2,
    "_version": -2,
    "files": -1,
    "rle": 0,
    "data": 0,
    "masks": 1,
    "prompts": 1,
    "rendering": 1,
    "novelty": 1,
    "sources": 2,
    "engines": 2,
    "detections": 2,
    "formats": 2,
    "tracks": 2,
    "metrics": 2,
    "association": 3,
    "associator": 3,
    "redetection": 3,
    "planning": 3,
    "review": 3,
    "editing": 3,
    "roster": 3,
    "tracking": 3,
    "viewing": 3,
    "workspace": 3,
    "prompting": 3,
    "exporting": 3,
    "filming": 3,
    "tracker": 3,
    "evaluation": 3,
    "__main__": 6,
    "cli": 5,
    "samgeo": 5,
    "testing": 5,
}
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_rooms(path: Path) -> set[str]:
    """Rooms that a module imports, at its top or inside a function."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            pytest.fail(f"{path}: relative import")
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{a.name}" if node.module == "maskferry" else node.module for a in node.names]
        rooms |= {n.split(".")[1] for n in names if n.startswith("maskferry.")}
    return rooms


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    assert room in FLOORS, f"{room} has no floor yet: give it one here and in docs/design.md"
    public = {name.lower() for name in FLOORS}
    for other in imported_rooms(path) & public - {room}:
        if FLOORS[room] == FLOORS[other] == 0:
            assert (room, other) == ("data", "rle")
        elif FLOORS[room] == 5:
            assert FLOORS[other] <= 3, f"a face imports the public API, not {other}"
        else:
            allowed = FLOORS[other] < FLOORS[room] or (FLOORS[room] == FLOORS[other] == 3)
            assert allowed, f"{room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
