"""Writing CSV atomically, in UTF-8."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from maskferry.files import atomic_path

__all__ = ["write_csv"]


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]], *, overwrite: bool = False) -> None:
    """Write a line of column names and a line for each row, lazily.

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
        writer.writerows(rows)
