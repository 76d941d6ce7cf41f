"""LabelMe JSON: a file for each picture, with polygons or masks as shapes.

Shapes of one label and one group are one object, as LabelMe itself has it; the group is the object's id. States,
scores and the frame table are kept under the key "maskferry", which LabelMe carries along.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import logging
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import numpy as np
import PIL.Image

from maskferry.data import FrameInfo, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._coco import MOST_POLYGONS, check_size, get, load_json, read_polygon, unite
from maskferry.formats._content import Rows, VideoTracks, check_fidelity, check_time, checked
from maskferry.formats._images import file_stem, natural_order, picture_name, translate_pillow_errors
from maskferry.masks._polygons import join, parts_of
from maskferry.rle import Rle

__all__ = ["LabelmeObject", "LabelmePicture", "parse", "read", "read_folder", "write"]

log = logging.getLogger(__name__)

_EXTRA = "maskferry"
_WITHOUT_AREA = frozenset({"point", "points", "line", "linestrip"})


@dataclass(frozen=True, slots=True)
class LabelmeObject:
    """One object on one picture: what its shapes cover together.

    Attributes:
        label: its name.
        group: its group; None for a shape that stands alone.
        rle: the mask.
        score: in [0, 1]; 1 in files of others.
        state: "given" in files of others.
        fidelity: see `ObjectMask`.
    """

    label: str
    group: int | None
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
        extra: what maskferry has kept; empty in files of others.
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


def read(path: Path) -> LabelmePicture:
    """Read one file. Polygons, rectangles, circles and masks are taken; points and lines, which have no area, are left
    out and logged.

    Raises:
        InputError: no such file, no JSON, or a field that is wrong; the message names file, record and field.
    """
    return parse(load_json(path), str(path))


def read_folder(folder: Path) -> VideoTracks:
    """Read a folder of such files as a video: its frames are in natural order of the names, or where the files say.

    An object keeps its id on all frames by its group, where all have one and no group has two labels; otherwise by
    label and group, numbered 1 to N. A shape without a group is an object of its own on each frame.

    Raises:
        InputError: no folder, no such files in it, pictures of several sizes, or as `read`.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of LabelMe files, got {folder}")
    paths = sorted((p for p in folder.glob("*.json") if not p.name.startswith(".")), key=natural_order)
    if not paths:
        raise InputError(f"{folder}: expected LabelMe files (.json), found none")
    pictures = [read(path) for path in paths]
    infos = _infos(pictures, paths)
    by_group = groups_are_ids(o for picture in pictures for o in picture.objects)
    rows = Rows()
    for picture, info, path in zip(pictures, infos, paths, strict=True):
        if picture.size_hw != pictures[0].size_hw:
            raise InputError(f"{path}: is {picture.size_hw} (height, width), other pictures {pictures[0].size_hw}")
        for i, item in enumerate(picture.objects):
            alone = item.group is None
            key: Hashable = (info.index, i) if alone else item.group if by_group else (item.label, item.group)
            rows.add(
                *(info.index, key, item.rle, str(path)),
                score=item.score,
                state=item.state,
                label=item.label,
                fidelity=item.fidelity,
            )
        for object_id in picture.extra.get("lost", ()) if by_group else ():
            empty = Rle.empty(picture.size_hw)
            rows.add(info.index, object_id, empty, f"{path}: {_EXTRA}.lost", score=0.0, state=State.LOST)
    height, width = pictures[0].size_hw
    video = VideoInfo(width, height, frame_count=max(i.index for i in infos) + 1, name=folder.name)
    found = rows.tracks(video, sorted(infos, key=lambda info: info.index), str(folder))
    unnamed = {i for p in pictures for i in p.extra.get("unnamed", ())} if by_group else set()
    return VideoTracks(video, found.frames, {i: n for i, n in found.labels.items() if i not in unnamed})


def parse(data: Any, where: str) -> LabelmePicture:  # noqa: ANN401
    """Read what `json.load` made of a file, as `read` does; ``where`` is how errors call the file."""
    size = check_size(get(data, "imageHeight", int, where), get(data, "imageWidth", int, where), where)
    shapes = get(data, "shapes", list, where)
    if len(shapes) > MOST_POLYGONS * 10:
        raise InputError(f"{where}.shapes: expected {MOST_POLYGONS * 10} at most, got {len(shapes)}")
    name = re.split(r"[/\\]", get(data, "imagePath", (str, NoneType), where) or "")[-1]
    extra = _read_extra(data, where)
    groups: dict[Any, list[Rle]] = {}
    for i, shape in enumerate(shapes):
        at = f"{where}: shapes[{i}]"
        label, group = get(shape, "label", str, at), get(shape, "group_id", (int, NoneType), at)
        rle = _read_shape(shape, size, at)
        if rle is not None:
            together = groups.setdefault((label, group, i if group is None else -1), [])
            together.append(rle)
            if len(together) > MOST_POLYGONS:
                raise InputError(f"{at}: expected {MOST_POLYGONS} shapes of one object at most")
    objects = []
    for (label, group, _), rles in groups.items():
        state, score = extra.get("objects", {}).get(str(group), (State.GIVEN, 1.0))
        fidelity = extra.get("fidelities", {}).get(str(group))
        objects.append(LabelmeObject(label, group, unite(rles), float(score), State(state), fidelity))
    info = None
    if "index" in extra:
        info = FrameInfo(extra["index"], extra["time"], extra["name"])
    return LabelmePicture(size, name, tuple(objects), info, extra)


def groups_are_ids(objects: Iterable[LabelmeObject]) -> bool:
    """Whether groups will do as ids: every object has one, from 1, and no group has two labels."""
    label_of: dict[int, str] = {}
    for item in objects:
        if item.group is None or item.group < 1 or label_of.setdefault(item.group, item.label) != item.label:
            return False
    return True


def _infos(pictures: list[LabelmePicture], paths: list[Path]) -> list[FrameInfo]:
    known = [picture.info for picture in pictures]
    if all(info is not None for info in known) and len({info.index for info in known if info}) == len(known):
        return [info for info in known if info is not None]
    return [FrameInfo(i, None, p.name or path.stem) for i, (p, path) in enumerate(zip(pictures, paths, strict=True))]


def _picture_record(
    tracks: FrameTracks, video: VideoInfo, labels: Mapping[int, str], kind: Literal["polygon", "mask"]
) -> dict[str, Any]:
    info, rows = tracks.info, [row for row in tracks.masks if row.rle.area]
    shape_records = _mask_shapes if kind == "mask" else _polygon_shapes
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [s for row in rows for s in shape_records(row, labels.get(row.object_id, "object"))],
        "imagePath": picture_name(info),
        "imageData": None,
        "imageHeight": video.height,
        "imageWidth": video.width,
        _EXTRA: {
            "index": info.index,
            "time": info.time,
            "name": info.name,
            "objects": {str(row.object_id): [row.state.value, float(row.score)] for row in rows},
            "fidelities": {str(row.object_id): row.fidelity for row in rows if row.fidelity is not None},
            "lost": [row.object_id for row in tracks.masks if not row.rle.area],
            "unnamed": [row.object_id for row in tracks.masks if row.object_id not in labels],
        },
    }


def _shape_record(row: ObjectMask, label: str, kind: str, points: list[list[float]], mask: str | None = None) -> Any:  # noqa: ANN401
    return {
        "label": label,
        "points": points,
        "group_id": row.object_id,
        "description": "",
        "shape_type": kind,
        "flags": {},
        "mask": mask,
    }


def _polygon_shapes(row: ObjectMask, label: str) -> list[Any]:
    parts = parts_of(row.rle.decode())
    return [_shape_record(row, label, "polygon", join([p.outer, *p.holes]).tolist()) for p in parts]


def _mask_shapes(row: ObjectMask, label: str) -> list[Any]:
    x1, y1, x2, y2 = row.rle.box_xyxy or (0, 0, 1, 1)
    buffer = io.BytesIO()
    PIL.Image.fromarray(row.rle.decode()[y1:y2, x1:x2]).save(buffer, format="PNG")
    png = base64.b64encode(buffer.getvalue()).decode("ascii")
    return [_shape_record(row, label, "mask", [[x1, y1], [x2 - 1, y2 - 1]], png)]


def _read_shape(shape: Any, size_hw: tuple[int, int], at: str) -> Rle | None:  # noqa: ANN401
    kind = get(shape, "shape_type", (str, NoneType), at) or "polygon"
    if kind in _WITHOUT_AREA:
        log.warning("%s is a %s, which has no area: left out", at, kind)
        return None
    points = _read_points(get(shape, "points", list, at), f"{at}.points")
    if kind in ("polygon", "oriented_rectangle"):
        return read_polygon([v for xy in points for v in xy], size_hw, f"{at}.points")
    if kind not in ("rectangle", "circle", "mask"):
        raise InputError(f"{at}.shape_type: expected polygon, rectangle, circle or mask, got {kind!r:.60}")
    if len(points) != 2:
        raise InputError(f"{at}.points: expected two points for a {kind}, got {len(points)}")
    (x1, y1), (x2, y2) = points
    if kind == "mask":
        return _read_mask(get(shape, "mask", str, at), (x1, y1, x2, y2), size_hw, at)
    if kind == "rectangle":
        return read_polygon([x1, y1, x2, y1, x2, y2, x1, y2], size_hw, f"{at}.points")
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    circle = np.stack((x1 + np.cos(turn) * np.hypot(x2 - x1, y2 - y1), y1 + np.sin(turn) * np.hypot(x2 - x1, y2 - y1)))
    return read_polygon(circle.T.ravel(), size_hw, f"{at}.points")


def _read_points(points: list[Any], at: str) -> list[tuple[float, float]]:
    for i, point in enumerate(points):
        numbers = isinstance(point, list) and len(point) == 2 and all(isinstance(v, int | float) for v in point)
        if not numbers or not np.isfinite(point).all():
            raise InputError(f"{at}[{i}]: expected [x, y], got {point!r:.60}")
    return [(float(x), float(y)) for x, y in points]


def _read_mask(text: str, box: tuple[float, float, float, float], size_hw: tuple[int, int], at: str) -> Rle:
    """A PNG in base64, placed at [y1:y2 + 1, x1:x2 + 1]."""
    height, width = size_hw
    x1, y1, x2, y2 = (round(v) for v in box)
    if not (0 <= x1 <= x2 < width and 0 <= y1 <= y2 < height):
        raise InputError(f"{at}.points: expected a box inside {width}x{height}, got {[x1, y1, x2, y2]}")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as err:
        raise InputError(f"{at}.mask: expected a PNG in base64: {err}") from err
    with translate_pillow_errors(f"{at}.mask"), PIL.Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if image.size != (x2 - x1 + 1, y2 - y1 + 1):
            raise InputError(f"{at}.mask: is {image.size}, its points say {(x2 - x1 + 1, y2 - y1 + 1)} (width, height)")
        crop = np.asarray(image.convert("L")) != 0
    return Rle.encode_crop(crop, (x1, y1), size_hw)


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
        fine = isinstance(value, list) and len(value) == 2 and value[0] in tuple(State)
        if not fine or not isinstance(value[1], int | float) or not 0 <= value[1] <= 1:
            raise InputError(f"{at}.objects.{key:.20}: expected [state, score], got {value!r:.60}")
    for key, value in (get(extra, "fidelities", (dict, NoneType), at) or {}).items():
        check_fidelity(value, f"{at}.fidelities.{key:.20}")
    return dict(extra)
