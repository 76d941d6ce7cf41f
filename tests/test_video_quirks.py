"""Videos with the quirks that files in the world have: every frame and every time is right, or the file is refused."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest

from video_quirks import PAGE, ROWS, Row, line, measure

TEXT = PAGE.read_text(encoding="utf-8")
MADE_HERE = f"Made with PyAV {av.__version__}." in TEXT


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_frame_and_time_is_right_or_the_file_is_refused(row: Row, tmp_path: Path) -> None:
    outcome = measure(row, tmp_path)
    assert line(row, outcome) in TEXT or not MADE_HERE, "run python tests/video_quirks.py"


def test_the_page_lists_all_rows() -> None:
    listed = re.findall(r"^\| (\w+) \| ([^|]+) \| ([^|]+) \|", TEXT, re.MULTILINE)
    assert [row for row in listed if row[0] != "file"] == [(row.suffix, row.codec, row.quirk) for row in ROWS]
    assert len(ROWS) >= 60
