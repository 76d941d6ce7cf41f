"""The records of YouTube-VIS JSON -> tracks."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import NoneType
from typing import Any

from maskferry._arguments import frames_per_second
from maskferry.data import FrameInfo, FrameMasks, FrameTracks, ObjectMask, State, VideoInfo
from maskferry.errors import InputError
from maskferry.formats._coco import (
    as_id,
    get,
    get_id,
    get_list,
    get_whole,
    name_of_category,
    names_by_id,
    read_segmentation,
)
from maskferry.formats._content import FramesBy, VideoTracks, check_fidelity, derived_of, name_inside
from maskferry.formats._reading import Reading, RecordError
from maskferry.limits import MOST_CLAIMED_FRAMES, check_size_hw
from maskferry.rle import Rle

__all__ = ["EXTRA", "ObjectRows", "parse_dataset", "parse_results", "read_rate"]

log = logging.getLogger(__name__)

EXTRA = "maskferry"
"""The key under which maskferry keeps what the format has no place for."""


@dataclass(slots=True)
class ObjectRows:
    """One object's rows on the frames of a video; None where it has no row."""

    rows: list[ObjectMask | None] = field(default_factory=list)
    label: str | None = None


def parse_dataset(data: Any, where: str, reading: Reading) -> list[VideoTracks]:  # noqa: ANN401
    """Videos, annotations and categories."""
    categories = names_by_id(data, "categories", where)
    found: dict[int | str, list[tuple[str, Any]]] = {}
    for i, record in enumerate(get_list(data, "annotations", where)):
        at = f"{where}: annotations[{i}]"
        found.setdefault(get_id(record, "video_id", at), []).append((at, record))
    out = []
    for i, record in enumerate(get(data, "videos", list, where)):
        at = f"{where}: videos[{i}]"
        records = found.pop(get_id(record, "id", at), [])
        video, infos = _read_video(record, at, _frames_told(records))
        frames_by: FramesBy = "index" if EXTRA in record else "name"
        out.append(_read_objects(video, infos, records, categories, reading, frames_by))
    for video_id, orphans in found.items():
        raise InputError(f"{orphans[0][0]}.video_id: no video has the id {video_id}")
    return out


def _frames_told(records: list[tuple[str, Any]]) -> int:
    """Of how many frames the annotations of a video say something."""
    lists = (record.get("segmentations") for _, record in records)
    return max((len(told) for told in lists if isinstance(told, list)), default=0)


def _read_video(record: Any, at: str, told: int) -> tuple[VideoInfo, list[FrameInfo]]:  # noqa: ANN401
    """A record of "videos"; ``told`` is of how many frames its annotations say something."""
    file_names = get_list(record, "file_names", at)
    length = len(file_names) if record.get("length") is None else get_whole(record, "length", at)
    most = max(MOST_CLAIMED_FRAMES, len(file_names), told)
    if not 0 <= length <= most:
        raise InputError(
            f"{at}.length: expected 0 to {most} frames (more where file_names or segmentations list them), got {length}"
        )
    height, width = check_size_hw(get_whole(record, "height", at), get_whole(record, "width", at), at)
    names = _names(file_names or [f"{i:06d}" for i in range(length)], length, f"{at}.file_names")
    extra, own = get(record, EXTRA, (dict, NoneType), at) or {}, f"{at}.{EXTRA}"
    video = VideoInfo(
        width,
        height,
        rate=read_rate(get(extra, "rate", (str, NoneType), own), f"{own}.rate"),
        frame_count=get(extra, "frame_count", (int, NoneType), own) if extra else length,
        name=name_inside(str(record.get("name") or Path(next(iter(names), "")).parent.name or "video")),
    )
    return video, _frame_infos(extra, names, length, own)


def _names(values: Any, length: int, at: str) -> list[str]:  # noqa: ANN401
    """The names, of those that lead out of their folder the last part."""
    return [name_inside(name) for name in _per_frame(values, length, at, str)]


def _frame_infos(extra: dict[str, Any], names: list[str], length: int, at: str) -> list[FrameInfo]:
    """The frame table as maskferry has kept it, or made of the file names."""
    names = _names(extra.get("names", names), length, f"{at}.names")
    indices = _per_frame(extra.get("indices", list(range(length))), length, f"{at}.indices", int)
    times = _per_frame(extra.get("times", [None] * length), length, f"{at}.times", (float, int, NoneType))
    if len(set(indices)) < length or min(indices, default=0) < 0:
        raise InputError(f"{at}.indices: expected frame indices from 0, each once")
    seconds = [None if time is None else float(time) for time in times]
    return [FrameInfo(*row) for row in zip(indices, seconds, names, strict=True)]


def read_rate(text: str | None, at: str) -> Fraction | None:
    """An exact rate, written as "30000/1001"; None stays None."""
    return None if text is None else frames_per_second(text, at)


def _per_frame(values: Any, length: int, at: str, kind: type | tuple[type, ...]) -> list[Any]:  # noqa: ANN401
    if not isinstance(values, list) or len(values) != length:
        got = f"{len(values)} values" if isinstance(values, list) else repr(values)[:60]
        raise InputError(f"{at}: expected a list with a value for each of {length} frames, got {got}")
    for i, value in enumerate(values):
        if not isinstance(value, kind) or isinstance(value, bool) or (isinstance(value, int) and abs(value) >= 2**63):
            raise InputError(f"{at}[{i}]: got {value!r:.60}")
    return values


def _read_objects(
    video: VideoInfo,
    infos: list[FrameInfo],
    records: list[tuple[str, Any]],
    categories: dict[int | str, str],
    reading: Reading,
    frames_by: FramesBy,
) -> VideoTracks:
    ids = _ids_of(records, video.name)
    objects = {
        object_id: _read_object(object_id, record, video, len(infos), at, reading)
        for object_id, (at, record) in sorted(zip(ids, records, strict=True), key=lambda item: item[0])
    }
    frames = []
    for i, info in enumerate(infos):
        rows = tuple(row for item in objects.values() if (row := item.rows[i]) is not None)
        frames.append(FrameTracks(info, FrameMasks(info.index, video.size_hw, rows)))
    labels = {}
    for object_id, (at, record) in zip(ids, records, strict=True):
        label = _label_of(record, objects[object_id], categories, at, reading)
        if label is not None:
            labels[object_id] = label
    own = {object_id for object_id, (_, record) in zip(ids, records, strict=True) if EXTRA in record}
    return VideoTracks(video, tuple(frames), labels, derived_of(frames, own), frames_by)


def _ids_of(records: list[tuple[str, Any]], name: str) -> list[int]:
    """The annotations' ids, where all of them will do as object ids; otherwise 1 to N."""
    found = [as_id(record.get("id")) for _, record in records]
    ids = [i for i in found if isinstance(i, int) and 1 <= i < 1 << 31]
    if len(set(ids)) == len(found):
        return ids
    log.info("%s: annotations have no usable object ids: numbered 1 to %d", name, len(found))
    return list(range(1, len(found) + 1))


def _label_of(
    record: Any,  # noqa: ANN401
    item: ObjectRows,
    categories: dict[int | str, str],
    at: str,
    reading: Reading,
) -> str | None:
    name = name_of_category(record, categories, at, reading)
    return item.label if record.get(EXTRA) else name


def _read_object(
    object_id: int,
    record: Any,  # noqa: ANN401
    video: VideoInfo,
    length: int,
    at: str,
    reading: Reading,
) -> ObjectRows:
    values = _per_frame(record.get("segmentations"), length, f"{at}.segmentations", (dict, list, NoneType))
    rles: list[Rle | None] = [None] * length
    for i, value in enumerate(values):
        with reading.one_record():
            rles[i] = read_segmentation(value, video.size_hw, f"{at}.segmentations[{i}]", reading)
    _count_boxes(record, rles, at, reading)
    empty = Rle.empty(video.size_hw)
    extra, own = get(record, EXTRA, (dict, NoneType), at), f"{at}.{EXTRA}"
    if extra is None:
        return ObjectRows(_foreign_rows(object_id, rles, _read_score(record, at), empty))
    rows = _own_rows(object_id, rles, extra, empty, own)
    return ObjectRows(rows, get(extra, "label", (str, NoneType), own))


def _count_boxes(record: Any, rles: list[Rle | None], at: str, reading: Reading) -> None:  # noqa: ANN401
    """An object without any mask, but with boxes."""
    boxes = record.get("bboxes")
    if EXTRA not in record and isinstance(boxes, list) and any(boxes) and not any(rles):
        reading.leave_out("boxes without a mask", f"{at}.bboxes", count=sum(map(bool, boxes)))


def _own_rows(
    object_id: int, rles: list[Rle | None], extra: dict[str, Any], empty: Rle, at: str
) -> list[ObjectMask | None]:
    """The rows of an object with the states, scores and fidelities that maskferry has kept."""
    length = len(rles)
    states = _per_frame(extra.get("states"), length, f"{at}.states", (str, NoneType))
    scores = _per_frame(extra.get("scores"), length, f"{at}.scores", (float, int, NoneType))
    told = extra.get("fidelities", [None] * length)
    fidelities = _per_frame(told, length, f"{at}.fidelities", (float, int, NoneType))
    rows: list[ObjectMask | None] = []
    for i, (rle, state, score, fidelity) in enumerate(zip(rles, states, scores, fidelities, strict=True)):
        absent = state is None and score is None and rle is None
        if not absent and (state not in tuple(State) or score is None or not 0 <= score <= 1):
            raise InputError(f"{at}.states[{i}]: expected a state and a score for each mask, got {state!r}, {score}")
        iou = check_fidelity(fidelity, f"{at}.fidelities[{i}]")
        rows.append(None if absent else ObjectMask(object_id, rle or empty, float(score), State(state), iou))
    return rows


def _read_score(record: Any, at: str) -> float | None:  # noqa: ANN401
    score = get(record, "score", (float, int, NoneType), at)
    return None if score is None else min(1.0, max(0.0, float(score)))


def _foreign_rows(object_id: int, rles: list[Rle | None], score: float | None, empty: Rle) -> list[ObjectMask | None]:
    state, seen, rows = State.GIVEN if score is None else State.TRACKED, False, list[ObjectMask | None]()
    for rle in rles:
        seen = seen or rle is not None
        lost = ObjectMask(object_id, empty, 0.0, State.LOST) if seen else None
        rows.append(lost if rle is None else ObjectMask(object_id, rle, 1.0 if score is None else score, state))
    return rows


def parse_results(data: list[Any], where: str, reading: Reading) -> list[VideoTracks]:
    """A list of results; their size is that of their RLEs."""
    found: dict[int | str, list[tuple[str, Any]]] = {}
    for i, record in enumerate(data):
        at = f"{where}: [{i}]"
        found.setdefault(get_id(record, "video_id", at), []).append((at, record))
    out = []
    for video_id, records in found.items():
        at, first = records[0]
        segmentations = get(first, "segmentations", list, at)
        size = _size_of_results(records) or reading.target.size_hw
        if size is None:
            raise InputError(f"{at}.segmentations: expected at least one RLE, as a list of results has no other size")
        infos = [FrameInfo(i, None, f"{i:06d}") for i in range(len(segmentations))]
        video = VideoInfo(size[1], size[0], frame_count=len(infos), name=f"video {video_id}")
        out.append(_read_objects(video, infos, records, {}, reading, "index"))
    return out


def _size_of_results(records: list[tuple[str, Any]]) -> tuple[int, int] | None:
    """Of the first RLE that can be read."""
    for at, record in records:
        for i, value in enumerate(get(record, "segmentations", list, at)):
            with suppress(RecordError):
                rle = read_segmentation(value, None, f"{at}.segmentations[{i}]") if isinstance(value, dict) else None
                if rle is not None:
                    return rle.size_hw
    return None
