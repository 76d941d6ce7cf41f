"""YOLO's text of segments: a file for each picture, a line "class x y x y ..." for each object, from 0 to 1."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskferry.data import FrameInfo, VideoInfo
from maskferry.errors import InputError
from maskferry.formats._coco import read_polygon
from maskferry.formats._content import Rows, VideoTracks
from maskferry.formats._identities import Seen, identities
from maskferry.formats._reading import Reading, RecordError
from maskferry.limits import check_text_file
from maskferry.rle import Rle

__all__ = ["CLASS_FILES", "is_yolo", "read"]

CLASS_FILES = ("classes.txt", "obj.names", "data.yaml", "dataset.yaml")
"""Where the names of classes lie, beside the labels or in a folder above."""


def is_yolo(path: Path) -> bool:
    """Whether the first line of a text is one of YOLO's: numbers alone, of which only the first must be whole."""
    for line in _lines(path):
        fields = line.split()
        if fields:
            return len(fields) >= 5 and all(_is_number(field) for field in fields) and not _all_whole(fields[:5])
    return False


def _all_whole(fields: list[str]) -> bool:
    """As in a line of MOTS. In one of YOLO's, along the edges of the picture, such numbers are 0 or 1."""
    return all(field.isdecimal() for field in fields) and any(int(field) > 1 for field in fields[1:])


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read(paths: Sequence[Path], reading: Reading) -> VideoTracks:
    """Read the files of several pictures, each called as its picture.

    Lines with a box only are left out and counted. Objects have no ids: see `identities`.

    Raises:
        InputError: no such file, no text, or the size of the video is not known.
    """
    size = reading.target.size_hw
    if size is None:
        raise InputError(
            f"{reading.where}: YOLO's outlines are shares of a picture whose size is not in the file: read it together "
            "with its video"
        )
    found: list[tuple[Seen, Rle, str]] = []
    for index, path in enumerate(paths):
        names = _names_of_classes(path)
        for number, line in enumerate(_lines(path), 1):
            at = f"{reading.where}: {path.name}:{number}"
            if line.strip():
                with reading.one_record():
                    label, rle = _read_line(line.split(), size, names, at)
                    found.append((Seen(index, label, None), rle, at))
    return _tracks(found, paths, size, reading)


def _tracks(
    found: list[tuple[Seen, Rle, str]], paths: Sequence[Path], size: tuple[int, int], reading: Reading
) -> VideoTracks:
    rows = Rows()
    for key, (seen, rle, at) in zip(identities([seen for seen, _, _ in found], reading), found, strict=True):
        rows.add(seen.frame, key, rle, at, label=seen.label)
    infos = [FrameInfo(index, None, path.stem) for index, path in enumerate(paths)]
    video = VideoInfo(size[1], size[0], frame_count=len(infos), name="video")
    return rows.tracks(video, infos, reading.where, frames_by="order")


def _read_line(fields: list[str], size: tuple[int, int], names: dict[int, str], at: str) -> tuple[str | None, Rle]:
    if not all(_is_number(field) for field in fields) or not fields[0].isdecimal():
        raise RecordError(
            "lines that are not YOLO's", at, f'expected "class x y x y ...", got {" ".join(fields)!r:.60}'
        )
    if len(fields) in (5, 6):
        raise RecordError("boxes without a mask", at, 'is a box, expected an outline "class x y x y ..."')
    shares = np.array([float(field) for field in fields[1:]])
    if shares.size % 2 or (shares < 0).any() or (shares > 1).any():
        why = f"expected pairs of numbers from 0 to 1, got {' '.join(fields)!r:.60}"
        raise RecordError("outlines that are no points", at, why)
    rle = read_polygon((shares.reshape(-1, 2) * (size[1], size[0])).ravel(), size, at)
    if not rle.area:
        raise RecordError("shapes that cover no pixel of the picture", at, "expected an area")
    return names.get(int(fields[0])), rle


def _lines(path: Path) -> list[str]:
    check_text_file(path)
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except UnicodeDecodeError as err:
        raise InputError(f"{path} is no text: {err}") from err


def _names_of_classes(path: Path) -> dict[int, str]:
    """The names that lie beside a file of labels, or up to three folders above."""
    for folder in list(path.parents)[:4]:
        for name in CLASS_FILES:
            beside = folder / name
            if beside.is_file() and beside != path:
                lines = _lines(beside)
                return _of_yaml(lines) if beside.suffix == ".yaml" else dict(enumerate(filter(None, lines)))
    return {}


def _of_yaml(lines: list[str]) -> dict[int, str]:
    """The "names" of a data.yaml: a list, or names by number, on one line or on several."""
    start = next((i for i, line in enumerate(lines) if line.startswith("names:")), None)
    if start is None:
        return {}
    inline = lines[start].removeprefix("names:").strip()
    if inline.startswith(("[", "{")):
        try:
            value = ast.literal_eval(inline)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return {}
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: str(name) for key, name in pairs if isinstance(key, int)}
    found: dict[int, str] = {}
    for line in lines[start + 1 :]:
        match = re.fullmatch(r"\s*(?:-|([0-9]{1,9}):)\s+(.+)", line)
        if match is None:
            break
        found[int(match[1]) if match[1] else len(found)] = match[2].strip().strip("'\"")
    return found
