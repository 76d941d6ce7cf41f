"""Fixtures that several test files use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from browser_tools import REQUIRED, Hands, chromium, why_left_out
from cli_tools import tracked

InstallPackage = Callable[[Mapping[str, str], str, Mapping[str, str]], None]

settings.register_profile("maskferry", deadline=None)  # how long one example takes depends on the machine
settings.load_profile("maskferry")


LEFT_OUT = why_left_out()


def pytest_report_header() -> str | None:
    return LEFT_OUT and f"tests of the review page in a browser are left out: {LEFT_OUT}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a browser, where there is none; fail instead where MASKFERRY_BROWSER is "required"."""
    found = [item for item in items if item.get_closest_marker("browser")] if LEFT_OUT else []
    if found and REQUIRED:
        raise pytest.UsageError(f"the tests of the review page need a browser: {LEFT_OUT}")
    config.hook.pytest_deselected(items=found)
    items[:] = [item for item in items if item not in found]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium."""
    with chromium() as found:
        yield found


@pytest.fixture
def look(browser: Any) -> Iterator[Callable[..., Hands]]:
    """Open an address in a browser of its own; at the end nothing must have gone wrong in the page's scripts."""
    contexts, opened = [], []

    def open_page(url: str, *, context: Any = None, first: str = "#frame-number", **options: Any) -> Hands:
        if context is None:
            context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
            contexts.append(context)
        opened.append(Hands(context.new_page(), url, first))
        return opened[-1]

    yield open_page
    for hands in opened:
        if not hands.page.is_closed():
            assert hands.page.evaluate("window.violations") == []
        assert [text for text in hands.problems if "Failed to load resource" not in text] == []
    for context in contexts:
        context.close()


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
