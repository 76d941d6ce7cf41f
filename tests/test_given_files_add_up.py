"""Nothing of a file is lost without a word: its records are masks, are counted as left out, or the file is refused."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskferry.errors import InputError, LeftOutWarning
from maskferry.formats import Seeds, read_seeds
from maskferry.formats._reading import Target
from maskferry.rle import Rle

HEIGHT, WIDTH = 24, 32
VIDEO = Target((HEIGHT, WIDTH), 50)

Box = tuple[int, int, int, int]


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x, y = draw(st.integers(0, WIDTH - 2)), draw(st.integers(0, HEIGHT - 2))
    return x, y, draw(st.integers(x + 1, WIDTH)), draw(st.integers(y + 1, HEIGHT))


KINDS = ("good", "line", "nothing", "odd", "far", "flat")
records = st.lists(st.tuples(st.sampled_from(KINDS), boxes()), min_size=1, max_size=7)


def outline(kind: str, box: Box) -> list[float]:
    x1, y1, x2, y2 = box
    drawn: dict[str, list[float]] = {
        "good": [x1, y1, x2, y1, x2, y2, x1, y2],
        "line": [x1, y1, x2, y2],
        "nothing": [],
        "odd": [x1, y1, x2, y2, x1, y2, 3],
        "far": [x1, y1, x2, y2, 1e6, 1e6],
        "flat": [x1, y1, x2, y1, x1, y1],
    }
    return drawn[kind]


def area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def counted(seeds: Seeds) -> int:
    return sum(int(line.split()[0]) for line in seeds.left_out)


def coco(found: Sequence[tuple[str, Box]]) -> dict[str, Any]:
    image = {"id": 1, "file_name": "frame_000007.png", "width": WIDTH, "height": HEIGHT}
    notes = [{"image_id": 1, "segmentation": [outline(*f)] if f[0] != "nothing" else []} for f in found]
    return {"images": [image], "annotations": notes}


def masks(found: Sequence[tuple[str, Box]]) -> list[Any]:
    return [{"segmentation": [outline(*f)] if f[0] != "nothing" else None} for f in found]


def pairs(flat: list[float]) -> list[list[float]]:
    return [flat[i : i + 2] for i in range(0, len(flat), 2)]


def labelme(found: Sequence[tuple[str, Box]]) -> dict[str, Any]:
    shapes = [{"label": "a", "shape_type": "polygon", "points": pairs(outline(*f))} for f in found]
    return {"imageHeight": HEIGHT, "imageWidth": WIDTH, "imagePath": "frame_000007.png", "shapes": shapes}


def datumaro(found: Sequence[tuple[str, Box]]) -> dict[str, Any]:
    notes = [{"type": "points" if f[0] == "nothing" else "polygon", "points": outline(*f)} for f in found]
    item = {"id": "frame_000007", "annotations": notes, "image": {"size": [HEIGHT, WIDTH]}}
    return {"categories": {}, "items": [item]}


def label_studio(found: Sequence[tuple[str, Box]]) -> list[Any]:
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    results = []
    for f in found:
        shares = [100 * v / (HEIGHT if i % 2 else WIDTH) for i, v in enumerate(outline(*f))]
        results.append({"type": "polygonlabels", "value": {"points": pairs(shares)}, **size})
    return [{"data": {"image": "frame_000007.png"}, "annotations": [{"result": results}]}]


FILES: dict[str, Callable[[Sequence[tuple[str, Box]]], Any]] = {
    "coco": coco,
    "masks": masks,
    "labelme": labelme,
    "datumaro": datumaro,
    "label_studio": label_studio,
}


def check(path: Path, found: Sequence[tuple[str, Box]], frame: int) -> None:
    """Its records add up, and strict reading takes all of them or none."""
    good = [box for kind, box in found if kind == "good"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            seeds = read_seeds(path, target=VIDEO)
        except InputError as err:
            assert not good and "left out" in str(err)
            return
    assert [p.frame for p in seeds.prompts] == [frame] * len(good)
    assert sorted(int(p.mask.sum()) for p in seeds.prompts) == sorted(map(area, good))
    assert counted(seeds) == len(found) - len(good)
    assert [w.category for w in told] == [LeftOutWarning] * (len(good) < len(found))
    if len(good) < len(found):
        with pytest.raises(InputError):
            read_seeds(path, target=VIDEO, strict=True)


@pytest.mark.parametrize("kind", FILES)
@given(found=records)
@settings(max_examples=15, deadline=None)
def test_outlines(tmp_path_factory: pytest.TempPathFactory, kind: str, found: Sequence[tuple[str, Box]]) -> None:
    path = tmp_path_factory.mktemp("given") / "a.json"
    path.write_text(json.dumps(FILES[kind](found)))
    check(path, found, 0 if kind == "masks" else 7)


@given(found=records)
@settings(max_examples=15, deadline=None)
def test_yolo(tmp_path_factory: pytest.TempPathFactory, found: Sequence[tuple[str, Box]]) -> None:
    path = tmp_path_factory.mktemp("given") / "frame_000007.txt"
    lines = []
    for f in found:
        shares = [v / (HEIGHT if i % 2 else WIDTH) for i, v in enumerate(outline(*f))]
        lines.append(" ".join(["0", *map(str, shares)]) if shares else "0 0.5 0.5 0.25 0.25")
    path.write_text("\n".join(["0 0.5 0.5 0.25 0.25", *lines]))  # a box first, by which it is known
    check(path, [("box", (0, 0, 1, 1)), *found], 7)


@given(found=st.lists(st.tuples(st.sampled_from((*KINDS, "between", "outside")), boxes()), min_size=1, max_size=9))
@settings(max_examples=25, deadline=None)
def test_tracks_of_cvat(tmp_path_factory: pytest.TempPathFactory, found: Sequence[tuple[str, Box]]) -> None:
    path = tmp_path_factory.mktemp("given") / "a.xml"
    shapes = []
    for frame, (kind, box) in enumerate(found):
        drawn = outline("good" if kind in ("between", "outside") else kind, box)
        points = ";".join(",".join(map(str, xy)) for xy in pairs(drawn))
        told = f'keyframe="{int(kind != "between")}" outside="{int(kind == "outside")}" occluded="{frame % 2}"'
        shapes.append(f'<polygon frame="{frame}" {told} points="{points}"/>')
    path.write_text(f'<annotations><track id="0" label="a">{"".join(shapes)}</track></annotations>')
    good = {frame: area(box) for frame, (kind, box) in enumerate(found) if kind == "good"}
    between = sum(kind == "between" for kind, _ in found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            seeds = read_seeds(path, target=VIDEO)
        except InputError:
            assert not good
            return
    assert {p.frame: int(p.mask.sum()) for p in seeds.prompts} == good
    assert counted(seeds) == sum(kind not in ("good", "between", "outside") for kind, _ in found)
    assert any(note.startswith(f"{between} masks") for note in seeds.notes) == (between > 0)


masks_of_a_video = st.lists(
    st.tuples(st.sampled_from(("rle", "null", "other", "code")), boxes()), min_size=4, max_size=4
)


@given(found=st.lists(masks_of_a_video))
@settings(max_examples=15, deadline=None)
def test_objects_of_a_video(tmp_path_factory: pytest.TempPathFactory, found: list[list[tuple[str, Box]]]) -> None:
    def segmentation(kind: str, box: Box) -> Any:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[box[1] : box[3], box[0] : box[2]] = True
        rle = Rle.encode(mask).to_coco()
        return {"rle": rle, "null": None, "other": {**rle, "size": [5, 5]}, "code": {**rle, "counts": "~"}}[kind]

    path = tmp_path_factory.mktemp("given") / "a.json"
    video = {"id": 1, "width": WIDTH, "height": HEIGHT, "length": 4}
    notes = [{"id": i, "video_id": 1, "segmentations": [segmentation(*f) for f in o]} for i, o in enumerate(found, 1)]
    path.write_text(json.dumps({"videos": [video], "annotations": notes}))
    good = [(k, i, area(box)) for i, item in enumerate(found, 1) for k, (kind, box) in enumerate(item) if kind == "rle"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            seeds = read_seeds(path)
        except InputError:
            assert not good
            return
    assert [(p.frame, p.object_id, int(p.mask.sum())) for p in seeds.prompts] == sorted(good)
    assert counted(seeds) == sum(kind in ("other", "code") for item in found for kind, _ in item)


def filled(box: Box, value: int = 1) -> np.ndarray[Any, np.dtype[np.uint8]]:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = value
    return mask


def sums(seeds: Seeds) -> dict[tuple[int, int], int]:
    """{(frame, object id): pixels}."""
    return {(p.frame, p.object_id): int(p.mask.sum()) for p in seeds.prompts}


def read_quietly(path: Path, **options: Any) -> Seeds | None:
    """What a file holds; None where it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return read_seeds(path, target=VIDEO, **options)
        except InputError:
            return None


@given(found=st.lists(st.tuples(st.sampled_from(("car", "ignored")), boxes()), min_size=1, max_size=6))
@settings(max_examples=15, deadline=None)
def test_lines_of_mots(tmp_path_factory: pytest.TempPathFactory, found: Sequence[tuple[str, Box]]) -> None:
    path = tmp_path_factory.mktemp("given") / "0001.txt"
    lines = []
    for frame, (kind, box) in enumerate(found):
        numbers = "1001 1" if kind == "car" else "10000 10"
        counts = Rle.encode(filled(box).astype(bool)).to_coco()["counts"]
        lines.append(f"{frame} {numbers} {HEIGHT} {WIDTH} {counts}\n")
    path.write_text("".join(lines))
    good = {(frame, 1001): area(box) for frame, (kind, box) in enumerate(found) if kind == "car"}
    seeds = read_quietly(path, first_frame=0)
    assert good if seeds else not good
    if seeds is not None:
        assert sums(seeds) == good
        assert counted(seeds) == len(found) - len(good)


@given(found=st.lists(boxes(), min_size=1, max_size=4), others=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_a_folder_of_objects(tmp_path_factory: pytest.TempPathFactory, found: Sequence[Box], others: int) -> None:
    folder = tmp_path_factory.mktemp("given") / "objects"
    folder.mkdir()
    for i, box in enumerate(found, 1):
        Image.fromarray(filled(box, 255)).save(folder / f"car_{i}.png")
    for i in range(others):
        (folder / f"notes{i}.doc").write_text("")
    seeds = read_quietly(folder, frame=3)
    assert seeds is not None
    assert sums(seeds) == {(3, i): area(box) for i, box in enumerate(found, 1)}
    assert counted(seeds) == others


@given(found=st.lists(st.one_of(st.none(), boxes()), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_a_folder_of_frames(tmp_path_factory: pytest.TempPathFactory, found: Sequence[Box | None]) -> None:
    folder = tmp_path_factory.mktemp("given") / "frames"
    folder.mkdir()
    for frame, box in enumerate(found):
        Image.fromarray(filled(box or (0, 0, 0, 0), 255)).save(folder / f"{frame:05d}.png")
    good = {(frame, 1): area(box) for frame, box in enumerate(found) if box is not None}
    seeds = read_quietly(folder)
    assert (sums(seeds) if seeds else {}) == good


@given(found=st.lists(st.one_of(st.integers(0, 9), boxes()), min_size=1, max_size=5))
@settings(max_examples=15, deadline=None)
def test_arrays_of_numpy(tmp_path_factory: pytest.TempPathFactory, found: Sequence[Box | int]) -> None:
    path = tmp_path_factory.mktemp("given") / "masks.npz"
    arrays = {f"part_{i}": np.zeros(f) if isinstance(f, int) else filled(f) for i, f in enumerate(found, 1)}
    np.savez(path, **arrays)
    good = [area(f) for f in found if not isinstance(f, int)]
    seeds = read_quietly(path)
    assert good if seeds else not good
    if seeds is not None:
        assert sorted(sums(seeds).values()) == sorted(good)
        assert counted(seeds) == len(found) - len(good)


@given(pages=st.integers(1, 4), box=boxes())
@settings(max_examples=8, deadline=None)
def test_pages_of_a_picture(tmp_path_factory: pytest.TempPathFactory, pages: int, box: Box) -> None:
    path = tmp_path_factory.mktemp("given") / "stack.tif"
    page = Image.fromarray(filled(box))
    page.save(path, save_all=True, append_images=[page] * (pages - 1))
    seeds = read_quietly(path)
    assert seeds is not None
    assert sums(seeds) == {(0, 1): area(box)}
    assert counted(seeds) == pages - 1
    assert (read_quietly(path, strict=True) is None) == (pages > 1)


def test_run_lengths_that_are_floats() -> None:
    mask = filled((3, 4, 9, 12)).astype(bool)
    counts = [float(n) for n in Rle.encode(mask).runs]
    assert np.array_equal(Rle.from_coco({"size": [float(HEIGHT), float(WIDTH)], "counts": counts}).decode(), mask)
    with pytest.raises(InputError):
        Rle.from_coco({"size": [HEIGHT, WIDTH], "counts": [0.5, *counts[1:]]})
