"""A stranger at the page of the demo: steps, plays, selects, sees the queue, paints, applies, undoes, exports.

With MASKFERRY_PICTURES=FOLDER its pictures and a film of the correction are written there;
`docs/build_review_images.py` does that.
"""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from browser_tools import Hands, rows_of
from cli_tools import run as run_command

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("skvideo") is None, reason="the demo extra is not installed"),
]

Look = Callable[..., Hands]

FRAME = 90


class Camera:
    """Takes pictures of the page, where they are asked for."""

    def __init__(self, hands: Hands) -> None:
        self.hands, self.folder = hands, os.environ.get("MASKFERRY_PICTURES")
        self.film: list[Image.Image] = []

    def picture(self, name: str) -> None:
        if self.folder:
            self.hands.page.screenshot(path=Path(self.folder) / f"{name}.png")

    def turn(self) -> None:
        """One picture of the film."""
        if self.folder:
            shot = Image.open(io.BytesIO(self.hands.page.screenshot()))
            self.film.append(shot.convert("RGB").resize((960, 600), Image.Resampling.LANCZOS))

    def save_film(self, name: str) -> None:
        if self.film:
            first, *others = self.film
            place = Path(self.folder) / f"{name}.webp"
            first.save(place, save_all=True, append_images=others, duration=350, loop=0, quality=60, method=4)


def test_a_stranger_corrects_the_demo(tmp_path: Path, look: Look) -> None:
    from maskferry.web import serve

    assert run_command("demo", "-o", tmp_path / "demo", "--quiet") == 0
    before, others = rows_of(tmp_path / "demo"), [rows_of(tmp_path / "demo", i) for i in (1, 2)]
    with serve(tmp_path / "demo") as server:
        hands = look(server.url, color_scheme="dark")
        camera = Camera(hands)
        hands.press("ArrowRight", "ArrowRight", "ArrowLeft")
        hands.wait_for_frame(1)
        hands.press("Space")
        hands.wait("s.shownFrame.value > 8")
        hands.press("Space")
        hands.page.locator(".queue [role=status]", has_text="found").or_(hands.page.locator(".moment")).first.wait_for()
        hands.go(FRAME)
        hands.page.click("[data-object='3'] .name")
        hands.page.wait_for_timeout(300)  # for the picture: the curve of the score
        camera.picture("review")
        hands.pick("e")
        hands.js("s.brushRadius.value = 5")
        camera.turn()
        for stroke in (((168, 100), (164, 128)), ((163, 96), (160, 130)), ((158, 104), (158, 140))):
            hands.begin_stroke(*stroke)
            camera.turn()
            hands.page.mouse.up()
        hands.wait_for_draft()
        wanted = hands.painted()
        camera.picture("review_painting")
        hands.press("Enter")
        hands.page.locator(".cost").wait_for()
        steps = int(hands.page.locator(".cost").get_attribute("data-steps"))
        hands.page.get_by_label("From: frame").fill("60")
        hands.page.locator(".hint", has_text="Pins the mask on frame 60").wait_for()
        hands.wait("Number(document.querySelector('.cost').dataset.steps) < a", steps)
        steps = int(hands.page.locator(".cost").get_attribute("data-steps"))
        camera.picture("review_preview")
        camera.turn()
        hands.page.click(".dialog-apply button.main")
        hands.wait("s.job.value.state === 'running' && s.run.value.pending.steps > 0", seconds=60)
        hands.go(105)  # where the masks can be watched as they change
        total = 0
        for turn in range(1000):
            if hands.js("return s.job.value.state") != "running":
                break
            total = max(total, hands.js("return s.job.value.total ?? 0"))
            if turn % 4 == 0:
                camera.turn()
            if turn == 20:
                camera.picture("review_recomputing")
            hands.page.wait_for_timeout(100)
        hands.wait_for_job()
        assert total == steps
        hands.page.wait_for_timeout(500)  # for the picture: the curve of the score
        camera.turn()
        camera.picture("review_corrected")
        camera.save_film("review_correction")
        hands.go(FRAME)
        hands.wait_for_mask(3, wanted)
        after = rows_of(tmp_path / "demo", 3)
        changed = [a[0].index for a, b in zip(after, before[2::3], strict=True) if a != b]
        assert changed and min(changed) > 60
        assert [rows_of(tmp_path / "demo", i) for i in (1, 2)] == others
        for _ in range(2):  # the correction, then its pin
            left = hands.js("return s.run.value.history.undo.length")
            hands.press("Control+z")
            hands.wait("s.run.value.history.undo.length < a && !s.writing.value", left)
        assert rows_of(tmp_path / "demo") == before
        hands.press("Control+e")
        hands.page.select_option("dialog select", "davis")
        with hands.page.expect_download() as download:
            hands.page.click("dialog button.main")
        download.value.save_as(tmp_path / "masks.zip")
    assert (tmp_path / "masks.zip").read_bytes()[:2] == b"PK"
