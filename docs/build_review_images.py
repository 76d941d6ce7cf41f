"""Write docs/images/review*: pictures of the review page and a film of a correction, made by the tests that drive it.

python docs/build_review_images.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import PIL.Image

DOCS = Path(__file__).parent.resolve()
TESTS = ("tests/test_page_demo.py", "tests/test_page_looks.py")
COLOURS = 128

PICTURES = {
    "review": "review",
    "review_painting": "review_painting",
    "review_preview": "review_preview",
    "review_recomputing": "review_recomputing",
    "review_corrected": "review_corrected",
    "empty_light": "review_empty",
    "help_light": "review_help",
    "export_dark": "review_export",
    "table_light": "review_table",
    "server_gone_dark": "review_server_gone",
}
"""{picture of a test: its name in the docs}"""


def main() -> None:
    """Run the tests, and make their pictures small enough for a page."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", *TESTS]
        environment = {**os.environ, "MASKFERRY_PICTURES": folder, "MASKFERRY_BROWSER": "required"}
        subprocess.run(command, cwd=DOCS.parent, env=environment, check=True)
        for name, wanted in PICTURES.items():
            with PIL.Image.open(Path(folder) / f"{name}.png") as picture:
                small = picture.convert("RGB").quantize(COLOURS, dither=PIL.Image.Dither.NONE)
            small.save(DOCS / "images" / f"{wanted}.png", optimize=True)
        film = Path(folder) / "review_correction.webp"
        (DOCS / "images" / film.name).write_bytes(film.read_bytes())


if __name__ == "__main__":
    main()
