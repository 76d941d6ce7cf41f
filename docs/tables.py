"""Write the tables of the documentation that are made from a registry, or from what a benchmark has measured.

    python docs/tables.py

`tests/test_format_registry.py`, `tests/test_detection_readers.py`, `tests/test_web_api.py` and `tests/test_docs.py`
fail when one is stale.
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


BROWSER_TIMES = {
    "step": "the next frame, decoded ahead",
    "step_not_prefetched": "the next frame, as fast as they come",
    "step_busy": "the next frame, while `flow` recomputes",
    "seek": "any frame, keyframes 250 frames apart",
    "brush": "a move of the brush at 3840x2160, without what the browser does after it",
    "stroke": "a stroke at 3840x2160, until the server has saved it",
    "lanes": "lanes of a large file, scrolled",
}


def browser_times() -> str:
    """Markdown: how long the page takes in Chromium, how long it may take."""
    place = DOCS.parent / "benchmarks" / "results" / "review_page_in_browser.json"
    found = json.loads(place.read_text(encoding="utf-8"))
    large, tracks = found["large"], found["large"]["tracks"]
    rows = ["| | median | 95th percentile | budget |", "|---|---|---|---|"]
    for name, what in BROWSER_TIMES.items():
        own, budget = found["ms"][name], found["budgets_ms"][name]
        rows.append(f"| {what} | {own['median']:.0f} | {own['p95']:.0f} | {budget:.0f} |")
    rows += [
        "",
        f"With {tracks['frames']:,} frames and {tracks['objects']} objects the page can be used after "
        f"{large['usable_ms'] / 1000:.1f} s",
        f"(with the start of Chromium), has {large['rows']} rows mounted and a heap of {large['heap_mb']} MB.",
    ]
    return "\n".join(rows)


def batch_costs() -> str:
    """Markdown: what a batch costs beside the tracking; a million rows; a thousand workers."""
    found = json.loads((DOCS.parent / "benchmarks" / "results" / "batch.json").read_text(encoding="utf-8"))
    ways = [row for row in found if row["part"] == "videos"]
    many = next(row for row in found if row["part"] == "rows")
    played = next(row for row in found if row["part"] == "simulation")
    rows = [
        f"{ways[0]['videos']:,} clips of 64x48 and 20 frames with the engine `hold`, which takes no time; files in "
        f"memory, two cores, {'one round' if ways[0]['rounds'] == 1 else 'the median of several rounds'}:",
        "",
        "| | ms a video | beside the tracking, ms | efficiency |",
        "|---|---|---|---|",
    ]
    for row in ways:
        is_first = row["way"] == "one process"
        over, share = ("", "") if is_first else (f"{row['overhead_ms']:.1f}", f"{row['efficiency']:.2f}")
        rows.append(f"| {row['way']} | {row['ms_a_video']:.1f} | {over} | {share} |")
    rows += [
        "",
        "Starting the workers is among it, of Ray's not starting the cluster. The efficiency is the time of one local",
        "worker over that of two, halved. On a disk SQLite's writes wait for one another, and two workers gain less.",
        "",
        f"The plan of {many['rows']:,} rows took {many['cpu_s']:.0f} CPU seconds and {many['peak_mb']:.0f} MB.",
        f"The driver that had {played['workers']:,} workers and lost {played['lost']:,} machines made",
        f"{played['attempts']:,} attempts at {played['videos']:,} videos in {played['cpu_s']:.0f} CPU seconds: "
        f"{played['receipts']:,} receipts,",
        f"{played['failures']} failures, those of the videos that killed their worker.",
    ]
    return "\n".join(rows)


TABLES = {
    "batch_costs": (DOCS / "batch.md", batch_costs),
    "formats": (DOCS.parent / "README.md", formats),
    "detectors": (DOCS / "tutorial.md", detectors),
    "page_times": (DOCS / "review.md", page_times),
    "browser_times": (DOCS / "review.md", browser_times),
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
