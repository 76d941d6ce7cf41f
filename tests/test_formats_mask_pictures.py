"""What a picture of masks means: soft edges, label maps, void, white backgrounds, transparency."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from format_samples import disk
from maskferry.errors import InputError, MaskPlacementWarning
from maskferry.formats._binary import read_mask
from maskferry.formats._davis import voc_palette
from maskferry.formats._given_masks import read_seeds
from maskferry.formats._images import Pixels
from maskferry.formats._mask_pictures import objects_of
from maskferry.formats._reading import Reading
from maskferry.masks._levels import is_gradual

SIZE_HW = (64, 80)
A, B = disk((22, 30), 14, SIZE_HW), disk((58, 36), 12, SIZE_HW)
WHITE = A.astype(np.uint8) * np.uint8(255)
LABELS = np.select([A, B], [1, 2], 0).astype(np.uint8)
COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)


def save(path: Path, values: np.ndarray, mode: str | None = None, **options) -> Path:
    PIL.Image.fromarray(values, mode).save(path, **options)
    return path


def masks_in(path: Path) -> dict[int, np.ndarray]:
    return {p.object_id: p.mask for p in read_seeds(path).prompts}


def blurred(values: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma))


def larger(values: np.ndarray, kind: int) -> np.ndarray:
    return np.asarray(cv2.resize(values, None, fx=2, fy=2, interpolation=kind))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def noise(values: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", values, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0))


@pytest.mark.parametrize(
    "values",
    [
        blurred(WHITE),
        blurred(WHITE, 4),
        (blurred(WHITE).astype(np.uint16) * 257),
        larger(WHITE, cv2.INTER_LINEAR),
        larger(WHITE, cv2.INTER_CUBIC),
        cv2.resize(larger(WHITE, cv2.INTER_NEAREST), (80, 64), interpolation=cv2.INTER_AREA)[:, :],
        cv2.circle(np.zeros(SIZE_HW, np.uint8), (22, 30), 14, 255, -1, cv2.LINE_AA),
        noise(WHITE, 40),
        noise(WHITE, 90),
        np.where(A, 255, np.where(disk((22, 30), 14.4, SIZE_HW), 130, 0)).astype(np.uint8),
        np.repeat(blurred(WHITE)[..., None], 3, axis=2),
        cv2.resize(
            cv2.resize(WHITE, (40, 32), interpolation=cv2.INTER_AREA), (80, 64), interpolation=cv2.INTER_NEAREST
        ),
        cv2.resize(blurred(WHITE)[::2, ::2], (160, 128), interpolation=cv2.INTER_NEAREST),
    ],
)
def test_a_soft_mask_is_one_object_cut_at_half(tmp_path: Path, values):
    path = save(tmp_path / "m.png", values)
    expected = np.asarray(PIL.Image.fromarray(A).resize(values.shape[1::-1]))
    if np.unique(values).size == 2:  # nothing was smoothed
        masks = masks_in(path)
    else:
        with pytest.warns(MaskPlacementWarning, match="soft edges"):
            masks = masks_in(path)
    assert list(masks) == [1]
    assert iou(masks[1], expected) > 0.9
    gray = values if values.ndim == 2 else values[..., 0]
    np.testing.assert_array_equal(masks[1], gray > np.iinfo(gray.dtype).max // 2)


def test_a_soft_mask_as_one_mask(tmp_path: Path):
    with pytest.warns(MaskPlacementWarning, match=r"m\.png: a mask with soft edges"):
        mask = read_mask(save(tmp_path / "m.png", blurred(WHITE)))
    np.testing.assert_array_equal(mask, blurred(WHITE) > 127)
    with pytest.raises(InputError, match="looks like a label map"):
        read_mask(save(tmp_path / "m.png", LABELS))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (larger(LABELS * np.uint8(3), cv2.INTER_LINEAR), "reach 6 of 255"),
        (blurred(A * np.uint8(100)), "reach 100 of 255"),
        (blurred(LABELS * np.uint8(127)), "254 .*|only come up where objects meet"),
        (blurred(COLORS[LABELS]), "colours, on .* pixels, only come up where objects meet"),
        (larger(voc_palette()[LABELS], cv2.INTER_LINEAR), "without smoothing"),
        (blurred(np.where(LABELS[..., None] > 0, COLORS[LABELS], np.uint8(255))), "soft edges on a white background"),
        (
            cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, SIZE_HW).astype(np.uint8), (0, 0), 1),
            "of 255|photo",
        ),
        (255 - WHITE, "border is white"),
        (255 - blurred(WHITE), "border is white"),
        (np.repeat(255 - WHITE[..., None], 3, axis=2), "border is white"),
        (np.where(A[..., None], np.uint8(0), np.where(B[..., None], COLORS[1], np.uint8(255))), "there is black in it"),
        (np.select([A, B], [100, 255], 0).astype(np.uint8), "255 may be an object, or void"),
        (np.where(A, 255, np.where(disk((22, 30), 20, SIZE_HW), 128, 0)).astype(np.uint8), "128 is all around 255"),
        (np.select([A, B], [0, 128], 255).astype(np.uint8), "255 may be an object, or void"),
    ],
)
@pytest.mark.filterwarnings("ignore::maskferry.errors.MaskPlacementWarning")
def test_what_is_not_clear_is_refused(tmp_path: Path, values, message):
    with pytest.raises(InputError, match=message):
        masks_in(save(tmp_path / "m.png", values))


@pytest.mark.parametrize(
    ("values", "expected", "told"),
    [
        (np.select([A, B], [3, 255], 0).astype(np.uint8), {3: A}, "255 is void"),
        (np.select([A, B], [128, 255], 0).astype(np.uint8), {128: A, 255: B}, "255 is an object"),
        (np.select([A, B], [85, 170], 0).astype(np.uint8), {85: A, 170: B}, None),
        (
            np.where(disk((22, 30), 15, SIZE_HW) & ~A, 255, LABELS).astype(np.uint8),
            {1: A, 2: B},
            None,
        ),  # a void outline
        (np.where(LABELS[..., None] > 0, COLORS[LABELS], np.uint8(255)), {1: B, 2: A}, "white is the background"),
        (blurred(A[..., None] * COLORS[1]), {1: blurred(WHITE) > 127}, "one colour with soft edges"),
    ],
)
def test_what_could_be_read_otherwise_is_told(tmp_path: Path, values, expected, told):
    path = save(tmp_path / "m.png", values)
    if told is None:
        masks = masks_in(path)
    else:
        with pytest.warns(MaskPlacementWarning, match=told):
            masks = masks_in(path)
    assert list(masks) == list(expected)
    for i, mask in expected.items():
        np.testing.assert_array_equal(masks[i], mask)


def photo() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("color", "alpha", "expected"),
    [
        (photo(), WHITE, {1: A}),
        (photo(), blurred(WHITE), {1: blurred(WHITE) > 127}),
        (np.full((*SIZE_HW, 3), 255, np.uint8), blurred(WHITE), {1: blurred(WHITE) > 127}),
        (np.zeros((*SIZE_HW, 3), np.uint8), WHITE, {1: A}),
        (photo()[..., 0], WHITE, {1: A}),
        (COLORS[np.where(A, 1, 2)], (A | B).astype(np.uint8) * np.uint8(255), {1: B, 2: A}),
        (COLORS[LABELS], np.full(SIZE_HW, 255, np.uint8), {1: B, 2: A}),
        (LABELS, np.full(SIZE_HW, 255, np.uint8), {1: A, 2: B}),
        (np.where(A, 1, 2).astype(np.uint8), (A | B).astype(np.uint8) * np.uint8(255), {1: A, 2: B}),
    ],
)
@pytest.mark.filterwarnings("ignore::maskferry.errors.MaskPlacementWarning")
def test_transparency(tmp_path: Path, color, alpha, expected):
    masks = masks_in(save(tmp_path / "m.png", np.dstack([color, alpha])))
    assert list(masks) == list(expected)
    for i, mask in expected.items():
        np.testing.assert_array_equal(masks[i], mask)


def indexed(labels: np.ndarray, palette: list[int], **options) -> PIL.Image.Image:
    image = PIL.Image.fromarray(labels.astype(np.uint8))
    image.putpalette(palette)
    return image


def test_palettes(tmp_path: Path):
    path = tmp_path / "m.png"
    PIL.Image.fromarray(blurred(WHITE)).convert("P").save(path)
    with pytest.warns(MaskPlacementWarning, match="soft edges"):
        assert list(masks_in(path)) == [1]
    PIL.Image.fromarray(blurred(COLORS[LABELS])).quantize(64).save(path)
    with pytest.raises(InputError, match="only come up where objects meet"):
        masks_in(path)
    indexed(LABELS, [0, 0, 0, 85, 85, 85, 170, 170, 170]).save(path)  # greys that are no ids
    assert {i: m.sum() for i, m in masks_in(path).items()} == {1: A.sum(), 2: B.sum()}
    indexed(np.select([A, B], [0, 1], 2), [255, 0, 0, 0, 0, 255, 0, 0, 0]).save(path)  # black is index 2
    assert {i: m.sum() for i, m in masks_in(path).items()} == {1: B.sum(), 2: A.sum()}
    indexed(np.select([A, B], [0, 1], 2), [255, 0, 0, 0, 0, 255, 9, 9, 9]).save(path, transparency=2)
    assert {i: m.sum() for i, m in masks_in(path).items()} == {1: B.sum(), 2: A.sum()}
    indexed(LABELS, [255, 255, 255, 255, 0, 0, 0, 0, 255]).save(path)
    assert {i: m.sum() for i, m in masks_in(path).items()} == {1: A.sum(), 2: B.sum()}


def test_jpeg_of_several_greys_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="areas of grey"):
        masks_in(save(tmp_path / "m.jpg", np.select([A, B], [128, 255], 0).astype(np.uint8)))
    with pytest.raises(InputError, match="areas of grey"):
        masks_in(save(tmp_path / "m.jpg", LABELS * np.uint8(60)))
    with pytest.raises(InputError, match="in colour"):
        masks_in(save(tmp_path / "m.jpg", COLORS[LABELS]))


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_masks_are_turned_as_their_tag_says(tmp_path: Path, kind: str):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    path = tmp_path / f"m.{kind}"
    PIL.Image.fromarray(np.ascontiguousarray(np.rot90(WHITE))).save(path, exif=exif, compression="tiff_lzw")
    (mask,) = masks_in(path).values()
    assert mask.shape == SIZE_HW
    assert iou(mask, A) > 0.95


@st.composite
def label_maps(draw: st.DrawFn) -> np.ndarray:
    """Blobs that may touch and overlap, some of them only some pixels wide."""
    labels = np.zeros(SIZE_HW, np.uint8)
    for i in range(1, draw(st.integers(1, 12)) + 1):
        center = draw(st.integers(0, 79)), draw(st.integers(0, 63))
        axes = draw(st.integers(1, 20)), draw(st.integers(1, 20))
        cv2.ellipse(labels, center, axes, draw(st.integers(0, 179)), 0, 360, i, -1)
    return labels


def test_a_faintly_blurred_mask_is_no_label_map():
    """Its values rise to 6 in steps of 1: six rings, one inside the other, and no objects."""
    white = np.zeros(SIZE_HW, np.uint8)
    white[30:33, 40:43] = 255
    soft = blurred(white, 6)
    assert 4 <= soft.max() < 16
    with pytest.raises(InputError, match="smoothed"):
        objects_of(Pixels(soft), Reading("m.png"))


@settings(max_examples=60, deadline=None)
@given(label_maps(), st.sampled_from(["gray", "deep", "colors"]))
def test_objects_of_a_label_map_come_out_as_they_are(labels: np.ndarray, kind: str):
    assume(kind == "colors" or not is_gradual(labels))  # four ellipses, each in the one before, look blurred
    values = {"gray": labels, "deep": labels.astype(np.uint16) * 1001, "colors": voc_palette()[labels]}[kind]
    found = objects_of(Pixels(values), reading := Reading("m.png"))
    scale = 1001 if kind == "deep" else 1
    assert list(found) == [int(i) * scale for i in np.unique(labels) if i]
    assert all((mask == (labels == i // scale)).all() for i, mask in found.items())
    assert not reading.doubts


@settings(max_examples=60, deadline=None)
@given(label_maps(), st.floats(0.6, 8), st.booleans())
def test_a_smoothed_mask_is_one_object_or_refused(labels: np.ndarray, sigma: float, resized: bool):
    white = (labels > 0).astype(np.uint8) * np.uint8(255)
    soft = larger(white, cv2.INTER_LINEAR) if resized else blurred(white, sigma)
    assume(soft.max() >= 4)  # nothing tells values of 1 to 3 from ids
    reading = Reading("m.png")
    try:
        found = objects_of(Pixels(soft), reading)
    except InputError:
        return
    assert list(found) == [1]
    np.testing.assert_array_equal(found[1], soft > 127)
    assert reading.doubts or np.unique(soft).size <= 2


@settings(max_examples=60, deadline=None)
@given(label_maps(), st.floats(0.6, 2))
def test_smoothed_colours_are_no_objects(labels: np.ndarray, sigma: float):
    soft = blurred(voc_palette()[labels], sigma)
    reading = Reading("m.png")
    try:
        found = objects_of(Pixels(soft), reading)
    except InputError:
        return
    assert list(found) == [1] and reading.doubts
