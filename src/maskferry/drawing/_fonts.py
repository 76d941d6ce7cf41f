"""Which font has a character: one that the user names, the one that comes with maskferry, or one of the system."""

from __future__ import annotations

import logging
import os
import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from maskferry.errors import InputError, MissingExtraError

__all__ = ["SHIPPED", "check_font", "find_fonts", "font_of", "load_font"]

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
"""Latin, Greek, Cyrillic, Armenian, Georgian, Hebrew, Arabic, and many symbols."""

_VARIABLE = "MASKFERRY_FONT"
_SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
_LESS_FIT = ("bold", "italic", "oblique", "light", "thin", "black", "serif", "mono", "condensed", "narrow", "display")
_USELESS = ("lastresort", "adobeblank")  # which have a glyph for any character, but not that character's
_NONCHARACTER = "\U0010ffff"
_TESTED_AT = 32  # pixels

_homes: dict[str, Path | None] = {}
"""{character that the shipped font lacks: the font of the system that has it}, as far as they were looked for."""


def check_font() -> Path | None:
    """The font file that the environment variable ``MASKFERRY_FONT`` names; None where it names none.

    Names are drawn in that font as far as it has their characters. The rest is drawn in DejaVu Sans, which comes with
    maskferry, and what that lacks, such as Chinese, in fonts of the system that have it. What no font has is drawn as
    boxes, and the log says so once.

    Raises:
        InputError: it is no font that can be read.
    """
    if not (name := os.environ.get(_VARIABLE)):
        return None
    try:
        load_font(Path(name), _TESTED_AT)
    except OSError as err:
        raise InputError(f"{_VARIABLE}: {name} is no font that can be read ({err})") from err
    return Path(name)


@lru_cache(maxsize=64)
def load_font(path: Path, size: int, *, plain: bool = False) -> ImageFont.FreeTypeFont:
    """A font in one size.

    Args:
        path: of the font; of a collection, its first.
        size: in pixels.
        plain: draw character by character, without the rules of its script.

    Raises:
        OSError: it cannot be read, or has no outlines.
        MissingExtraError: Pillow was built without FreeType.
    """
    layout = ImageFont.Layout.BASIC if plain else None
    try:
        return ImageFont.truetype(str(path), size, layout_engine=layout)
    except ImportError as err:
        raise MissingExtraError("names need a Pillow with FreeType (pip install pillow), or labels=False") from err


def font_of(text: str) -> Path | None:
    """The first font that has every character of a text; None where they are in several fonts, or in none."""
    needed = [char for char in text if _is_seen(char)]
    named = check_font()
    for path in (named, SHIPPED) if named else (SHIPPED,):
        if all(_has(path, char) for char in needed):
            return path
    find_fonts(text)
    homes = {_homes.get(char) for char in needed if not _has(SHIPPED, char)}
    home = homes.pop() if len(homes) == 1 else None
    return home if home and all(_has(home, char) for char in needed) else None


def find_fonts(text: str) -> None:
    """Look for fonts of all these characters at once; log those that no font has, with what to do."""
    _find_fonts(text, check_font())


@lru_cache(maxsize=256)
def _find_fonts(text: str, named: Path | None) -> None:
    new = {c for c in text if c not in _homes and _is_seen(c) and not _has(SHIPPED, c)}
    new = {c for c in new if not named or not _has(named, c)}
    if new:
        _homes.update(dict.fromkeys(new) | _search(new))
    if missing := sorted(c for c in new if _homes[c] is None):
        shown = ", ".join(f"{c} (U+{ord(c):04X})" for c in missing[:5])
        more = f" and {len(missing) - 5} others" if len(missing) > 5 else ""
        log.warning(
            "no font here has %s%s: names are drawn with boxes in their place. Install a font that has them, such as "
            "Noto Sans of their script, or name its file in %s",
            shown,
            more,
            _VARIABLE,
        )


def _search(chars: set[str]) -> dict[str, Path | None]:
    """{character: a font of the system that has it}."""
    found: dict[str, Path | None] = {}
    for path in _system_fonts():
        found.update({char: path for char in chars - found.keys() if _has(path, char)})
        if len(found) == len(chars):
            break
    return found


def _is_seen(char: str) -> bool:
    """Whether a character needs ink: no blanks, controls, marks of direction or variants."""
    return unicodedata.category(char) not in ("Zs", "Cc", "Cf") and not "\ufe00" <= char <= "\ufe0f"


@lru_cache(maxsize=65536)
def _has(path: Path, char: str) -> bool:
    """Whether a font draws a character, and not what it draws for any that it lacks."""
    try:
        font = load_font(path, _TESTED_AT, plain=True)
        glyph, lacking = font.getmask(char), font.getmask(_NONCHARACTER)
    except (OSError, ValueError):  # damaged, or of pictures of other sizes
        return False
    return glyph.getbbox() is not None and (glyph.size != lacking.size or bytes(glyph) != bytes(lacking))


@lru_cache(maxsize=1)
def _system_fonts() -> tuple[Path, ...]:
    """Font files, plain upright ones of medium weight first."""
    files = {path for folder in _font_folders() for path in _files_below(folder)}
    return tuple(sorted(files, key=lambda path: (_unfitness(path.stem.lower()), path.name, str(path))))


def _unfitness(name: str) -> int:
    return 2 * sum(word in name.replace("sansserif", "") for word in _LESS_FIT) - ("sans" in name)


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() in _SUFFIXES and not any(word in name.lower() for word in _USELESS):
                yield path


def _font_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA", str(home / "AppData" / "Local"))
        return [Path(os.environ.get("WINDIR", "C:\\Windows"), "Fonts"), Path(local, "Microsoft", "Windows", "Fonts")]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library" / "Fonts"]
    data = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    own = os.environ.get("XDG_DATA_HOME") or str(home / ".local" / "share")
    return [*(Path(part, "fonts") for part in [own, *data.split(":")] if part), home / ".fonts"]
