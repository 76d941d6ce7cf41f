"""MOTS, as KITTI MOTS and MOTSChallenge have it: a 16-bit PNG for each frame, or one text file.

A pixel, or a line, names its object by class * 1000 + instance; 10000 is a region to ignore, 0 is background. Frames
count from 0, as KITTI's do; MOTSChallenge's count from 1, which ``first_frame=1`` writes, and which reading tells by
the file, see `_mots_numbering`. No two objects share a pixel.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import whole
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._coco import read_segmentation
from maskferry.formats._content import Rows, VideoTracks, checked, warn_of_loss
from maskferry.formats._frame_table import noting, read_frames, sidecar, write_frames
from maskferry.formats._images import list_pictures, read_frame_info, read_pixels, write_pixels
from maskferry.formats._mots_lines import Line, lines_of
from maskferry.formats._mots_numbering import first_frame_of, first_picture_of, number_of
from maskferry.formats._reading import Reading, reading_of
from maskferry.limits import MOST_FRAMES, check_size_hw
from maskferry.masks._labels import Overlap, to_label_map
from maskferry.rle import Rle

__all__ = ["IGNORED", "mots_ids", "read", "read_folder", "write", "write_folder"]

log = logging.getLogger(__name__)

IGNORED = 10_000
"""The value of regions that scoring leaves out."""

_KNOWN = {"car": 1, "pedestrian": 2, "person": 2}
_LOSSES = ("names of objects", "scores", "states")


def mots_ids(object_ids: Iterable[int], labels: Mapping[int, str] | None = None) -> dict[int, int]:
    """{object id: id in MOTS}, which is class * 1000 + instance.

    Cars are of class 1, pedestrians and persons of class 2, as in KITTI; other names, and objects without one, get the
    classes that are free, in the order of ids. An instance is the object's own id where all are below 1000; otherwise
    the objects of a class are numbered from 0.

    >>> mots_ids([3, 7, 8], {3: "car", 7: "dog"})
    {3: 1003, 7: 2007, 8: 3008}

    Raises:
        InputError: more objects than the format holds: 1000 in a class, 64 classes.
    """
    names = {i: (labels or {}).get(i, "object") for i in sorted(object_ids)}
    classes = _classes(names.values())
    keep_ids = max(names, default=0) < 1000
    count = dict.fromkeys(classes.values(), 0)
    out = {}
    for i, name in names.items():
        kind = classes[name]
        instance = i if keep_ids else count[kind]
        count[kind] += 1
        if instance > 999:
            raise InputError(f"MOTS holds 1000 objects of a class at most; there are more of {name!r}")
        out[i] = kind * 1000 + instance
    return out


def _classes(names: Iterable[str]) -> dict[str, int]:
    """{name: class}: the known ones, then those that are free, in the order of the names."""
    unique = list(dict.fromkeys(names))
    classes = {name: _KNOWN[name] for name in unique if name in _KNOWN}
    taken = {IGNORED // 1000, *classes.values()}
    free = [kind for kind in range(1, 65) if kind not in taken]
    unknown = [name for name in unique if name not in _KNOWN]
    if len(unknown) > len(free):
        raise InputError("MOTS holds objects of 63 classes at most: give fewer names")
    return classes | dict(zip(unknown, free, strict=False))


def write(  # noqa: PLR0913
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    ids: Mapping[int, int] | None = None,
    labels: Mapping[int, str] | None = None,
    object_ids: Iterable[int] = (),
    overlap: Overlap = "smallest",
    first_frame: int = 0,
    overwrite: bool = False,
) -> None:
    """Write the text form: ``frame id class height width rle`` a line, and the frame table beside it.

    Lost, and logged: names, scores, states, pixels that several objects claim; ids, where they were numbered anew.

    Args:
        video: the video.
        frames: its tracks, in the order of frames; one is held at a time.
        path: written atomically.
        ids: {object id: id in MOTS}; by default `mots_ids` of ``object_ids`` and ``labels``.
        labels: {object id: name}, for the classes.
        object_ids: all objects.
        overlap: who gets a pixel that several objects claim.
        first_frame: the number of the video's first frame: 0 as in KITTI MOTS, 1 as in MOTSChallenge.
        overwrite: replace files.

    Raises:
        InputError: masks of another size than the video, or an object without an id.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    for taken in (path, sidecar(path)):
        check_free(taken, overwrite=overwrite)
    first_frame = _check_first_frame(first_frame)
    ids = mots_ids(object_ids, labels) if ids is None else ids
    infos: list[FrameInfo] = []
    shared = 0
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="ascii", newline="\n") as file:
        for tracks in noting(checked(video, frames), infos):
            for row, rle in _apart(tracks.masks, overlap):
                shared += row.rle.area - rle.area
                if rle.area:
                    mots = _id_of(row.object_id, ids)
                    line = (tracks.info.index + first_frame, mots, mots // 1000, *video.size_hw, rle.counts.decode())
                    file.write(" ".join(str(v) for v in line) + "\n")
        write_frames(infos, sidecar(path), first_number=first_frame, overwrite=overwrite)
    _warn(path, ids, shared, first_frame)


def write_folder(  # noqa: PLR0913
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    folder: Path,
    *,
    ids: Mapping[int, int] | None = None,
    labels: Mapping[int, str] | None = None,
    object_ids: Iterable[int] = (),
    overlap: Overlap = "smallest",
    first_frame: int = 0,
    overwrite: bool = False,
) -> list[Path]:
    """Write the form of pictures: ``folder/000000.png``, 16 bits, for every frame; each carries its row of the frame
    table. Arguments, errors and what is lost are those of `write`.

    Returns:
        The files, in order.
    """
    check_free(folder, overwrite=overwrite)
    first_frame = _check_first_frame(first_frame)
    ids = mots_ids(object_ids, labels) if ids is None else ids
    written = []
    shared = 0
    for tracks in checked(video, frames):
        values = to_label_map(_renumbered(tracks.masks, ids), overlap=overlap, dtype=np.uint16)
        shared += sum(row.rle.area for row in tracks.masks) - int(np.count_nonzero(values))
        path = folder / f"{tracks.info.index + first_frame:06d}.png"
        write_pixels(path, values, info=tracks.info, overwrite=overwrite)
        written.append(path)
    _warn(folder, ids, shared, first_frame)
    return written


def read(path: Path, *, first_frame: int | None = None, reading: Reading | None = None) -> VideoTracks:
    """Read the text form. The id of an object is its id in MOTS (such as 2001), its name "class 2". Regions to ignore
    are left out.

    Args:
        path: the file.
        first_frame: the number of the video's first frame; by default the one that the file tells: by its frame table,
            by a mask on frame 0, by its sizes and classes, or by the number of frames of the video.
        reading: the video that the masks are for; says the first frame, too.

    Raises:
        InputError: no such file, or a line that is wrong; the message names line and field.

    Warns:
        LeftOutWarning: there are regions to ignore; the message counts them.
        MaskPlacementWarning: nothing tells the number of the first frame, and there is no ``reading`` that says so.
    """
    with reading_of(str(path), reading) as reading:
        said = reading.first_frame if first_frame is None else first_frame
        return _read(path, first_frame_of(path, reading) if said is None else _check_first_frame(said), reading)


def _read(path: Path, first_frame: int, reading: Reading) -> VideoTracks:
    """Read the text form, whose first frame has this number."""
    rows = Rows()
    size: tuple[int, int] | None = None
    for line in lines_of(path):
        size = size or check_size_hw(line.height, line.width, line.at)
        _read_line(line, size, first_frame, rows, reading)
    if size is None:
        raise InputError(f'{path}: expected lines "frame id class height width rle", found none')
    infos = read_frames(path) or {i: FrameInfo(i, None, f"{i:06d}") for i in sorted(rows.found)}
    _require_frames(rows, infos, path)
    video = VideoInfo(size[1], size[0], frame_count=max(infos, default=-1) + 1, name=path.stem)
    return rows.tracks(video, infos.values(), str(path))


def read_folder(folder: Path, *, first_frame: int | None = None) -> VideoTracks:
    """Read the form of pictures, as `read`; frames are numbered as the files are.

    Raises:
        InputError: no folder, a picture that is no label map of 16 bits, or pictures of several sizes.

    Warns:
        LeftOutWarning: there are regions to ignore; the message counts them.
        MaskPlacementWarning: as `read`.
    """
    paths = list_pictures(folder)
    with reading_of(str(folder), None) as reading:
        first = first_picture_of(paths, reading) if first_frame is None else first_frame
        return _read_pictures(folder, paths, _check_first_frame(first), reading)


def _read_pictures(folder: Path, paths: Sequence[Path], first_frame: int, reading: Reading) -> VideoTracks:
    """Read the form of pictures, whose first frame has this number."""
    rows, infos, size = Rows(), [], (0, 0)
    for path in paths:
        if number_of(path) < first_frame:
            raise InputError(f"{path}: expected the number of a frame from {first_frame} as name")
        values = read_pixels(path).values
        size = size if size[0] else check_size_hw(values.shape[0], values.shape[1], str(path))
        if values.shape != size:
            raise InputError(f"{path}: expected a label map of {size} (height, width), got {values.shape}")
        index = number_of(path) - first_frame
        infos.append(read_frame_info(path) or FrameInfo(index, None, path.stem))
        for mots, mask in split_mots(values, path).items():
            rows.add(infos[-1].index, mots, Rle.encode(mask), str(path), label=f"class {mots // 1000}")
        if (values == IGNORED).any():
            reading.leave_out("regions to ignore", path.name)
    video = VideoInfo(size[1], size[0], frame_count=max(i.index for i in infos) + 1, name=folder.name)
    return rows.tracks(video, infos, str(folder))


def split_mots(values: NDArray[np.unsignedinteger], path: Path) -> dict[int, NDArray[np.bool_]]:
    """The masks of a picture: {id in MOTS: bool (H, W)}, without regions to ignore."""
    ids = [int(i) for i in np.unique(values) if i and i != IGNORED]
    if ids and ids[0] < 1000:
        raise InputError(f"{path}: expected class * 1000 + instance in each pixel, got {ids[0]}")
    return {i: values == i for i in ids}


def _check_first_frame(first_frame: int) -> int:
    return whole(first_frame, "first_frame", least=0, most=MOST_FRAMES)


def _read_line(line: Line, size_hw: tuple[int, int], first_frame: int, rows: Rows, reading: Reading) -> None:
    """Add the row that a line holds; regions to ignore are left out, and counted."""
    at, kind = line.at, line.kind
    if (line.height, line.width) != size_hw:
        was = f"{size_hw[0]} x {size_hw[1]}"
        raise InputError(f"{at}: is {line.height} x {line.width} (height, width), lines before {was}")
    if line.frame < first_frame:
        raise InputError(f"{at}: expected a frame from {first_frame}, got {line.frame}")
    rle = read_segmentation({"size": list(size_hw), "counts": line.counts}, size_hw, f"{at}: rle")
    if line.mots == IGNORED or kind == IGNORED // 1000 or rle is None:
        reading.leave_out("regions to ignore", at)
        return
    if line.mots // 1000 != kind:
        raise InputError(f"{at}: id {line.mots} is of class {line.mots // 1000}, the line says {kind}")
    rows.add(line.frame - first_frame, line.mots, rle, at, label=f"class {kind}")


def _require_frames(rows: Rows, infos: Mapping[int, FrameInfo], path: Path) -> None:
    missing = sorted(set(rows.found) - set(infos))
    if missing:
        raise InputError(f"{path}: frame {missing[0]} is not in the frame table {sidecar(path).name}")


def _id_of(object_id: int, ids: Mapping[int, int]) -> int:
    if object_id not in ids:
        raise InputError(f"ids: object {object_id} has none")
    return ids[object_id]


def _renumbered(masks: FrameMasks, ids: Mapping[int, int]) -> FrameMasks:
    rows = [replace(row, object_id=_id_of(row.object_id, ids)) for row in masks]
    return FrameMasks(masks.frame, masks.size_hw, tuple(sorted(rows, key=lambda row: row.object_id)))


def _apart(masks: FrameMasks, overlap: Overlap) -> Iterator[tuple[ObjectMask, Rle]]:
    """Every object with what is its own of its mask."""
    places = FrameMasks(masks.frame, masks.size_hw, tuple(replace(row, object_id=i) for i, row in enumerate(masks, 1)))
    owner = to_label_map(places, overlap=overlap)
    owned = np.bincount(owner.ravel(), minlength=len(masks) + 1).tolist()
    for i, row in enumerate(masks, 1):
        if owned[i] == row.rle.area:
            yield row, row.rle
            continue
        x1, y1, x2, y2 = row.rle.box_xyxy or (0, 0, 1, 1)
        yield row, Rle.encode_crop(owner[y1:y2, x1:x2] == i, (x1, y1), masks.size_hw)


def _warn(path: Path, ids: Mapping[int, int], shared: int, first_frame: int) -> None:
    losses = dict.fromkeys(_LOSSES, 1)
    losses["ids, which are numbered anew as they are above 999"] = int(any(m % 1000 != i for i, m in ids.items()))
    losses["pixels that several objects claim, of which one keeps them"] = shared
    if first_frame == 1:
        others = sum(mots // 1000 != _KNOWN["person"] for mots in ids.values())
        losses['objects that MOTSChallenge\'s tools leave out, as they are not named "person" or "pedestrian"'] = others
    warn_of_loss(path, losses)
