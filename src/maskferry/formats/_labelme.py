"""LabelMe JSON: a file for each picture, with polygons or masks as shapes.

Shapes of one label and one group are one object, as LabelMe itself has it; the group is the object's id. States,
scores and the frame table are kept under the key "maskferry", which LabelMe carries along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal

from maskferry.data import FrameInfo, FrameTracks, State, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._coco import MOST_POLYGONS, as_id, get, get_whole, load_json, unite
from maskferry.formats._content import FramesBy, Rows, VideoTracks, check_fidelity, check_time, checked, derived_of
from maskferry.formats._identities import Seen, identities
from maskferry.formats._images import file_stem, picture_name
from maskferry.formats._labelme_shapes import mask_shapes, polygon_shapes, read_shape
from maskferry.formats._reading import Reading, reading_of
from maskferry.images import natural_key
from maskferry.limits import check_size_hw
from maskferry.rle import Rle

__all__ = ["LabelmeObject", "LabelmePicture", "is_labelme", "parse", "read", "read_files", "read_folder", "write"]

_EXTRA = "maskferry"


@dataclass(frozen=True, slots=True)
class LabelmeObject:
    """One object on one picture: what its shapes cover together.

    Attributes:
        label: its name; "" where it has none.
        group: its group; None for a shape that stands alone.
        rle: the mask.
        score: in [0, 1]; 1 in third-party files.
        state: "given" in third-party files.
        fidelity: see `ObjectMask`.
    """

    label: str
    group: int | str | None
    rle: Rle
    score: float = 1.0
    state: State = State.GIVEN
    fidelity: float | None = None


@dataclass(frozen=True, slots=True)
class LabelmePicture:
    """One file.

    Attributes:
        size_hw: of the picture.
        name: the file name of the picture, without folders.
        objects: in the order of the file.
        info: the row of the frame table, where the file has one.
        extra: what maskferry has kept; empty in third-party files.
    """

    size_hw: tuple[int, int]
    name: str
    objects: tuple[LabelmeObject, ...]
    info: FrameInfo | None
    extra: dict[str, Any]


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    folder: Path,
    *,
    labels: Mapping[int, str] | None = None,
    shapes: Literal["polygon", "mask"] = "polygon",
    overwrite: bool = False,
) -> list[Path]:
    """Write ``folder/<name of the frame>.json`` for every frame, to lie beside the pictures of these names.

    Nothing is lost for a reader that knows groups: outlines run along the edges of pixels, a part of an object is a
    shape, and holes are cut out by a line of no width. LabelMe's own masks of such polygons are up to a pixel larger,
    as it draws outlines too; ``shapes="mask"`` is exact there too. The picture itself is not embedded, and LabelMe
    opens no file without it: take the frames of a video out as PNG, "000000.png" and so on (`images.picture_name`).

    Args:
        video: the video.
        frames: its tracks, in the order of frames; one is held at a time.
        folder: made where it is missing; must be empty unless ``overwrite``.
        labels: {object id: name}; "object" where there is none.
        shapes: "polygon", or "mask" (LabelMe 5.3 and later).
        overwrite: replace files of the same name.

    Returns:
        The files, in order.

    Raises:
        InputError: an unknown kind of shape, masks of another size than the video, or two frames with one name.
        OutputExistsError: the folder holds files, and ``overwrite`` is false.
        OutputError: the disk is full or not writable; the files before are kept.
    """
    if shapes not in ("polygon", "mask"):
        raise InputError(f'shapes: expected "polygon" or "mask", got {shapes!r}')
    check_free(folder, overwrite=overwrite)
    written: dict[Path, None] = {}
    for tracks in checked(video, frames):
        path = folder / f"{file_stem(tracks.info)}.json"
        if path in written:
            raise InputError(f"frame {tracks.info.index}: {path.name} is taken by an earlier frame")
        record = _picture_record(tracks, video, labels or {}, shapes)
        with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as file:
            json.dump(record, file, allow_nan=False, indent=1)
        written[path] = None
    return list(written)


def read(path: Path, *, reading: Reading | None = None) -> LabelmePicture:
    """Read one file, of LabelMe or of X-AnyLabeling. Polygons, rectangles (turned ones too), circles and masks are
    taken; points and lines, which have no area, unknown shapes, and broken ones, are left out and counted.

    Args:
        path: a JSON file.
        reading: gives the size where the file has none, and counts what is left out; None warns of it.

    Raises:
        InputError: no such file, no JSON, or a field that is wrong; the message names file, record and field.

    Warns:
        LeftOutWarning: something is left out, and there is no ``reading`` that counts it.
    """
    return parse(load_json(path), str(path), reading)


def read_folder(folder: Path, *, reading: Reading | None = None) -> VideoTracks:
    """Read a folder of such files as a video: its frames are in natural order of the names, or where the files say.

    An object keeps its id on all frames by its group, where all have one and no group has two labels; otherwise by
    label and group, numbered 1 to N. Shapes without a group are one object where their label is there once on each
    picture; otherwise each is an object of its own.

    Raises:
        InputError: no folder, no such files in it, pictures of several sizes, or as `read`.

    Warns:
        LeftOutWarning: as `read`.
        MaskPlacementWarning: which shapes of several pictures are one object cannot be told.
    """
    with reading_of(str(folder), reading) as counting:
        return read_files(_files_of(folder), str(folder), counting)


def is_labelme(path: Path) -> bool:
    """Whether a file of JSON is one of LabelMe's: it has shapes, on a picture."""
    data = load_json(path)
    return isinstance(data, dict) and {"shapes", "imagePath"} <= data.keys()


def read_files(paths: list[Path], where: str, reading: Reading) -> VideoTracks:
    """Read files of one video, as `read_folder`; ``where`` is how errors call all of them."""
    pictures = [read(path, reading=reading) for path in paths]
    infos = _infos(pictures, paths)
    by_group = groups_are_ids(o for picture in pictures for o in picture.objects)
    seen = [
        Seen(info.index, item.label or None, item.group)
        for picture, info in zip(pictures, infos, strict=True)
        for item in picture.objects
    ]
    keys = iter(identities(seen, reading))
    rows = Rows()
    for picture, info, path in zip(pictures, infos, paths, strict=True):
        if picture.size_hw != pictures[0].size_hw:
            raise InputError(f"{path}: is {picture.size_hw} (height, width), other pictures {pictures[0].size_hw}")
        _add_objects(rows, picture, info, str(path), keys)
        if by_group:
            _add_lost(rows, picture, info, str(path))
    height, width = pictures[0].size_hw
    infos.sort(key=lambda info: info.index)
    video = VideoInfo(width, height, frame_count=infos[-1].index + 1, name=Path(where).name)
    by: FramesBy = "index" if all(picture.info for picture in pictures) else "order"
    found = rows.tracks(video, infos, where, frames_by=by)
    own = {i for i in found.labels if all(picture.extra for picture in pictures)}
    found = replace(found, derived=derived_of(found.frames, own))
    return _without_unnamed(found, pictures) if by_group else found


def _files_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"expected a folder of LabelMe files, got {folder}")
    paths = sorted((p for p in folder.glob("*.json") if not p.name.startswith(".")), key=natural_key)
    if not paths:
        raise InputError(f"{folder}: expected LabelMe files (.json), found none")
    return paths


def _add_objects(rows: Rows, picture: LabelmePicture, info: FrameInfo, where: str, keys: Iterator[Hashable]) -> None:
    for item, key in zip(picture.objects, keys, strict=False):
        rows.add(
            info.index,
            key,
            item.rle,
            where,
            score=item.score,
            state=item.state,
            label=item.label or None,
            fidelity=item.fidelity,
        )


def _add_lost(rows: Rows, picture: LabelmePicture, info: FrameInfo, where: str) -> None:
    """The objects that were out of sight on a picture, as maskferry has noted them."""
    empty = Rle.empty(picture.size_hw)
    for object_id in picture.extra.get("lost", ()):
        rows.add(info.index, object_id, empty, f"{where}: {_EXTRA}.lost", score=0.0, state=State.LOST)


def _without_unnamed(found: VideoTracks, pictures: list[LabelmePicture]) -> VideoTracks:
    """The tracks without the labels of objects that had no name when maskferry wrote the files."""
    unnamed = {i for picture in pictures for i in picture.extra.get("unnamed", ())}
    labels = {i: name for i, name in found.labels.items() if i not in unnamed}
    return replace(found, labels=labels)


def parse(data: Any, where: str, reading: Reading | None = None) -> LabelmePicture:  # noqa: ANN401
    """Read what `json.load` made of a file, as `read` does; ``where`` is how errors call the file."""
    with reading_of(where, reading) as counting:
        size = _size_of(data, where, counting)
        name = re.split(r"[/\\]", get(data, "imagePath", (str, NoneType), where) or "")[-1]
        extra = _read_extra(data, where)
        objects = []
        for (label, group, _), rles in _read_shapes(data, size, where, counting).items():
            state, score = extra.get("objects", {}).get(str(group), (State.GIVEN, 1.0))
            fidelity = extra.get("fidelities", {}).get(str(group))
            objects.append(LabelmeObject(label, group, unite(rles), float(score), State(state), fidelity))
        info = FrameInfo(extra["index"], extra.get("time"), extra["name"]) if "index" in extra else None
        return LabelmePicture(size, name, tuple(objects), info, extra)


def _size_of(data: Any, where: str, reading: Reading) -> tuple[int, int]:  # noqa: ANN401
    """(height, width): of the file, or, where it has none, of the video."""
    sides = [get(data, side, (int, float, NoneType), where) for side in ("imageHeight", "imageWidth")]
    if sides == [None, None] and reading.target.size_hw is not None:
        return reading.target.size_hw
    return check_size_hw(get_whole(data, "imageHeight", where), get_whole(data, "imageWidth", where), where)


def _read_shapes(
    data: Any,  # noqa: ANN401
    size: tuple[int, int],
    where: str,
    reading: Reading,
) -> dict[tuple[str, int | str | None, int], list[Rle]]:
    """What each object covers, by its label and group, or by its place in the file where it has no group."""
    shapes = get(data, "shapes", list, where)
    if len(shapes) > MOST_POLYGONS * 10:
        raise InputError(f"{where}.shapes: expected {MOST_POLYGONS * 10} at most, got {len(shapes)}")
    found: dict[tuple[str, int | str | None, int], list[Rle]] = {}
    for i, shape in enumerate(shapes):
        at = f"{where}: shapes[{i}]"
        with reading.one_record():
            label = get(shape, "label", (str, int, float, NoneType), at)
            group = as_id(get(shape, "group_id", (int, float, str, NoneType), at))
            rle = read_shape(shape, size, at)
            key = ("" if label is None else str(label), group, i if group is None else -1)
            together = found.setdefault(key, [])
            together.append(rle)
            if len(together) > MOST_POLYGONS:
                raise InputError(f"{at}: expected {MOST_POLYGONS} shapes of one object at most")
    return found


def groups_are_ids(objects: Iterable[LabelmeObject]) -> bool:
    """Whether groups will do as ids: every object has one, from 1, and no group has two labels."""
    label_of: dict[int, str] = {}
    for item in objects:
        if not isinstance(item.group, int) or not 1 <= item.group < 1 << 31:
            return False
        if label_of.setdefault(item.group, item.label) != item.label:
            return False
    return True


def _infos(pictures: list[LabelmePicture], paths: list[Path]) -> list[FrameInfo]:
    """Where all files say which frame they are, that; otherwise their order."""
    known = [picture.info for picture in pictures if picture.info is not None]
    if len({info.index for info in known}) == len(pictures):
        return known
    names = [picture.name or path.stem for picture, path in zip(pictures, paths, strict=True)]
    return [FrameInfo(i, None, name) for i, name in enumerate(names)]


def _picture_record(
    tracks: FrameTracks, video: VideoInfo, labels: Mapping[int, str], kind: Literal["polygon", "mask"]
) -> dict[str, Any]:
    info, rows = tracks.info, [row for row in tracks.masks if row.rle.area]
    shape_records = mask_shapes if kind == "mask" else polygon_shapes
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [s for row in rows for s in shape_records(row, labels.get(row.object_id, "object"))],
        "imagePath": picture_name(info),
        "imageData": None,
        "imageHeight": video.height,
        "imageWidth": video.width,
        _EXTRA: _extra_record(tracks, labels),
    }


def _extra_record(tracks: FrameTracks, labels: Mapping[int, str]) -> dict[str, Any]:
    """What LabelMe has no place for."""
    info, masks = tracks.info, tracks.masks
    seen = [row for row in masks if row.rle.area]
    return {
        "index": info.index,
        "time": info.time,
        "name": info.name,
        "objects": {str(row.object_id): [row.state.value, float(row.score)] for row in seen},
        "fidelities": {str(row.object_id): row.fidelity for row in seen if row.fidelity is not None},
        "lost": [row.object_id for row in masks if not row.rle.area],
        "unnamed": [row.object_id for row in masks if row.object_id not in labels],
    }


def _read_extra(data: Any, where: str) -> dict[str, Any]:  # noqa: ANN401
    """What maskferry has written beside LabelMe's own fields."""
    at = f"{where}: {_EXTRA}"
    extra = get(data, _EXTRA, (dict, NoneType), where)
    if extra is None:
        return {}
    if get(extra, "index", int, at) < 0:
        raise InputError(f"{at}.index: expected 0 or more, got {extra['index']}")
    check_time(get(extra, "time", (float, int, NoneType), at), f"{at}.time")
    get(extra, "name", str, at)
    for key in ("lost", "unnamed"):
        if not all(isinstance(i, int) and i >= 1 for i in get(extra, key, list, at)):
            raise InputError(f"{at}.{key}: expected object ids")
    for key, value in get(extra, "objects", dict, at).items():
        _check_state_and_score(value, f"{at}.objects.{key:.20}")
    for key, value in (get(extra, "fidelities", (dict, NoneType), at) or {}).items():
        check_fidelity(value, f"{at}.fidelities.{key:.20}")
    return dict(extra)


def _check_state_and_score(value: Any, where: str) -> None:  # noqa: ANN401
    is_pair = isinstance(value, list) and len(value) == 2
    if is_pair and value[0] in tuple(State) and isinstance(value[1], int | float) and 0 <= value[1] <= 1:
        return
    raise InputError(f"{where}: expected [state, score], got {value!r:.60}")
