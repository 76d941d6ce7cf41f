"""The elements of CVAT's XML -> rows of tracks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from maskferry.data import FrameInfo, State, VideoInfo
from maskferry.errors import InputError
from maskferry.formats._coco import unite
from maskferry.formats._content import FramesBy, Rows, VideoTracks, name_inside
from maskferry.formats._cvat_shapes import WITH_AREA, read_shape, whole_attribute
from maskferry.formats._identities import Seen, identities
from maskferry.formats._reading import Reading
from maskferry.limits import check_size_hw
from maskferry.rle import Rle

__all__ = ["CvatReader"]


class _Shape(NamedTuple):
    """A shape of a picture; ``at`` is what errors call it."""

    seen: Seen
    rle: Rle
    state: State
    at: str


class CvatReader:
    """One file's elements -> rows."""

    def __init__(self, infos: dict[int, FrameInfo], reading: Reading) -> None:
        self.infos, self.reading, self.where, self.rows = infos, reading, reading.where, Rows()

    def images(self, root: Element, images: list[Element]) -> VideoTracks:
        """A file of pictures."""
        infos: dict[int, FrameInfo] = {}
        sizes: dict[tuple[int, int], str] = {}
        shapes: list[_Shape] = []
        for i, image in enumerate(images):
            at = f"{self.where}: image[{i}]"
            with self.reading.one_record():
                index = whole_attribute(image, "id", at)
                if index in infos:
                    raise InputError(f"{at}.id: {index} is taken by an earlier image")
                infos[index] = self.infos.get(index, FrameInfo(index, None, self._name(image.get("name", ""))))
                size = self._size_of_image(image, at)
                shapes += self._shapes_of_image(image, index, size, at)
                if len(image) or not sizes:  # a picture without shapes may have another size
                    sizes[size] = at
        if len(sizes) > 1 and len({shape.rle.size_hw for shape in shapes}) > 1:
            (first, _), (second, at) = list(sizes.items())[:2]
            raise InputError(f"{at}: is {second} (height, width), images before {first}")
        self._add(shapes)
        size = shapes[0].rle.size_hw if shapes else next(iter(sizes), None) or self._original_size(root)
        return self._result(root, size, infos, "index" if self.infos else "name")

    def _size_of_image(self, image: Element, at: str) -> tuple[int, int]:
        if "width" not in image.attrib and "height" not in image.attrib and self.reading.target.size_hw:
            return self.reading.target.size_hw
        return check_size_hw(whole_attribute(image, "height", at), whole_attribute(image, "width", at), at)

    def _shapes_of_image(self, image: Element, index: int, size: tuple[int, int], at: str) -> list[_Shape]:
        found = []
        for place, shape in self._shapes(image, at):
            with self.reading.one_record():
                group = whole_attribute(shape, "group_id", place, 0)
                seen = Seen(index, shape.get("label"), group or None)
                found.append(_Shape(seen, read_shape(shape, size, place), _state(shape, place), place))
        return found

    def _add(self, shapes: list[_Shape]) -> None:
        """Shapes of one object on one picture are one mask."""
        together: dict[tuple[int, Hashable], list[_Shape]] = {}
        for key, shape in zip(identities([shape.seen for shape in shapes], self.reading), shapes, strict=True):
            together.setdefault((shape.seen.frame, key), []).append(shape)
        for (frame, key), parts in together.items():
            first = parts[0]
            rle = unite([part.rle for part in parts])
            self.rows.add(frame, key, rle, first.at, state=first.state, label=first.seen.label)

    def tracks(self, root: Element) -> VideoTracks:
        """A file of a video."""
        size = self._original_size(root)
        infos = dict(self.infos)
        seen: set[int] = set()
        for i, track in enumerate(root.findall("track")):
            at = f"{self.where}: track[{i}]"
            with self.reading.one_record():
                key = whole_attribute(track, "id", at)
                if key in seen:
                    raise InputError(f"{at}.id: {key} is taken by an earlier track")
                seen.add(key)
                self._read_track(track, key, size, infos, at)
        if self.infos:
            infos = {i: info for i, info in infos.items() if i in self.infos}  # no frame behind the last one
        return self._result(root, size, infos, "index")

    def _original_size(self, root: Element) -> tuple[int, int]:
        at = f"{self.where}: meta.task.original_size"
        numbers = [root.findtext(f"meta//original_size/{side}", "").strip() for side in ("height", "width")]
        if all(n.isascii() and n.isdecimal() and len(n) < 10 for n in numbers):
            return check_size_hw(int(numbers[0]), int(numbers[1]), at)
        if any(numbers) or self.reading.target.size_hw is None:
            raise InputError(
                f"{at}: expected height and width in pixels, got {numbers}: read the file together with its video, "
                "which has them"
            )
        return self.reading.target.size_hw

    def _read_track(
        self, track: Element, key: int, size: tuple[int, int], infos: dict[int, FrameInfo], at: str
    ) -> None:
        label = track.get("label")
        for place, shape in self._shapes(track, at):
            with self.reading.one_record():
                index = whole_attribute(shape, "frame", place)
                self._read_tracked(shape, index, key, label, size, place)
                infos.setdefault(index, FrameInfo(index, None, f"{index:06d}"))

    def _read_tracked(
        self, shape: Element, index: int, key: int, label: str | None, size: tuple[int, int], place: str
    ) -> None:
        """A shape of a track: where its object is on a frame, or that it is not there."""
        if whole_attribute(shape, "outside", place, 0):
            self.rows.add(index, key, Rle.empty(size), place, score=0.0, state=State.LOST, label=label)
            return
        if self.infos and index not in self.infos:
            raise InputError(f"{place}.frame: {index} is not in the frame table beside the file")
        between = not whole_attribute(shape, "keyframe", place, 1)
        state = State.TRACKED if between and _state(shape, place) is State.GIVEN else _state(shape, place)
        rle = read_shape(shape, size, place)
        self.rows.add(index, key, rle, place, state=state, label=label, derived=between)

    def _shapes(self, parent: Element, at: str) -> Iterator[tuple[str, Element]]:
        for i, shape in enumerate(parent):
            place = f"{at}.{shape.tag:.40}[{i}]"
            if shape.tag in WITH_AREA:
                if shape.tag == "box":
                    self.reading.note("boxes are taken for masks: everything inside of them is the object")
                yield place, shape
            elif shape.tag != "attribute":
                self.reading.leave_out(f"<{shape.tag:.40}>, which are no areas", place)

    def _name(self, name: str) -> str:
        inside = name_inside(name)
        if inside != name:
            self.reading.note(f"of paths such as {name!r:.80}, the last part is taken")
        return inside

    def _result(
        self, root: Element, size: tuple[int, int], infos: dict[int, FrameInfo], frames_by: FramesBy
    ) -> VideoTracks:
        height, width = size
        name = next((text for kind in ("task", "job", "project") if (text := root.findtext(f"meta/{kind}/name"))), "")
        count = root.findtext("meta/task/size", "")
        total = int(count) if count.isascii() and count.isdecimal() and len(count) < 10 else max(infos, default=-1) + 1
        video = VideoInfo(width, height, frame_count=total, name=self._name(name) or "video")
        return self.rows.tracks(video, [infos[i] for i in sorted(infos)], self.where, frames_by=frames_by)


def _state(shape: Element, at: str) -> State:
    return State.OCCLUDED if whole_attribute(shape, "occluded", at, 0) else State.GIVEN
