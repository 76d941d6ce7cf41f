"""Bad input of every kind, for every public function: nothing but typed errors may come out.

``python tests/fuzz.py --cases 10000 --seed 3`` prints every other exception and its place; `test_fuzz` tries a few.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import random
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image

from clips import make_clip
from maskferry import masks, metrics
from maskferry.association import AssociationOptions
from maskferry.data import FrameMasks, MaskPrompt, ObjectMask, State, VideoInfo
from maskferry.detections import Detections, detect_kind, from_columns, read_detections
from maskferry.errors import MaskferryError, MaskferryWarning
from maskferry.formats import (
    _coco_images,
    _cvat,
    _frame_table,
    _label_studio,
    _labelme,
    _mot,
    _mots,
    _table,
    _youtube_vis,
    read_label_map,
    read_seeds,
)
from maskferry.formats._reading import Target
from maskferry.prompts._checks import box_prompt, point_prompt
from maskferry.rle import Rle
from maskferry.samgeo import SamGeo3Video
from maskferry.sources import download_file, open_source, parse_rate
from maskferry.tracker import MaskTracker
from maskferry.tracks import FrameRange

HEIGHT, WIDTH, COUNT = 24, 33, 3
SIZE = (HEIGHT, WIDTH)
VIDEO = VideoInfo(WIDTH, HEIGHT, Fraction(25), COUNT, "clip")

Case = Callable[[random.Random, Path], object]


class Raising:
    """Raises whatever somebody does with it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __array__(self, *_: object, **__: object) -> Any:
        raise ZeroDivisionError("no array")

    def __len__(self) -> int:
        raise OverflowError("no length")

    def __iter__(self) -> Iterator[Any]:
        raise ArithmeticError("no items")

    def __getitem__(self, key: object) -> Any:
        raise MemoryError("no item")

    def __float__(self) -> float:
        raise RecursionError("no number")

    def __index__(self) -> int:
        raise AttributeError("no index")

    def __bool__(self) -> bool:
        raise NotImplementedError("neither")

    def __eq__(self, other: object) -> bool:
        raise EOFError("not equal")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("cannot be shown")


class Lying:
    """Says that it has a shape and a length, and has not."""

    shape, dtype, ndim = (HEIGHT, WIDTH), np.dtype(bool), 2

    def __len__(self) -> int:
        return 10

    def __getitem__(self, key: object) -> Any:
        raise KeyError(key)


def endless() -> Iterator[int]:
    """A generator that stops, but late."""
    yield from range(200_000)


NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 100, 255, 256, 2**31, 2**63, 2**64, -(2**70), 10**400, 0.5, 1.5, -0.5, 1e308, -1e308, 1e-320),
    *(float("nan"), float("inf"), float("-inf"), 1j, True, False, None, "", "1", "x", "1/0", "1e999999999", b"1", "²"),
    *(Decimal("1.5"), Decimal("NaN"), Decimal("sNaN"), Fraction(1, 3), Fraction(1, 10**400)),
    *(np.int8(3), np.uint64(2**63), np.float32("nan"), np.float16(2), np.bool_(True), np.str_("a"), np.complex64(1)),
    *(np.array(3), np.array([3]), np.array(2.5), np.array("x"), np.datetime64("2020-01-01"), np.array([[1]])),
    *((), [], {}, set(), [1], (1, 2), range(3), object(), int, len, Raising(), Lying(), SimpleNamespace()),
)


def number(rng: random.Random) -> Any:
    """Something in the place of a number."""
    return rng.choice(NUMBERS)


def objects(values: list[Any]) -> np.ndarray:
    """An array of objects, which numpy does not look into."""
    out = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        out[i : i + 1] = [value] if not isinstance(value, Raising | np.ndarray) else [str]
    return out


def array(rng: random.Random) -> Any:
    """Something in the place of an array."""
    kinds = ("?", "u1", "i2", "u2", "i8", "u8", "f2", "f4", "f8", "c8", "O", "U3", "S2", "M8[s]", "V4")
    shapes = (
        (),
        (0,),
        (1,),
        (4,),
        SIZE,
        (*SIZE, 1),
        (1, *SIZE),
        (2, *SIZE),
        (2, 1, *SIZE),
        (*SIZE, 3),
        (3, 0, 5),
        (7, 5),
    )
    chosen: list[Callable[[], Any]] = [
        lambda: np.random.default_rng(rng.getrandbits(32)).integers(0, 3, rng.choice(shapes)).astype(rng.choice(kinds)),
        lambda: np.zeros(rng.choice(shapes), rng.choice(kinds)),
        lambda: np.full(rng.choice(shapes), rng.choice([np.nan, np.inf, -np.inf, -1.0, 1e300, 0.7])),
        lambda: np.ones(SIZE, bool)[:: rng.choice([-1, 2]), ::-1],
        lambda: np.asfortranarray(np.ones(SIZE, rng.choice(["?", "u1", "f4"]))),
        lambda: np.ones(SIZE, ">f8"),
        lambda: objects([number(rng) for _ in range(4)]),
        lambda: np.ma.masked_array(np.ones(SIZE), np.ones(SIZE, bool)),
        lambda: np.broadcast_to(np.ones(1, bool), SIZE),
    ]
    return rng.choice(chosen)()


def anything(rng: random.Random, depth: int = 0) -> Any:
    """A value of any kind, such as a list of them, ragged."""
    kind = rng.randrange(8 if depth < 3 else 2)
    if kind in (0, 6):
        return number(rng)
    if kind in (1, 7):
        return array(rng)
    if kind == 2:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind == 3:
        return tuple(anything(rng, depth + 1) for _ in range(rng.randrange(5)))
    if kind == 4:
        return {rng.choice(["size", "counts", "masks", 1, None]): anything(rng, depth + 1) for _ in range(3)}
    return rng.choice([endless, lambda: (number(rng) for _ in range(3))])()


def maybe(rng: random.Random, good: Any, share: float = 0.5) -> Any:
    """A good value, or any other."""
    return good if rng.random() < share else anything(rng)


def good_mask() -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[3:9, 4:20] = True
    return mask


# --- masks and RLEs -------------------------------------------------------------------------------------------------


def case_masks(rng: random.Random, folder: Path) -> object:
    """Functions of masks alone."""
    a, b = maybe(rng, good_mask()), maybe(rng, good_mask())
    rle, other = maybe(rng, Rle.encode(good_mask())), maybe(rng, Rle.encode(good_mask()))
    row = ObjectMask(1, Rle.encode(good_mask()), 0.5, State.TRACKED)
    calls: list[Callable[[], object]] = [
        lambda: masks.as_mask(a, maybe(rng, SIZE, 0.8)),
        lambda: masks.as_masks(maybe(rng, [a, b]), maybe(rng, SIZE, 0.8)),
        lambda: masks.binarize(a),
        lambda: masks.to_numpy(a, "x"),
        lambda: masks.label_dtype(number(rng)),
        lambda: masks.split_labels(a, void=number(rng)),
        lambda: masks.to_label_map(
            maybe(rng, FrameMasks(0, SIZE, (row,))), overlap=maybe(rng, "score"), dtype=number(rng)
        ),
        lambda: masks.assign(a, number(rng)),
        lambda: masks.iou_matrix([rle], [other]),
        lambda: masks.share_matrix(maybe(rng, [rle]), maybe(rng, [other])),
        lambda: masks.merge(maybe(rng, row), maybe(rng, row), number(rng)),
        lambda: masks.join(anything(rng)),
        lambda: masks.parts_of(a),
        lambda: masks.rasterize(maybe(rng, np.array([[0.0, 0], [9, 0], [9, 9]])), maybe(rng, SIZE)),
        lambda: masks.box_xyxy(a),
        lambda: masks.centroid_xy(a),
        lambda: masks.centroid_of_rle_xy(rle),
        lambda: masks.intersection_over_union(a, b),
        lambda: masks.signed_distance(a),
        lambda: masks.appearance(array(rng), rle),
        lambda: masks.similarity(a, b),
    ]
    return rng.choice(calls)()


def case_rle(rng: random.Random, folder: Path) -> object:
    """RLEs."""
    noise = bytes(rng.randrange(40, 115) for _ in range(rng.randrange(9)))
    counts = rng.choice(
        [Rle.encode(good_mask()).counts, noise, anything(rng), [rng.randrange(-5, 900) for _ in range(4)]]
    )
    size = maybe(rng, rng.choice([SIZE, list(SIZE), (HEIGHT, -1), (10**9, 10**9)]), 0.8)
    calls: list[Callable[[], object]] = [
        lambda: Rle.from_coco(maybe(rng, {"size": size, "counts": counts}, 0.9)).decode(),
        lambda: Rle(size, counts).check(),
        lambda: Rle(size, counts).decode(),
        lambda: Rle(size, counts).decode_crop(),
        lambda: (Rle(SIZE, noise).area, Rle(SIZE, noise).box_xyxy, Rle(SIZE, noise).runs),
        lambda: Rle.encode(anything(rng)),
        lambda: Rle.encode_crop(maybe(rng, good_mask()), maybe(rng, (0, 0)), size),
        lambda: Rle.empty(size),
    ]
    return rng.choice(calls)()


# --- options --------------------------------------------------------------------------------------------------------


def case_options(rng: random.Random, folder: Path) -> object:
    """Numbers as options."""
    names = (
        "every",
        "on_loss",
        "new_area",
        "min_score",
        "min_iou",
        "min_looks",
        "reach",
        "covered",
        "confirm",
        "patience",
    )
    calls: list[Callable[[], object]] = [
        lambda: AssociationOptions(**{rng.choice(names): anything(rng)}),
        lambda: VideoInfo(
            **{"width": 9, "height": 9, rng.choice(["width", "rate", "frame_count", "name"]): anything(rng)}
        ),
        lambda: parse_rate(anything(rng)),
        lambda: VIDEO.check_frame(anything(rng)),
        lambda: point_prompt(0, 1, maybe(rng, [[3, 4]]), maybe(rng, [1]), VIDEO),
        lambda: box_prompt(0, 1, maybe(rng, rng.choice([[3, 4, number(rng), 9], array(rng)])), VIDEO),
        lambda: download_file(maybe(rng, "ftp://x"), timeout=number(rng)),
        lambda: download_file("http://127.0.0.1:1/a", **{rng.choice(["timeout", "slowest", "most_bytes"]): "x"}),
    ]
    return rng.choice(calls)()


# --- frames ---------------------------------------------------------------------------------------------------------


def case_source(rng: random.Random, folder: Path) -> object:
    """Frames that are none, and wrong indices."""
    frames = np.zeros((COUNT, *SIZE, 3), np.uint8)
    made = rng.choice([frames, list(frames), iter(frames), anything(rng), [anything(rng)], folder, folder / "clip.mp4"])
    with open_source(made, rate=None if rng.random() < 0.7 else anything(rng)) as source:
        source.frame_info(maybe(rng, 0))
        for _ in zip(range(5), source.frames(maybe(rng, [0, 1])), strict=False):
            pass
    return None


# --- detections -----------------------------------------------------------------------------------------------------


def lookalike(rng: random.Random) -> Any:
    """Another model's result with something wrong in it."""
    stack = np.stack([good_mask(), good_mask()])
    m, s, n = maybe(rng, stack, 0.7), maybe(rng, np.array([0.5, 0.9]), 0.7), maybe(rng, np.array([1, 2]), 0.7)
    boxes = SimpleNamespace(cls=n, id=maybe(rng, n), conf=s, data=m)
    segments = [{"id": maybe(rng, i), "label_id": number(rng), "score": number(rng)} for i in (0, 1)]
    made: list[Callable[[], Any]] = [
        lambda: SimpleNamespace(
            orig_shape=maybe(rng, SIZE),
            boxes=maybe(rng, boxes),
            masks=maybe(rng, SimpleNamespace(data=m, xy=m)),
            names=n,
        ),
        lambda: SimpleNamespace(
            xyxy=m, mask=m, confidence=s, class_id=n, tracker_id=n, data=maybe(rng, {"class_name": n})
        ),
        lambda: SimpleNamespace(
            image_size=maybe(rng, SIZE), has=lambda _: True, pred_masks=m, pred_classes=n, scores=s
        ),
        lambda: SimpleNamespace(image_size=SIZE, has=maybe(rng, lambda _: True)),
        lambda: {"instances": anything(rng)},
        lambda: {"panoptic_seg": (maybe(rng, stack[0].astype(int)), maybe(rng, segments))},
        lambda: {"segmentation": maybe(rng, stack[0].astype(int)), "segments_info": maybe(rng, segments)},
        lambda: [{"segmentation": maybe(rng, stack[0]), "predicted_iou": number(rng)}],
        lambda: [{"segmentation": {"size": anything(rng), "counts": anything(rng)}}],
        lambda: [{"mask": maybe(rng, stack[0]), "label": anything(rng), "score": number(rng)}],
        lambda: {"boxes": s, "labels": n, "scores": s, "masks": m},
        lambda: SimpleNamespace(pred_instances=maybe(rng, SimpleNamespace(masks=m, labels=n, scores=s)), ori_shape=n),
        lambda: {"predictions": maybe(rng, [{"labels": n, "scores": s, "masks": m}])},
        lambda: {"predictions": [{"points": anything(rng), "confidence": number(rng)}], "image": anything(rng)},
        lambda: {"predictions": [{"points": [{"x": number(rng), "y": number(rng)}] * 3, "masks": anything(rng)}]},
        lambda: {"annotations": [{"segmentation": anything(rng), "category_id": number(rng)}], "image": anything(rng)},
        lambda: [{"segmentation": [[number(rng), number(rng), 1.5, 2, 3, 4]], "score": number(rng)}],
        lambda: maybe(rng, {1: m, rng.randint(-1, 3): m}),
        lambda: ({"boxes": s, "labels": maybe(rng, ["a", "b"]), "scores": s}, m),
        lambda: {"masks": m, "scores": s},
        lambda: Detections(maybe(rng, [stack[0]]), maybe(rng, [0.5]), maybe(rng, ["a"]), maybe(rng, [1])),
        lambda: anything(rng),
    ]
    return rng.choice(made)()


def case_detections(rng: random.Random, folder: Path) -> object:
    """Results of other models."""
    value = lookalike(rng)
    value = [value] if rng.random() < 0.2 else value
    names = None if rng.random() < 0.6 else anything(rng)
    calls: list[Callable[[], object]] = [
        lambda: read_detections(value, maybe(rng, SIZE, 0.9), min_score=maybe(rng, 0.1, 0.9), names=names),
        lambda: detect_kind(value),
        lambda: from_columns(
            maybe(rng, [good_mask()]), SIZE, "x", scores=anything(rng), labels=anything(rng), ids=anything(rng)
        ),
        lambda: Detections([good_mask()], [0.5]).at_least(anything(rng)),
    ]
    return rng.choices(calls, (8, 1, 2, 1))[0]()


# --- files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A file that can be read."""

    name: str
    data: bytes


def samples(folder: Path) -> list[Sample]:
    """Small files of every kind."""
    picture = PIL.Image.fromarray(np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(SIZE) % 4)
    found = []
    for name in ("a.png", "a.tif", "a.gif", "a.bmp", "a.jpg", "a.webp", "a.ppm"):
        buffer = io.BytesIO()
        with contextlib.suppress(OSError, KeyError):
            picture.save(buffer, format=PIL.Image.registered_extensions()[Path(name).suffix])
            found.append(Sample(name, buffer.getvalue()))
    deep = io.BytesIO()
    PIL.Image.fromarray(np.ones(SIZE, np.uint16) * 1001).save(deep, format="TIFF", compression="tiff_lzw")
    found.append(Sample("deep.tif", deep.getvalue()))
    clip = make_clip(folder / "clip.mp4", COUNT)
    found.append(Sample("clip.mp4", clip.read_bytes()))
    rle = Rle.encode(good_mask()).to_coco()
    image = {"id": 1, "width": WIDTH, "height": HEIGHT, "file_name": "a.jpg", "frame_index": 0, "video_id": 1}
    annotation = {
        "id": 1,
        "image_id": 1,
        "video_id": 1,
        "category_id": 1,
        "segmentation": rle,
        "score": 0.5,
        "track_id": 1,
    }
    categories = [{"id": 1, "name": "dog"}]
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": 2, "file_names": ["0.jpg", "1.jpg"], "name": "v"}
    own = {"states": ["given", None], "scores": [1.0, None], "label": "dog"}
    vis = {"id": 1, "video_id": 1, "category_id": 1, "segmentations": [rle, None], "maskferry": own}
    shape = {"label": "a", "group_id": 1, "shape_type": "polygon", "points": [[1, 1], [9, 1], [9, 9]]}
    extra: dict[str, Any] = {
        "index": 0,
        "time": None,
        "name": "0",
        "objects": {"1": ["given", 1.0]},
        "lost": [],
        "unnamed": [],
    }
    key = {"frame": 1, "x": 1, "y": 1, "width": 9, "height": 9, "rotation": 0, "enabled": True}
    result = {"id": "1", "type": "videorectangle", "value": {"sequence": [key], "labels": ["dog"]}}
    trees: dict[str, object] = {
        "vis.json": {"videos": [video], "annotations": [vis], "categories": categories},
        "results.json": [{"video_id": 1, "category_id": 1, "segmentations": [rle, None], "score": 0.5}],
        "coco.json": {"images": [image], "annotations": [annotation], "categories": categories},
        "tao.json": {
            "images": [image],
            "annotations": [annotation],
            "categories": categories,
            "tracks": [{"id": 1, "category_id": 1}],
            "videos": [{"id": 1, "name": "v"}],
        },
        "sam.json": [{"segmentation": rle}],
        "labelme.json": {
            "imageWidth": WIDTH,
            "imageHeight": HEIGHT,
            "imagePath": "a.jpg",
            "shapes": [shape],
            "maskferry": extra,
        },
        "studio.json": [
            {"annotations": [{"result": [result]}], "meta": {"maskferry": {"width": WIDTH, "height": HEIGHT}}}
        ],
    }
    item = {
        "id": "a",
        "annotations": [
            {"type": "mask", "rle": rle, "label_id": 0, "attributes": {"track_id": 1}},
            {"type": "polygon", "points": [1, 1, 9, 1, 9, 9], "label_id": 0},
            {"type": "ellipse", "points": [1, 1, 9, 9], "label_id": 0},
        ],
        "image": {"path": "a.jpg", "size": [HEIGHT, WIDTH]},
        "attr": {"frame": 1},
    }
    trees["datumaro.json"] = {"categories": {"label": {"labels": [{"name": "dog"}]}}, "items": [item]}
    trees["sa.json"] = {"image": {"width": WIDTH, "height": HEIGHT, "file_name": "a.jpg"}, "annotations": [annotation]}
    outlines: list[tuple[str, dict[str, object]]] = [
        ("polygonlabels", {"points": [[1, 1], [50, 1], [50, 50]], "polygonlabels": ["dog"]}),
        ("rectanglelabels", {"x": 1, "y": 1, "width": 9, "height": 9, "rotation": 3}),
        ("ellipselabels", {"x": 30, "y": 30, "radiusX": 9, "radiusY": 9, "rotation": 3}),
    ]
    results = [{"type": k, "value": v, "original_width": WIDTH, "original_height": HEIGHT} for k, v in outlines]
    trees["pictures.json"] = [{"data": {"image": "a.jpg"}, "annotations": [{"result": results}]}]
    found += [Sample(name, json.dumps(tree).encode()) for name, tree in trees.items()]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("annotations/a.json", json.dumps(trees["coco.json"]))
    found += [Sample("export.zip", buffer.getvalue()), Sample("yolo.txt", b"0 0.1 0.1 0.5 0.1 0.5 0.5\n")]
    images = (
        '<annotations><meta/><image id="0" name="a.jpg" width="33" height="24"><box label="a" xtl="1" ytl="1" xbr="9" '
        'ybr="9" rotation="3"/><ellipse label="a" group_id="2" cx="9" cy="9" rx="3" ry="3"/></image></annotations>'
    )
    found.append(Sample("images.xml", images.encode()))
    cvat = (
        "<annotations><meta><task><size>2</size><original_size><width>33</width><height>24</height></original_size>"
        '<labels><label><name>a</name></label></labels></task></meta><track id="0" label="a"><polygon frame="0" '
        'points="1,1;9,1;9,9" outside="0" occluded="0"/><mask frame="1" left="1" top="1" width="2" height="2" '
        'rle="1,3"/></track></annotations>'
    )
    found.append(Sample("cvat.xml", cvat.encode()))
    found.append(Sample("mots.txt", f"0 2001 2 24 33 {rle['counts']}\n".encode()))
    found.append(Sample("mot.csv", b"1,1,5,5,9,9,0.5,-1,-1,-1\n"))
    row = "0,0.0,a,1,dog,given,1.0,4,1,1,3,3,1.5,1.5,\n"
    found.append(Sample("table.csv", (",".join(_table.COLUMNS) + "\n" + row).encode()))
    found.append(Sample("t.frames.csv", b"index,time,name\n0,0.0,a\n"))
    return found


def damage(rng: random.Random, sample: Sample) -> bytes:
    """A file with something wrong: bytes, or a value of its JSON."""
    if sample.name.endswith(".json") and rng.random() < 0.7:
        tree = json.loads(sample.data)
        with contextlib.suppress(ValueError, RecursionError):  # what was put in twice may hold itself
            for _ in range(rng.choice([1, 1, 2])):
                _spoil(rng, tree)
            return json.dumps(tree).encode()
    data = bytearray(sample.data)
    for _ in range(rng.choice([1, 1, 2, 5, 30])):
        if not data:
            break
        at = rng.randrange(len(data)) if rng.random() < 0.5 else rng.randrange(min(len(data), 200))
        change = rng.randrange(5)
        if change == 0:
            del data[at:]
        elif change == 1:
            del data[at : at + rng.randrange(9)]
        elif change == 2:
            data[at : at + 1] = rng.choice(
                [b"", b"\0", b"\xff" * 4, b"9" * 30, b"-1", b"nan", b"1e999", b",", b"\n", b"<"]
            )
        else:
            data[at] = rng.randrange(256)
    return bytes(data)


_SPOILS: tuple[Any, ...] = (
    *(None, True, 0, -1, 2, 10**30, 1.5, 1e400, float("nan"), "", "x", "../a", "\ud800", "\0", [], {}, [[]], [None]),
    *(
        {"a": 1},
        [1, 2, 3],
        [[1, 2, 3, 4, 5, 6]],
        "9" * 5000,
        10**400,
        [10**400],
        {"size": [24, 33], "counts": [10**400]},
    ),
)


def _spoil(rng: random.Random, tree: Any) -> None:
    """Replace one value, anywhere in a tree."""
    places = []

    def walk(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    node, key = rng.choice(places)
    if isinstance(node, dict) and rng.random() < 0.2:
        del node[key]
    else:
        node[key] = rng.choice(_SPOILS)


READERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    "vis.json": (_youtube_vis.read, read_seeds),
    "results.json": (_youtube_vis.read, read_seeds),
    "coco.json": (read_seeds, _coco_images.read),
    "tao.json": (_coco_images.read, read_seeds),
    "sam.json": (read_seeds,),
    "labelme.json": (_labelme.read, read_seeds, lambda path: _labelme.read_folder(path.parent)),
    "studio.json": (_label_studio.read, lambda path: _label_studio.read(path, size_hw=SIZE)),
    "cvat.xml": (_cvat.read, read_seeds),
    "mots.txt": (_mots.read, read_seeds),
    **dict.fromkeys(
        ("datumaro.json", "sa.json", "pictures.json", "export.zip", "yolo.txt", "images.xml"),
        (lambda path: read_seeds(path, target=Target(SIZE, COUNT)),),
    ),
    "mot.csv": (_mot.read,),
    "table.csv": (_table.read,),
    "t.frames.csv": (lambda path: _frame_table.read_frames(path.with_name("t.txt")),),
}


def read_frames(path: Path) -> None:
    """Open as a source, and decode."""
    with open_source(path) as source:
        for _ in zip(range(2), source.frames(range(source.info.frame_count or 1)), strict=False):
            pass


def read_mots_folder(path: Path) -> None:
    """Read as a picture of MOTS."""
    _mots.read_folder(path.rename(path.with_stem("000000")).parent)


def case_files(rng: random.Random, folder: Path) -> object:
    """Damaged files."""
    sample = rng.choice(_samples(folder))
    place = Path(tempfile.mkdtemp(dir=folder))
    path = place / sample.name
    path.write_bytes(damage(rng, sample))
    default: tuple[Callable[..., object], ...] = (
        read_frames,
        read_frames,
        read_seeds,
        read_label_map,
        read_mots_folder,
    )
    if sample.name.endswith(".mp4"):
        default = (read_frames,)
    return rng.choice(READERS.get(sample.name, default))(path)


_made: dict[Path, list[Sample]] = {}


def _samples(folder: Path) -> list[Sample]:
    if folder not in _made:
        _made[folder] = samples(folder)
    return _made[folder]


# --- sessions -------------------------------------------------------------------------------------------------------


def case_tracker(rng: random.Random, folder: Path) -> object:
    """Prompts and options of a session."""
    with MaskTracker(np.zeros((COUNT, *SIZE, 3), np.uint8), engine="hold") as tracker:
        calls: list[Callable[[], object]] = [
            lambda: tracker.add_mask_prompt(
                maybe(rng, good_mask()), maybe(rng, 1), maybe(rng, 0), label=maybe(rng, "a")
            ),
            lambda: tracker.add_masks_prompt(lookalike(rng), maybe(rng, None), maybe(rng, 0), labels=maybe(rng, None)),
            lambda: tracker.add_point_prompts(maybe(rng, [[3, 4]]), maybe(rng, [1]), maybe(rng, 1), maybe(rng, 0)),
            lambda: tracker.add_box_prompt(maybe(rng, [1, 2, 9, 9]), maybe(rng, 1), maybe(rng, 0)),
            lambda: tracker.generate_masks(anything(rng), maybe(rng, 0)),
            lambda: tracker.remove_object(anything(rng)),
            lambda: tracker.frame(anything(rng)),
            lambda: tracker.init_tracker(anything(rng)),
            lambda: tracker.add_masks_file(maybe(rng, folder / "clip.mp4"), maybe(rng, 0)),
        ]
        for _ in range(2):
            with contextlib.suppress(MaskferryError):
                rng.choice(calls)()
        tracker.add_mask_prompt(good_mask(), 5, replace=True)
        options = {rng.choice(["direction", "start", "stop", "stride", "association", "detector"]): anything(rng)}
        tracker.propagate(**options)
    return None


def case_range(rng: random.Random, folder: Path) -> object:
    """Ranges of frames."""
    return FrameRange(anything(rng), anything(rng), anything(rng)).within(maybe(rng, COUNT))


def case_samgeo(rng: random.Random, folder: Path) -> object:
    """The face of samgeo."""
    with contextlib.redirect_stdout(io.StringIO()):
        sam = SamGeo3Video(engine="hold")
        sam.set_video(maybe(rng, np.zeros((COUNT, *SIZE, 3), np.uint8), 0.8), frame_rate=maybe(rng, None, 0.8))
        calls: list[Callable[[], object]] = [
            lambda: sam.add_mask_prompt(maybe(rng, good_mask()), maybe(rng, 1), maybe(rng, 0)),
            lambda: sam.add_masks_prompt(lookalike(rng), maybe(rng, None), maybe(rng, 0)),
            lambda: sam.add_point_prompts(anything(rng), maybe(rng, [1]), maybe(rng, 1), maybe(rng, 0)),
            lambda: sam.add_box_prompt(anything(rng), maybe(rng, 1), maybe(rng, 0)),
            lambda: sam.remove_object(anything(rng)),
            lambda: sam.init_tracker(anything(rng)),
            lambda: MaskPrompt(0, 1, good_mask()),
        ]
        return rng.choice(calls)()


def case_metrics(rng: random.Random, folder: Path) -> object:
    """Scores of masks."""
    if rng.random() < 0.5:
        name = rng.choice(["region_similarity", "boundary_accuracy"])
        return getattr(metrics, name)(maybe(rng, good_mask()), maybe(rng, good_mask()))
    return metrics.score_sequence(
        [maybe(rng, good_mask().astype(np.uint8))], [maybe(rng, good_mask().astype(np.uint8))]
    )


CASES: dict[str, tuple[Case, int]] = {
    "masks": (case_masks, 4),
    "rle": (case_rle, 3),
    "options": (case_options, 3),
    "source": (case_source, 2),
    "detections": (case_detections, 5),
    "files": (case_files, 8),
    "range": (case_range, 1),
    "samgeo": (case_samgeo, 2),
    "metrics": (case_metrics, 1),
}
"""Each with its share."""


def escaped(case: Case, seed: int, folder: Path) -> str | None:
    """Where an untyped exception or warning comes from; None where nothing does."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", MaskferryWarning)
            case(random.Random(seed), folder)
    except MaskferryError:
        return None
    except Exception as err:
        frames = [f for f in traceback.extract_tb(err.__traceback__) if "/maskferry/" in f.filename.replace("\\", "/")]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno} {frames[-1].name}" if frames else "the harness"
        own = [f for f in traceback.extract_tb(err.__traceback__) if f.filename == __file__]
        return f"{place}: {type(err).__name__}: {str(err)[:80]} (fuzz.py:{own[-1].lineno})"
    return None


def run(cases: int, seed: int, chosen: dict[str, tuple[Case, int]], folder: Path) -> Counter[str]:
    """Try so many cases; gives {where something untyped came from: how often}."""
    rng, found = random.Random(seed), Counter[str]()
    names = [name for name, (_, share) in chosen.items() for _ in range(share)]
    for _ in range(cases):
        name, number_of_case = rng.choice(names), rng.getrandbits(48)
        place = escaped(chosen[name][0], number_of_case, folder)
        if place is not None:
            found[f"{name}: {place}"] += 1
    return found


def main() -> int:
    """Try as many cases as asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    wanted = parser.parse_args()
    chosen = {name: case for name, case in CASES.items() if not wanted.only or name in wanted.only}
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        found = run(wanted.cases, wanted.seed, chosen, Path(folder))
    for place, times in found.most_common():
        sys.stdout.write(f"{times:5} {place}\n")
    sys.stdout.write(f"{sum(found.values())} of {wanted.cases} cases, from {len(found)} places\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
