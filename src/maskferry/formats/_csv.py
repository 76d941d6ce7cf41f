"""CSV in UTF-8: written atomically, with texts that no spreadsheet runs as formulas."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from maskferry.files import atomic_path

__all__ = ["plain_text", "write_csv"]

_FORMULA = "[ \u00a0]*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n\0]"
"""What makes a spreadsheet run a text: these signs, also in full width, and control characters that it skips."""


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, overwrite: bool = False) -> None:
    """Write a line of column names and a line for each row, lazily.

    A text that a spreadsheet would run as a formula gets an apostrophe before it, which `plain_text` takes away again;
    numbers stay as they are.

    Raises:
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    with (
        atomic_path(path, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_harmless(cell) for cell in row] for row in rows)


def plain_text(cell: str) -> str:
    """A text as it was before `write_csv` wrote it.

    >>> plain_text("'=1+0"), plain_text("'tis")
    ('=1+0', "'tis")
    """
    return cell[1:] if re.match(f"'+{_FORMULA}", cell) else cell


def _harmless(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and re.match(f"'*{_FORMULA}", cell) else cell
