"""Files of masks that other tools write (JSON, XML, text) -> prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from maskferry.data import MaskPrompt
from maskferry.errors import InputError
from maskferry.formats import _coco_images as coco_images
from maskferry.formats import _cvat as cvat
from maskferry.formats import _labelme as labelme
from maskferry.formats import _mots as mots
from maskferry.formats import _yolo as yolo
from maskferry.formats import _youtube_vis as youtube_vis
from maskferry.formats._as_coco import as_coco
from maskferry.formats._coco import load_json, read_segmentation
from maskferry.formats._coco_reader import CocoReader
from maskferry.formats._content import VideoTracks
from maskferry.formats._given_frames import frames_of, place_picture
from maskferry.formats._reading import Reading, RecordError
from maskferry.limits import check_masks
from maskferry.rle import Rle

__all__ = ["Found", "of_video", "read_file"]


class Found(NamedTuple):
    """What a file holds: prompts by frame and object, and {object id: name}; and whether the ids are only counted, so
    that the names say which object it is."""

    prompts: list[MaskPrompt]
    labels: dict[int, str]
    counted: bool = False


def read_file(path: Path, frame: int | None, reading: Reading) -> Found:
    """Read a .json, .xml or .txt; see `read_json`, `cvat.read`, `mots.read` and `yolo.read`."""
    kind = path.suffix.lower()
    if kind == ".json":
        return read_json(path, frame, reading)
    if kind == ".xml":
        reading.read_as("CVAT")
        return of_video(path, cvat.read(path, reading=reading), frame, reading)
    if yolo.is_yolo(path):
        if reading.first_frame is not None:
            raise InputError(f"first_frame: only for text files of MOTS, and {reading.where} has YOLO's segments")
        reading.read_as("YOLO segments")
        return _from_yolo(path, frame, reading)
    reading.read_as("MOTS")
    try:
        return of_video(path, mots.read(path, reading=reading), frame, reading)
    except InputError as err:
        raise InputError(f'{err}; of texts, MOTS and YOLO\'s segments, "class x y x y ...", are read') from err


def read_json(path: Path, frame: int | None, reading: Reading) -> Found:
    """Read a file of JSON, of any tool that is known by its keys.

    Args:
        path: the file.
        frame: the one that the caller says; None where he says none.
        reading: the video, and what is left out.

    Raises:
        InputError: it is of no known tool, or cannot be read.
    """
    data, where = load_json(path), reading.where
    keys = set(data) if isinstance(data, dict) else set()
    if ("videos" in keys and "images" not in keys) or _is_list_with(data, "segmentations"):
        reading.read_as("YouTube-VIS")
        return _of_one_video(path, youtube_vis.parse(data, where, reading), frame, reading)
    if _is_list_with(data, "segmentation"):
        reading.read_as("a list of masks, as COCO writes them")
        return _from_masks(path, data, frame, reading)
    if "shapes" in keys:
        reading.read_as("LabelMe")
        return _from_labelme(path, data, frame, reading)
    if "images" in keys:
        reading.read_as("COCO")
        return _of_one_video(path, coco_images.parse(data, where, reading), frame, reading)
    if (found := as_coco(data, reading)) is not None:
        return _of_one_video(path, CocoReader(found.data, where, reading, found.places).videos(), frame, reading)
    raise InputError(
        f'{where}: expected YouTube-VIS ("videos"), COCO ("images"), LabelMe ("shapes"), Datumaro ("items"), SA-1B '
        '("image", "annotations"), Label Studio ("data", "annotations") or a list of {"segmentation": ...}, got neither'
    )


def _is_list_with(data: Any, key: str) -> bool:  # noqa: ANN401
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and key in data[0]


def _of_one_video(path: Path, videos: list[VideoTracks], frame: int | None, reading: Reading) -> Found:
    used = [v for v in videos if any(row.rle.area for tracks in v.frames for row in tracks.masks)] or videos
    if len(used) > 1:
        names = ", ".join(f"{v.video.name:.40}" for v in used[:10])
        raise InputError(f"{reading.where} is about {len(used)} videos ({names}); give one")
    return of_video(path, used[0], frame, reading) if used else Found([], {})


def of_video(path: Path, found: VideoTracks, frame: int | None, reading: Reading) -> Found:
    """The masks that were given, each on its frame."""
    rows = [(tracks.info.index, row) for tracks in found.frames for row in tracks.masks if row.rle.area]
    given = [(index, row) for index, row in rows if (index, row.object_id) not in found.derived]
    if len(given) < len(rows):
        reading.note(
            f"{len(rows) - len(given)} masks that follow from others of the file (interpolated between keyframes, or "
            "tracked) are not taken for masks that were given"
        )
    frames = frames_of(found, sorted({index for index, _ in given}), frame, reading)
    prompts = _decoded(path, [(frames[i], row.object_id, row.rle) for i, row in given if i in frames], reading)
    taken = {prompt.object_id for prompt in prompts}
    labels = {object_id: name for object_id, name in found.labels.items() if object_id in taken}
    return Found(sorted(prompts, key=lambda p: (p.frame, p.object_id)), labels, found.counted)


def _decoded(path: Path, found: list[tuple[int, int, Rle]], reading: Reading) -> list[MaskPrompt]:
    """The masks of a file, each with its frame and object id, decoded.

    Raises:
        InputError: all of them together take far more memory than the file's size lets expect.
    """
    boxes = [rle.box_xyxy or (0, 0, 0, 0) for _, _, rle in found]
    check_masks(sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes), path.stat().st_size, reading.where)
    return [MaskPrompt(index, object_id, rle.decode()) for index, object_id, rle in found]


def _from_labelme(path: Path, data: Any, frame: int | None, reading: Reading) -> Found:  # noqa: ANN401
    picture = labelme.parse(data, reading.where, reading)
    by_group = labelme.groups_are_ids(picture.objects)
    known = picture.info.index if picture.info else None
    index = place_picture([picture.name, path.stem], frame, reading, known)
    found: list[tuple[int, int, Rle]] = []
    labels: dict[int, str] = {}
    for i, item in enumerate(picture.objects, 1):
        object_id = item.group if by_group and isinstance(item.group, int) else i
        found.append((index, object_id, item.rle))
        if item.label and object_id not in picture.extra.get("unnamed", ()):
            labels[object_id] = item.label
    return Found(_decoded(path, sorted(found, key=lambda row: row[1]), reading), labels, not by_group)


def _from_yolo(path: Path, frame: int | None, reading: Reading) -> Found:
    found = yolo.read([path], reading)
    index = place_picture(["", path.stem], frame, reading)
    rows = [(index, row.object_id, row.rle) for tracks in found.frames for row in tracks.masks]
    return Found(_decoded(path, rows, reading), found.labels)


def _from_masks(path: Path, records: list[Any], frame: int | None, reading: Reading) -> Found:
    """A list of {"segmentation": ...}: every one that has a mask is an object."""
    found: list[tuple[int, int, Rle]] = []
    for i, record in enumerate(records):
        at = f"{reading.where}: [{i}]"
        with reading.one_record():
            value = record.get("segmentation") if isinstance(record, dict) else None
            rle = read_segmentation(value, reading.target.size_hw if isinstance(value, list) else None, at, reading)
            if rle is None and value:
                continue  # its outlines are left out already
            if rle is None or not rle.area:
                raise RecordError("records without a mask", at, "expected a mask with at least one pixel")
            found.append((frame or 0, len(found) + 1, rle))
    return Found(_decoded(path, found, reading), {})
