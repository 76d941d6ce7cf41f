"""COCO JSON of a video, in the way of TAO: an image for each frame, an annotation for each object on it, and tracks.

What the format has no place for (times, exact rate, states, which objects are lost) is kept under the key "maskferry"
of videos, images, tracks and annotations, which other readers ignore; with it, reading gives back exactly what was
written. The id of a track is the id of the object; annotations have it as "track_id", as TAO does, and among their
"attributes", as CVAT does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from maskferry._own_files import COMMENT
from maskferry.data import FrameTracks, ObjectMask, VideoInfo
from maskferry.files import atomic_path
from maskferry.formats._coco import load_json
from maskferry.formats._coco_reader import EXTRA as _EXTRA
from maskferry.formats._coco_reader import CocoReader
from maskferry.formats._content import VideoTracks, checked
from maskferry.formats._images import picture_name
from maskferry.formats._reading import Reading, reading_of

__all__ = ["parse", "read", "write"]


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


def read(path: Path, *, reading: Reading | None = None) -> list[VideoTracks]:
    """Read every video of a file.

    Takes what `write` makes, what others make of TAO's kind, and COCO of pictures: images with "frame_index" (or in
    order) and, where there is more than one video, "video_id"; annotations with "track_id", also among their
    "attributes" as CVAT has it. Without it, annotations of a category that no picture has twice are one object, and
    otherwise each is an object of its own. Masks may be compressed RLE, run lengths or polygons. In third-party files,
    masks are "given", or "tracked" where they have a score, and an object without an annotation on a frame has no row
    there. Annotations without a mask (boxes), or with one that cannot be read, are left out and counted.

    Args:
        path: a JSON file.
        reading: gives the size where the file has none, and counts what is left out; None warns of it.

    Raises:
        InputError: no such file, no JSON, or a field that is wrong; the message names file, record and field.

    Warns:
        LeftOutWarning: something is left out, and there is no ``reading`` that counts it.
    """
    return parse(load_json(path), str(path), reading)


def parse(data: Any, where: str, reading: Reading | None = None) -> list[VideoTracks]:  # noqa: ANN401
    """Read what `json.load` made of a file, as `read` does; ``where`` is how errors call the file."""
    with reading_of(where, reading) as counting:
        return CocoReader(data, where, counting).videos()


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
