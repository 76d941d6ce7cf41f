"""Write the tables of README and of the tutorial that are made from a registry: formats, and readers of detections.

    python docs/tables.py

`tests/test_format_registry.py` and `tests/test_detection_readers.py` fail when one of them is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from maskferry.detections.registry import BUILT_IN as DETECTIONS
from maskferry.formats.registry import BUILT_IN as FORMATS

DOCS = Path(__file__).parent


def formats() -> str:
    """Markdown: name, what it is, what it cannot hold."""
    rows = ["| name | what it is | what it cannot hold |", "|---|---|---|"]
    rows += [f"| `{name}` | {spec.summary} | {spec.loses} |" for name, spec in FORMATS.items()]
    return "\n".join(rows)


def detectors() -> str:
    """Markdown: name, what is read of it."""
    rows = ["| name in messages | what is read |", "|---|---|"]
    rows += [f"| {spec.name} | {spec.summary} |" for spec in DETECTIONS]
    return "\n".join(rows)


TABLES = {"formats": (DOCS.parent / "README.md", formats), "detectors": (DOCS / "tutorial.md", detectors)}
"""{name, which stands in the table's marks: (the page, what makes the table)}."""


def pages(name: str) -> tuple[str, str]:
    """A page as it is, and with the table of this name made anew."""
    path, table = TABLES[name]
    text = path.read_text(encoding="utf-8")
    marks = rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)"
    return text, re.sub(marks, lambda _: table() + "\n", text, flags=re.DOTALL)


def main() -> None:
    """Write all of them."""
    for name, (path, _) in TABLES.items():
        path.write_text(pages(name)[1], encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
