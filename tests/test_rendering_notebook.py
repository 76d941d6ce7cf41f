"""Films in notebooks."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from maskferry.errors import MissingExtraError
from maskferry.rendering import play_in_notebook


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython, as far as a film needs it."""

    class Video:
        def __init__(self, data: str, **options: Any) -> None:
            self.data, self.options = data, options

    package, display = ModuleType("IPython"), ModuleType("IPython.display")
    display.Video = Video  # type: ignore[attr-defined]
    package.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", display)


def test_a_film_is_embedded(notebook, tmp_path) -> None:
    player = play_in_notebook(tmp_path / "film.mp4")
    assert (player.data, player.options) == (str(tmp_path / "film.mp4"), {"embed": True})


def test_options_are_handed_on(notebook, tmp_path) -> None:
    player = play_in_notebook(str(tmp_path / "film.mp4"), embed=False, width=320)
    assert player.options == {"embed": False, "width": 320}


def test_without_a_notebook_it_is_refused(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(MissingExtraError, match="open its file"):
        play_in_notebook(tmp_path / "film.mp4")
