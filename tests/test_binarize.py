"""Which pixels belong to an object: bools, whole numbers, floats, soft masks; label maps and logits are refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskferry import MaskTracker
from maskferry.detections import read_detections
from maskferry.errors import InputError
from maskferry.masks import as_mask, as_masks, binarize, split_labels

SIZE = (48, 64)
MASK = np.zeros(SIZE, dtype=bool)
MASK[10:30, 12:40] = True
OTHER = np.zeros(SIZE, dtype=bool)
OTHER[32:44, 30:60] = True
LABELS = MASK.astype(np.uint8) + 2 * OTHER.astype(np.uint8)

FLOATS = [np.float16, np.float32, np.float64, np.longdouble]
WHOLE = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64, np.int64]

masks = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: hnp.arrays(np.bool_, size))


def cubic(scale=1.0):
    """Enlarged by a cubic, which goes beyond the values on both sides of an edge."""
    small = cv2.resize(MASK.astype(np.float32), (16, 12), interpolation=cv2.INTER_AREA) > 0.5
    return cv2.resize(small.astype(np.float32), SIZE[::-1], interpolation=cv2.INTER_CUBIC) * scale


@given(masks, st.sampled_from([bool, *FLOATS, *WHOLE]))
def test_a_mask_of_any_type_is_the_same_mask(mask, dtype):
    np.testing.assert_array_equal(binarize(mask.astype(dtype)), mask)


@given(masks, st.sampled_from(WHOLE), st.integers(1, 127))
def test_one_number_beside_0_is_the_object_whatever_it_is(mask, dtype, number):
    np.testing.assert_array_equal(binarize(mask.astype(dtype) * dtype(number)), mask)
    np.testing.assert_array_equal(binarize((mask.astype(dtype) * dtype(number)).astype(np.float32)), mask)


@given(masks, st.sampled_from([1.0, 255.0]), st.sampled_from(FLOATS), st.data())
def test_soft_values_up_to_a_quarter_beyond_their_range_are_cut_at_half(mask, full, dtype, data):
    inside, outside = st.floats(0.51, 1.25), st.floats(-0.25, 0.49)
    high, low = data.draw(inside) * full, data.draw(outside) * full
    if full == 255.0 and not mask.any():
        low = 0.0
    soft = np.where(mask, high, low).astype(dtype)
    np.testing.assert_array_equal(binarize(soft), mask)


@pytest.mark.parametrize("top", [1.0, 1.0000001, 1.02, 1.2])
@pytest.mark.parametrize("bottom", [0.0, -0.01, -1e-9])
def test_sums_and_resizing_leave_values_just_outside(top, bottom):
    np.testing.assert_array_equal(as_mask(np.where(MASK, top, bottom), SIZE), MASK)


@pytest.mark.parametrize("scale", [1.0, 255.0])
def test_a_mask_enlarged_by_a_cubic(scale):
    soft = cubic(scale)
    assert soft.min() < 0
    assert soft.max() > scale
    np.testing.assert_array_equal(as_mask(soft, SIZE), soft > scale / 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16, np.float32])
@pytest.mark.parametrize("how", ["blur", "edges", "enlarged"])
def test_a_soft_mask_of_whole_numbers_is_cut_at_half(dtype, how):
    mask = MASK.astype(np.uint8) * np.uint8(255)
    soft = {
        "blur": lambda: cv2.GaussianBlur(mask, (0, 0), 2.0),
        "edges": lambda: cv2.circle(np.zeros(SIZE, np.uint8), (30, 24), 12, 255, -1, cv2.LINE_AA),
        "enlarged": lambda: cv2.resize(mask[::4, ::4].copy(), SIZE[::-1], interpolation=cv2.INTER_LINEAR),
    }[how]()
    assert len(np.unique(soft)) > 2
    np.testing.assert_array_equal(as_mask(soft.astype(dtype), SIZE), soft > 127)
    if dtype == np.uint16:
        np.testing.assert_array_equal(as_mask(soft.astype(dtype) * np.uint16(257), SIZE), soft > 127)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.where(MASK, 3.0, -4.0), "minimum of -4: these look like logits"),
        (np.where(MASK, 0.9, -0.5), "minimum of -0.5: these look like logits"),
        (np.where(MASK, 1.3, 0.2), "maximum of 1.3: scale them"),
        (np.where(MASK, 99.5, 0.5), "maximum of 99.5"),
        (np.where(MASK, 60000.5, 0.5), "maximum of 6e"),
        (np.where(MASK, 1, -1), "minimum of -1"),
        (np.where(MASK, np.nan, 0), "NaN"),
    ],
)
def test_what_nobody_can_read_is_refused(values, message):
    for read in (lambda v: as_mask(v, SIZE), lambda v: read_detections([v], SIZE), binarize):
        with pytest.raises(InputError, match=message):
            read(values)


# --- label maps -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(np.int64),
        LABELS.astype(np.float32),
        LABELS * np.uint8(85),  # shades of grey
        np.where(MASK, np.uint8(128), np.where(OTHER, np.uint8(255), np.uint8(0))),
        LABELS.astype(np.uint16) * 1000,
        np.where(LABELS == 0, 255, LABELS).astype(np.uint8),  # 255 is void
    ],
    ids=lambda a: f"{a.dtype}-{a.max()}",
)
def test_a_label_map_is_not_taken_for_one_mask(labels):
    with MaskTracker(np.zeros((2, *SIZE, 3), np.uint8), engine="hold") as tracker:
        for give in (tracker.add_mask_prompt, tracker.add_masks_prompt, lambda v: tracker.add_masks_prompt([v])):
            with pytest.raises(
                InputError, match=r"label map of \d numbers beside 0.*split_labels.*label_map == number"
            ):
                give(labels)
        assert tracker.tracks.object_ids == ()
    for value in (labels, [labels], labels[None], {"masks": [labels], "scores": [1.0]}):
        with pytest.raises(InputError, match="label map"):
            read_detections(value, SIZE)
    with pytest.raises(InputError, match="label map"):
        as_masks(labels, SIZE)


def test_what_the_message_says_works():
    video = np.zeros((2, *SIZE, 3), np.uint8)
    with MaskTracker(video, engine="hold") as tracker:
        assert tracker.add_masks_prompt(split_labels(LABELS)) == [1, 2]
        np.testing.assert_array_equal(tracker.tracks[0].mask(2), OTHER)
        assert tracker.add_mask_prompt(LABELS == 0) == 100
        with pytest.raises(InputError, match=r"masks\[1\] is empty"):
            tracker.add_masks_prompt({5: MASK, 6: MASK & OTHER})
        with pytest.raises(InputError, match="1 of 2 are empty or None"):
            tracker.add_masks_prompt([MASK, None])
    found = read_detections({7: MASK, 3: OTHER}, SIZE)
    assert found.object_ids == [7, 3]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_label_maps_of_any_type_are_taken_apart(dtype):
    for labels in (LABELS, LABELS[None], LABELS[:, :, None]):
        found = split_labels(labels.astype(dtype))
        assert list(found) == [1, 2]
        np.testing.assert_array_equal(found[2], OTHER)
    with pytest.raises(InputError, match="fractions"):
        split_labels(LABELS / 3)


@given(st.integers(2, 250), st.integers(1, 4), st.integers(0, 9))
def test_many_small_objects_are_never_one_soft_mask(count, side, seed):
    numbers = np.random.default_rng(seed).permutation(255)[:count] + 1
    grid = np.zeros((16, 16), np.uint8)
    grid.ravel()[:count] = numbers
    labels = np.zeros((16 * (side + 1), 16 * (side + 1)), np.uint8)
    for dy in range(side):
        for dx in range(side):
            labels[dy :: side + 1, dx :: side + 1] = grid
    with pytest.raises(InputError, match="label map"):
        binarize(labels)


@pytest.mark.filterwarnings("ignore")
def test_tensors_of_torch():
    torch = pytest.importorskip("torch")
    mask = torch.from_numpy(MASK)
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32):
        np.testing.assert_array_equal(as_mask(mask.to(dtype), SIZE), MASK)
    with pytest.raises(InputError, match="label map"):
        read_detections([torch.from_numpy(LABELS).long()], SIZE)  # as post_process_semantic_segmentation has it
