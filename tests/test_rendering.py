"""Overlays and contact sheets, checked to the pixel where the picture allows it."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from format_samples import SIZE_HW, disk, masks_of, picture, row
from maskferry.data import State
from maskferry.drawing import color_of, contact_sheet, draw_overlay
from maskferry.errors import InputError

BIG = (120, 200)


def test_first_ids_have_the_colours_of_tab10():
    assert color_of(1) == (255, 127, 14)
    assert color_of(9) == (23, 190, 207)


def test_thirty_neighbours_can_be_told_apart():
    colors = np.array([color_of(i) for i in range(1, 31)], dtype=float)
    nearest = min(np.abs(a - b).sum() for a, b in itertools.combinations(colors, 2))
    assert nearest >= 25
    assert all(0 <= c <= 255 for i in range(1, 400) for c in color_of(i))


def test_fill_blends_colour_and_picture_and_leaves_the_rest():
    image = picture()
    before = image.copy()
    mask = disk((12, 12), 6)
    out = draw_overlay(image, masks_of(row(3, mask)), alpha=0.25, outline=False, labels=False)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(out[~mask], image[~mask])
    expected = image[mask] * 0.75 + np.array(color_of(3)) * 0.25
    assert np.abs(out[mask] - expected).max() <= 0.5


def test_a_read_only_view_with_odd_strides_is_read_as_any_other():
    wide = picture((24, 66))
    image = wide[:, ::2]
    image.flags.writeable = False
    masks = masks_of(row(1, disk((12, 12), 6)))
    np.testing.assert_array_equal(draw_overlay(image, masks), draw_overlay(image.copy(), masks))


def test_the_smallest_is_on_top_in_its_own_colour():
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    big, small = disk((15, 12), 11), disk((15, 12), 4)
    for ids in ((1, 2), (2, 1)):
        rows = sorted([row(ids[0], big), row(ids[1], small)], key=lambda r: r.object_id)
        out = draw_overlay(image, masks_of(*rows), alpha=1, outline=False, labels=False)
        assert tuple(out[12, 15]) == color_of(ids[1])
        assert tuple(out[3, 15]) == color_of(ids[0])


def test_a_lost_object_leaves_no_trace():
    image = picture()
    lost = row(1, np.zeros(SIZE_HW, bool), 0.0, State.LOST)
    np.testing.assert_array_equal(draw_overlay(image, masks_of(lost)), image)


def test_outline_is_drawn_in_full_colour_on_the_border_only():
    image = np.full((*BIG, 3), 255, np.uint8)
    mask = np.zeros(BIG, bool)
    mask[30:90, 50:150] = True
    out = draw_overlay(image, masks_of(row(1, mask), size_hw=BIG), alpha=0, labels=False)
    border = mask.copy()
    border[31:89, 51:149] = False
    assert (out[border] == color_of(1)).all()
    np.testing.assert_array_equal(out[~border], image[~border])


@pytest.mark.parametrize(("side", "width"), [(60, 1), (600, 2), (900, 3)])
def test_outline_width_grows_with_the_picture(side: int, width: int):
    mask = np.zeros((side, side), bool)
    mask[side // 3 : -1, side // 3 :] = True  # goes on past the right edge of the picture, and still has a border there
    out = draw_overlay(np.zeros((side, side, 3), np.uint8), masks_of(row(1, mask), size_hw=mask.shape), labels=False)
    assert (out[side // 2] == color_of(1)).all(axis=1).sum() == 2 * width


def test_label_is_drawn_beside_the_object_and_names_change_it():
    image = np.full((*BIG, 3), 90, np.uint8)
    mask = disk((100, 60), 12, BIG)
    masks = masks_of(row(1, mask), size_hw=BIG)
    plain = draw_overlay(image, masks, labels=False)
    number, name = draw_overlay(image, masks), draw_overlay(image, masks, labels={1: "swan"})
    ys, xs = np.nonzero((number != plain).any(axis=2))
    assert ys.max() < 48 and ys.min() > 20 and xs.min() > 80 and xs.max() < 120  # above the disk, centred on it
    assert np.ptp(np.nonzero((name != plain).any(axis=2))[1]) > np.ptp(xs)
    np.testing.assert_array_equal(draw_overlay(image, masks, labels={2: "other"}), number)


@pytest.mark.parametrize("name", ["", " ", "\n", "\u200b", "\u202e\u2066"])
def test_a_name_of_which_nothing_can_be_seen_becomes_the_id(name: str):
    masks = masks_of(row(1, disk((100, 60), 12, BIG)), size_hw=BIG)
    image = picture(BIG)
    np.testing.assert_array_equal(draw_overlay(image, masks, labels={1: name}), draw_overlay(image, masks))


def test_labels_make_way_for_each_other():
    image = np.zeros((*BIG, 3), np.uint8)
    masks = masks_of(row(1, disk((100, 60), 20, BIG)), row(2, disk((100, 61), 20, BIG)), size_hw=BIG)
    out = draw_overlay(image, masks, alpha=0, outline=False)
    found = [np.nonzero((out == color_of(i)).all(axis=2))[0] for i in (1, 2)]
    assert found[0].size and found[1].size
    assert found[0].max() < found[1].min() or found[1].max() < found[0].min()


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 39), st.integers(0, 39), st.text(max_size=30), st.booleans()
)
def test_any_label_at_any_place_of_any_picture(height, width, x, y, name, outline):
    mask = np.zeros((height, width), bool)
    mask[min(y, height - 1) :, min(x, width - 1) :] = True
    image = np.zeros((height, width, 3), np.uint8)
    out = draw_overlay(image, masks_of(row(5, mask), size_hw=mask.shape), labels={5: name}, outline=outline)
    assert out.shape == image.shape and out.dtype == np.uint8


@pytest.mark.parametrize(
    ("image", "kwargs", "message"),
    [
        (np.zeros((24, 33), np.uint8), {}, "RGB"),
        (np.zeros((24, 33, 3), np.float32), {}, "uint8"),
        (np.zeros((24, 34, 3), np.uint8), {}, "its masks"),
        (np.zeros((24, 33, 3), np.uint8), {"alpha": 1.5}, "alpha"),
        (np.zeros((24, 33, 3), np.uint8), {"alpha": float("nan")}, "alpha"),
    ],
)
def test_overlay_refuses(image, kwargs, message):
    with pytest.raises(InputError, match=message):
        draw_overlay(image, masks_of(row(1, disk((5, 5), 3))), **kwargs)


def test_fifty_objects_cost_less_than_twenty_full_frames():
    size = (720, 1280)
    rng = np.random.default_rng(0)
    rows = [row(i, disk(tuple(rng.uniform((0, 0), (1280, 720))), 40, size)) for i in range(1, 51)]
    masks, image = masks_of(*rows, size_hw=size), picture(size)

    def seconds(work):
        best = []
        for _ in range(5):
            start = time.process_time()
            work()
            best.append(time.process_time() - start)
        return min(best)

    blended = seconds(lambda: [np.uint8(0.4 * image + 0.6 * 255) for _ in range(20)])
    assert seconds(lambda: draw_overlay(image, masks)) < blended  # a quarter of it: objects cost their boxes


def test_contact_sheet_keeps_pictures_in_order():
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = (np.full((60, 80, 3), c, np.uint8) for c in colors)
    sheet = contact_sheet(images, ["a", "b", "c"], columns=2, width=200)
    assert sheet.shape[1] == 200
    tile_height = round(60 * 88 / 80)
    rows = 8 + tile_height // 2, 8 + tile_height + 24 + 8 + tile_height // 2
    found = [tuple(sheet[y, x]) for y, x in ((rows[0], 50), (rows[0], 150), (rows[1], 50), (rows[1], 150))]
    assert found == [*colors, (255, 255, 255)]


def test_contact_sheet_writes_captions_and_fits_mixed_sizes():
    images = [picture((60, 80)), picture((200, 10)), picture((1, 1))]
    bare, captioned = contact_sheet(images), contact_sheet(images, ["one", "zwei ä", "天"])
    assert captioned.shape[0] > bare.shape[0]
    strip = captioned[8 + round(60 * 628 / 80) : 8 + round(60 * 628 / 80) + 24]
    assert (strip < 128).any()


@pytest.mark.parametrize(
    ("images", "kwargs", "message"),
    [
        ([], {}, "got 0"),
        ([picture()], {"captions": ["a", "b"]}, "got 1, 2"),
        ([picture()], {"columns": 0}, "columns"),
        ([picture()], {"columns": 200}, "columns"),
        ([np.zeros((3, 3))], {}, r"images\[0\]"),
    ],
)
def test_contact_sheet_refuses(images, kwargs, message):
    with pytest.raises(InputError, match=message):
        contact_sheet(images, **kwargs)
