"""Appearance: colours are told apart, place and size do not matter."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskferry.masks._appearance import appearance, similarity
from maskferry.rle import Rle


def picture():
    """Red on the left, blue on the right."""
    image = np.zeros((20, 40, 3), dtype=np.uint8)
    image[:, :20], image[:, 20:] = (200, 30, 30), (30, 30, 200)
    return image


def block(x1, y1, x2, y2):
    mask = np.zeros((20, 40), dtype=bool)
    mask[y1:y2, x1:x2] = True
    return Rle.encode(mask)


def test_colours_are_told_apart_and_the_place_does_not_matter():
    image = picture()
    red, elsewhere, blue = (
        appearance(image, rle) for rle in (block(2, 2, 8, 8), block(7, 5, 13, 11), block(30, 4, 39, 9))
    )
    assert similarity(red, red) == pytest.approx(1)
    assert similarity(red, elsewhere) == pytest.approx(1)
    assert similarity(red, blue) == 0


def test_half_of_the_pixels_in_common_is_the_root_of_a_half():
    image = picture()
    both = appearance(image, block(16, 10, 24, 14))
    assert similarity(appearance(image, block(2, 2, 8, 8)), both) == pytest.approx(np.sqrt(0.5))


def test_an_empty_mask_is_like_nothing():
    empty = appearance(picture(), Rle.empty((20, 40)))
    assert empty.shape == (512,)
    assert similarity(empty, appearance(picture(), block(2, 2, 8, 8))) == 0


def test_the_histogram_is_that_of_a_loop_over_the_pixels():
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8), rng.random((9, 11)) < 0.4
    counts = np.zeros((8, 8, 8))
    for lab in cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[mask]:
        counts[tuple(lab // 32)] += 1
    np.testing.assert_allclose(appearance(image, Rle.encode(mask)), np.sqrt(counts / mask.sum()).ravel(), rtol=1e-6)
