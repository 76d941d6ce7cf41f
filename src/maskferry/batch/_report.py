"""What has become of each video: ``report.csv``, and ``report.html`` with pictures of the worst moments."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterator
from heapq import nsmallest
from typing import Any
from urllib.parse import quote

from maskferry.batch._manifest import Row
from maskferry.batch._plan import Plan, place_of
from maskferry.batch._stores import RECEIPT, failure_key, read_json, shown

__all__ = ["COLUMNS", "write_report"]

COLUMNS = (
    *(
        "id",
        "state",
        "video",
        "frames",
        "objects",
        "lost",
        "mean_score",
        "moments",
        "worst",
        "engine",
        "fps",
        "seconds",
    ),
    *("attempts", "worker", "node", "cause", "message", "warnings", "digest", "folder"),
)
"""Of ``report.csv``."""

MOST_SHOWN = 200
"""Videos on the page; the table has all."""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif }}
body {{ margin: 2rem auto; max-width: 72rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8886 }}
img {{ max-width: 30rem; width: 100%; height: auto }}
.failed, .damaged {{ font-weight: 600 }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; margin: .3rem 0 0 }}
td {{ overflow-wrap: anywhere }}
</style></head><body>
<h1>{title}</h1>
<p>{summary}</p>
<p>{note}</p>
<table><thead><tr><th>video</th><th>state</th><th>what to look at</th></tr></thead><tbody>
{rows}
</tbody></table>
</body></html>
"""


def write_report(plan: Plan) -> None:
    """Write ``OUT/report.csv`` and ``OUT/report.html``.

    Raises:
        OutputError: they cannot be written.
    """
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    counts: dict[str, int] = {}

    def noted() -> Iterator[dict[str, Any]]:
        for row in plan.ledger.rows():
            values = _values(plan, row)
            counts[values["state"]] = counts.get(values["state"], 0) + 1
            writer.writerow({name: _harmless(value) for name, value in values.items()})
            yield values

    worst = nsmallest(MOST_SHOWN, noted(), key=_rank)
    plan.store.write("report.csv", table.getvalue().encode("utf-8", "surrogateescape"))
    plan.store.write("report.html", _page(plan, counts, worst).encode("utf-8", "replace"))


def _values(plan: Plan, row: Row) -> dict[str, Any]:
    """A row of the table."""
    values: dict[str, Any] = {"id": row.id, "video": shown(row.video), "state": "pending"}
    place = place_of(row.id, plan.is_sharded)
    receipt = read_json(plan.store.read(f"{place}/{RECEIPT}"))
    if receipt:
        values |= receipt | {
            "state": "damaged" if receipt.get("stopped_at") else "done",
            "video": shown(row.video),
            "objects": len(receipt.get("objects", ())),
            "worst": "; ".join(receipt.get("worst", ())),
            "warnings": "; ".join(receipt.get("warnings", ())),
            "message": receipt.get("stopped_at") or "",
            "folder": plan.store.prefix(place, str(receipt.get("attempt"))),
            "has_picture": "worst.png" in receipt.get("files", {}),
        }
        return values
    failure = read_json(plan.store.read(failure_key(row.id)))
    if failure:
        values |= failure | {"state": "failed", "video": shown(row.video), "frames": failure.get("frame")}
    return values


def _rank(values: dict[str, Any]) -> tuple[int, float, str]:
    """What is to be looked at first: failures, damage, then low scores."""
    order = {"failed": 0, "damaged": 1, "done": 2, "pending": 3}[values["state"]]
    score = values.get("mean_score")
    return order, (1.0 if score is None else float(score)) - bool(values.get("moments")), values["id"]


def _page(plan: Plan, counts: dict[str, int], worst: list[dict[str, Any]]) -> str:
    total = sum(counts.values())
    summary = ", ".join(f"{counts[name]} {name}" for name in ("done", "damaged", "failed", "pending") if name in counts)
    note = "report.csv has every video." + (
        f" Here are the {len(worst)} to look at first." if len(worst) < total else ""
    )
    title = f"{_many(total, 'video')}: {plan.store.place}"
    rows = "\n".join(map(_html_row, worst))
    return _PAGE.format(title=html.escape(title), summary=html.escape(summary), note=html.escape(note), rows=rows)


def _html_row(values: dict[str, Any]) -> str:
    name, state = html.escape(values["id"]), values["state"]
    parts = []
    if state == "failed":
        parts.append(html.escape(f"{values['cause']}: {values['message']} ({_many(values['attempts'], 'attempt')})"))
        if values.get("log"):
            parts.append(f"<pre>{html.escape(chr(10).join(values['log'][-10:]))}</pre>")
    elif state != "pending":
        facts = f"{_many(values['objects'], 'object')} on {_many(values['frames'], 'frame')}"
        if values.get("mean_score") is not None:
            facts += f", mean score {values['mean_score']:.2f}"
        parts.append(html.escape(facts))
        if values["message"]:
            parts.append(html.escape(f"The video ends early: {values['message']}"))
        if values["warnings"]:
            parts.append(html.escape(f"Warning: {values['warnings']}"))
        if values["worst"]:
            parts.append(html.escape(values["worst"]))
        if values["has_picture"]:
            address = quote(f"{values['folder']}/worst.png")
            parts.append(f'<img loading="lazy" src="{address}" alt="the worst moments of {name}">')
    return f'<tr><td>{name}</td><td class="{state}">{state}</td><td>{"<br>".join(parts)}</td></tr>'


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _harmless(value: object) -> object:
    """A text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
