"""The lines of MOTS's text form, one by one, their masks still as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from maskferry.errors import InputError
from maskferry.limits import check_text_file

__all__ = ["Line", "lines_of"]


class Line(NamedTuple):
    """A line of the text form; ``at`` is what errors call it."""

    at: str
    frame: int
    mots: int
    kind: int
    height: int
    width: int
    counts: str


def lines_of(path: Path) -> Iterator[Line]:
    """Every line.

    Raises:
        InputError: no such file, or a line that is none; the message names it.
    """
    check_text_file(path)
    try:
        with path.open(encoding="ascii") as file:
            for number, text in enumerate(file, 1):
                if text.strip():
                    yield _parse_line(text, f"{path}:{number}")
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is no text of MOTS: {err}") from err


def _parse_line(text: str, at: str) -> Line:
    fields = text.split()
    if len(fields) != 6 or not all(field.isdecimal() and len(field) < 10 for field in fields[:5]):
        raise InputError(f'{at}: expected "frame id class height width rle", got {text.strip()!r:.60}')
    frame, mots, kind, height, width = (int(field) for field in fields[:5])
    return Line(at, frame, mots, kind, height, width, fields[5])
