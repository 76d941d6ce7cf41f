"""The page's states as they look: nothing that axe finds, in the dark and in the light theme; pictures for the docs.

With MASKFERRY_PICTURES=FOLDER the pictures are written there; `docs/build_review_images.py` does that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from browser_tools import Hands, make_run
from clips import make_clip

pytestmark = pytest.mark.browser

Look = Callable[..., Hands]


def assert_accessible(hands: Hands, state: str) -> None:
    """axe finds nothing, in both themes."""
    from axe_playwright_python.sync_playwright import Axe

    folder = os.environ.get("MASKFERRY_PICTURES")
    for theme in ("dark", "light"):
        hands.js("(await m('settings.js')).set({theme: a})", theme)
        hands.page.wait_for_timeout(200)  # colours of buttons change in 100 ms
        if folder:
            hands.page.screenshot(path=Path(folder) / f"{state}_{theme}.png")
        found = Axe().run(hands.page).response["violations"]
        problems = [(item["id"], [node["html"][:120] for node in item["nodes"]][:3]) for item in found]
        assert problems == [], (state, theme)


def test_states_of_a_run(tmp_path: Path, look: Look) -> None:
    from maskferry.web import serve

    with serve(make_run(tmp_path, objects=3)) as server:
        hands = look(server.url)
        assert_accessible(hands, "loaded")
        hands.page.click("[data-object='1'] .name")
        hands.go(20)
        hands.pick("b")
        hands.stroke((15, 70), (25, 70))
        hands.wait_for_draft()
        assert_accessible(hands, "painting")
        hands.press("Enter")
        hands.page.locator(".cost").wait_for()
        assert_accessible(hands, "preview")
        hands.press("Escape")
        hands.press("?")
        assert_accessible(hands, "help")
        hands.press("Escape")
        hands.press("Control+e")
        assert_accessible(hands, "export")
        hands.press("Escape")
        hands.page.click(".lanes button >> text=Table")
        assert_accessible(hands, "table")
    hands.page.locator(".banner.problem").wait_for()
    assert_accessible(hands, "server_gone")


def test_a_run_that_is_empty(tmp_path: Path, look: Look) -> None:
    from maskferry import MaskTracker
    from maskferry.web import serve

    video = make_clip(tmp_path / "clip.mp4", 12)
    with MaskTracker(video, engine="hold", tracks=tmp_path / "out" / "tracks.sqlite") as tracker:
        tracker.save()
    with serve(tmp_path / "out", engine="hold") as server:
        assert_accessible(look(server.url, first=".banner.empty"), "empty")


def test_without_the_video_and_read_only(tmp_path: Path, look: Look) -> None:
    from maskferry.web import serve

    run = make_run(tmp_path)
    (tmp_path / "clip.mp4").unlink()
    with serve(run, read_only=True) as server:
        hands = look(server.url, first=".frame-problem")
        hands.page.locator(".banner.note", has_text="cannot be read").wait_for()
        hands.js("s.goTo(5)")
        assert_accessible(hands, "video_missing")


def test_without_the_token(tmp_path: Path, look: Look) -> None:
    from maskferry.web import serve

    with serve(make_run(tmp_path)) as server:
        assert_accessible(look(server.address, first=".beginning"), "no_token")
