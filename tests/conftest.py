"""Fixtures that several test files use."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli_tools import tracked


@pytest.fixture
def finished_run(tmp_path: Path) -> Path:
    """The output folder of a finished run of the command line with the engine hold: two objects, only the tracks."""
    return tracked(tmp_path, "--write", "none")
