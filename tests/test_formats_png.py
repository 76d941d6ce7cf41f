"""Pictures that are empty but for a box: any reader of PNG gets back what was given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskferry.data import FrameInfo
from maskferry.errors import OutputExistsError
from maskferry.formats._images import read_frame_info
from maskferry.formats._png import write_boxed


def whole(part: np.ndarray, corner_xy: tuple[int, int], size_hw: tuple[int, int]) -> np.ndarray:
    out = np.zeros((*size_hw, *part.shape[2:]), np.uint8)
    out[corner_xy[1] : corner_xy[1] + part.shape[0], corner_xy[0] : corner_xy[0] + part.shape[1]] = part
    return out


def read(path: Path) -> np.ndarray:
    with PIL.Image.open(path) as image:
        image.verify()  # checksums of the chunks
    with PIL.Image.open(path) as image:
        pixels = np.asarray(image)
    other = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(other[..., [2, 1, 0, 3]] if other.ndim == 3 else other, pixels)  # type: ignore[index]
    return pixels


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_box_in_any_picture(tmp_path: Path, data):
    size = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 60))
    y, x = data.draw(st.integers(0, size[0] - 1)), data.draw(st.integers(0, size[1] - 1))
    inner = data.draw(st.integers(1, size[0] - y)), data.draw(st.integers(1, size[1] - x))
    depth = data.draw(st.sampled_from([(), (4,)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    part = rng.integers(0, 256, (*inner, *depth)).astype(np.uint8)
    write_boxed(tmp_path / "a.png", part, (x, y), size, overwrite=True)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), whole(part, (x, y), size))
    assert read_frame_info(tmp_path / "a.png") is None


@pytest.mark.parametrize("corner", [(0, 0), (1000, 700), (1910, 1060)])
def test_a_large_picture_is_a_small_file(tmp_path: Path, corner):
    part = np.random.default_rng(0).integers(0, 256, (20, 10, 4)).astype(np.uint8)
    info = FrameInfo(3, 0.125, "größe")
    write_boxed(tmp_path / "a.png", part, corner, (1080, 1920), info=info)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), whole(part, corner, (1080, 1920)))
    assert read_frame_info(tmp_path / "a.png") == info
    assert (tmp_path / "a.png").stat().st_size < 12_000


def test_nothing_is_overwritten_unasked(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write_boxed(tmp_path / "a.png", np.zeros((1, 1), np.uint8), (0, 0), (1, 1))
    assert (tmp_path / "a.png").read_bytes() == b"mine"
