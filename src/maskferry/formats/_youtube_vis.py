"""YouTube-VIS JSON: every object of a video in one file, a mask or null for each frame.

What the format has no place for (times, exact rate, states, scores frame by frame) is kept under the key "maskferry" of
videos and annotations, which other readers ignore; with it, reading gives back exactly what was written. The id of an
annotation is the id of the object.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from maskferry._own_files import COMMENT
from maskferry.data import FrameInfo, FrameTracks, VideoInfo
from maskferry.files import atomic_path, check_free
from maskferry.formats._coco import load_json
from maskferry.formats._content import VideoTracks, checked
from maskferry.formats._images import picture_name
from maskferry.formats._reading import Reading, reading_of
from maskferry.formats._youtube_vis_reader import EXTRA as _EXTRA
from maskferry.formats._youtube_vis_reader import ObjectRows as _Object
from maskferry.formats._youtube_vis_reader import parse_dataset, parse_results
from maskferry.rle import Rle

__all__ = ["VideoTracks", "parse", "read", "write"]

T = TypeVar("T")


def write(
    video: VideoInfo,
    frames: Iterable[FrameTracks],
    path: Path,
    *,
    labels: Mapping[int, str] | None = None,
    compress: bool = True,
    overwrite: bool = False,
) -> None:
    """Write one video's tracks. Masks are held run-length encoded until the end, as the format goes object by object.

    Args:
        video: the video; its path is not written.
        frames: its tracks, in the order of frames.
        path: written atomically.
        labels: {object id: name}; every name becomes a category, and objects without one are of category "object".
        compress: masks as COCO's compressed RLE, a text each; otherwise as lists of run lengths, which is how the
            truth of the data set is written and how TrackEval takes it; such a file is several times as large.
        overwrite: replace a file.

    Raises:
        InputError: masks of another size than the video.
        OutputExistsError: there is a file, and ``overwrite`` is false.
        OutputError: the disk is full or not writable.
    """
    check_free(path, overwrite=overwrite)
    labels = labels or {}
    infos: list[FrameInfo] = []
    objects: dict[int, _Object] = {}
    for tracks in checked(video, frames):
        for row in tracks.masks:
            rows = objects.setdefault(row.object_id, _Object(label=labels.get(row.object_id))).rows
            rows.extend([None] * (len(infos) - len(rows)))
            rows.append(row)
        infos.append(tracks.info)
    names = dict.fromkeys(item.label if item.label is not None else "object" for _, item in sorted(objects.items()))
    categories = {name: i for i, name in enumerate(names, start=1)}
    with atomic_path(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f'{{"info": {{"description": "{COMMENT}"}},\n"videos": [')
        file.write(_dump(_video_record(video, infos)))
        file.write('],\n"categories": ')
        file.write(_dump([{"id": i, "name": n, "supercategory": "object"} for n, i in categories.items()]))
        file.write(',\n"annotations": [')
        for i, (object_id, item) in enumerate(sorted(objects.items())):
            item.rows.extend([None] * (len(infos) - len(item.rows)))
            file.write(",\n" if i else "\n")
            file.write(_dump(_annotation_record(object_id, item, categories, video, compress=compress)))
        file.write("\n]}\n")


def read(path: Path, *, reading: Reading | None = None) -> list[VideoTracks]:
    """Read every video of a file.

    Takes a dataset (videos, annotations, categories), as `write` and others make it, or a list of results (video_id,
    category_id, segmentations, score), whose size is that of their RLEs. Masks may be compressed RLE, run lengths or
    polygons. In third-party files, frames are numbered from 0; masks are "given", those of results "tracked"; from an
    object's first mask on, null means "lost". Ids that are no object ids (below 1, or twice in a video) are replaced
    by 1 to N in the order of the file. Masks that are broken are left out and counted, as are names of categories that
    are not listed. Of an object that maskferry has tracked from masks that were given, the other masks are "derived".

    Args:
        path: a JSON file.
        reading: counts what is left out; None warns of it.

    Raises:
        InputError: no such file, no JSON, or a field that is wrong; the message names file, record and field.

    Warns:
        LeftOutWarning: something is left out, and there is no ``reading`` that counts it.
    """
    return parse(load_json(path), str(path), reading)


def parse(data: Any, where: str, reading: Reading | None = None) -> list[VideoTracks]:  # noqa: ANN401
    """Read what `json.load` made of a file, as `read` does; ``where`` is how errors call the file."""
    with reading_of(where, reading) as counting:
        return parse_results(data, where, counting) if isinstance(data, list) else parse_dataset(data, where, counting)


def _dump(value: Any) -> str:  # noqa: ANN401
    return json.dumps(value, allow_nan=False)


def _video_record(video: VideoInfo, infos: list[FrameInfo]) -> dict[str, Any]:
    return {
        "id": 1,
        "name": video.name,
        "width": video.width,
        "height": video.height,
        "length": len(infos),
        "file_names": [picture_name(info) for info in infos],
        _EXTRA: {
            "rate": None if video.rate is None else str(video.rate),
            "frame_count": video.frame_count,
            "names": [info.name for info in infos],
            "indices": [info.index for info in infos],
            "times": [info.time for info in infos],
        },
    }


def _annotation_record(
    object_id: int, item: _Object, categories: dict[str, int], video: VideoInfo, *, compress: bool
) -> dict[str, Any]:
    seen = [row.rle if row is not None and row.rle.area else None for row in item.rows]
    return {
        "id": object_id,
        "video_id": 1,
        "category_id": categories["object" if item.label is None else item.label],
        "iscrowd": 0,
        "width": video.width,
        "height": video.height,
        "segmentations": _or_none(seen, lambda rle: rle.to_coco() if compress else _run_lengths(rle)),
        "bboxes": _or_none(seen, _box_xywh),
        "areas": _or_none(seen, lambda rle: rle.area),
        _EXTRA: {
            "label": item.label,
            "scores": _or_none(item.rows, lambda row: float(row.score)),
            "states": _or_none(item.rows, lambda row: row.state.value),
            "fidelities": _or_none(item.rows, lambda row: row.fidelity),
        },
    }


def _or_none(values: Iterable[T | None], describe: Callable[[T], object]) -> list[object]:
    """What there is to say of each value; None stays None."""
    return [None if value is None else describe(value) for value in values]


def _run_lengths(rle: Rle) -> dict[str, object]:
    return {"size": list(rle.size_hw), "counts": rle.runs.tolist()}


def _box_xywh(rle: Rle) -> list[int]:
    x1, y1, x2, y2 = rle.box_xyxy or (0, 0, 0, 0)
    return [x1, y1, x2 - x1, y2 - y1]
