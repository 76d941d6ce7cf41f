"""COCO JSON of a video, in the way of TAO: an image for each frame, an annotation for each object on it, and tracks.

What the format has no place for (times, exact rate, states, which objects are lost) is kept under the key "maskferry"
of videos, images, tracks and annotations, which other readers ignore; with it, reading gives back exactly what was
written. The id of a track is the id of the object; annotations have it as "track_id", as TAO does, and among their
"attributes", as CVAT does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TextIO

from maskferry._own_files import COMMENT
from maskferry.data import FrameInfo, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path
from maskferry.formats._coco import (
    get,
    get_list,
    load_json,
    name_of_category,
    names_by_id,
    read_segmentation,
)
from maskferry.formats._content import Rows, VideoTracks, check_fidelity, check_name, check_time, checked
from maskferry.formats._images import picture_name
from maskferry.formats._youtube_vis import read_rate
from maskferry.limits import check_size_hw
from maskferry.rle import Rle

__all__ = ["parse", "read", "write"]

_EXTRA = "maskferry"


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write one video's tracks, with RLE masks, a frame at a time.

    An object has an annotation on each frame on which something of it is seen. Nothing is lost: overlaps, states,
    scores and the frame table are all there.

    Args:
        video: the video; its path is not written.
        frames: its tracks, in the order of frames.
        path: written atomically.
        labels: {object id: name}; every name becomes a category, and objects without one are of category "object".
        overwrite: replace a file.

    Raises:
        InputError: masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    names = labels or {}
    categories: dict[str, int] = {}
    images: list[dict[str, Any]] = []
    tracks: dict[int, dict[str, Any]] = {}
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"info": {{"description": "{COMMENT}"}},\n"annotations": [')
        count = 0
        for frame in checked(video, frames):
            images.append(_image(frame, video))
            for row in frame.masks:
                label = names.get(row.object_id)
                category = categories.setdefault("object" if label is None else label, len(categories) + 1)
                if row.object_id not in tracks:
                    extra = {_EXTRA: {"label": label}}
                    tracks[row.object_id] = {"id": row.object_id, "video_id": 1, "category_id": category, **extra}
                if (box := row.rle.box_xyxy) is not None:
                    count += 1
                    file.write(",\n" if count > 1 else "\n")
                    file.write(_dump(_annotation(count, row, box, images[-1]["id"], category)))
        file.write('],\n"videos": ')
        file.write(_dump([_video(video)]))
        _write_list(file, "images", images)
        _write_list(file, "tracks", [tracks[i] for i in sorted(tracks)])
        _write_list(file, "categories", [{"id": i, "name": n} for n, i in categories.items()])
        file.write("}\n")


def read(path: Path) -> list[VideoTracks]:
    """Read every video of a file.

    Takes what `write` makes and what others make of TAO's kind: images with "frame_index" (or in order) and, where
    there is more than one video, "video_id"; annotations with "track_id", or each an object of its own. Masks may be
    compressed RLE, run lengths or polygons. In third-party files, masks are "given", or "tracked" where they have a
    score, and an object without an annotation on a frame has no row there.

    Raises:
        InputError: no such file, no JSON, or a field that is wrong; the message names file, record and field.
    """
    return parse(load_json(path), str(path))


def parse(data: Any, where: str) -> list[VideoTracks]:  # noqa: ANN401
    """Read what `json.load` made of a file, as `read` does; ``where`` is how errors call the file."""
    names = names_by_id(data, "categories", where)
    images: dict[int, _Image] = {}
    taken: set[tuple[int, int]] = set()
    for i, record in enumerate(get(data, "images", list, where)):
        at = f"{where}: images[{i}]"
        image_id = get(record, "id", int, at)
        if image_id in images:
            raise InputError(f"{at}.id: {image_id} is taken by an earlier image")
        image = images[image_id] = _Image(record, i, at)
        if (image.video, image.info.index) in taken:
            raise InputError(f"{at}.frame_index: {image.info.index} is taken by an earlier image of its video")
        taken.add((image.video, image.info.index))
    rows: dict[int, Rows] = defaultdict(Rows)
    tracks = _labels_of_tracks(data, names, where)
    for i, record in enumerate(get_list(data, "annotations", where)):
        _read_annotation(record, f"{where}: annotations[{i}]", images, names, tracks, rows)
    return [
        _assemble(key, [im for im in images.values() if im.video == key], rows[key], tracks, data, where)
        for key in dict.fromkeys(image.video for image in images.values())
    ]


class _Image:
    """A record of "images"."""

    def __init__(self, record: Any, place: int, at: str) -> None:  # noqa: ANN401
        self.video = get(record, "video_id", (int, NoneType), at) or 0
        index = get(record, "frame_index", (int, NoneType), at)
        index = place if index is None else index
        if index < 0:
            raise InputError(f"{at}.frame_index: expected 0 or more, got {index}")
        self.size = check_size_hw(get(record, "height", int, at), get(record, "width", int, at), at)
        extra, own = get(record, _EXTRA, (dict, NoneType), at) or {}, f"{at}.{_EXTRA}"
        time = check_time(get(extra, "time", (float, int, NoneType), own), f"{own}.time")
        self.info = FrameInfo(index, time, _name_of_image(record, extra, index, at))
        self.lost = get_list(extra, "lost", own)
        if not all(isinstance(i, int) and i >= 1 for i in self.lost):
            raise InputError(f"{own}.lost: expected object ids, got {self.lost!r:.60}")
        self.at = at


def _name_of_image(record: Any, extra: dict[str, Any], index: int, at: str) -> str:  # noqa: ANN401
    """The frame's own name, where maskferry has kept it; otherwise that of the file, or one made of the index."""
    file_name = check_name(get(record, "file_name", (str, NoneType), at) or "", f"{at}.file_name")
    own = get(extra, "name", (str, NoneType), f"{at}.{_EXTRA}")
    if own is not None:
        return check_name(own, f"{at}.{_EXTRA}.name")
    return file_name if "file_name" in record else f"{index:06d}"


def _read_annotation(
    record: Any,  # noqa: ANN401
    at: str,
    images: dict[int, _Image],
    names: dict[int, str],
    tracks: dict[int, str | None],
    rows: dict[int, Rows],
) -> None:
    image = images.get(get(record, "image_id", int, at))
    if image is None:
        raise InputError(f"{at}.image_id: no image has the id {record['image_id']}")
    name = name_of_category(record, names, at)
    rle = read_segmentation(record.get("segmentation"), image.size, f"{at}.segmentation")
    if rle is None:
        return
    track = get(record, "track_id", (int, NoneType), at)
    score = get(record, "score", (float, int, NoneType), at)
    extra = get(record, _EXTRA, (dict, NoneType), at)
    state, fidelity = State.GIVEN if score is None else State.TRACKED, None
    if extra is not None:
        state = _state(extra.get("state"), f"{at}.{_EXTRA}.state")
        fidelity = check_fidelity(extra.get("fidelity"), f"{at}.{_EXTRA}.fidelity")
    rows[image.video].add(
        image.info.index,
        ("annotation", at) if track is None else track,
        rle,
        at,
        score=1.0 if score is None else min(1.0, max(0.0, float(score))),
        state=state,
        label=name if track is None else tracks.get(track, name),
        fidelity=fidelity,
    )


def _assemble(
    key: int,
    images: list[_Image],
    rows: Rows,
    tracks: dict[int, str | None],
    data: Any,  # noqa: ANN401
    where: str,
) -> VideoTracks:
    """One video of its images and rows."""
    _check_one_size(images)
    images.sort(key=lambda image: image.info.index)
    height, width = images[0].size
    _add_lost(rows, images, tracks)
    record, at = _record_of_video(data, key, where)
    extra = get(record, _EXTRA, (dict, NoneType), at)
    count = get(extra, "frame_count", (int, NoneType), f"{at}.{_EXTRA}") if extra else len(images)
    rate = read_rate(get(extra or {}, "rate", (str, NoneType), f"{at}.{_EXTRA}"), f"{at}.{_EXTRA}.rate")
    name = check_name(get(record, "name", (str, NoneType), at) or "video", f"{at}.name")
    video = VideoInfo(width, height, rate, count, name)
    return rows.tracks(video, [image.info for image in images], where)


def _check_one_size(images: list[_Image]) -> None:
    for image in images:
        if image.size != images[0].size:
            raise InputError(f"{image.at}: is {image.size} (height, width), others of its video {images[0].size}")


def _add_lost(rows: Rows, images: list[_Image], tracks: dict[int, str | None]) -> None:
    """The objects that were out of sight on an image, as maskferry has kept them."""
    empty = Rle.empty(images[0].size)
    for image in images:
        for object_id in image.lost:
            at, label = f"{image.at}.{_EXTRA}.lost", tracks.get(object_id)
            rows.add(image.info.index, object_id, empty, at, score=0.0, state=State.LOST, label=label)


def _record_of_video(data: Any, key: int, where: str) -> tuple[dict[str, Any], str]:  # noqa: ANN401
    """The record with this id, and what errors call it; an empty one where there is none."""
    found: tuple[dict[str, Any], str] = {}, f"{where}: videos"
    for i, record in enumerate(get_list(data, "videos", where)):
        at = f"{where}: videos[{i}]"
        if get(record, "id", int, at) == key:
            found = record, at
    return found


def _labels_of_tracks(data: Any, names: dict[int, str], where: str) -> dict[int, str | None]:  # noqa: ANN401
    found: dict[int, str | None] = {}
    for i, record in enumerate(get_list(data, "tracks", where)):
        at = f"{where}: tracks[{i}]"
        extra = get(record, _EXTRA, (dict, NoneType), at)
        category = get(record, "category_id", (int, NoneType), at)
        name = None if category is None else names.get(category)
        own = get(extra, "label", (str, NoneType), f"{at}.{_EXTRA}") if extra else name
        found[get(record, "id", int, at)] = own
    return found


def _state(value: Any, where: str) -> State:  # noqa: ANN401
    if value not in tuple(State):
        raise InputError(f"{where}: expected one of {', '.join(State)}, got {value!r:.60}")
    return State(value)


def _video(video: VideoInfo) -> dict[str, Any]:
    extra = {"rate": None if video.rate is None else str(video.rate), "frame_count": video.frame_count}
    return {
        "id": 1,
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "neg_category_ids": [],  # categories that are said to be nowhere in the video; TAO's tools ask for both lists
        "not_exhaustive_category_ids": [],
        _EXTRA: extra,
    }


def _image(frame: FrameTracks, video: VideoInfo) -> dict[str, Any]:
    info = frame.info
    return {
        "id": info.index + 1,
        "video_id": 1,
        "frame_index": info.index,
        "file_name": picture_name(info),
        "width": video.width,
        "height": video.height,
        _EXTRA: {
            "name": info.name,
            "time": info.time,
            "lost": [row.object_id for row in frame.masks if not row.rle.area],
        },
    }


def _annotation(
    number: int, row: ObjectMask, box_xyxy: tuple[int, int, int, int], image_id: int, category: int
) -> dict[str, Any]:
    x1, y1, x2, y2 = box_xyxy
    return {
        "id": number,
        "image_id": image_id,
        "video_id": 1,
        "track_id": row.object_id,
        "category_id": category,
        "segmentation": row.rle.to_coco(),
        "area": row.rle.area,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "iscrowd": 0,
        "score": float(row.score),
        "attributes": {"track_id": row.object_id},  # where CVAT and Datumaro have it
        _EXTRA: {"state": row.state.value, "fidelity": row.fidelity},
    }


def _write_list(file: TextIO, key: str, records: list[dict[str, Any]]) -> None:
    file.write(f',\n"{key}": [')
    for i, record in enumerate(records):
        file.write(",\n" if i else "\n")
        file.write(_dump(record))
    file.write("]")


def _dump(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, allow_nan=False)
