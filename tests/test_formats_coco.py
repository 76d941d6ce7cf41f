"""COCO segmentations against pycocotools: decoding, rasterizing, and refusing nonsense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reference

from format_samples import SIZE_HW, disk
from maskferry.errors import InputError
from maskferry.formats._coco import load_json, rasterize, read_segmentation
from maskferry.rle import Rle

# pycocotools still makes arrays in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = SIZE_HW


def reference_polygon(points: np.ndarray, size_hw=SIZE_HW) -> np.ndarray:
    return reference.decode(reference.frPyObjects([points.ravel().tolist()], *size_hw))[:, :, 0].astype(bool)


coordinates = st.floats(-8, 40).map(lambda v: round(v, 2)) | st.integers(-8, 40).map(float)
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8).map(np.array)


@given(polygons)
@settings(max_examples=300)
def test_polygons_are_those_of_pycocotools(points: np.ndarray):
    np.testing.assert_array_equal(rasterize(points, SIZE_HW).decode(), reference_polygon(points))


@given(polygons)
def test_rasterized_runs_are_as_short_as_encoded_ones(points: np.ndarray):
    rle = rasterize(points, SIZE_HW)
    assert Rle.encode(rle.decode()) == rle


def test_a_rectangle_covers_its_pixels():
    mask = rasterize(np.array([(2, 3), (10, 3), (10, 9), (2, 9)]), SIZE_HW).decode()
    expected = np.zeros(SIZE_HW, bool)
    expected[3:9, 2:10] = True
    np.testing.assert_array_equal(mask, expected)


def test_several_polygons_are_united():
    a, b = [2, 2, 12, 2, 12, 12, 2, 12], [8, 8, 20, 8, 20, 20, 8, 20]
    rle = read_segmentation([a, b], SIZE_HW, "x")
    assert rle is not None
    expected = reference.decode(reference.merge(reference.frPyObjects([a, b], HEIGHT, WIDTH))).astype(bool)
    np.testing.assert_array_equal(rle.decode(), expected)


def test_forms_of_rle():
    mask = disk((14, 12), 7)
    compressed = reference.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": compressed["size"], "counts": compressed["counts"].decode()}
    runs = {"size": list(SIZE_HW), "counts": Rle.encode(mask).runs.tolist()}
    for value in (compressed, text, runs):
        rle = read_segmentation(value, SIZE_HW, "x")
        assert rle is not None
        np.testing.assert_array_equal(rle.decode(), mask)
    assert read_segmentation(None, SIZE_HW, "x") is None
    assert read_segmentation([], SIZE_HW, "x") is None
    assert read_segmentation(text, None, "x") == Rle.encode(mask)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "JSON object"),
        ("abc", "JSON object"),
        ({}, r"size: expected list, got nothing"),
        ({"size": [24], "counts": []}, r"\[height, width\]"),
        ({"size": ["24", "33"], "counts": []}, r"\[height, width\]"),
        ({"size": [2**20, 2**20], "counts": [2**40]}, "65535 pixels a side"),
        ({"size": [-24, 33], "counts": []}, "at least one pixel"),
        ({"size": [33, 24], "counts": [33 * 24]}, "expected a mask of"),
        ({"size": [24, 33]}, "expected an RLE"),
        ({"size": [24, 33], "counts": [1]}, "add up"),
        ({"size": [24, 33], "counts": [24 * 33 + 1, -1]}, "add up"),
        ({"size": [24, 33], "counts": "~~~"}, "not part of COCO's code"),
        ({"size": [24, 33], "counts": [None]}, "expected an RLE"),
        ([[1, 2, 3, 4]], r"\[0\]: expected a polygon"),
        ([[1, 2, 3, 4, 5]], "expected a polygon"),
        ([[1, 2, 3, 4, 5, "x"]], "expected a polygon"),
        ([[1, 2, 3, 4, 5, float("nan")]], "expected a polygon"),
        ([[1, 2, 3, 4, 5, None]], "expected a polygon"),
        ([[[1, 2], [3, 4], [5, 6]]], "expected a polygon"),
        ([[0, 0, 1e12, 0, 5, 5]], "far outside"),
    ],
)
def test_nonsense_is_refused_and_named(value, message):
    with pytest.raises(InputError, match=message) as caught:
        read_segmentation(value, SIZE_HW, "tracks.json: annotations[3]")
    assert str(caught.value).startswith("tracks.json: annotations[3]")


def test_polygons_need_a_size():
    with pytest.raises(InputError, match="height and width"):
        read_segmentation([[1, 1, 5, 1, 5, 5]], None, "x")


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe\x00", b"[" * 100_000, b"", b"1" * 5000])
def test_a_file_that_is_no_json(tmp_path: Path, text: bytes):
    path = tmp_path / "x.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"x\.json is no JSON"):
        load_json(path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read .*none\.json"):
        load_json(tmp_path / "none.json")
