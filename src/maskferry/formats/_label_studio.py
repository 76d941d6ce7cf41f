"""Label Studio's JSON of a video: a rectangle with keyframes (``videorectangle``) for each object.

Frames count from 1, boxes are in percent. The frame table, size and rate are kept under "meta" of the task.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

from maskferry.data import FrameInfo, FrameTracks, VideoInfo
from maskferry.errors import InputError
from maskferry.files import atomic_path, check_free
from maskferry.formats._coco import get, get_list, load_json
from maskferry.formats._content import TrackedBox, checked, warn_of_loss
from maskferry.limits import check_size_hw

__all__ = ["read", "write"]

_EXTRA = "maskferry"


@dataclass(slots=True)
class _Rectangle:
    """One object: its boxes by frame, and the frame on which it is seen last."""

    boxes: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    overwrite: bool = False,
) -> None:
    """Write one task, with a keyframe for every frame on which something of an object is seen.

    A rectangle is switched off behind the last frame of each stretch on which its object is seen.

    Lost, and logged: the masks themselves, scores frame by frame, states.

    Args:
        video: the video.
        frames: its tracks, in the order of frames. Boxes are held until the end.
        path: written atomically.
        labels: {object id: name}; "object" where there is none.
        overwrite: replace a file.

    Raises:
        InputError: masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    check_free(path, overwrite=overwrite)
    infos: list[FrameInfo] = []
    found: dict[int, _Rectangle] = {}
    for tracks in checked(video, frames):
        infos.append(tracks.info)
        for row in tracks.masks:
            if (box := row.rle.box_xyxy) is not None:
                item = found.setdefault(row.object_id, _Rectangle())
                item.boxes[tracks.info.index] = box
                item.scores.append(float(row.score))
    names = labels or {}
    count = max(video.frame_count or 0, infos[-1].index + 1 if infos else 0)
    results = [_result(i, item, names.get(i, "object"), video, infos, count) for i, item in sorted(found.items())]
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        json.dump([_task(video, infos, results)], file, allow_nan=False)
        file.write("\n")
    warn_of_loss(path, {"masks, of which their boxes are left": 1, "scores frame by frame": 1, "states": 1})


def read(path: Path, *, size_hw: tuple[int, int] | None = None) -> list[TrackedBox]:
    """Read the keyframes of a file's one task. Frames between keyframes are not interpolated.

    The id of an object is that of its result, where all are whole numbers from 1; otherwise they are numbered 1 to N.

    Args:
        path: a JSON file as Label Studio exports it, or as `write` makes it.
        size_hw: of the video; needed for third-party files, in which boxes are in percent.

    Raises:
        InputError: no such file, no JSON, several tasks, a field that is wrong, or no size.
    """
    data = load_json(path)
    tasks = data if isinstance(data, list) else [data]
    if len(tasks) != 1:
        raise InputError(f"{path}: expected one task, of one video, got {len(tasks)}")
    at = f"{path}: [0]"
    size_hw = size_hw or _size(tasks[0], at)
    results = list(_rectangles(tasks[0], at))
    boxes = []
    for object_id, (where, result) in zip(_ids_of([result for _, result in results]), results, strict=True):
        boxes += _boxes(result, object_id, size_hw, where)
    return sorted(boxes, key=lambda box: (box.frame, box.object_id))


def _rectangles(task: Any, at: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """The results of a task that are rectangles in a video, each with what errors call it."""
    for i, annotation in enumerate(get_list(task, "annotations", at)):
        for k, result in enumerate(get(annotation, "result", list, f"{at}.annotations[{i}]")):
            where = f"{at}.annotations[{i}].result[{k}]"
            if get(result, "type", str, where) == "videorectangle":
                yield where, result


def _ids_of(results: list[Any]) -> list[int]:
    """The results' ids, where all are whole numbers from 1 and differ; otherwise 1 to N."""
    texts = [str(result.get("id")) for result in results]
    if len(set(texts)) == len(texts) and all(_is_object_id(text) for text in texts):
        return [int(text) for text in texts]
    return list(range(1, len(texts) + 1))


def _is_object_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 11 and 1 <= int(text) < 1 << 31


def _task(video: VideoInfo, infos: list[FrameInfo], results: list[dict[str, Any]]) -> dict[str, Any]:
    extra = {
        "width": video.width,
        "height": video.height,
        "rate": None if video.rate is None else str(video.rate),
        "frames": [[info.index, info.time, info.name] for info in infos],
    }
    return {"data": {"video": video.name}, "meta": {_EXTRA: extra}, "annotations": [{"result": results}]}


def _result(
    object_id: int, item: _Rectangle, label: str, video: VideoInfo, infos: list[FrameInfo], count: int
) -> dict[str, Any]:
    following = {a.index: b.index for a, b in itertools.pairwise(infos)}
    last = infos[-1].index
    sequence = []
    for info in infos:
        if (box := item.boxes.get(info.index)) is not None:
            goes_on = following.get(info.index) in item.boxes or (info.index == last and last + 1 >= count)
            sequence.append(_keyframe(info, box, video, enabled=goes_on))
    duration = float(count / video.rate) if video.rate else infos[-1].time or 0.0
    return {
        "id": str(object_id),
        "type": "videorectangle",
        "from_name": "box",
        "to_name": "video",
        "origin": "manual",
        "score": sum(item.scores) / len(item.scores),
        "value": {"framesCount": count, "duration": duration, "sequence": sequence, "labels": [label]},
    }


def _keyframe(
    info: FrameInfo, box_xyxy: tuple[int, int, int, int], video: VideoInfo, *, enabled: bool
) -> dict[str, Any]:
    x1, y1, x2, y2 = box_xyxy
    time = info.time if info.time is not None else float(info.index / video.rate) if video.rate else 0.0
    return {
        "frame": info.index + 1,
        "enabled": enabled,
        "rotation": 0,
        "x": 100 * x1 / video.width,
        "y": 100 * y1 / video.height,
        "width": 100 * (x2 - x1) / video.width,
        "height": 100 * (y2 - y1) / video.height,
        "time": time,
    }


def _size(task: Any, at: str) -> tuple[int, int]:  # noqa: ANN401
    meta = get(task, "meta", (dict, NoneType), at) or {}
    extra = get(meta, _EXTRA, (dict, NoneType), f"{at}.meta")
    if extra is None:
        raise InputError(f"{at}: boxes are in percent: give the size of the video, size_hw")
    where = f"{at}.meta.{_EXTRA}"
    return check_size_hw(get(extra, "height", int, where), get(extra, "width", int, where), where)


def _boxes(result: Any, object_id: int, size_hw: tuple[int, int], at: str) -> list[TrackedBox]:  # noqa: ANN401
    value = get(result, "value", dict, at)
    labels = get(value, "labels", (list, NoneType), f"{at}.value") or [None]
    height, width = size_hw
    found = []
    for i, key in enumerate(get(value, "sequence", list, f"{at}.value")):
        where = f"{at}.value.sequence[{i}]"
        frame = get(key, "frame", int, where)
        x, y, w, h = (float(get(key, name, (int, float), where)) for name in ("x", "y", "width", "height"))
        if frame < 1 or not math.isfinite(x + y + w + h) or w < 0 or h < 0:
            raise InputError(f"{where}: expected a frame from 1 and a box in percent, got {key!r:.80}")
        if get(key, "rotation", (int, float, NoneType), where):
            raise InputError(f"{where}.rotation: turned boxes are not read")
        box = (x * width / 100, y * height / 100, (x + w) * width / 100, (y + h) * height / 100)
        found.append(TrackedBox(frame - 1, object_id, box, 1.0, None if labels[0] is None else str(labels[0])))
    return found
