"""The kinds of output that a run can write, without importing what writes them."""

from __future__ import annotations

from maskferry.formats.registry import known_formats

__all__ = ["RENDERINGS", "known_kinds"]

RENDERINGS = {"film": "overlay.mp4", "sheet": "sheet.png"}
"""{kind of output that is drawn: its name in the folder}"""


def known_kinds() -> dict[str, str]:
    """{kind of output: its name in the folder}: every format, and what is drawn."""
    return {name: spec.output for name, spec in known_formats().items()} | RENDERINGS
