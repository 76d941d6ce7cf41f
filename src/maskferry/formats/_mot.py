"""MOT CSV, as MOTChallenge has it: a line for each box, ``frame,id,left,top,width,height,confidence,x,y,z``.

Frames and pixels count from 1; x, y and z, positions in the world, are -1.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path

from maskferry.data import FrameInfo, FrameTracks, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._content import TrackedBox, checked, warn_of_loss
from maskferry.formats._frame_table import noting, sidecar, write_frames
from maskferry.limits import check_text_file

__all__ = ["read", "write"]


def write(video: VideoInfo, frames: Iterable[FrameTracks], path: Path, *, overwrite: bool = False) -> None:
    """Write the boxes of what is seen, and the frame table beside it.

    Lost, and logged: the masks themselves, names, states.

    Raises:
        InputError: masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    for taken in (path, sidecar(path)):
        check_free(taken, overwrite=overwrite)
    infos: list[FrameInfo] = []
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="ascii", newline="\n") as file:
        for tracks in noting(checked(video, frames), infos):
            for row in tracks.masks:
                if (box := row.rle.box_xyxy) is not None:
                    x1, y1, x2, y2 = box
                    cells = (tracks.info.index + 1, row.object_id, x1 + 1, y1 + 1, x2 - x1, y2 - y1, float(row.score))
                    file.write(",".join(str(c) for c in (*cells, -1, -1, -1)) + "\n")
        write_frames(infos, sidecar(path), overwrite=overwrite)
    warn_of_loss(path, {"masks, of which their boxes are left": 1, "names of objects": 1, "states": 1})


def read(path: Path) -> list[TrackedBox]:
    """Read such a file, ours or others', in its order. Columns behind the seventh are left alone.

    Raises:
        InputError: no such file, or a line that is wrong; the message names it.
    """
    check_text_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            return [_box(cells, f"{path}:{reader.line_num}") for cells in reader if cells]
    except OSError as err:
        raise InputError(f"cannot read {path}: {err.strerror or err}") from err
    except (csv.Error, UnicodeDecodeError) as err:
        raise InputError(f"{path} is no CSV: {err}") from err


def _box(cells: list[str], where: str) -> TrackedBox:
    try:
        frame, object_id = (int(float(c)) for c in cells[:2])
        left, top, width, height = (float(c) for c in cells[2:6])
        score = float(cells[6]) if len(cells) > 6 else 1.0
        if frame < 1 or object_id < 1 or width <= 0 or height <= 0 or not math.isfinite(left + top + width + height):
            raise ValueError("frame and id are from 1, boxes have an area")
    except (ValueError, OverflowError) as err:
        raise InputError(f"{where}: expected frame,id,left,top,width,height,confidence,...: {err}") from err
    box = (left - 1, top - 1, left - 1 + width, top - 1 + height)
    return TrackedBox(frame - 1, object_id, box, min(1.0, max(0.0, score)))
