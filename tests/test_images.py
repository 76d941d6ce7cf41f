"""Which files are pictures, and their order."""

from __future__ import annotations

from pathlib import PurePath

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskferry.images import FRAME_SUFFIXES, PICTURE_SUFFIXES, natural_key


@pytest.mark.parametrize(
    "names",
    [["2.png", "10.png"], ["a2b3", "a2b10"], ["frame_9", "frame_0010"], ["1", "a"], ["a1", "B2", "c3"]],
)
def test_numbers_sort_as_numbers(names):
    assert [p.name for p in sorted(map(PurePath, reversed(names)), key=natural_key)] == names


@given(st.lists(st.text("ab01٣²ß.", min_size=1), min_size=2, unique=True))
def test_any_names_can_be_sorted(names):
    in_order = sorted(names, key=lambda name: natural_key(PurePath(name)))
    assert sorted(reversed(in_order), key=lambda name: natural_key(PurePath(name))) == in_order


def test_every_frame_is_a_picture_and_animations_are_no_frames():
    assert FRAME_SUFFIXES < PICTURE_SUFFIXES
    assert {".gif", ".apng"} <= PICTURE_SUFFIXES - FRAME_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PICTURE_SUFFIXES)


def test_pictures_are_what_pillow_reads_or_opencv():
    by_opencv = {".exr", ".hdr", ".sr"}
    assert PICTURE_SUFFIXES - by_opencv - {".avif", ".avifs"} <= set(PIL.Image.registered_extensions())


def test_every_kind_that_pillow_can_decode_is_a_picture():
    without_decoder = {"BUFR", "GRIB", "HDF5", "MPEG"}  # Pillow knows them by name only
    PIL.Image.init()
    readable = {
        suffix
        for suffix, kind in PIL.Image.registered_extensions().items()
        if kind in PIL.Image.OPEN and kind not in without_decoder
    }
    assert readable <= PICTURE_SUFFIXES
