"""The records of COCO JSON of a video, or of pictures -> rows of tracks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from types import NoneType
from typing import Any, NamedTuple

from maskferry.data import FrameInfo, State, VideoInfo
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
from maskferry.formats._content import (
    FramesBy,
    Rows,
    VideoTracks,
    check_fidelity,
    check_time,
    derived_of,
    name_inside,
)
from maskferry.formats._identities import Seen, identities
from maskferry.formats._reading import Reading, RecordError
from maskferry.formats._youtube_vis_reader import read_rate
from maskferry.limits import check_size_hw
from maskferry.rle import Rle

__all__ = ["EXTRA", "CocoReader"]

EXTRA = "maskferry"
"""The key under which maskferry keeps what the format has no place for."""


class CocoReader:
    """One file's records -> rows of each video."""

    def __init__(
        self,
        data: Any,  # noqa: ANN401
        where: str,
        reading: Reading,
        places: Sequence[str] | None = None,
    ) -> None:
        """Read a file.

        Args:
            data: what `json.load` made of it.
            where: how errors call it.
            reading: the video, and what is left out.
            places: how errors call each of its annotations, where not by their number.
        """
        self.data, self.where, self.reading, self.places = data, where, reading, places
        self.names = names_by_id(data, "categories", where)
        self.images = self._read_images()
        self.tracks = _labels_of_tracks(data, self.names, where)

    def _read_images(self) -> dict[int | str, _Image]:
        images: dict[int | str, _Image] = {}
        taken: set[tuple[int | str, int]] = set()
        for i, record in enumerate(get(self.data, "images", list, self.where)):
            at = f"{self.where}: images[{i}]"
            image_id = get_id(record, "id", at)
            if image_id in images:
                raise InputError(f"{at}.id: {image_id} is taken by an earlier image")
            image = images[image_id] = _Image(record, i, at, self.reading)
            if (image.video, image.info.index) in taken:
                raise InputError(f"{at}.frame_index: {image.info.index} is taken by an earlier image of its video")
            taken.add((image.video, image.info.index))
        return images

    def videos(self) -> list[VideoTracks]:
        """Every video of the file."""
        found: dict[int | str, list[_Found]] = {}
        for i, record in enumerate(get_list(self.data, "annotations", self.where)):
            with self.reading.one_record():
                place = self.places[i] if self.places else f"{self.where}: annotations[{i}]"
                item = self._read_annotation(record, place)
                if item is not None:
                    found.setdefault(item.image.video, []).append(item)
        return [
            self._assemble(key, [image for image in self.images.values() if image.video == key], found.get(key, []))
            for key in dict.fromkeys(image.video for image in self.images.values())
        ]

    def _read_annotation(self, record: Any, at: str) -> _Found | None:  # noqa: ANN401
        """An annotation; None where all of its outlines are left out already."""
        image = self.images.get(get_id(record, "image_id", at))
        if image is None:
            why = f"no image has the id {record['image_id']!r:.60}"
            raise RecordError("annotations of images that are not listed", f"{at}.image_id", why)
        name = name_of_category(record, self.names, at, self.reading)
        value = record.get("segmentation")
        rle = read_segmentation(value, image.size, f"{at}.segmentation", self.reading)
        if rle is None and value:
            return None
        if rle is None:
            what = "boxes without a mask" if record.get("bbox") else "annotations without a mask"
            if record.get("segments_info"):
                what = "annotations whose segments are in a picture (panoptic), which is not read"
            raise RecordError(what, at, "expected a mask")
        if not rle.area:
            raise RecordError("masks that cover no pixel of the picture", at, "expected a mask with an area")
        attributes = get(record, "attributes", (dict, NoneType), at) or {}
        own = record.get("track_id")
        track = as_id(attributes.get("track_id") if own is None else own)
        label = name if track is None else self.tracks.setdefault(track, name)
        return _Found(image, track, label, rle, record, attributes.get("keyframe") is False, at)

    def _assemble(self, key: int | str, images: list[_Image], found: list[_Found]) -> VideoTracks:
        """One video of its images and what is on them."""
        size = _the_one_size(found, images)
        images.sort(key=lambda image: image.info.index)
        rows = Rows()
        for item, identity in zip(found, self._keys(found), strict=True):
            rows.add(item.image.info.index, identity, item.rle, item.at, **item.row)
        _add_lost(rows, images, self.tracks)
        record, at = _record_of_video(self.data, key, self.where)
        extra = get(record, EXTRA, (dict, NoneType), at)
        count = get(extra, "frame_count", (int, NoneType), f"{at}.{EXTRA}") if extra else len(images)
        rate = read_rate(get(extra or {}, "rate", (str, NoneType), f"{at}.{EXTRA}"), f"{at}.{EXTRA}.rate")
        name = name_inside(get(record, "name", (str, NoneType), at) or "video")
        video = VideoInfo(size[1], size[0], rate, count, name)
        tracks = rows.tracks(video, [image.info for image in images], self.where, frames_by=_frames_by(extra, images))
        own = {i for t in tracks.frames for i in t.masks.object_ids} if extra is not None else set()
        return replace(tracks, derived=tracks.derived | derived_of(tracks.frames, own))

    def _keys(self, found: list[_Found]) -> list[Hashable]:
        """What makes annotations of different pictures one object: their track, or what `identities` finds."""
        several = len({item.image.info.index for item in found}) > 1
        alone = [Seen(f.image.info.index, f.label if several else None, None) for f in found if f.track is None]
        others = iter(identities(alone, self.reading))
        return [next(others) if item.track is None else item.track for item in found]


def _frames_by(extra: dict[str, Any] | None, images: list[_Image]) -> FramesBy:
    if extra is not None:
        return "index"
    return "name" if all(image.is_numbered for image in images) else "order"


class _Image:
    """A record of "images"."""

    def __init__(self, record: Any, place: int, at: str, reading: Reading) -> None:  # noqa: ANN401
        self.video = as_id(record.get("video_id")) or 0
        self.is_numbered = record.get("frame_index") is not None
        index = get_whole(record, "frame_index", at) if self.is_numbered else place
        if index < 0:
            raise InputError(f"{at}.frame_index: expected 0 or more, got {index}")
        self.size = _size_of(record, at, reading)
        extra, own = get(record, EXTRA, (dict, NoneType), at) or {}, f"{at}.{EXTRA}"
        time = check_time(get(extra, "time", (float, int, NoneType), own), f"{own}.time")
        self.info = FrameInfo(index, time, _name_of_image(record, extra, index, at))
        self.lost = get_list(extra, "lost", own)
        if not all(isinstance(i, int) and i >= 1 for i in self.lost):
            raise InputError(f"{own}.lost: expected object ids, got {self.lost!r:.60}")
        self.at = at


def _size_of(record: Any, at: str, reading: Reading) -> tuple[int, int]:  # noqa: ANN401
    sides = [record.get("height"), record.get("width")]
    if sides == [None, None] and reading.target.size_hw is not None:
        return reading.target.size_hw
    return check_size_hw(get_whole(record, "height", at), get_whole(record, "width", at), at)


def _name_of_image(record: Any, extra: dict[str, Any], index: int, at: str) -> str:  # noqa: ANN401
    """The frame's own name, where maskferry has kept it; otherwise that of the file, or one made of its index."""
    file_name = name_inside(get(record, "file_name", (str, NoneType), at) or "")
    own = get(extra, "name", (str, NoneType), f"{at}.{EXTRA}")
    if own is not None:
        return name_inside(own)
    numbered = record.get("frame_index") is not None
    return f"{index:06d}" if numbered and "file_name" not in record else file_name


class _Found(NamedTuple):
    """An annotation that has a mask; ``at`` is what errors call it."""

    image: _Image
    track: int | str | None
    label: str | None
    rle: Rle
    record: dict[str, Any]
    between_keyframes: bool
    at: str

    @property
    def row(self) -> dict[str, Any]:
        """What `Rows.add` takes beside the mask."""
        score = get(self.record, "score", (float, int, NoneType), self.at)
        extra = get(self.record, EXTRA, (dict, NoneType), self.at)
        state, fidelity = State.GIVEN if score is None else State.TRACKED, None
        if extra is not None:
            state = _state(extra.get("state"), f"{self.at}.{EXTRA}.state")
            fidelity = check_fidelity(extra.get("fidelity"), f"{self.at}.{EXTRA}.fidelity")
        return {
            "score": 1.0 if score is None else min(1.0, max(0.0, float(score))),
            "state": state,
            "label": self.label,
            "fidelity": fidelity,
            "derived": self.between_keyframes,
        }


def _the_one_size(found: list[_Found], images: list[_Image]) -> tuple[int, int]:
    """(height, width) of the pictures that have masks; the others may have another."""
    used = [item.image for item in found] or images[:1]
    for image in used:
        if image.size != used[0].size:
            raise InputError(f"{image.at}: is {image.size} (height, width), others of its video {used[0].size}")
    return used[0].size


def _add_lost(rows: Rows, images: list[_Image], tracks: dict[int | str, str | None]) -> None:
    """The objects that were out of sight on an image, as maskferry has kept them."""
    empty = Rle.empty(images[0].size)
    for image in images:
        for object_id in image.lost:
            at, label = f"{image.at}.{EXTRA}.lost", tracks.get(object_id)
            rows.add(image.info.index, object_id, empty, at, score=0.0, state=State.LOST, label=label)


def _record_of_video(data: Any, key: int | str, where: str) -> tuple[dict[str, Any], str]:  # noqa: ANN401
    """The record with this id, and what errors call it; an empty one where there is none."""
    found: tuple[dict[str, Any], str] = {}, f"{where}: videos"
    for i, record in enumerate(get_list(data, "videos", where)):
        at = f"{where}: videos[{i}]"
        if get_id(record, "id", at) == key:
            found = record, at
    return found


def _labels_of_tracks(data: Any, names: dict[int | str, str], where: str) -> dict[int | str, str | None]:  # noqa: ANN401
    found: dict[int | str, str | None] = {}
    for i, record in enumerate(get_list(data, "tracks", where)):
        at = f"{where}: tracks[{i}]"
        extra = get(record, EXTRA, (dict, NoneType), at)
        category = as_id(get(record, "category_id", (int, float, str, NoneType), at))
        name = None if category is None else names.get(category)
        own = get(extra, "label", (str, NoneType), f"{at}.{EXTRA}") if extra else name
        found[get_id(record, "id", at)] = own
    return found


def _state(value: Any, where: str) -> State:  # noqa: ANN401
    if value not in tuple(State):
        raise InputError(f"{where}: expected one of {', '.join(State)}, got {value!r:.60}")
    return State(value)
