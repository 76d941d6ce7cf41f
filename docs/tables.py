"""Write the tables of the documentation that are made from a registry, or from what a benchmark has measured.

    python docs/tables.py

`tests/test_format_registry.py`, `tests/test_detection_readers.py` and `tests/test_web_api.py` fail when one is stale.
"""

from __future__ import annotations

import json
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


PAGE_TIMES = {
    "step": "the next frame, at 25 frames a second",
    "step_back": "the frame before",
    "seek": "any frame",
    "step_busy": "the next frame, while `flow` recomputes",
    "seek_busy": "any frame, while `flow` recomputes",
}


def page_times() -> str:
    """Markdown: what the review page asks for, how long it takes, how long it may take."""
    found = json.loads((DOCS.parent / "benchmarks" / "results" / "review_page.json").read_text(encoding="utf-8"))
    times, large = found["film_ms"], found["large_ms"]
    rows = ["| | median | 95th percentile | budget |", "|---|---|---|---|"]
    for name, what in PAGE_TIMES.items():
        own, budget = times[name], found["budgets_ms"][name]
        rows.append(f"| {what} | {own['median']:.0f} | {own['p95']:.0f} | {budget:.0f} |")
    tracks = large["tracks"]
    rows += [
        "",
        f"A file of {tracks['frames']:,} frames with {tracks['objects']} objects, {tracks['megabytes']} MB: opened in "
        f"{large['open']:.0f} ms, all that the page",
        f"needs to begin in {large['run']:.0f} ms, the masks of a frame in {large['masks']:.0f} ms, the lanes of 30 "
        f"objects in {large['lanes']:.0f} ms, then in {large['lanes_again']:.0f} ms.",
    ]
    return "\n".join(rows)


TABLES = {
    "formats": (DOCS.parent / "README.md", formats),
    "detectors": (DOCS / "tutorial.md", detectors),
    "page_times": (DOCS / "review.md", page_times),
}
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
