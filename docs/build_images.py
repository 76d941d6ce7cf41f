"""Write docs/images: a contact sheet of the demo, one of the tutorial's film, and one of the series of "On the map".

python docs/build_images.py
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import PIL.Image

from maskferry import MaskTracker, Tracks
from maskferry.cli import main
from maskferry.rendering import render_sheet

DOCS = Path(__file__).parent.resolve()
WIDTH, COLOURS = 1000, 128


def save(tracks: Tracks, name: str, count: int) -> None:
    """Draw a sheet and make it small enough for a page."""
    render_sheet(tracks, "sheet.png", count=count, overwrite=True)
    with PIL.Image.open("sheet.png") as sheet:
        small = sheet.resize((WIDTH, round(sheet.height * WIDTH / sheet.width)), PIL.Image.Resampling.LANCZOS)
    small.quantize(COLOURS, dither=PIL.Image.Dither.NONE).save(DOCS / "images" / name, optimize=True)


def demo() -> None:
    """What `maskferry demo` finds."""
    if main(["demo", "-o", "demo"]):
        raise SystemExit(1)
    with Tracks.open("demo/tracks.sqlite") as tracks:
        save(tracks, "demo.png", 6)


def tutorial() -> None:
    """The film of the tutorial, made by its first block, with all three objects."""
    page = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    scene = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(scene[1] if scene else "", names)
    ball, crate, kite = (names[name] for name in ("ball", "crate", "kite"))
    with MaskTracker("clip.mp4") as tracker:
        tracker.add_masks_prompt([ball(0), crate(0)], [1, 2], labels=["ball", "crate"])  # type: ignore[operator]
        tracker.add_mask_prompt(kite(25), 3, 25, label="kite")  # type: ignore[operator]
        save(tracker.propagate(), "tutorial.png", 9)


def series() -> None:
    """What the page "On the map" tracks, made by its own blocks."""
    page = (DOCS / "map.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(code, names)
    tracks = names["tracks"]
    assert isinstance(tracks, Tracks)
    save(tracks, "map.png", 6)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        demo()
        tutorial()
        series()
        os.chdir(DOCS)
