"""How much of a picture is new: nothing of a still one, a strip where the camera turned, most of it after a cut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskferry.association._scene_change import new_share, thumbnail

HEIGHT, WIDTH = 360, 640


def scenery(seed=0, cells=(6, 20)):
    """A picture twice as wide as the frame, smooth and without a pattern that repeats."""
    coarse = np.random.default_rng(seed).integers(0, 255, (*cells, 3), dtype=np.uint8)
    return cv2.resize(coarse, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def view(picture, x=0):
    return thumbnail(picture[:, x : x + WIDTH])


def test_a_thumbnail_is_small_grey_and_keeps_its_shape():
    small = view(scenery())
    assert small.shape == (54, 96)
    assert small.dtype == np.uint8
    assert thumbnail(np.zeros((2000, 10, 3), dtype=np.uint8)).shape == (96, 1)
    assert thumbnail(np.full((3, 5, 3), 7, dtype=np.uint8)).tolist() == [[7] * 5] * 3


def test_noise_is_nothing_new():
    picture = scenery()
    noise = np.random.default_rng(1).normal(0, 15, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    assert new_share(view(picture), view(picture)) == 0
    assert new_share(view(picture), view(noisy)) == 0


@pytest.mark.parametrize("shift", [20, 60, 120, 180])
@pytest.mark.parametrize("seed", range(3))
def test_where_the_camera_turned_the_strip_that_came_in_is_new(shift, seed):
    picture = scenery(seed)
    for before, now in ((0, shift), (shift, 0)):
        assert new_share(view(picture, before), view(picture, now)) == pytest.approx(shift / WIDTH, abs=0.03)


def test_most_is_new_after_a_cut():
    shares = [new_share(view(scenery(a)), view(scenery(b))) for a in range(4) for b in range(4) if a != b]
    assert min(shares) > 0.5


def test_an_object_that_moved_is_new_where_it_is_and_where_it_was():
    picture = scenery()
    before, now = picture.copy(), picture.copy()
    before[100:200, 100:200] = now[100:200, 400:500] = (255, 255, 255)
    share = new_share(view(before), view(now))
    assert 0.02 < share < 2.2 * 100 * 100 / (HEIGHT * WIDTH)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 2), (5, 300)])
def test_pictures_without_anything_to_hold_on_to(size):
    black, white = np.zeros((*size, 3), dtype=np.uint8), np.full((*size, 3), 255, dtype=np.uint8)
    assert new_share(thumbnail(black), thumbnail(black)) == 0
    assert new_share(thumbnail(black), thumbnail(white)) == 1


def test_the_pictures_are_left_as_they_are():
    a, b = view(scenery()), view(scenery(), 60)
    copies = a.copy(), b.copy()
    new_share(a, b)
    assert np.array_equal(a, copies[0])
    assert np.array_equal(b, copies[1])
