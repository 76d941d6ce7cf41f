"""What is wrong with a table: rows that have changed, and rows that cannot be read."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["UNREADABLE", "Damage", "Gap", "Key"]

UNREADABLE = (sqlite3.Error, OverflowError, MemoryError, UnicodeError)
"""What reading a damaged database raises; UnicodeError: its messages quote what stands there."""

Key = tuple[Any, ...]
"""What tells a row from others; of a row that has changed, whatever stands there."""


class Gap(NamedTuple):
    """Rows that cannot be read.

    Attributes:
        after: the key of the last row before them; None where there is none.
        before: the key of the first row behind them; None where there is none.
    """

    after: Key | None
    before: Key | None


@dataclass
class Damage:
    """What is wrong with a table.

    Attributes:
        bad: keys, as they are read, of rows that have changed or that no run writes, each with what is wrong.
        gaps: rows that cannot be read.
    """

    bad: list[tuple[Key, str]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.bad or self.gaps)
