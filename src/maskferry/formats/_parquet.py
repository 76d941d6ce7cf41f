"""The table of tracks as Parquet: the columns of `table.COLUMNS`, typed, a row for each object on each frame.

Needs pyarrow (the extra "parquet"). The frame table and the video are in the file's own metadata, so that frames
without objects are there too.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from maskferry.data import FrameInfo, FrameTracks, State, VideoInfo
from maskferry.errors import InputError, MissingExtraError
from maskferry.files import atomic_path, check_free
from maskferry.formats._content import checked, warn_of_loss
from maskferry.formats._frame_table import noting
from maskferry.formats._table import COLUMNS, LATER, TableRow, rows_of

__all__ = ["load_pyarrow", "read", "read_frames", "require_pyarrow", "write"]

_KEY = b"maskferry"
_BATCH = 10_000  # rows


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write the table, some thousand rows at a time.

    Lost, and logged: the masks themselves.

    Raises:
        MissingExtraError: pyarrow is not installed.
        InputError: masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    pa, pq = load_pyarrow()
    check_free(path, overwrite=overwrite)
    infos: list[FrameInfo] = []
    rows = rows_of(noting(checked(video, frames), infos), labels)
    schema = _schema(pa)
    with atomic_path(path, overwrite=overwrite) as part, pq.ParquetWriter(part, schema) as writer:
        while batch := list(itertools.islice(rows, _BATCH)):
            cells = [_cells(row) for row in batch]
            columns = {name: [row[i] for row in cells] for i, name in enumerate(COLUMNS)}
            writer.write_table(pa.Table.from_pydict(columns, schema=schema))
        writer.add_key_value_metadata({_KEY: _metadata(video, infos)})
    warn_of_loss(path, {"masks, of which box, area and centroid are left": 1})


def read(path: Path) -> list[TableRow]:
    """Read a table that `write` made.

    Raises:
        MissingExtraError: pyarrow is not installed.
        InputError: no such file, no Parquet, or no such table.
    """
    names = _open(path, lambda pq: pq.read_schema(path).names)
    missing = [name for name in COLUMNS if name not in names and name not in LATER]
    if missing:
        raise InputError(f"{path}: expected the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}")
    there = [name for name in COLUMNS if name in names]
    columns = _open(path, lambda pq: pq.read_table(path, columns=there).to_pydict())
    rows = zip(*(columns.get(name, [None] * len(columns["frame"])) for name in COLUMNS), strict=True)
    return [_row(cells, f"{path}: row {i}") for i, cells in enumerate(rows)]


def read_frames(path: Path) -> list[FrameInfo]:
    """Read the frame table of such a file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        InputError: no such file, no Parquet, or it has no frame table.
    """
    metadata = _open(path, lambda pq: pq.read_metadata(path).metadata) or {}
    try:
        found = json.loads(metadata[_KEY])
        return [FrameInfo(int(index), time, str(name)) for index, time, name in found["frames"]]
    except (KeyError, TypeError, ValueError) as err:
        raise InputError(f"{path}: expected a frame table in the metadata, got none: {err}") from err


def require_pyarrow() -> None:
    """Say at once that Parquet is unavailable.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    load_pyarrow()


def load_pyarrow() -> tuple[Any, Any]:
    """pyarrow, and its module of Parquet.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as err:
        raise MissingExtraError('Parquet needs pyarrow: pip install "maskferry[parquet]"') from err
    return pyarrow, pyarrow.parquet


def _open(path: Path, reading: Any) -> Any:  # noqa: ANN401
    pa, pq = load_pyarrow()
    try:
        return reading(pq)
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except (pa.ArrowException, ValueError) as err:
        raise InputError(f"{path} is no Parquet: {err}") from err


def _schema(pa: Any) -> Any:  # noqa: ANN401
    kinds = {
        **dict.fromkeys(("frame", "object_id", "area", "x1", "y1", "x2", "y2"), pa.int64()),
        **dict.fromkeys(("time", "score", "centroid_x", "centroid_y", "fidelity"), pa.float64()),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])


def _metadata(video: VideoInfo, infos: list[FrameInfo]) -> bytes:
    about = {
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "rate": None if video.rate is None else str(video.rate),
        "frames": [[info.index, info.time, info.name] for info in infos],
    }
    return json.dumps(about).encode()


def _cells(row: TableRow) -> tuple[Any, ...]:
    box, centroid = row.box_xyxy or (None,) * 4, row.centroid_xy or (None,) * 2
    return (
        *(row.frame, row.time, row.name, row.object_id, row.label, row.state.value, row.score, row.area),
        *(*box, *centroid, row.fidelity),
    )


def _row(cells: tuple[Any, ...], where: str) -> TableRow:
    frame, time, name, object_id, label, state, score, area, *rest = cells
    box, centroid, fidelity = rest[:4], rest[4:6], rest[6]
    try:
        return TableRow(
            *(int(frame), time, str(name), int(object_id), str(label), State(state), float(score), int(area)),
            box_xyxy=None if box[0] is None else (int(box[0]), int(box[1]), int(box[2]), int(box[3])),
            centroid_xy=None if centroid[0] is None else (float(centroid[0]), float(centroid[1])),
            fidelity=None if fidelity is None else float(fidelity),
        )
    except (TypeError, ValueError) as err:
        raise InputError(f"{where}: not a row of such a table: {err}") from err
