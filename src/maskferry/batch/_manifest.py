"""Manifests: what videos there are, each with its masks, as JSON lines, CSV, Parquet, a folder or a pattern.

A million rows are read a line at a time. Nothing is loaded that could run: no pickles, no YAML.
"""

from __future__ import annotations

import csv
import glob
import json
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskferry.batch._stores import fetch, is_remote, shown
from maskferry.errors import InputError, MissingExtraError, SourceError
from maskferry.images import PICTURE_SUFFIXES, natural_key

__all__ = ["FIELDS", "Fault", "Manifest", "Row", "open_manifest"]

FIELDS = ("id", "video", "masks", "direction", "start", "stop", "stride", "rate", "frames")
"""What a row may hold."""

DIRECTIONS = ("both", "forward", "backward")

ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")

VIDEO_SUFFIXES = (
    ".mp4",
    ".mov",
    ".mkv",
    ".avi",
    ".webm",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".mts",
    ".m2ts",
    ".wmv",
    ".gif",
)
"""What files of a folder are taken for videos."""

LONGEST_LINE = 1 << 20
"""Characters of one row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One video.

    Attributes:
        line: where it stands in the manifest, from 1.
        id: under which its results lie; unlike all others, upper and lower case taken for one.
        video: a path or a URL.
        masks: (frame or None, path or URL).
        direction: None for that of the run.
        start: first frame.
        stop: frame to end before; None for the end.
        stride: every stride-th frame.
        rate: frames per second; None for the video's own.
        frames: how long it is, where that is known: longer ones are begun first.
    """

    line: int
    id: str
    video: str
    masks: tuple[tuple[int | None, str], ...]
    direction: str | None = None
    start: int = 0
    stop: int | None = None
    stride: int = 1
    rate: str | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a row.

    Attributes:
        line: from 1.
        id: of the row, where it has one.
        field: which of `FIELDS`; "" for the whole row.
        cause: what was expected, and what came.
    """

    line: int
    id: str
    field: str
    cause: str

    def __str__(self) -> str:
        where = f"line {self.line}" + (f" ({self.id})" if self.id else "")
        return f"{where}{f', {self.field}' if self.field else ''}: {self.cause}"


class Manifest:
    """An iterable of `Row` and `Fault`, in order; it can be gone through again.

    Attributes:
        place: for people.
    """

    def __init__(self, place: str, rows: Callable[[], Iterator[Row | Fault]]) -> None:
        self.place, self._rows = place, rows

    def __iter__(self) -> Iterator[Row | Fault]:
        return self._rows()


def open_manifest(manifest: str | Path, *, masks_like: str | None = None, has_detector: bool = False) -> Manifest:
    """Open a manifest.

    Args:
        manifest: a ``.jsonl``, ``.csv`` or ``.parquet`` file, also in an object store, a folder of videos, or a
            pattern such as ``films/*.mp4``.
        masks_like: of a folder or a pattern, where the masks of a video are, such as ``"{stem}.png"`` or
            ``"masks/{stem}"``, from its folder.
        has_detector: masks may be missing: something finds the objects.

    Raises:
        InputError: there is none, or it is of no known kind.
        MissingExtraError: a Parquet file, and the extra ``parquet`` is missing.
    """
    text = str(manifest)
    if is_remote(text):
        return _remote_manifest(text, masks_like, has_detector)
    path = Path(text)
    if path.is_dir() or (not path.exists() and glob.has_magic(text)):
        return _found_videos(text, path, masks_like, has_detector)
    if not path.exists():
        raise InputError(f"{text}: no such manifest: expected a .jsonl, .csv or .parquet file, a folder, or a pattern")
    folder = os.path.abspath(path.parent)  # noqa: PTH100
    return _listed_videos(text, path, folder, masks_like, has_detector)


def _remote_manifest(text: str, masks_like: str | None, has_detector: bool) -> Manifest:
    """A manifest in an object store; what it names by relative paths lies beside it."""
    if text.lower().startswith("http"):
        raise InputError(f"{shown(text)}: a manifest is read from a path, s3:// or gs://: download it")
    kept = tempfile.mkdtemp(prefix="maskferry-manifest-")
    try:
        path = Path(fetch(text, Path(kept)))
        found = _listed_videos(shown(text), path, text.rpartition("/")[0], masks_like, has_detector)
    except BaseException as err:
        shutil.rmtree(kept, ignore_errors=True)
        if isinstance(err, SourceError):
            raise InputError(str(err)) from err
        raise
    weakref.finalize(found, shutil.rmtree, kept, ignore_errors=True)
    return found


def _listed_videos(text: str, path: Path, folder: str, masks_like: str | None, has_detector: bool) -> Manifest:
    if masks_like is not None:
        raise InputError("--masks-like is for a folder or a pattern of videos: a manifest names its masks itself")
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv_rows, ".parquet": _parquet_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{text}: expected a manifest in .jsonl, .csv or .parquet, a folder or a pattern of videos")
    if reader is _parquet_rows:
        _parquet()

    def rows() -> Iterator[Row | Fault]:
        for line, values in reader(path):
            yield _row(line, values, folder, has_detector)

    return Manifest(text, rows)


# --- files of rows ----------------------------------------------------------------------------------------------------


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
            if line.isspace():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError) as err:
                yield number, f"expected a JSON object on one line: {err}"
                continue
            yield number, found if isinstance(found, dict) else f"expected a JSON object, got {type(found).__name__}"


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, restkey="")
        try:
            for found in reader:
                if "" in found:
                    yield reader.line_num, "expected as many values as the first line has names"
                    continue
                yield reader.line_num, {name: value for name, value in found.items() if value}
        except csv.Error as err:
            yield reader.line_num + 1, f"expected CSV: {err}"


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    parquet, number = _parquet(), 0
    try:
        file = parquet.ParquetFile(path)
    except Exception as err:
        raise InputError(f"{path} cannot be read as Parquet: {err}") from err
    for batch in file.iter_batches(batch_size=4096):
        for found in batch.to_pylist():
            number += 1
            yield number, {name: value for name, value in found.items() if value is not None}


def _parquet() -> Any:  # noqa: ANN401
    try:
        from pyarrow import parquet
    except ImportError as err:
        raise MissingExtraError("a Parquet manifest needs pyarrow: pip install 'maskferry[parquet]'") from err
    return parquet


# --- folders and patterns ---------------------------------------------------------------------------------------------


def _found_videos(text: str, path: Path, masks_like: str | None, has_detector: bool) -> Manifest:
    is_folder = path.is_dir()
    names = os.listdir(path) if is_folder else glob.glob(text, recursive=True)  # noqa: PTH207, PTH208
    found = [path / name for name in names] if is_folder else [Path(name) for name in names]
    videos = sorted((p for p in found if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file()), key=natural_key)
    if not videos:
        raise InputError(f"{text}: no videos there ({', '.join(VIDEO_SUFFIXES)})")

    def rows() -> Iterator[Row | Fault]:
        for number, video in enumerate(videos, 1):
            masks = _masks_beside(video, masks_like)
            if isinstance(masks, str):
                if not (has_detector and masks_like is None):
                    yield Fault(number, video.stem, "masks", masks)
                    continue
                masks = []
            values = {"id": video.stem, "video": str(video), "masks": [_found_masks(p) for p in masks]}
            yield _row(number, values, os.getcwd(), has_detector)  # noqa: PTH109

    return Manifest(text, rows)


def _found_masks(path: Path) -> dict[str, Any]:
    """Masks that were found for a video: a single picture is of its first frame; other files say it themselves."""
    is_picture = path.is_file() and path.suffix.lower() in PICTURE_SUFFIXES
    return {"path": str(path)} | ({"frame": 0} if is_picture else {})


def _masks_beside(video: Path, masks_like: str | None) -> list[Path] | str:
    """The masks of a video that was found; or what is wrong."""
    if masks_like is not None:
        if "{stem}" not in masks_like:
            return f"--masks-like {masks_like}: expected {{stem}} in it, which stands for the video's name"
        path = video.parent / masks_like.replace("{stem}", video.stem)
        return [path] if path.exists() else f"there is no {path}"
    places = [video.with_suffix(".png"), video.with_suffix(""), video.with_suffix(".json")]
    there = [path for path in places if path.exists() and path != video]
    if len(there) == 1:
        return there
    names = f"{video.stem}.png, {video.stem}/ or {video.stem}.json"
    if not there:
        return f"expected masks beside {video}: one of {names}; or say where they are with --masks-like"
    return f"there are several masks beside {video}: expected one of {names}; say which with --masks-like"


# --- one row ----------------------------------------------------------------------------------------------------------


class _FieldError(Exception):
    def __init__(self, field: str, cause: str) -> None:
        self.field, self.cause = field, cause


def _row(line: int, values: Mapping[str, Any] | str, folder: str, has_detector: bool) -> Row | Fault:
    """A row, checked; a fault where it cannot be taken."""
    if isinstance(values, str):
        return Fault(line, "", "", values)
    name = values.get("id")
    try:
        for key in values:
            if key not in FIELDS:
                raise _FieldError(str(key), f"no such field: expected {', '.join(FIELDS)}")
        video = _place(values.get("video"), "video", folder)
        if name is None:
            name = _stem(video)
        if not (isinstance(name, str) and ID.fullmatch(name)):
            raise _FieldError("id", f"expected 1 to 128 of A-Z a-z 0-9 . _ -, the first one no dot, got {name!r:.150}")
        masks = _masks(values.get("masks"), folder)
        if not masks and not has_detector:
            raise _FieldError("masks", "expected a path, or a list of {frame, path}: there is nothing to start from")
        direction = values.get("direction")
        if direction is not None and direction not in DIRECTIONS:
            raise _FieldError("direction", f"expected {', '.join(DIRECTIONS)}, got {direction!r}")
        start = _whole(values, "start", 0) or 0
        stop = _whole(values, "stop", 1)
        if stop is not None and stop <= start:
            raise _FieldError("stop", f"expected a frame behind start, {start}, got {stop}")
        return Row(
            line,
            name,
            video,
            masks,
            direction,
            start,
            stop,
            _whole(values, "stride", 1) or 1,
            _rate(values.get("rate")),
            _whole(values, "frames", 1),
        )
    except _FieldError as err:
        return Fault(line, name if isinstance(name, str) else "", err.field, err.cause)


def _place(value: object, field: str, folder: str) -> str:
    if not (isinstance(value, str) and value and "\0" not in value):
        raise _FieldError(field, f"expected a path or a URL, got {value!r:.150}")
    try:
        if is_remote(value) or value.startswith("file://"):
            return value
    except InputError as err:
        raise _FieldError(field, str(err)) from None
    return value if value[0] == "/" else os.path.join(folder, value)  # noqa: PTH118


def _masks(value: object, folder: str) -> tuple[tuple[int | None, str], ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        if value.lstrip().startswith("["):  # in CSV
            try:
                value = json.loads(value)
            except ValueError as err:
                raise _FieldError("masks", f"expected a JSON list of {{frame, path}}: {err}") from None
        else:
            return ((None, _place(value, "masks", folder)),)
    if not isinstance(value, Iterable) or isinstance(value, Mapping | str | bytes):
        raise _FieldError("masks", f"expected a path, or a list of {{frame, path}}, got {value!r:.150}")
    found = []
    for one in value:
        if not isinstance(one, Mapping) or not one.keys() <= {"frame", "path"} or "path" not in one:
            raise _FieldError("masks", f"expected {{frame, path}}, got {one!r:.150}")
        found.append((_whole(one, "frame", 0), _place(one["path"], "masks", folder)))
    return tuple(found)


def _whole(values: Mapping[str, Any], field: str, least: int) -> int | None:
    value = values.get(field)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal():  # in CSV
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 53:
        raise _FieldError(field, f"expected a whole number from {least}, got {value!r:.50}")
    return value


def _rate(value: object) -> str | None:
    if value is None:
        return None
    try:
        if isinstance(value, bool) or not 0 < Fraction(str(value)) < 1_000_000:
            raise ValueError
    except (ValueError, ZeroDivisionError):
        raise _FieldError("rate", f"expected frames per second, such as 25 or 30000/1001, got {value!r:.50}") from None
    return str(value)


def _stem(video: str) -> str:
    """The name of a video without its suffix: its id where none is given."""
    name = shown(video).rstrip("/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and (f".{suffix.lower()}" in VIDEO_SUFFIXES + tuple(PICTURE_SUFFIXES)) else name
