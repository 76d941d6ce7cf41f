"""Rle: to the byte what pycocotools writes, and whatever pycocotools can read is read alike."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from maskferry.errors import InputError
from maskferry.masks._regions import box_xyxy
from maskferry.rle import Rle

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))
masks = sizes.flatmap(lambda size: hnp.arrays(np.bool_, size))


@st.composite
def rectangles(draw):
    """A filled rectangle in a mask: long runs, columns that touch both borders, objects in one corner."""
    height, width = draw(st.tuples(st.integers(1, 300), st.integers(1, 300)))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    mask = np.zeros((height, width), dtype=bool)
    mask[y : draw(st.integers(y, height)), x : draw(st.integers(x, width))] = True
    return mask


@st.composite
def foreign_runs(draw):
    """Runs as another program may write them: any of them may be empty."""
    height, width = draw(sizes)
    cuts = sorted(draw(st.lists(st.integers(0, height * width), max_size=12)))
    return np.diff([0, *cuts, height * width]).tolist(), (height, width)


def coco_encode(mask):
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))


def coco_decode(value):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)  # numpy's, about pycocotools' own __array__
        return coco.decode(value).astype(bool)


def check_crop(rle, mask):
    found = rle.decode_crop()
    if not mask.any():
        assert found is None
        return
    box, crop = found
    assert box == box_xyxy(mask)
    x1, y1, x2, y2 = box
    assert np.array_equal(crop, mask[y1:y2, x1:x2])
    assert crop.dtype == np.bool_ and crop.flags.c_contiguous and crop.flags.writeable


@given(masks | rectangles())
def test_bytes_are_those_of_pycocotools(mask):
    rle = Rle.encode(mask)
    expected = coco_encode(mask)
    assert rle.counts == expected["counts"]
    assert rle.to_coco() == {"size": list(mask.shape), "counts": expected["counts"].decode()}


@given(masks | rectangles())
def test_measures_are_those_of_the_mask(mask):
    rle = Rle.encode(mask)
    assert np.array_equal(rle.decode(), mask)
    assert rle.decode().dtype == np.bool_
    assert rle.area == mask.sum() == coco.area(coco_encode(mask))
    assert rle.box_xyxy == box_xyxy(mask)
    check_crop(rle, mask)
    if mask.any():
        x, y, w, h = coco.toBbox(coco_encode(mask))
        assert rle.box_xyxy == (x, y, x + w, y + h)


@given(masks | rectangles())
def test_coco_round_trip(mask):
    rle = Rle.encode(mask)
    assert Rle.from_coco(rle.to_coco()) == rle
    assert Rle.from_coco(coco_encode(mask)) == rle
    assert Rle.from_coco({"size": list(mask.shape), "counts": rle.runs.tolist()}) == rle
    assert rle.runs.sum() == mask.size


@given(foreign_runs())
def test_runs_of_length_zero(value):
    runs, (height, width) = value
    raw = {"size": [height, width], "counts": runs}
    packed = coco.frPyObjects(raw, height, width)
    expected = coco_decode(packed)
    for form in (raw, packed, {"size": [height, width], "counts": packed["counts"].decode()}):
        rle = Rle.from_coco(form)
        assert np.array_equal(rle.decode(), expected)
        assert rle.area == expected.sum()
        assert rle.box_xyxy == box_xyxy(expected)
        check_crop(rle, expected)
        assert np.array_equal(coco_decode({"size": [height, width], "counts": rle.counts}), expected)


@given(masks, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_crop_is_placed(crop, left, top, right, bottom):
    whole = np.pad(crop, ((top, bottom), (left, right)))
    assert Rle.encode_crop(crop, (left, top), whole.shape) == Rle.encode(whole)


def test_many_empty_runs_on_one_pixel():
    runs = [3, *[0] * 600, 3]  # background and object by turns, 602 runs: the last is the object
    rle = Rle.from_coco({"size": [2, 3], "counts": runs})
    assert rle.decode().sum() == rle.area == 3


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda m: m[::-1, ::-1], lambda m: np.repeat(m, 2, 1)[:, ::2]])
def test_memory_layout_does_not_matter(layout):
    mask = layout(np.random.default_rng(1).random((17, 23)) > 0.6)
    assert np.array_equal(Rle.encode(mask).decode(), mask)


def test_decode_is_fresh():
    rle = Rle.encode(np.eye(4, dtype=bool))
    rle.decode()[:] = True
    assert rle.area == 4
    assert rle.decode().sum() == 4


def test_empty_and_full():
    assert Rle.empty((3, 5)) == Rle.encode(np.zeros((3, 5), dtype=bool))
    assert Rle.empty((3, 5)).box_xyxy is None
    full = Rle.encode(np.ones((3, 5), dtype=bool))
    assert full.runs.tolist() == [0, 15]
    assert full.box_xyxy == (0, 0, 5, 3)


def test_a_large_mask_has_long_runs():
    mask = np.zeros((6000, 5000), dtype=bool)
    mask[5999, 4999] = True  # a run of 29,999,999, five characters and more
    assert Rle.encode(mask).counts == coco_encode(mask)["counts"]
    assert Rle.encode(mask).box_xyxy == (4999, 5999, 5000, 6000)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"size": [2, 3], "counts": [1, 2]}, r"add up to 2 \* 3 = 6, got 2 of them that add up to 3"),
        ({"size": [2, 3], "counts": [7, -1]}, "runs >= 0"),
        ({"size": [2, 3], "counts": [2**62, 2**62, 2**62, 2**62, 6]}, f"add up to {2**64 + 6}"),
        ({"size": [2, 3], "counts": [2**70]}, "expected an RLE"),
        ({"size": [2, 3], "counts": [2.5, 3.5]}, "expected an RLE"),
        ({"size": [2, 3], "counts": [[6]]}, "expected an RLE"),
        ({"size": [2, 3], "counts": []}, "got 0 of them"),
        ({"size": [2, 3], "counts": ""}, "got 0 of them"),
        ({"size": [2, 3], "counts": None}, "expected an RLE"),
        ({"size": [2, 3], "counts": "6\n"}, "not part of COCO's code"),
        ({"size": [2, 3], "counts": "\u00e9"}, "not part of COCO's code"),
        ({"size": [2, 3], "counts": "\ud800"}, "expected an RLE"),
        ({"size": [2, 3], "counts": "V"}, "in the middle of a run"),
        ({"size": [2, 3], "counts": "o" * 10 + "0"}, "longer than any mask"),
        ({"size": [2, 3], "counts": "7"}, "add up to 7"),
        ({"size": [0, 3], "counts": [0]}, "positive size, got height 0, width 3"),
        ({"size": [-2, -3], "counts": [6]}, "positive size"),
        ({"size": "23", "counts": [6]}, "expected an RLE"),
        ({"size": [2, 3, 1], "counts": [6]}, "expected an RLE"),
        ({"counts": [6]}, "expected an RLE"),
        (None, "expected an RLE"),
        ([6], "expected an RLE"),
    ],
)
def test_malformed_values_are_refused(value, message):
    with pytest.raises(InputError, match=message):
        Rle.from_coco(value)


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.binary(max_size=20) | st.text(max_size=20))
def test_any_string_is_read_or_refused(size, counts):
    try:
        rle = Rle.from_coco({"size": list(size), "counts": counts})
    except InputError:
        return
    assert rle.decode().shape == size
    assert rle.area == rle.decode().sum()
