"""A line of text in any script, as pixels."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import features

from maskferry.drawing._fonts import SHIPPED, check_font, font_of, load_font
from maskferry.drawing._writing_order import clusters_of, in_order_of_drawing, mirrored

__all__ = ["line_of", "readable"]

_JOINERS = "\u200c\u200d"
_LONGEST = 300  # characters that are drawn at all

Coverage = NDArray[np.float32]
"""(h, w), from 0 to 1."""


@lru_cache(maxsize=2048)
def readable(text: str) -> str:
    """A text as one line of what can be seen: "" where there is nothing to be seen.

    What would break the line, or turn its direction by force, goes; a control character is shown as a question mark.

    >>> readable("große\\n Kugel"), readable("\\u202e \\t")
    ('große Kugel', '')
    """
    kept = "".join(_shown(char) for char in unicodedata.normalize("NFC", text[: 8 * _LONGEST]))
    line = " ".join(kept.split())
    return line if line.strip(_JOINERS) else ""


def _shown(char: str) -> str:
    category = unicodedata.category(char)
    if char.isspace():
        return " "
    if category == "Cf":
        return char if char in _JOINERS else ""
    return "\ufffd" if category in ("Cc", "Cs") else char


def line_of(text: str, size: int, room: int) -> Coverage:
    """A line of text, cut with an ellipsis where it is wider than ``room`` pixels.

    Args:
        text: as `readable` gives it.
        size: of the font, in pixels.
        room: in pixels; at least the ellipsis is drawn.

    Returns:
        float32 (h, w), from 0 to 1; not to be changed.
    """
    return _fitted(text, size, room, check_font())


@lru_cache(maxsize=2048)
def _fitted(text: str, size: int, room: int, _named: Path | None) -> Coverage:
    """``_named``: the font that the user names, so that what is remembered of another one is not taken."""
    line = _rasterize(text[:_LONGEST], size)
    if len(text) <= _LONGEST and line.shape[1] <= room:
        return line
    parts = clusters_of(text[:_LONGEST])
    fits, too_many = 0, len(parts)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        is_narrow = _rasterize("".join(parts[:middle]).rstrip() + "…", size).shape[1] <= room
        fits, too_many = (middle, too_many) if is_narrow else (fits, middle)
    return _rasterize("".join(parts[:fits]).rstrip() + "…", size)


def _rasterize(text: str, size: int) -> Coverage:
    """A line of text; it is as high as the shipped font is, or higher where its glyphs are."""
    pieces, x = [], 0.0
    for font, run, is_rtl in _runs(text):
        ink, (left, top), width = _ink(font, run, size, is_rtl)
        pieces.append((ink, round(x) + left, top))
        x += width
    ascent, descent = load_font(SHIPPED, size).getmetrics()
    ascent = max([ascent, *(-top for _, _, top in pieces)])
    descent = max([descent, *(ink.shape[0] + top for ink, _, top in pieces)])
    indent = max([0, *(-left for _, left, _ in pieces)])
    line = np.zeros(
        (ascent + descent, indent + max([1, *(ink.shape[1] + left for ink, left, _ in pieces)])), np.float32
    )
    for ink, left, top in pieces:
        part = line[ascent + top : ascent + top + ink.shape[0], indent + left : indent + left + ink.shape[1]]
        np.maximum(part, ink, out=part)
    return line


def _runs(text: str) -> list[tuple[Path, str, bool | None]]:
    """Parts of a text from left to right: (font, text, whether it goes from right to left; None: as its script does).

    A text of one font is one part, where Pillow knows the rules of scripts (Raqm).
    """
    font = font_of(text)
    if font and _knows_scripts():
        return [(font, text, None)]
    runs: list[tuple[Path, str, bool | None]] = []
    for part, is_rtl in in_order_of_drawing(text):
        fonts = ((font_of(cluster) or SHIPPED, cluster) for cluster in clusters_of(part))
        found = [(path, "".join(c for _, c in group), is_rtl) for path, group in groupby(fonts, lambda pair: pair[0])]
        runs += reversed(found) if is_rtl else found
    return runs


def _ink(font: Path, text: str, size: int, is_rtl: bool | None) -> tuple[Coverage, tuple[int, int], float]:
    """(coverage, its left and top from where the pen stands on the base line, how far the pen moves)."""
    loaded = load_font(font, size)
    direction = None
    if is_rtl and not _knows_scripts():
        text = mirrored(text)
    elif is_rtl is not None and _knows_scripts():
        direction = "rtl" if is_rtl else "ltr"
    glyphs, (left, top) = loaded.getmask2(text, mode="L", anchor="ls", direction=direction)
    width, height = glyphs.size
    ink = np.asarray(glyphs, dtype=np.float32).reshape(height, width) / np.float32(255)
    return ink, (left, top), loaded.getlength(text, direction=direction)


@lru_cache(maxsize=1)
def _knows_scripts() -> bool:
    return bool(features.check("raqm"))
