"""CVAT XML 1.1: polygon tracks of a video ("CVAT for video"), or masks picture by picture ("CVAT for images").

The frame table lies beside it, see `frame_table`, as the format has no times.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, TextIO
from xml.sax.saxutils import quoteattr

import numpy as np

from maskferry._own_files import COMMENT
from maskferry.data import FrameInfo, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._content import VideoTracks, checked, warn_of_loss
from maskferry.formats._cvat_reader import CvatReader
from maskferry.formats._frame_table import noting, read_frames, sidecar, write_frames
from maskferry.formats._images import picture_name
from maskferry.formats._reading import Reading, reading_of
from maskferry.formats._safe_xml import read_xml
from maskferry.masks._polygons import join, parts_of
from maskferry.rle import Rle

__all__ = ["read", "write"]


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    shapes: Literal["polygons", "masks"] = "polygons",
    overwrite: bool = False,
) -> None:
    """Write one video's tracks, and its frame table beside it.

    As polygons, an object is a track with a keyframe on every frame, which ends, or pauses, with ``outside="1"``. A
    track holds one polygon a frame: parts and holes are joined by lines of no width, which fill to the same mask. As
    masks, every frame is a picture, and an object keeps its id as the group of its shapes; CVAT then shows pictures,
    not tracks.

    Lost, and logged: scores; states other than occluded and lost; names that do not differ from "object"; as polygons,
    that an object was lost before it was first seen.

    Args:
        video: the video.
        frames: its tracks, in the order of frames. Masks are held run-length encoded until the end.
        path: written atomically.
        labels: {object id: name}; "object" where there is none.
        shapes: "polygons" or "masks".
        overwrite: replace files.

    Raises:
        InputError: an unknown kind of shape, or masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    if shapes not in ("polygons", "masks"):
        raise InputError(f'shapes: expected "polygons" or "masks", got {shapes!r}')
    for taken in (path, sidecar(path)):
        check_free(taken, overwrite=overwrite)
    infos: list[FrameInfo] = []
    names = _Names(labels or {})
    rows = [frame.masks.objects for frame in noting(checked(video, frames), infos)]
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        _write_head(file, video, infos, names.of(row.object_id for objects in rows for row in objects), shapes)
        if shapes == "polygons":
            _write_tracks(file, video, infos, rows, names)
        else:
            _write_images(file, video, infos, rows, names)
        file.write("</annotations>\n")
        write_frames(infos, sidecar(path), overwrite=overwrite)
    warn_of_loss(path, {"scores": 1, "the states given, tracked and returned": 1})


def read(path: Path, *, reading: Reading | None = None) -> VideoTracks:
    """Read one file of CVAT, of either kind.

    Polygons, masks, boxes and ellipses are taken, turned ones too; lines, points, cuboids, skeletons and tags, and
    shapes that are broken, are left out and counted.

    The id of an object is that of its track, or the group of its shapes, where all are from 1; otherwise objects are
    numbered in the order of the file. CVAT's own ids start at 0. Shapes of pictures without a group are one object
    where their name is there once on each picture. Shapes between keyframes are in ``derived``, and "tracked"; those
    that the file leaves out are not interpolated. An object is "lost" where its shape is outside. Where the frame table
    lies beside the file, it is read too.

    Args:
        path: an XML file.
        reading: gives the size where the file has none, and counts what is left out; None warns of it.

    Raises:
        InputError: no such file, no XML (document types and entities are refused), or an attribute that is wrong; the
            message names file, record and field.

    Warns:
        LeftOutWarning: something is left out, and there is no ``reading`` that counts it.
    """
    with reading_of(str(path), reading) as counting:
        root = read_xml(path)
        if root.tag != "annotations":
            raise InputError(f"{path}: expected CVAT's <annotations>, got <{root.tag:.40}>")
        reader = CvatReader(read_frames(path), counting)
        images = root.findall("image")
        return reader.images(root, images) if images else reader.tracks(root)


# --- writing ----------------------------------------------------------------------------------------------------


class _Names:
    """The label of each object."""

    def __init__(self, labels: Mapping[int, str]) -> None:
        self._labels = labels

    def __getitem__(self, object_id: int) -> str:
        return _clean(self._labels.get(object_id, "object"))

    def of(self, object_ids: Iterable[int]) -> list[str]:
        """Each name once."""
        return list(dict.fromkeys(self[i] for i in dict.fromkeys(object_ids)))


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return "".join(
        c if c in "\t\n\r" or " " <= c < "\ud800" or (c > "\udfff" and c not in "\ufffe\uffff") else "?" for c in text
    )


def _write_head(file: TextIO, video: VideoInfo, infos: list[FrameInfo], names: list[str], shapes: str) -> None:
    mode = "interpolation" if shapes == "polygons" else "annotation"
    last = max((info.index for info in infos), default=-1)
    size = max(video.frame_count or 0, last + 1)
    file.write(f'<?xml version="1.0" encoding="utf-8"?>\n<!-- {COMMENT} -->\n<annotations>\n')
    file.write("<version>1.1</version>\n<meta><task>")
    file.write(f"<name>{_text(video.name)}</name><size>{size}</size><mode>{mode}</mode>\n<labels>")
    for name in names:
        file.write(f"<label><name>{_text(name)}</name><attributes></attributes></label>")
    width, height = video.width, video.height
    file.write(f"</labels>\n<original_size><width>{width}</width><height>{height}</height></original_size>")
    file.write("</task></meta>\n")


def _text(value: str) -> str:
    return quoteattr(_clean(value), {'"': "&quot;", "'": "&apos;"})[1:-1]


def _attribute(value: str) -> str:
    return f'"{_text(value)}"'


def _write_tracks(
    file: TextIO, video: VideoInfo, infos: list[FrameInfo], rows: list[tuple[ObjectMask, ...]], names: _Names
) -> None:
    timelines: dict[int, dict[int, ObjectMask]] = {}
    for info, objects in zip(infos, rows, strict=True):
        for row in objects:
            timelines.setdefault(row.object_id, {})[info.index] = row
    following = {a.index: b.index for a, b in itertools.pairwise(infos)}
    for object_id, timeline in sorted(timelines.items()):
        if any(row.rle.area for row in timeline.values()):
            file.write(f'<track id="{object_id}" label={_attribute(names[object_id])} source="auto">\n')
            file.writelines(_keyframes(timeline, following, video.frame_count))
            file.write("</track>\n")


def _keyframes(timeline: dict[int, ObjectMask], following: dict[int, int], frame_count: int | None) -> Iterator[str]:
    """A polygon for each frame; one that is "outside" behind each stretch on which the object is seen."""
    points = ""
    for index, row in timeline.items():
        if row.rle.area:
            points = _points(row.rle)
            yield _polygon(points, index, row.state)
            after = following.get(index, index + 1)
            if after not in timeline and (frame_count is None or after < frame_count):
                yield _polygon(points, after, row.state, outside=True)
                points = ""
        elif points:
            yield _polygon(points, index, row.state, outside=True)
            points = ""


def _points(rle: Rle) -> str:
    rings = [ring for part in parts_of(rle.decode()) for ring in (part.outer, *part.holes)]
    return ";".join(f"{x:.0f},{y:.0f}" for x, y in join(rings).tolist())


def _polygon(points: str, frame: int, state: State, *, outside: bool = False) -> str:
    occluded = int(state is State.OCCLUDED)
    return (
        f'<polygon frame="{frame}" keyframe="1" outside="{int(outside)}" occluded="{occluded}" points="{points}" '
        'z_order="0"></polygon>\n'
    )


def _write_images(
    file: TextIO, video: VideoInfo, infos: list[FrameInfo], rows: list[tuple[ObjectMask, ...]], names: _Names
) -> None:
    for info, objects in zip(infos, rows, strict=True):
        size = f'width="{video.width}" height="{video.height}"'
        file.write(f'<image id="{info.index}" name={_attribute(picture_name(info))} {size}>\n')
        for row in objects:
            if (found := row.rle.decode_crop()) is None:
                continue
            (x1, y1, x2, y2), mask = found
            flat = mask.ravel()
            edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0))
            runs = ", ".join(str(n) for n in np.diff(edges, prepend=0, append=flat.size).tolist())
            file.write(
                f'<mask label={_attribute(names[row.object_id])} source="auto" '
                f'occluded="{int(row.state is State.OCCLUDED)}" rle="{runs}" left="{x1}" top="{y1}" '
                f'width="{x2 - x1}" height="{y2 - y1}" z_order="0" group_id="{row.object_id}"></mask>\n'
            )
        file.write("</image>\n")
