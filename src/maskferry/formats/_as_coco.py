"""JSON of Datumaro, of Label Studio and of SA-1B -> the records of COCO, which `coco_reader` reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from maskferry.formats._coco import get, get_list
from maskferry.formats._outlines import box_outline, ellipse_outline
from maskferry.formats._reading import Reading, RecordError

__all__ = ["AsCoco", "as_coco"]


@dataclass(slots=True)
class AsCoco:
    """The records of a file, as COCO has them.

    Attributes:
        images, annotations, categories: the records.
        places: what errors call each annotation.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    @property
    def data(self) -> dict[str, Any]:
        """The whole file."""
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}

    def add(self, annotation: dict[str, Any], at: str) -> None:
        """One annotation of the last image."""
        self.annotations.append({**annotation, "image_id": len(self.images)})
        self.places.append(at)

    def category(self, name: object) -> int | None:
        """The id of a name; None where it is none."""
        if not isinstance(name, str) or not name:
            return None
        names = [category["name"] for category in self.categories]
        if name not in names:
            self.categories.append({"id": len(names) + 1, "name": name})
            return len(names) + 1
        return names.index(name) + 1


def as_coco(data: Any, reading: Reading) -> AsCoco | None:  # noqa: ANN401
    """The records of a file of one of these tools; None where it is of another.

    Raises:
        InputError: a field is wrong; the message names it.
    """
    if isinstance(data, dict) and {"image", "annotations"} <= data.keys():
        reading.read_as("SA-1B")
        return _of_sa_1b(data, reading)
    if isinstance(data, dict) and {"items", "categories"} <= data.keys():
        reading.read_as("Datumaro")
        return _of_datumaro(data, reading)
    tasks = data if isinstance(data, list) else [data]
    if tasks and all(isinstance(task, dict) and {"data", "annotations"} <= task.keys() for task in tasks):
        reading.read_as("Label Studio")
        return _of_label_studio(tasks, reading)
    return None


def _of_sa_1b(data: Any, reading: Reading) -> AsCoco:  # noqa: ANN401
    found = AsCoco()
    image = get(data, "image", dict, reading.where)
    found.images.append({**{key: image.get(key) for key in ("file_name", "height", "width")}, "id": 1})
    for i, record in enumerate(get(data, "annotations", list, reading.where)):
        at = f"{reading.where}: annotations[{i}]"
        found.add({"segmentation": get(record, "segmentation", (dict, list, type(None)), at)}, at)
    return found


# --- Datumaro -----------------------------------------------------------------------------------------------------


def _of_datumaro(data: Any, reading: Reading) -> AsCoco:  # noqa: ANN401
    found = AsCoco()
    categories = get(data, "categories", dict, reading.where)
    labels = get_list(categories.get("label") or {}, "labels", f"{reading.where}: categories.label")
    found.categories += [{"id": i, "name": str(get(label, "name", str, "label"))} for i, label in enumerate(labels)]
    for i, item in enumerate(get(data, "items", list, reading.where)):
        at = f"{reading.where}: items[{i}]"
        found.images.append({**_image_of_item(item, at), "id": len(found.images) + 1})
        for k, record in enumerate(get_list(item, "annotations", at)):
            place = f"{at}.annotations[{k}]"
            with reading.one_record():
                attributes = get(record, "attributes", (dict, type(None)), place) or {}
                common = {"category_id": record.get("label_id"), "attributes": attributes}
                found.add({**common, **_mask_of_item(record, place)}, place)
    return found


def _image_of_item(item: Any, at: str) -> dict[str, Any]:  # noqa: ANN401
    image = get(item, "image", (dict, type(None)), at) or {}
    video = get(item, "video_frame", (dict, type(None)), at) or {}
    told = image.get("size")
    size = told if isinstance(told, list) and len(told) == 2 else [None, None]
    attributes = get(item, "attr", (dict, type(None)), at) or {}
    index = video.get("frame_index", attributes.get("frame"))
    name = str(image.get("path") or item.get("id") or "")
    return {"file_name": name, "height": size[0], "width": size[1], "frame_index": index}


def _mask_of_item(record: dict[str, Any], at: str) -> dict[str, Any]:
    kind = record.get("type")
    if kind == "mask":
        return {"segmentation": record.get("rle")}
    if kind == "polygon":
        return {"segmentation": [record.get("points")]}
    if kind == "ellipse":
        x1, y1, x2, y2 = _numbers(record.get("points"), 4, at)
        outline = ellipse_outline(((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) / 2, (y2 - y1) / 2))
        return {"segmentation": [outline.tolist()]}
    if kind == "bbox":
        return {"segmentation": None, "bbox": record.get("bbox") or [0]}
    raise RecordError(f"annotations of the type {kind!r:.40}, which has no area", at, "expected a mask or a polygon")


def _numbers(values: Any, count: int, at: str) -> list[float]:  # noqa: ANN401
    numbers = isinstance(values, list) and all(isinstance(v, int | float) and abs(v) < 2**63 for v in values)
    if not numbers or len(values) != count:
        raise RecordError("outlines that are no points", at, f"expected {count} numbers, got {values!r:.60}")
    return [float(v) for v in values]


# --- Label Studio ---------------------------------------------------------------------------------------------------


def _of_label_studio(tasks: list[Any], reading: Reading) -> AsCoco:
    found = AsCoco()
    for i, task in enumerate(tasks):
        at = f"{reading.where}: [{i}]"
        results = list(_results(task, at))
        first = next((result for _, result in results if result.get("original_width")), {})
        name = next((str(v) for v in get(task, "data", dict, at).values() if isinstance(v, str)), "")
        size = {"height": first.get("original_height"), "width": first.get("original_width")}
        found.images.append({"id": i + 1, "file_name": re.split(r"[?#]", name)[0], **size})
        for place, result in results:
            with reading.one_record():
                _add_result(found, result, place, reading)
    return found


def _results(task: Any, at: str) -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401
    for i, annotation in enumerate(get_list(task, "annotations", at)):
        for k, result in enumerate(get_list(annotation, "result", f"{at}.annotations[{i}]")):
            place = f"{at}.annotations[{i}].result[{k}]"
            get(result, "type", (str, type(None)), place)
            yield place, result


def _add_result(found: AsCoco, result: dict[str, Any], at: str, reading: Reading) -> None:
    kind = str(result.get("type")).removesuffix("labels")
    outline = _OUTLINES.get(kind)
    if outline is None:
        what = {
            "videorectangle": "boxes of a video, which are no masks (prompt an engine that takes boxes with them)",
            "brush": "brushes, which only Label Studio's own RLE holds: export them as COCO or PNG",
        }.get(kind, f"results of the type {kind!r:.40}, which has no area")
        raise RecordError(what, at, "expected a polygon, an ellipse or a rectangle")
    if kind == "rectangle":
        reading.note("boxes are taken for masks: everything inside of them is the object")
    value = get(result, "value", dict, at)
    width, height = _numbers([result.get("original_width"), result.get("original_height")], 2, at)
    points = (outline(value, width, height, at)).tolist()
    names = value.get(str(result.get("type"))) or value.get("labels")
    label = names[0] if isinstance(names, list) and names else None
    found.add({"segmentation": [points], "category_id": found.category(label)}, at)


def _polygon(value: dict[str, Any], width: float, height: float, at: str) -> Any:  # noqa: ANN401
    points = value.get("points")
    pairs = [_numbers(point, 2, at) for point in points] if isinstance(points, list) else [_numbers(points, 2, at)]
    return (np.array(pairs, dtype=np.float64).reshape(-1, 2) * (width / 100, height / 100)).ravel()


def _rectangle(value: dict[str, Any], width: float, height: float, at: str) -> Any:  # noqa: ANN401
    """Turned around its upper left corner, as Label Studio has it."""
    x, y, w, h, turned = _numbers(
        [*(value.get(k) for k in ("x", "y", "width", "height")), value.get("rotation", 0)], 5, at
    )
    corner = np.array((x * width / 100, y * height / 100))
    outline = box_outline((0, 0, w * width / 100, h * height / 100)).reshape(-1, 2)
    cos, sin = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    return (outline @ np.array([[cos, sin], [-sin, cos]]) + corner).ravel()


def _ellipse(value: dict[str, Any], width: float, height: float, at: str) -> Any:  # noqa: ANN401
    keys = ("x", "y", "radiusX", "radiusY")
    x, y, rx, ry, turned = _numbers([*(value.get(k) for k in keys), value.get("rotation", 0)], 5, at)
    centre, radii = (x * width / 100, y * height / 100), (rx * width / 100, ry * height / 100)
    return ellipse_outline(centre, radii, turned)


_OUTLINES: dict[str, Callable[[dict[str, Any], float, float, str], Any]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "ellipse": _ellipse,
}
