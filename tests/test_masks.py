"""Masks alone: what is read as a mask, label maps and who wins in them, measures against brute force."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from maskferry.data import FrameMasks, ObjectMask, State
from maskferry.errors import InputError, MaskResizedWarning
from maskferry.masks._convert import as_mask, as_masks, resize_mask
from maskferry.masks._labels import label_dtype, split_labels, to_label_map
from maskferry.masks._regions import box_xyxy, centroid_of_rle_xy, centroid_xy, intersection_over_union, signed_distance
from maskferry.rle import Rle

SIZE = (4, 6)
MASK = np.zeros(SIZE, dtype=bool)
MASK[1:3, 2:5] = True

some_masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: hnp.arrays(np.bool_, size))


class Tensor:
    """Answers as a torch tensor on a graphics card does: numpy() only after detach() and cpu()."""

    def __init__(self, array, ready=0, error=None):
        self.array, self.ready, self.error = array, ready, error

    def detach(self):
        return Tensor(self.array, 1, self.error)

    def cpu(self):
        return Tensor(self.array, self.ready + 1, self.error)

    def numpy(self):
        if self.error or self.ready != 2:
            raise self.error or RuntimeError("on the graphics card")
        return self.array


# ---- as_mask: what is accepted -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        MASK,
        MASK[None],
        MASK[:, :, None],
        MASK.tolist(),
        MASK.astype(np.uint8),
        MASK.astype(np.uint8) * 255,
        MASK.astype(np.uint8) * 7,
        MASK.astype(np.int64),
        MASK.astype(np.uint16) * 65535,
        np.where(MASK, 0.51, 0.5),
        np.where(MASK, 1.0, 0.0).astype(np.float16),
        np.where(MASK, 128.0, 127.5),
        np.asfortranarray(MASK),
        MASK[::-1, ::-1][::-1, ::-1],
        Tensor(MASK),
        Tensor(MASK[None].astype(np.float32)),
        Image.fromarray(MASK.astype(np.uint8) * 255),
    ],
    ids=itertools.count(),
)
def test_every_usual_form_is_read(value):
    found = as_mask(value, SIZE)
    assert found.dtype == np.bool_
    assert np.array_equal(found, MASK)


def test_the_mask_is_a_fresh_array():
    for value in (MASK.copy(), MASK[None].copy(), MASK.astype(np.uint8)):
        as_mask(value, SIZE)[:] = False
        assert value.any()
        assert not np.shares_memory(as_mask(value, SIZE), value)


def test_a_single_row_keeps_its_meaning():
    assert as_mask(np.ones((1, 6), dtype=bool), (1, 6)).shape == (1, 6)


# ---- as_mask: what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(SIZE), r"^mask is empty: no pixel of 6x4 belongs to the object$"),
        (np.full(SIZE, 0.5), "mask is empty"),
        (np.ones(5), r"expected \(H, W\), \(1, H, W\) or \(H, W, 1\), got shape \(5,\)$"),
        (1, r"got shape \(\)"),
        (np.ones((4, 6, 3)), "this is a colour picture; pass one channel"),
        (np.ones((4, 6, 4)), "this is a colour picture"),
        (np.ones((2, 4, 6)), "for several masks at once use add_masks_prompt"),
        (np.ones((1, 1, 4, 6)), r"got shape \(1, 1, 4, 6\)"),
        (np.ones((0, 6)), r"at least one pixel, got shape \(0, 6\)"),
        (np.where(MASK, np.nan, 0), r"6 of 24 values are NaN or infinite"),
        (np.where(MASK, np.inf, 0), "NaN or infinite"),
        (np.where(MASK, 3.2, -4.1), r"got a minimum of -4.1: these look like logits; pass a sigmoid of them"),
        (np.where(MASK, 1, -1), r"expected 0 and 1 or 0 and 255, got a minimum of -1: if these are numbers"),
        (MASK.astype(complex), "expected numbers or bools, got dtype complex128"),
        (np.full(SIZE, "x"), "expected numbers or bools, got dtype <U1"),
        (None, "expected numbers or bools, got dtype object"),
        ([[1, 0], [1]], "cannot be read as an array"),
        (
            Tensor(MASK, error=TypeError("unsupported ScalarType BFloat16")),
            "as an array: unsupported ScalarType BFloat16",
        ),
    ],
    ids=itertools.count(),
)
def test_what_is_no_mask_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        as_mask(value, SIZE)


def test_errors_call_the_mask_by_its_name():
    with pytest.raises(InputError, match=r"^the mask of object 3 is empty"):
        as_mask(np.zeros(SIZE), SIZE, what="the mask of object 3")


# ---- resizing ------------------------------------------------------------------------------------------------------


def test_another_size_is_resized_with_a_warning():
    with pytest.warns(MaskResizedWarning, match=r"^mask is 6x4 but the video is 12x8: resized, nearest neighbour$"):
        found = as_mask(MASK, (8, 12))
    assert np.array_equal(found, np.kron(MASK, np.ones((2, 2), dtype=bool)))
    with pytest.warns(MaskResizedWarning):
        assert np.array_equal(as_mask(found, SIZE), MASK)


def test_another_shape_of_picture_is_warned_of_loudly():
    with pytest.warns(MaskResizedWarning, match=r"THE ASPECT RATIO DIFFERS \(1\.000 against 1\.778\).*undo the crop"):
        as_mask(np.ones((1024, 1024)), (720, 1280))


@pytest.mark.parametrize(("small", "video"), [((270, 480), (1080, 1920)), ((480, 854), (1080, 1920)), (SIZE, (5, 7))])
def test_rounded_sizes_are_the_same_shape(small, video):
    with pytest.warns(MaskResizedWarning) as caught:
        as_mask(np.ones(small), video)
    assert "ASPECT" not in str(caught[0].message)


def test_the_same_size_is_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resize_mask(MASK, SIZE) is MASK


def test_a_mask_that_resizing_loses_is_refused():
    dot = np.zeros((100, 100), dtype=bool)
    dot[0, 0] = True
    with pytest.warns(MaskResizedWarning), pytest.raises(InputError, match=r"too small: nothing is left .* 10x10"):
        as_mask(dot, (10, 10))


def test_resizing_reads_any_memory_layout():
    turned = np.ascontiguousarray(MASK.T).T
    with pytest.warns(MaskResizedWarning):
        assert np.array_equal(resize_mask(turned, (8, 12)), np.kron(MASK, np.ones((2, 2), dtype=bool)))


# ---- as_masks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.stack([MASK, ~MASK]),
        np.stack([MASK, ~MASK])[:, None].astype(np.float32),
        [MASK, (~MASK).astype(np.uint8) * 255],
        (m for m in (MASK, ~MASK)),
        [Tensor(MASK), Tensor(~MASK)],
    ],
    ids=["stack", "stack with channel", "list", "generator", "tensors"],
)
def test_several_masks(values):
    found = as_masks(values, SIZE)
    assert len(found) == 2
    assert np.array_equal(found[0], MASK)
    assert np.array_equal(found[1], ~MASK)


def test_one_mask_is_a_list_of_one():
    assert len(as_masks(MASK, SIZE)) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "expected at least one mask, got none"),
        (np.zeros((0, *SIZE)), "expected at least one mask, got none"),
        (7, r"expected a stack \(N, H, W\) or a list of masks, got int"),
        ([MASK, np.zeros(SIZE)], r"^masks\[1\] is empty"),
        (np.ones((4, 6, 2)), r"got \(H, W, N\) = \(4, 6, 2\): pass np\.moveaxis\(masks, 2, 0\)"),
    ],
)
def test_no_masks(values, message):
    with pytest.raises(InputError, match=message):
        as_masks(values, SIZE)


def test_a_stack_of_square_masks_is_a_stack():
    assert len(as_masks(np.ones((4, 4, 4)), (4, 4))) == 4


# ---- label maps ----------------------------------------------------------------------------------------------------


def frame_of(*objects, size=(1, 8)):
    """(id, first column, columns, score) of objects in one row."""
    rows = []
    for object_id, x, width, score in objects:
        mask = np.zeros(size, dtype=bool)
        mask[:, x : x + width] = True
        rows.append(ObjectMask(object_id, Rle.encode(mask), score, State.TRACKED))
    return FrameMasks(0, size, tuple(rows))


# Object 1 on columns 0-3, object 2 on 2-7, object 3 on 3-4.
CROWD = frame_of((1, 0, 4, 0.5), (2, 2, 6, 0.9), (3, 3, 2, 0.1))


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("smallest", [1, 1, 1, 3, 3, 2, 2, 2]),
        ("score", [1, 1, 2, 2, 2, 2, 2, 2]),
        ("first", [1, 1, 1, 1, 2, 2, 2, 2]),
        ("last", [1, 1, 2, 3, 3, 2, 2, 2]),
    ],
)
def test_who_gets_a_pixel_that_several_claim(overlap, expected):
    found = to_label_map(CROWD, overlap=overlap)
    assert found.dtype == np.uint8
    assert found.tolist() == [expected]


@pytest.mark.parametrize("overlap", ["smallest", "score"])
def test_ties_go_to_the_lower_id(overlap):
    twins = frame_of((4, 0, 5, 0.5), (9, 3, 5, 0.5))
    assert to_label_map(twins, overlap=overlap).tolist() == [[4, 4, 4, 4, 4, 9, 9, 9]]


def test_smallest_is_the_default():
    assert np.array_equal(to_label_map(CROWD), to_label_map(CROWD, overlap="smallest"))


def test_ids_above_255_take_two_bytes():
    found = to_label_map(frame_of((255, 0, 2, 1), (256, 2, 2, 1), (65535, 4, 2, 1)))
    assert found.dtype == np.uint16
    assert found.tolist() == [[255, 255, 256, 256, 65535, 65535, 0, 0]]
    assert (label_dtype(0), label_dtype(255), label_dtype(256)) == (np.uint8, np.uint8, np.uint16)
    with pytest.raises(InputError, match="holds ids up to 65535, got 65536"):
        to_label_map(frame_of((65536, 0, 2, 1)))
    with pytest.raises(InputError, match="object id 256 does not fit into uint8; use uint16"):
        to_label_map(frame_of((256, 0, 2, 1)), dtype=np.uint8)
    assert to_label_map(CROWD, dtype=np.uint16).dtype == np.uint16


def test_a_frame_without_objects_is_background():
    assert to_label_map(FrameMasks(3, (2, 3))).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert to_label_map(frame_of((1, 0, 0, 0.0))).sum() == 0  # a lost object


def test_unknown_policy():
    with pytest.raises(InputError, match="expected one of smallest, score, first, last, got 'biggest'"):
        to_label_map(CROWD, overlap="biggest")


def test_a_label_map_is_taken_apart():
    found = split_labels(np.array([[0, 300, 7], [255, 7, -1]]), void=255)
    assert list(found) == [7, 300]
    assert found[7].tolist() == [[False, False, True], [False, True, False]]
    assert list(split_labels(np.array([[0, 255, 1]], dtype=np.uint8))) == [1, 255]


@given(hnp.arrays(np.uint16, (5, 7), elements=st.sampled_from([0, 1, 2, 255, 256, 65535])))
def test_label_map_round_trip(label_map):
    rows = [ObjectMask(i, Rle.encode(mask), 1.0, State.GIVEN) for i, mask in split_labels(label_map).items()]
    frame = FrameMasks(0, (5, 7), tuple(rows))
    for overlap in ("smallest", "score", "first", "last"):
        assert np.array_equal(to_label_map(frame, overlap=overlap), label_map)


# ---- measures ------------------------------------------------------------------------------------------------------


@given(some_masks)
def test_box_and_centroid_against_loops(mask):
    pixels = [(x, y) for y, x in np.ndindex(mask.shape) if mask[y, x]]
    if not pixels:
        assert box_xyxy(mask) is None
        assert centroid_xy(mask) is centroid_of_rle_xy(Rle.encode(mask)) is None
        return
    xs, ys = zip(*pixels, strict=True)
    assert box_xyxy(mask) == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
    expected = pytest.approx((sum(xs) / len(xs), sum(ys) / len(ys)))
    assert centroid_xy(mask) == expected
    assert centroid_of_rle_xy(Rle.encode(mask)) == expected


@given(some_masks.flatmap(lambda a: st.tuples(st.just(a), hnp.arrays(np.bool_, a.shape))))
def test_intersection_over_union_against_sets(pair):
    a, b = ({tuple(p) for p in np.argwhere(mask).tolist()} for mask in pair)
    expected = len(a & b) / len(a | b) if a | b else 1.0
    assert intersection_over_union(*pair) == pytest.approx(expected)


@given(some_masks)
def test_signed_distance_against_brute_force(mask):
    found = signed_distance(mask)
    assert found.shape == mask.shape
    assert np.array_equal(found > 0, mask)
    if mask.all() or not mask.any():
        return
    for y, x in np.ndindex(mask.shape):
        others = np.argwhere(mask != mask[y, x])
        nearest = np.hypot(*(others - (y, x)).T).min()
        # OpenCV's 3x3 mask: steps of 0.955 and 1.3693, at most 5 % from the true distance between pixel centres.
        assert abs(found[y, x]) == pytest.approx(nearest - 0.5, abs=0.05 * nearest + 1e-3)
