"""Anything that ``--masks`` takes (a picture, a folder of pictures, a third-party file) -> prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry._arguments import whole
from maskferry.data import Mask, MaskPrompt, State
from maskferry.errors import InputError
from maskferry.formats import _binary as binary
from maskferry.formats import _coco_images as coco_images
from maskferry.formats import _cvat as cvat
from maskferry.formats import _labelme as labelme
from maskferry.formats import _mots as mots
from maskferry.formats import _youtube_vis as youtube_vis
from maskferry.formats._coco import get, load_json, names_by_id, read_segmentation
from maskferry.formats._content import VideoTracks
from maskferry.formats._davis import VOID, LabelMap, read_label_map
from maskferry.formats._images import list_pictures, read_pixels
from maskferry.limits import MOST_FRAMES, check_masks, check_size_hw
from maskferry.masks._labels import split_labels
from maskferry.rle import Rle

__all__ = ["Seeds", "read_seeds"]


@dataclass(frozen=True, slots=True)
class Seeds:
    """Masks to track.

    Attributes:
        prompts: by frame, then by object id; masks have the size of their file.
        labels: {object id: name}, where the file has names.
    """

    prompts: list[MaskPrompt]
    labels: dict[int, str]


def read_seeds(path: Path, *, frame: int = 0) -> Seeds:
    """Read masks to start from.

    - A picture is a label map: value n is object n, and in 8 bits 255 is void and left out. A grey picture that holds
      nothing but 0 and 255 (or 65535) is a binary mask and makes object 1. In RGB every colour is an object, see
      `davis.read_label_map`. A JPEG is a binary mask, cut at 127.
      In a grey picture whose values are all from 1000, 10000 is MOTS's region to ignore and left out.
    - A folder holds a binary picture for each object, see `binary.read_masks`.
    - A JSON file of one video, see `youtube_vis.read` and `coco_images.read`: every mask on its own frame; where states
      are recorded, only the masks that are "given". Of one picture (COCO): every annotation is an object, 1 to N in the
      order of the file. A list of ``{"segmentation": RLE, ...}``, as SAM's mask generator makes, is read likewise. Of
      LabelMe: ids are the groups, where every shape has one and no group has two labels; otherwise 1 to N.
    - An XML file of CVAT, see `cvat.read`, or a text file of MOTS, see `mots.read`: every mask on its own frame.

    Args:
        path: a picture, a folder of pictures, or a .json, .xml or .txt file.
        frame: the frame that files belong to which do not say it themselves, 0-based.

    Raises:
        InputError: nothing of this kind, or no mask in it.
    """
    frame = whole(frame, "frame", least=0, most=MOST_FRAMES)
    kind = path.suffix.lower()
    if kind == ".json":
        seeds = _from_json(path, frame)
    elif kind in (".xml", ".txt"):
        seeds = _of_video(path, cvat.read(path) if kind == ".xml" else mots.read(path))
    else:
        masks = _from_folder(path) if path.is_dir() else _from_picture(path)
        seeds = Seeds([MaskPrompt(frame, i, mask) for i, mask in masks.items()], {})
    if not seeds.prompts:
        raise InputError(f"{path} holds no mask: expected at least one pixel of an object")
    return seeds


def _from_picture(path: Path) -> dict[int, Mask]:
    pixels = read_pixels(path)
    labels: LabelMap
    if pixels.lossy:
        labels = binary.to_binary(pixels, path).astype(np.uint8)
    elif pixels.values.ndim == 3 and not _is_gray(pixels.values):
        return split_labels(read_label_map(path))
    else:
        labels = pixels.values if pixels.values.ndim == 2 else pixels.values[:, :, 0]
    full = np.iinfo(labels.dtype).max
    if not pixels.indexed and np.isin(labels, (0, full)).all():
        labels = (labels == full).astype(np.uint8)
    if labels.dtype == np.uint8:
        return split_labels(labels, void=VOID)
    return split_labels(labels, void=mots.IGNORED if (labels[labels > 0] >= 1000).all() else None)


def _is_gray(rgb: NDArray[np.unsignedinteger[Any]]) -> bool:
    return bool((rgb == rgb[:, :, :1]).all())


def _from_folder(folder: Path) -> dict[int, Mask]:
    for path in list_pictures(folder):
        pixels = read_pixels(path)
        values = np.unique(pixels.values[pixels.values != 0]) if pixels.values.ndim == 2 else np.empty(0)
        if values.size > 1 and not pixels.lossy:
            raise InputError(
                f"{path} has {values.size} values beside 0 and looks like a label map; expected a folder with a binary "
                "mask for each object. Give the label map of one frame as a file"
            )
    masks = binary.read_masks(folder)
    empty = [i for i, mask in masks.items() if not mask.any()]
    if empty:
        raise InputError(f"{folder}: the masks of objects {empty} are empty; expected at least one pixel in each")
    return masks


def _from_json(path: Path, frame: int) -> Seeds:
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


def _from_video(path: Path, data: Any) -> Seeds:  # noqa: ANN401
    return _of_one_video(path, youtube_vis.parse(data, str(path)))


def _of_one_video(path: Path, videos: list[VideoTracks]) -> Seeds:
    if len(videos) != 1:
        raise InputError(f"{path} is about {len(videos)} videos ({', '.join(v.video.name for v in videos)}); give one")
    return _of_video(path, videos[0])


def _of_video(path: Path, found: VideoTracks) -> Seeds:
    rows = [(tracks.info.index, row) for tracks in found.frames for row in tracks.masks if row.rle.area]
    given = [item for item in rows if item[1].state is State.GIVEN]
    prompts = _decoded(path, [(index, row.object_id, row.rle) for index, row in given or rows])
    return Seeds(sorted(prompts, key=lambda p: (p.frame, p.object_id)), found.labels)


def _decoded(path: Path, found: list[tuple[int, int, Rle]]) -> list[MaskPrompt]:
    """The masks of a file, each with its frame and object id, decoded.

    Raises:
        InputError: all of them together take far more memory than the file's size lets expect.
    """
    boxes = [rle.box_xyxy or (0, 0, 0, 0) for _, _, rle in found]
    check_masks(sum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes), path.stat().st_size, str(path))
    return [MaskPrompt(index, object_id, rle.decode()) for index, object_id, rle in found]


def _from_labelme(path: Path, data: Any, frame: int) -> Seeds:  # noqa: ANN401
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
    return Seeds(_decoded(path, sorted(found, key=lambda row: row[1])), labels)


def _from_coco(path: Path, data: dict[str, Any], frame: int) -> Seeds:
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
) -> Seeds:
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
    return Seeds(_decoded(path, found), labels)
