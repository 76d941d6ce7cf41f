"""Write the tutorial's table of models whose results can be read from the one table of their readers.

    python docs/detectors_table.py

`tests/test_detection_readers.py` fails when the tutorial is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from maskferry.detections.registry import BUILT_IN

TUTORIAL = Path(__file__).parent / "tutorial.md"


def table() -> str:
    """Markdown: name, what is read of it."""
    rows = ["| name in messages | what is read |", "|---|---|"]
    rows += [f"| {spec.name} | {spec.summary} |" for spec in BUILT_IN]
    return "\n".join(rows)


def with_table(text: str) -> str:
    """The tutorial with the table between its marks."""
    marks = r"(?<=<!-- detectors -->\n).*?(?=<!-- /detectors -->)"
    return re.sub(marks, lambda _: table() + "\n", text, flags=re.DOTALL)


def main() -> None:
    """Write the tutorial."""
    TUTORIAL.write_text(with_table(TUTORIAL.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
