"""The elements of CVAT's XML -> rows of tracks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import numpy as np

from maskferry.data import FrameInfo, State, VideoInfo
from maskferry.errors import InputError
from maskferry.formats._coco import read_polygon, unite
from maskferry.formats._content import Rows, VideoTracks, check_name
from maskferry.limits import check_size_hw
from maskferry.rle import Rle

__all__ = ["CvatReader"]

log = logging.getLogger(__name__)


class CvatReader:
    """One file's elements -> rows."""

    def __init__(self, where: str, names: set[str], infos: dict[int, FrameInfo]) -> None:
        self.where, self.names, self.infos, self.rows = where, names, infos, Rows()
        self.skipped: dict[str, int] = {}

    def images(self, root: Element, images: list[Element]) -> VideoTracks:
        """A file of pictures."""
        sizes: dict[tuple[int, int], str] = {}
        infos: dict[int, FrameInfo] = {}
        for i, image in enumerate(images):
            at = f"{self.where}: image[{i}]"
            index = _int(image, "id", at)
            if index in infos:
                raise InputError(f"{at}.id: {index} is taken by an earlier image")
            name = check_name(image.get("name", ""), f"{at}.name")
            infos[index] = self.infos.get(index, FrameInfo(index, None, name))
            size = check_size_hw(_int(image, "height", at), _int(image, "width", at), at)
            sizes.setdefault(size, at)
            if len(sizes) > 1:
                raise InputError(f"{at}: is {size} (height, width), images before {next(iter(sizes))}")
            self._read_image(image, index, size, at)
        return self._result(root, next(iter(sizes)), infos)

    def _read_image(self, image: Element, index: int, size: tuple[int, int], at: str) -> None:
        found: dict[tuple[str, object], tuple[list[Rle], State]] = {}
        for place, shape in self._shapes(image, at):
            rle = _read_shape(shape, size, place)
            group = _int(shape, "group_id", place, 0)
            empty: tuple[list[Rle], State] = [], _state(shape, place)
            found.setdefault((self._label(shape, place), group or place), empty)[0].append(rle)
        for (label, key), (rles, state) in found.items():
            self.rows.add(index, key, unite(rles), at, state=state, label=label)

    def tracks(self, root: Element) -> VideoTracks:
        """A file of a video."""
        size = self._original_size(root)
        infos = dict(self.infos)
        seen: set[int] = set()
        for i, track in enumerate(root.findall("track")):
            at = f"{self.where}: track[{i}]"
            key, label = _int(track, "id", at), self._label(track, at)
            if key in seen:
                raise InputError(f"{at}.id: {key} is taken by an earlier track")
            seen.add(key)
            for place, shape in self._shapes(track, at):
                index = _int(shape, "frame", place)
                infos.setdefault(index, FrameInfo(index, None, f"{index:06d}"))
                self._read_tracked(shape, index, key, label, size, place)
        if self.infos:
            infos = {i: info for i, info in infos.items() if i in self.infos}  # no frame behind the last one
        return self._result(root, size, infos)

    def _original_size(self, root: Element) -> tuple[int, int]:
        at = f"{self.where}: meta.task.original_size"
        numbers = [root.findtext(f"meta//original_size/{side}", "") for side in ("height", "width")]
        if not all(n.isdecimal() and len(n) < 10 for n in numbers):
            raise InputError(f"{at}: expected height and width in pixels, got {numbers}")
        return check_size_hw(int(numbers[0]), int(numbers[1]), at)

    def _read_tracked(
        self, shape: Element, index: int, key: int, label: str, size: tuple[int, int], place: str
    ) -> None:
        """A shape of a track: where its object is on a frame, or that it is not there."""
        if _int(shape, "outside", place, 0):
            self.rows.add(index, key, Rle.empty(size), place, score=0.0, state=State.LOST, label=label)
            return
        if self.infos and index not in self.infos:
            raise InputError(f"{place}.frame: {index} is not in the frame table beside the file")
        self.rows.add(index, key, _read_shape(shape, size, place), place, state=_state(shape, place), label=label)

    def _shapes(self, parent: Element, at: str) -> Iterator[tuple[str, Element]]:
        for i, shape in enumerate(parent):
            if shape.tag in ("polygon", "mask"):
                yield f"{at}.{shape.tag}[{i}]", shape
            else:
                self.skipped[shape.tag] = self.skipped.get(shape.tag, 0) + 1

    def _label(self, element: Element, at: str) -> str:
        label = element.get("label")
        if label is None:
            raise InputError(f"{at}.label: expected the name of a label, got nothing")
        if self.names and label not in self.names:
            raise InputError(f"{at}.label: {label!r:.60} is not among the labels of the task")
        return label

    def _result(self, root: Element, size: tuple[int, int], infos: dict[int, FrameInfo]) -> VideoTracks:
        if self.skipped:
            told = ", ".join(f"{count} <{tag}>" for tag, count in self.skipped.items())
            log.warning("%s: no polygons or masks, left out: %s", self.where, told)
        height, width = size
        name = check_name(root.findtext("meta/task/name") or "video", f"{self.where}: meta.task.name")
        count = root.findtext("meta/task/size", "")
        total = int(count) if count.isdecimal() and len(count) < 10 else max(infos, default=-1) + 1
        video = VideoInfo(width, height, frame_count=total, name=name)
        return self.rows.tracks(video, [infos[i] for i in sorted(infos)], self.where)


def _read_shape(shape: Element, size_hw: tuple[int, int], at: str) -> Rle:
    return _read_mask(shape, size_hw, at) if shape.tag == "mask" else _read_points(shape, size_hw, at)


def _state(shape: Element, at: str) -> State:
    return State.OCCLUDED if _int(shape, "occluded", at, 0) else State.GIVEN


def _int(element: Element, name: str, at: str, default: int | None = None) -> int:
    """A whole number from 0."""
    text = element.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InputError(f"{at}.{name}: expected a whole number, got {text!r:.60}")
    return int(text)


def _read_points(shape: Element, size_hw: tuple[int, int], at: str) -> Rle:
    text = shape.get("points", "")
    try:
        flat = [float(v) for point in text.split(";") for v in point.split(",")]
        if text.count(",") != text.count(";") + 1:
            raise ValueError("pairs of numbers are needed")
    except ValueError as err:
        raise InputError(f'{at}.points: expected "x,y;x,y;...", got {text!r:.60}') from err
    return read_polygon(flat, size_hw, f"{at}.points")


def _read_mask(shape: Element, size_hw: tuple[int, int], at: str) -> Rle:
    """Run lengths, row by row, inside a box."""
    left, top, width, height = (_int(shape, name, at) for name in ("left", "top", "width", "height"))
    if not (width and height and left + width <= size_hw[1] and top + height <= size_hw[0]):
        raise InputError(f"{at}: expected a box inside {size_hw[1]}x{size_hw[0]}, got {[left, top, width, height]}")
    text = shape.get("rle", "")
    try:
        runs = np.array([int(n) for n in text.split(",")], dtype=np.int64)
    except (ValueError, OverflowError) as err:
        raise InputError(f"{at}.rle: expected run lengths, got {text!r:.60}") from err
    if (runs < 0).any() or sum(runs.tolist()) != width * height:
        raise InputError(f"{at}.rle: expected runs that add up to {width} * {height}, got {text!r:.60}")
    crop = np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(height, width)
    return Rle.encode_crop(crop, (left, top), size_hw)
