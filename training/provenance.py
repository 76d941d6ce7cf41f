"""What the pack says of its sources: one row for each tile or picture, and the credits made from the rows."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from licences import Grant
from packages import Package


@dataclass(frozen=True)
class Row:
    """Where a picture or a tile of the pack comes from; `tile` is empty where the file is one picture."""

    path: str
    tile: str
    package: str
    version: str
    file: str
    author: str
    licence: str
    stated_in: str


def row(path: str, tile: int | None, package: Package, file: str, grant: Grant) -> Row:
    """The row of one tile or picture of the pack."""
    index = "" if tile is None else str(tile)
    return Row(path, index, package.name, package.version, file, grant.author, grant.licence, grant.stated_in)


def write_rows(rows: list[Row], path: Path) -> None:
    """Writes sources.csv."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([f.name for f in fields(Row)])
        writer.writerows(astuple(r) for r in rows)


def attribution(rows: list[Row]) -> str:
    """The credits: authors by licence, and what was changed."""
    lines = [
        "The clips of the training are made from the works below. All were changed: scaled, cropped, rendered",
        "from 3D models, or reduced to an outline. sources.csv tells for each file where it comes from.",
    ]
    for licence in sorted({r.licence for r in rows}):
        authors: dict[str, set[str]] = {}
        for r in rows:
            if r.licence == licence:
                authors.setdefault(r.author, set()).add(r.file)
        lines += ["", f"{licence}{_link(licence)}"]
        lines += [f"  {author}: {_works(works)}" for author, works in sorted(authors.items())]
    return "\n".join(lines) + "\n"


def _works(works: set[str]) -> str:
    """The names of works; of very many, their number."""
    names = sorted({Path(w).name for w in works})
    return ", ".join(names) if len(names) <= 500 else f"{len(names)} works"


def _link(licence: str) -> str:
    """Where the text of a licence is, in brackets."""
    if licence == "public-domain":
        return ""
    if licence == "CC0-1.0":
        return " (https://creativecommons.org/publicdomain/zero/1.0/)"
    version, _, country = licence.removeprefix("CC-BY-").partition("-")
    return f" (https://creativecommons.org/licenses/by/{version}/{'us/' if country else ''})"
