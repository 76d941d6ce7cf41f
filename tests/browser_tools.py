"""What the tests of the review page in a real Chromium share: the browser, small runs, and a user's hands and eyes."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from clips import SIZE_HW, make_clip
from helpers import square_mask
from maskferry import MaskTracker, Rle, Tracks

CHROMIUM = os.environ.get("MASKFERRY_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
REQUIRED = os.environ.get("MASKFERRY_BROWSER") == "required"
COUNT = 40

WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


def why_left_out() -> str | None:
    """Why no browser can be driven here; None where one can."""
    for module in ("playwright", "axe_playwright_python", "starlette", "uvicorn"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    return None if CHROMIUM else "there is no Chromium"


def block(x: int, y: int = 20, size: int = 20) -> np.ndarray:
    return square_mask(SIZE_HW, x, y, size)


def make_run(folder: Path, count: int = COUNT, seeds: tuple[int, ...] = (0,), objects: int = 2) -> Path:
    """The output folder of a finished run with the engine hold over a numbered film: object 1, "car", and others."""
    video = make_clip(folder / "clip.mp4", count)
    out = folder / "out"
    with MaskTracker(video, engine="hold", tracks=out / "tracks.sqlite") as tracker:
        masks, ids = [block(10), block(60), block(90, 60)][:objects], [1, 2, 3][:objects]
        for seed in seeds:
            tracker.add_masks_prompt(masks, ids, seed, labels=["car", *[None] * (objects - 1)])
        tracker.propagate()
    return out


def rows_of(folder: Path, object_id: int | None = None) -> list:
    """All masks of a run, or of one object, comparable to the byte."""
    with Tracks.open(folder / "tracks.sqlite") as tracks:
        rows = [(frame.info, row) for frame in tracks.frames() for row in frame.masks]
    return [(info, row) for info, row in rows if object_id in (None, row.object_id)]


class Hands:
    """A user at the page.

    Attributes:
        page: of the browser.
        problems: what the browser's console said, with errors of scripts.
    """

    def __init__(self, page: Any, url: str, first: str = "#frame-number") -> None:
        self.page, self.url = page, url
        self.problems: list[str] = []
        page.set_default_timeout(30_000)
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_selector(first)
        if first == "#frame-number":
            self.wait_for_frame(0)

    def _hear(self, message: Any) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def js(self, code: str, argument: Any = None) -> Any:
        """Evaluate the body of a function; `s` are the page's signals, `m` imports another of its modules."""
        wrapped = f"""async (a) => {{
            const m = (name) => import(new URL(name, document.baseURI));
            const s = await m('state.js');
            {code}
        }}"""
        return self.page.evaluate(wrapped, argument)

    def state(self, name: str) -> Any:
        return self.js(f"return s.{name}.value")

    def wait(self, code: str, argument: Any = None, seconds: float = 30) -> None:
        """Wait until an expression over the signals `s` is true."""
        script = f"""
            const end = performance.now() + {seconds * 1000};
            while (!({code})) {{
                if (performance.now() > end) return false;
                await new Promise((done) => setTimeout(done, 10));
            }}
            return true"""
        assert self.js(script, argument), f"waited in vain for {code}; {self.say()}; {self.problems}; {self._where()}"

    def _where(self) -> Any:
        return self.js(
            "const masks = await m('film/masks.js'); const at = s.frame.value; return {at, shown: s.shownFrame.value, "
            "hasMasks: masks.hasMasks(at), drawn: (await m('film/stage.js')).lastDrawn.value, job: s.job.value, "
            "dialog: s.dialog.value?.name, tool: s.tool.value, focus: document.activeElement?.outerHTML.slice(0, 80)}"
        )

    def wait_for_mask(self, object_id: int, wanted: np.ndarray) -> None:
        """Wait until the page shows this mask, bool (H, W)."""
        counts = Rle.encode(wanted).to_coco()["counts"]
        code = "(await m('film/masks.js')).maskOf(s.shownFrame.value, a[0])?.counts === a[1]"
        self.wait(code, [object_id, counts])

    def wait_for_frame(self, index: int) -> None:
        """Wait until the frame and its masks are drawn."""
        self.wait(
            "s.shownFrame.value === a && (await m('film/masks.js')).hasMasks(a) "
            "&& (await m('film/stage.js')).lastDrawn.value.frame === a",
            index,
        )

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def go(self, index: int) -> None:
        """Type a frame number."""
        self.press("g")
        self.page.fill("#frame-number", str(index))
        self.press("Enter")
        self.wait_for_frame(index)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the video lies on the screen."""
        box = self.page.locator(".stage").bounding_box()
        view = self.js("return (await m('film/view.js')).view.value")
        return box["x"] + view["x"] + (x + 0.5) * view["scale"], box["y"] + view["y"] + (y + 0.5) * view["scale"]

    def click_pixel(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.place(x, y))

    def stroke(self, *points: tuple[float, float]) -> None:
        """Paint from pixel to pixel."""
        self.begin_stroke(*points)
        self.page.mouse.up()

    def begin_stroke(self, *points: tuple[float, float]) -> None:
        self.page.mouse.move(*self.place(*points[0]))
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*self.place(*point), steps=4)

    def pick(self, key: str) -> None:
        """Take a tool and wait until it can paint."""
        self.press(key)
        self.wait("(await m('painting.js')).painting.value !== null")

    def wait_for_draft(self) -> None:
        """Wait until the server has what was painted."""
        self.wait("(await m('drafts.js')).draftState.value === 'saved' && s.writing.value === 0")

    def painted(self) -> np.ndarray:
        """The mask that is being painted, bool (H, W)."""
        found = self.js(
            "const p = await m('painting.js'); const {width, height} = p.painting.value.mask;"
            "return {size: [height, width], counts: p.countsNow()}"
        )
        return Rle.from_coco(found).decode()

    def shown_mask(self, object_id: int) -> np.ndarray | None:
        """The mask of an object that the page shows, bool (H, W)."""
        found = self.js(
            "const row = (await m('film/masks.js')).maskOf(s.shownFrame.value, a);"
            "const {width, height} = s.video.value; return row && {size: [height, width], counts: row.counts}",
            object_id,
        )
        return found and Rle.from_coco(found).decode()

    def film(self) -> np.ndarray:
        """What the canvas of the film shows, uint8 (H, W, 3)."""
        found = self.js(
            "const c = document.querySelector('canvas.film'); const d = c.getContext('2d');"
            "return [c.height, c.width, Array.from(d.getImageData(0, 0, c.width, c.height).data)]"
        )
        return np.array(found[2], dtype=np.uint8).reshape(found[0], found[1], 4)[..., :3]

    def apply(self) -> int:
        """Enter, look at the preview, apply; the steps that it said."""
        self.press("Enter")
        cost = self.page.locator(".dialog-apply .cost")
        cost.wait_for()
        steps = int(cost.get_attribute("data-steps"))
        self.page.click(".dialog-apply button.main")
        return steps

    def wait_for_job(self) -> None:
        """Wait until everything is tracked again, and shown."""
        self.wait(
            "s.writing.value === 0 && (await m('painting.js')).painting.value === null && s.run.value.job.state === "
            "'idle' && s.run.value.pending.steps === 0 && (await m('film/masks.js')).hasMasks(s.frame.value)"
        )

    def say(self) -> str:
        """What the page says in messages and banners."""
        return " ".join(self.page.locator(".messages, .banners").all_inner_texts())


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser, started."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
