"""Fixtures that several test files use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings

from cli_tools import tracked

InstallPackage = Callable[[Mapping[str, str], str, Mapping[str, str]], None]

settings.register_profile("maskferry", deadline=None)  # how long one example takes depends on the machine
settings.load_profile("maskferry")


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    """The output folder of a finished run of the command line with the engine hold: two objects, only the tracks."""
    return tracked(tmp_path, "--write", "none")


@pytest.fixture
def install_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPackage]:
    """Make modules with entry points importable, as pip would leave them: ({module: code}, group, {name: value})."""
    folder = tmp_path / "site-packages"
    monkeypatch.syspath_prepend(str(folder))
    installed: list[str] = []

    def install(modules: Mapping[str, str], group: str, entry_points: Mapping[str, str]) -> None:
        project = next(iter(modules))
        info = folder / f"{project}-1.0.dist-info"
        info.mkdir(parents=True)
        for module, code in modules.items():
            (folder / f"{module}.py").write_text(code, encoding="utf-8")
            sys.modules.pop(module, None)
            installed.append(module)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {value}\n" for name, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
        importlib.invalidate_caches()

    yield install
    for module in installed:
        sys.modules.pop(module, None)
