"""Files of several pictures: each page and frame, in order and at its time, or a refusal; alone and in folders."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import features

import maskferry
from clips import numbered_image, read_number
from helpers import square_mask
from maskferry.data import Source
from maskferry.errors import SourceError
from maskferry.formats.registry import BUILT_IN
from maskferry.outputs import export
from maskferry.sources import open_source
from tiffs import tiff_bytes

LOSSLESS: dict[str, dict[str, Any]] = {".webp": {"lossless": True}, ".avif": {"quality": 90}}
ANIMATIONS = [".webp", ".png", *([".avif"] if features.check("avif") else [])]


def numbered(numbers: Sequence[int]) -> list[PilImage.Image]:
    return [PilImage.fromarray(numbered_image(number)) for number in numbers]


def save_all(path: Path, numbers: Sequence[int], **options: Any) -> Path:
    """Pictures that show these numbers, in one file."""
    first, *others = numbered(numbers)
    if path.suffix not in (".tif", ".mpo"):
        options = {"duration": 40, **options}
    options = {**LOSSLESS.get(path.suffix, {}), **options}
    first.save(path, save_all=True, append_images=others, **options)
    return path


def numbers_of(source: Source) -> list[int]:
    return [read_number(frame.image) for frame in source.frames(range(source.info.frame_count or 0))]


def deep_pages(count: int, dtype: str = "uint16") -> list[NDArray[Any]]:
    """Pages whose samples lie in a small part of their range."""
    return [(7000 + numbered_image(number)[:, :, 0].astype(float)).astype(dtype) for number in range(count)]


@pytest.mark.parametrize("suffix", [".tif", *ANIMATIONS])
def test_one_file_of_several_pictures(tmp_path: Path, suffix: str) -> None:
    path = save_all(tmp_path / f"many{suffix}", range(7))
    with open_source(path) as source:
        is_timed = suffix != ".tif"
        assert source.info.frame_count == 7
        assert source.info.rate == (25 if is_timed else None)
        frames = list(source.frames(range(7)))
        assert [read_number(frame.image) for frame in frames] == list(range(7))
        assert [frame.info.name for frame in frames] == [f"{i:06d}" for i in range(7)]
        assert [frame.info.time for frame in frames] == [round(i / 25, 6) if is_timed else None for i in range(7)]
        assert [source.frame_info(i) for i in range(7)] == [frame.info for frame in frames]
        for wanted in (range(6, -1, -1), [5, 2, 1], [1, 2, 5], [4]):
            assert [read_number(frame.image) for frame in source.frames(wanted)] == list(wanted)
        assert np.array_equal(next(source.frames([4])).image, frames[4].image)
    with open_source(path, rate=10) as source:
        assert source.info.rate == Fraction(10)
        assert source.frame_info(3).time == 0.3


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_each_frame_has_its_own_time(tmp_path: Path, suffix: str) -> None:
    path = save_all(tmp_path / f"slow{suffix}", range(4), duration=[40, 200, 40, 120])
    with open_source(path) as source:
        assert [source.frame_info(i).time for i in range(4)] == [0, 0.04, 0.24, 0.28]
        assert source.info.rate == 10


def test_an_animation_without_times(tmp_path: Path) -> None:
    path = save_all(tmp_path / "still.webp", range(3), duration=0)
    with open_source(path) as source:
        assert source.info.rate is None
        assert source.frame_info(2).time is None
        assert numbers_of(source) == [0, 1, 2]


def test_frames_that_change_little_are_whole(tmp_path: Path) -> None:
    pictures = []
    for i in range(6):
        picture = np.full((48, 64, 3), 90, np.uint8)
        picture[10:20, 5 * i : 5 * i + 10] = (255, 40, 20 * i)
        pictures.append(picture)
    first, *others = map(PilImage.fromarray, pictures)
    first.save(tmp_path / "small.png", save_all=True, append_images=others, duration=40)
    with open_source(tmp_path / "small.png") as source:
        images = [frame.image for frame in source.frames(range(5, -1, -1))]
    assert all(np.array_equal(image, picture) for image, picture in zip(images, pictures[::-1], strict=True))


def test_a_default_picture_of_an_animation_is_no_frame(tmp_path: Path) -> None:
    path = save_all(tmp_path / "cover.png", [99, 0, 1, 2], default_image=True)
    with open_source(path) as source:
        assert numbers_of(source) == [0, 1, 2]


def test_long_animations_are_read_backward_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskferry.sources._folder._PIECE_BYTES", 3 * 3 * 96 * 128)
    with open_source(save_all(tmp_path / "many.webp", range(8))) as source:
        assert [read_number(frame.image) for frame in source.frames(range(7, -1, -1))] == list(range(7, -1, -1))


@pytest.mark.parametrize("suffix", [".tif", ".webp", ".png"])
def test_folders_of_such_files(tmp_path: Path, suffix: str) -> None:
    for part in (2, 10, 1):
        save_all(tmp_path / f"part{part}.ome{suffix}", range(part * 3, part * 3 + 3))
    expected = [3, 4, 5, 6, 7, 8, 30, 31, 32]
    with open_source(tmp_path) as source:
        assert numbers_of(source) == expected
        assert [read_number(frame.image) for frame in source.frames(range(8, -1, -1))] == expected[::-1]
        names = [source.frame_info(i).name for i in range(9)]
        assert names[2:4] == ["part1.ome_000002", "part2.ome_000000"]
        assert len(set(names)) == 9
        assert source.frame_info(4).time == (None if suffix == ".tif" else 0.16)


def test_single_pictures_and_stacks_in_one_folder(tmp_path: Path) -> None:
    numbered([1])[0].save(tmp_path / "a.png")
    save_all(tmp_path / "b.tif", [2, 3])
    numbered([4])[0].save(tmp_path / "c.tif")
    save_all(tmp_path / "d.webp", [5, 6])
    with open_source(tmp_path) as source:
        assert numbers_of(source) == [1, 2, 3, 4, 5, 6]
        names = [source.frame_info(i).name for i in range(6)]
        assert names == ["a.png", "b_000000", "b_000001", "c.tif", "d_000000", "d_000001"]
        assert source.frame_info(5).time is None


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_stacks_of_any_depth(tmp_path: Path, dtype: str, order: str, big: bool) -> None:
    pages = [page - 7000 for page in deep_pages(5, "int16")] if dtype == "uint8" else deep_pages(5)
    (tmp_path / "stack.tif").write_bytes(tiff_bytes([page.astype(dtype) for page in pages], order, big=big))
    with open_source(tmp_path / "stack.tif") as source:
        assert numbers_of(source) == list(range(5))
        assert (source.info.stretch is None) == (dtype == "uint8")
        assert read_number(next(source.frames([3])).image) == 3


def test_a_stack_of_sixteen_bit_rgb(tmp_path: Path) -> None:
    pages = [np.stack([page, page + 50, page + 100], axis=2) for page in deep_pages(4)]
    (tmp_path / "stack.tif").write_bytes(tiff_bytes(pages))
    with open_source(tmp_path) as source:
        assert numbers_of(source) == [0, 1, 2, 3]
        red, _, blue = next(source.frames([2])).image.reshape(-1, 3).mean(axis=0)
        assert red < blue - 20


def test_smaller_copies_and_masks_are_no_frames(tmp_path: Path) -> None:
    frames = [page.astype(np.uint8) for page in (numbered_image(i)[:, :, 0] for i in range(3))]
    pages = [frames[0], frames[0][::2, ::2], frames[1], frames[1], frames[2], frames[2][::4, ::4]]
    tags = {1: {254: 1}, 3: {254: 4}, 5: {255: 2}}
    (tmp_path / "pyramid.tif").write_bytes(tiff_bytes(pages, tags=tags))
    with open_source(tmp_path / "pyramid.tif") as source:
        assert numbers_of(source) == [0, 1, 2]
    (tmp_path / "one.tif").write_bytes(tiff_bytes(pages[:2], tags=tags))
    with open_source(tmp_path / "one.tif") as source:
        assert source.info.frame_count == 1
        assert source.frame_info(0).name == "one.tif"
    (tmp_path / "thumb.tif").write_bytes(tiff_bytes([pages[1], frames[2]], tags={0: {254: 1}}))
    with open_source(tmp_path / "thumb.tif") as source:
        assert numbers_of(source) == [2]


def test_pages_of_another_size_are_named(tmp_path: Path) -> None:
    pages = [page.astype(np.uint8) for page in deep_pages(2)]
    (tmp_path / "odd.tif").write_bytes(tiff_bytes([*pages, pages[0][:50]]))
    with pytest.raises(SourceError, match=r"page 1 of odd\.tif is 128x96 and page 3 of odd\.tif is 128x50"):
        open_source(tmp_path / "odd.tif")


def test_the_second_view_of_a_stereo_picture_is_no_frame(tmp_path: Path) -> None:
    for i in range(3):
        save_all(tmp_path / f"{i}.mpo", [i, 100 + i]).rename(tmp_path / f"{i}.jpg")
    with open_source(tmp_path) as source:
        assert numbers_of(source) == [0, 1, 2]
        assert source.frame_info(1).name == "1.jpg"


def test_other_files_of_several_pictures_are_refused(tmp_path: Path) -> None:
    parts = []
    for picture in numbered([0, 1]):
        buffer = BytesIO()
        picture.save(buffer, "PCX")
        parts.append(buffer.getvalue())
    head = struct.pack("<IIII", 0x3ADE68B1, 16, 16 + len(parts[0]), 0)
    (tmp_path / "fax.bmp").write_bytes(head + b"".join(parts))
    with pytest.raises(SourceError, match="holds 2 pictures of the format DCX"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("text", "pages", "message"),
    [
        ("ImageJ=1.54f\nimages=4\nchannels=2\nframes=2\n", 4, "holds 2 channels, 1 slices and 2 times"),
        ("ImageJ=1.54f\nimages=4\nslices=2\nframes=2\n", 4, "holds 1 channels, 2 slices and 2 times"),
        ("ImageJ=1.54f\nimages=9\nframes=9\n", 1, "holds 9 pictures, but one page"),
        ('<OME><Pixels ID="p" SizeX="8" SizeC="2" SizeZ="1" SizeT="2"/></OME>', 4, "holds 2 channels"),
        ('<ome:OME><ome:Pixels SizeT="2" SizeC="1" SizeZ="2" /></ome:OME>', 4, "2 slices and 2 times"),
        ("ImageJ=1.54f\nimages=4\nslices=4\n", 4, None),
        ("ImageJ=1.54f\nimages=4\nframes=4\n", 4, None),
        ('<OME><Pixels SizeX="8" SizeC="1" SizeZ="1" SizeT="12"/></OME>', 4, None),
        ("a scan of channels=3", 4, None),
    ],
)
def test_what_is_no_series_is_refused(tmp_path: Path, text: str, pages: int, message: str | None) -> None:
    (tmp_path / "cells.ome.tif").write_bytes(tiff_bytes(deep_pages(pages), text=text))
    if message is None:
        with open_source(tmp_path) as source:
            assert numbers_of(source) == list(range(pages))
    else:
        with pytest.raises(SourceError, match=message):
            open_source(tmp_path / "cells.ome.tif")


def test_channels_of_one_picture_are_its_colours(tmp_path: Path) -> None:
    pages = [numbered_image(i) for i in range(2)]
    text = '<OME><Pixels SizeC="3" SizeZ="1" SizeT="2"/></OME>'
    (tmp_path / "colour.tif").write_bytes(tiff_bytes(pages, text=text))
    with open_source(tmp_path) as source:
        assert numbers_of(source) == [0, 1]


def test_damaged_stacks(tmp_path: Path) -> None:
    whole = tiff_bytes(deep_pages(5))
    path = tmp_path / "cut.tif"
    for end in range(25_000, len(whole), 9_000):
        path.write_bytes(whole[:end])
        with pytest.raises(SourceError, match=r"cut\.tif"):
            open_source(path)
    endless = bytearray(whole)
    endless[-4:] = endless[4:8]  # the last page leads to the first again
    path.write_bytes(endless)
    with pytest.raises(SourceError, match="damaged: what comes behind its page 5"):
        open_source(path)


def test_a_page_without_its_samples_is_an_error_of_that_frame(tmp_path: Path) -> None:
    buffer = BytesIO()
    first, *others = numbered(range(4))
    first.save(buffer, "TIFF", save_all=True, append_images=others, compression="tiff_deflate")
    data = bytearray(buffer.getvalue())
    with PilImage.open(BytesIO(data)) as picture:
        picture.seek(2)
        place = picture.tag_v2[273][0]  # type: ignore[attr-defined]
    data[place : place + 200] = bytes(200)
    (tmp_path / "hole.tif").write_bytes(data)
    with open_source(tmp_path / "hole.tif") as source:
        seen: list[int] = []
        with pytest.raises(SourceError, match=r"frame 2: .*hole\.tif") as caught:
            seen.extend(read_number(frame.image) for frame in source.frames(range(4)))
        assert (seen, caught.value.frame) == ([0, 1], 2)
        assert read_number(next(source.frames([3])).image) == 3


def test_a_damaged_animation(tmp_path: Path) -> None:
    path = save_all(tmp_path / "cut.png", range(5))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"fdAT")
    data[at + 8 : at + 60] = bytes(52)
    path.write_bytes(data)
    with open_source(path) as source:
        for wanted in (range(5), range(4, -1, -1)):
            with pytest.raises(SourceError, match="frame 4") as caught:
                list(source.frames(wanted))
            assert caught.value.frame == 4


def test_pages_are_tracked_and_exported_under_names_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for part in range(2):
        save_all(tmp_path / "parts" / f"a{part}.ome.tif", range(3))
    tracks = maskferry.track(tmp_path / "parts", {1: square_mask((96, 128), 20, 20, 30)}, engine="hold")
    export(tracks, tmp_path / "maps", "davis")
    assert "davis" in BUILT_IN
    found = sorted(path.name for path in (tmp_path / "maps").glob("*.png"))
    assert len(found) == 6
    with open_source(tmp_path / "parts" / "a1.ome.tif") as source:
        assert source.info.frame_count == 3
