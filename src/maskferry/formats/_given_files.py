"""Files of masks that other tools write (JSON, XML, text) -> prompts."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from maskferry.data import MaskPrompt, State
from maskferry.errors import InputError
from maskferry.formats import _coco_images as coco_images
from maskferry.formats import _labelme as labelme
from maskferry.formats import _youtube_vis as youtube_vis
from maskferry.formats._coco import get, load_json, names_by_id, read_segmentation
from maskferry.formats._content import VideoTracks
from maskferry.formats._reading import Reading
from maskferry.limits import check_masks, check_size_hw
from maskferry.rle import Rle

__all__ = ["Found", "of_video", "read_json"]


class Found(NamedTuple):
    """What a file holds: prompts by frame and object, and {object id: name}."""

    prompts: list[MaskPrompt]
    labels: dict[int, str]


def read_json(path: Path, frame: int, reading: Reading) -> Found:
    data = load_json(path)
    keys = set(data) if isinstance(data, dict) else set()
    if ("videos" in keys and "images" not in keys) or _is_list_with(data, "segmentations"):
        return _from_video(path, data)
    if _is_list_with(data, "segmentation"):
        return _from_annotations(path, [(None, record) for record in data], {}, f"{path}: ", frame)
    if "shapes" in keys:
        return _from_labelme(path, data, frame)
    if {"tracks", "images"} <= keys:
        return _of_one_video(path, coco_images.parse(data, str(path)))
    if "images" in keys:
        return _from_coco(path, data, frame)
    raise InputError(
        f'{path}: expected YouTube-VIS ("videos"), COCO ("images"), LabelMe ("shapes") or a list of '
        '{"segmentation": ...}, got neither'
    )


def _is_list_with(data: Any, key: str) -> bool:  # noqa: ANN401
    return isinstance(data, list) and bool(data) and isinstance(data[0], dict) and key in data[0]


def _from_video(path: Path, data: Any) -> Found:  # noqa: ANN401
    return _of_one_video(path, youtube_vis.parse(data, str(path)))


def _of_one_video(path: Path, videos: list[VideoTracks]) -> Found:
    if len(videos) != 1:
        raise InputError(f"{path} is about {len(videos)} videos ({', '.join(v.video.name for v in videos)}); give one")
    return of_video(path, videos[0])


def of_video(path: Path, found: VideoTracks) -> Found:
    rows = [(tracks.info.index, row) for tracks in found.frames for row in tracks.masks if row.rle.area]
    given = [item for item in rows if item[1].state is State.GIVEN]
    prompts = _decoded(path, [(index, row.object_id, row.rle) for index, row in given or rows])
    return Found(sorted(prompts, key=lambda p: (p.frame, p.object_id)), found.labels)


def _decoded(path: Path, found: list[tuple[int, int, Rle]]) -> list[MaskPrompt]:
    """The masks of a file, each with its frame and object id, decoded.

    Raises:
        InputError: all of them together take far more memory than the file's size lets expect.
    """
    boxes = [rle.box_xyxy or (0, 0, 0, 0) for _, _, rle in found]
    check_masks(sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes), path.stat().st_size, str(path))
    return [MaskPrompt(index, object_id, rle.decode()) for index, object_id, rle in found]


def _from_labelme(path: Path, data: Any, frame: int) -> Found:  # noqa: ANN401
    picture = labelme.parse(data, str(path))
    objects = [item for item in picture.objects if item.rle.area]
    by_group = labelme.groups_are_ids(objects)
    index = picture.info.index if picture.info else frame
    found: list[tuple[int, int, Rle]] = []
    labels: dict[int, str] = {}
    for i, item in enumerate(objects, 1):
        object_id = item.group if by_group and item.group is not None else i
        found.append((index, object_id, item.rle))
        if object_id not in picture.extra.get("unnamed", ()):
            labels[object_id] = item.label
    return Found(_decoded(path, sorted(found, key=lambda row: row[1])), labels)


def _from_coco(path: Path, data: dict[str, Any], frame: int) -> Found:
    annotations = get(data, "annotations", list, str(path))
    used = {get(a, "image_id", int, f"{path}: annotations[{i}]") for i, a in enumerate(annotations)}
    images = [
        im
        for i, im in enumerate(get(data, "images", list, str(path)))
        if get(im, "id", int, f"{path}: images[{i}]") in used
    ]
    if len(used) != 1 or len(images) != 1:
        raise InputError(f"{path} has masks of {len(used)} pictures; expected the masks of one frame, of one picture")
    at = f"{path}: images"
    size = check_size_hw(get(images[0], "height", int, at), get(images[0], "width", int, at), at)
    names = names_by_id(data, "categories", str(path))
    return _from_annotations(path, [(size, a) for a in annotations], names, f"{path}: annotations", frame)


def _from_annotations(
    path: Path, records: list[tuple[tuple[int, int] | None, Any]], names: dict[int, str], where: str, frame: int
) -> Found:
    found: list[tuple[int, int, Rle]] = []
    labels: dict[int, str] = {}
    for i, (size, record) in enumerate(records):
        segmentation = get(record, "segmentation", (dict, list, NoneType), f"{where}[{i}]")
        rle = read_segmentation(segmentation, size, f"{where}[{i}].segmentation")
        if rle is None or not rle.area:
            continue
        object_id = len(found) + 1
        found.append((frame, object_id, rle))
        category = get(record, "category_id", (int, NoneType), f"{where}[{i}]")
        if category in names:
            labels[object_id] = names[category]
    return Found(_decoded(path, found), labels)
