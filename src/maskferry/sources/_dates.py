"""When pictures of a series were taken: what the caller says, what the files say, or what their names say."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from maskferry.errors import InputError
from maskferry.limits import check_text_file

__all__ = ["DatesOption", "date_in", "dates_of", "parse_date"]

log = logging.getLogger(__name__)

DatesOption = str | Path | Sequence[str | date]
"""A date for each file, in their order; a pattern of strptime for their names; or a CSV file of (file, date)."""

_EDGE, _END = r"(?<![0-9])", r"(?![0-9])"
_NAMES: tuple[tuple[str, str], ...] = (
    (rf"{_EDGE}(\d{{8}}T\d{{6}}){_END}", "%Y%m%dT%H%M%S"),
    (rf"{_EDGE}(\d{{4}}-\d\d-\d\d){_END}", "%Y-%m-%d"),
    (rf"{_EDGE}(\d{{8}}){_END}", "%Y%m%d"),
    (rf"{_EDGE}(\d{{7}}){_END}", "%Y%j"),
    (rf"{_EDGE}(\d{{4}}-\d\d){_END}", "%Y-%m"),
    (rf"{_EDGE}(\d{{4}}){_END}", "%Y"),
)
"""(pattern, what its match means), from the most exact to the least."""

_YEARS = range(1850, 2101)


def parse_date(text: str | date, what: str) -> datetime:
    """A date or a time of ISO 8601; without a zone it is UTC.

    Raises:
        InputError: it is none; named by ``what``.
    """
    try:
        found = datetime.fromisoformat(text.strip() if isinstance(text, str) else text.isoformat())
    except (ValueError, AttributeError) as err:
        raise InputError(
            f"{what}: expected a date such as 2020-01-21 or 2020-01-21T10:30:00, got {text!r:.60}"
        ) from err
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def date_in(stem: str, pattern: str, meaning: str) -> datetime | None:
    """The first match of a pattern in a name that is a date; None where there is none."""
    for match in re.finditer(pattern, stem):
        try:
            found = datetime.strptime(match[1], meaning).replace(tzinfo=UTC)
        except ValueError:
            continue
        if found.year in _YEARS:
            return found
    return None


def dates_of(
    paths: Sequence[Path],
    given: DatesOption | None,
    tags: Mapping[str, Callable[[Path], str | None]],
) -> list[datetime] | None:
    """The date of each file, from the first source that has one for all of them.

    Args:
        paths: the files.
        given: what the caller says.
        tags: {what it is: gives the text in a file}, of what the files themselves say: "acquisition" before the names,
            "written" after them.

    Returns:
        None where no source has any.

    Raises:
        InputError: the caller's dates do not fit, or a source has dates for some of the files only.
    """
    if given is not None:
        return _given_dates(paths, given)
    partial: list[str] = []
    acquired = _from_tags(paths, tags["acquisition"])
    if _all(acquired):
        return [d for d in acquired if d is not None]
    _note_partial(partial, paths, acquired, "the tag ACQUISITIONDATETIME")
    for pattern, meaning in _NAMES:
        named = [date_in(path.stem, pattern, meaning) for path in paths]
        if _all(named):
            return [d for d in named if d is not None]
        _note_partial(partial, paths, named, f"names as {meaning}")
    written = _from_tags(paths, tags["written"])
    if _all(written):
        log.info("dates are those of the tag TIFFTAG_DATETIME, when files were written; say dates if that is wrong")
        return [d for d in written if d is not None]
    if partial:
        raise InputError(
            f"dates: only some files have one ({partial[0]}): say all with dates, or leave those files out"
        )
    return None


def _all(found: Iterable[datetime | None]) -> bool:
    return all(d is not None for d in found)


def _note_partial(partial: list[str], paths: Sequence[Path], found: Sequence[datetime | None], what: str) -> None:
    missing = [path.name for path, d in zip(paths, found, strict=True) if d is None]
    if missing and len(missing) < len(paths):
        partial.append(f"{what}; none in {missing[0]}")


def _from_tags(paths: Sequence[Path], read: Callable[[Path], str | None]) -> list[datetime | None]:
    found: list[datetime | None] = []
    for path in paths:
        text = (read(path) or "").strip().removesuffix(" UTC")
        text = re.sub(r"^(\d{4}):(\d\d):(\d\d)", r"\1-\2-\3", text)  # as TIFF writes it
        try:
            found.append(parse_date(text, "tag") if text else None)
        except InputError:
            found.append(None)
    return found


def _given_dates(paths: Sequence[Path], given: DatesOption) -> list[datetime]:
    if isinstance(given, str | Path) and str(given).lower().endswith(".csv"):
        return _from_table(paths, Path(given))
    if isinstance(given, str | Path):
        return [_by_pattern(path, str(given)) for path in paths]
    dates = [parse_date(value, f"dates[{i}]") for i, value in enumerate(given)]
    if len(dates) != len(paths):
        raise InputError(f"dates: expected one for each of {len(paths)} files, got {len(dates)}")
    return dates


def _by_pattern(path: Path, pattern: str) -> datetime:
    if "%" not in pattern:
        raise InputError(
            f"dates: expected dates, a pattern such as scene_%Y%m%d, or a .csv file of file,date, got {pattern!r:.60}"
        )
    for name in (path.stem, path.name):
        try:
            found = datetime.strptime(name, pattern)
        except ValueError:
            continue
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    raise InputError(f"dates: the name of {path.name} does not match the pattern {pattern!r}")


def _from_table(paths: Sequence[Path], table: Path) -> list[datetime]:
    check_text_file(table)
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"dates: cannot read {table}: {err}") from err
    if rows and not {"file", "date"} <= rows[0].keys():
        raise InputError(f"dates: {table}: expected the columns file and date, got {', '.join(map(str, rows[0]))[:80]}")
    known = {row["file"]: parse_date(row["date"] or "", f"{table}:{n}") for n, row in enumerate(rows, 2)}
    missing = [path.name for path in paths if path.name not in known and path.stem not in known]
    if missing:
        raise InputError(f"dates: {table} has no date of {missing[0]} ({len(missing)} files are missing)")
    return [known.get(path.name) or known[path.stem] for path in paths]
