"""Write README's table of formats from the one table of formats.

    python docs/formats_table.py

`tests/test_format_registry.py` fails when README is stale.
"""

from __future__ import annotations

import re
from pathlib import Path

from maskferry.formats.registry import BUILT_IN

README = Path(__file__).parent.parent / "README.md"


def table() -> str:
    """Markdown: name, what it is, what it cannot hold."""
    rows = ["| name | what it is | what it cannot hold |", "|---|---|---|"]
    rows += [f"| `{name}` | {spec.summary} | {spec.loses} |" for name, spec in BUILT_IN.items()]
    return "\n".join(rows)


def with_table(text: str) -> str:
    """README with the table between its marks."""
    marks = r"(?<=<!-- formats -->\n).*?(?=<!-- /formats -->)"
    return re.sub(marks, lambda _: table() + "\n", text, flags=re.DOTALL)


def main() -> None:
    """Write README."""
    README.write_text(with_table(README.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
