"""Small files that claim, or unpack to, far more than memory holds: refused by name, quickly, and in little memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips import make_clip
from maskferry.data import VideoInfo
from maskferry.errors import InputError, SourceError
from maskferry.formats import read_seeds
from maskferry.limits import MAX_PIXELS, check_size_hw, most_pixels
from maskferry.masks import rasterize, split_labels
from maskferry.rle import Rle
from maskferry.sources import open_source

FULL_11000 = Rle.from_runs(np.array([0, 11_000**2]), (11_000, 11_000)).to_coco()


def as_json(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def png(path: Path, width: int, height: int, *, bits: int = 8, colour: int = 0) -> Path:
    """A picture of nothing but 0, written without holding it."""
    row = bytes(1 + width * bits // 8 * {0: 1, 2: 3}[colour])
    encoder = zlib.compressobj(9)
    data = b"".join(encoder.compress(row) for _ in range(height)) + encoder.flush()
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def coco(side: int, segmentation: object) -> dict[str, object]:
    image = {"id": 1, "width": side, "height": side, "file_name": "a"}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": segmentation}
    return {"images": [image], "annotations": [annotation], "categories": []}


def labelme(side: int, shapes: int) -> dict[str, object]:
    points = [[0, 0], [side, 0], [side, side]]
    shape = {"label": "a", "shape_type": "polygon", "group_id": None, "points": points}
    return {"imageWidth": side, "imageHeight": side, "imagePath": "a.png", "shapes": [shape] * shapes}


def zigzag(side: int, points: int) -> list[float]:
    return [v for i in range(points) for v in (i % 7, side * (i % 2))]


CVAT = """<annotations><meta><task><size>1</size><original_size><width>{0}</width><height>{0}</height></original_size>
</task></meta><track id="0" label="a"><polygon frame="0" points="0,0;{0},0;{0},{0}"/></track></annotations>"""

BOMBS = {
    "rle 16000": lambda p: as_json(p / "a.json", [{"segmentation": {"size": [16000, 16000], "counts": "5ko_Td7"}}]),
    "rle 46340": lambda p: as_json(p / "a.json", [{"segmentation": {"size": [46340, 46340], "counts": "5[PZmoo1"}}]),
    "rle runs": lambda p: as_json(
        p / "a.json", [{"segmentation": {"size": [40000, 40000], "counts": [0, 1600000000]}}]
    ),
    "many rles": lambda p: as_json(p / "a.json", [{"segmentation": FULL_11000}] * 1000),
    "wrong rle": lambda p: as_json(p / "a.json", [{"segmentation": {"size": [10, 10], "counts": "5[PZmoo1" * 9}}]),
    "polygon": lambda p: as_json(p / "a.json", coco(46340, [[0, 0, 46340, 0, 46340, 46340]])),
    "zigzag": lambda p: as_json(p / "a.json", coco(10_000, [zigzag(10_000, 190)])),
    "polygons": lambda p: as_json(p / "a.json", coco(10_000, [[0, 0, 9, 0, 9, 9]] * 10_000)),
    "length": lambda p: as_json(
        p / "a.json",
        {"videos": [{"id": 1, "width": 64, "height": 48, "length": 10_000_000}], "annotations": [], "categories": []},
    ),
    "nesting": lambda p: as_text(p / "a.json", "[" * 10**6),
    "labelme": lambda p: as_json(p / "a.json", labelme(46340, 1)),
    "many shapes": lambda p: as_json(p / "a.json", labelme(10_000, 100)),
    "mots": lambda p: as_text(p / "a.txt", "0 2001 2 46340 46340 5[PZmoo1\n"),
    "cvat": lambda p: as_text(p / "a.xml", CVAT.format(46340)),
    "png": lambda p: png(p / "a.png", 13_000, 13_000),
    "png rgb": lambda p: png(p / "a.png", 13_000, 13_000, colour=2),
    "png wide": lambda p: png(p / "a.png", 70_000, 9),
}

READ = """
import sys, resource, pathlib, warnings
warnings.simplefilter("error")
from maskferry.formats import read_seeds
from maskferry.formats import _cvat, _mots
from maskferry.errors import MaskferryError
from maskferry.sources import open_source
from maskferry.sources import _folder, _video

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

before, told = peak(), "read"
try:
    if sys.argv[1] == "seeds":
        read_seeds(pathlib.Path(sys.argv[2]))
    else:
        with open_source(sys.argv[2]) as source:
            list(source.frames([0]))
except MaskferryError as err:
    told = type(err).__name__ + ": " + str(err)
print(peak() - before)
print(told)
"""


def as_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def read_apart(kind: str, path: Path) -> tuple[float, float, str]:
    """Read a file in a process of its own: (MB of memory that it took, seconds, what came of it)."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", READ, kind, str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    memory, told = done.stdout.split("\n", 1)
    return float(memory), time.monotonic() - started, told.strip()


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")


@linux
@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_of_masks_takes_little(kind: str, tmp_path: Path) -> None:
    path = BOMBS[kind](tmp_path)
    assert path.stat().st_size < 1_500_000
    memory, seconds, told = read_apart("seeds", path)
    assert memory < 200, told
    assert seconds < 15, told  # of which Python's start takes the greater part on a busy machine
    assert told.startswith("InputError: ") or kind in ("zigzag", "polygons")


def hdr(path: Path, width: int, height: int) -> Path:
    path.write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + f"-Y {height} +X {width}\n".encode() + bytes(100))
    return path


def pam(path: Path, width: int, height: int) -> Path:
    head = f"P7\nWIDTH {width}\nHEIGHT {height}\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n"
    path.write_bytes(head.encode() + bytes(100))
    return path


SOURCES = {
    "png": lambda p: png(p / "a.png", 13_000, 13_000),
    "png 16 bit": lambda p: png(p / "a.png", 13_000, 13_000, bits=16),
    "folder": lambda p: png(p / "a.png", 13_000, 13_000, colour=2).parent,
    "hdr": lambda p: hdr(p / "a.hdr", 60_000, 60_000),
    "pam": lambda p: pam(p / "a.pnm", 60_000, 60_000),
}


@linux
@pytest.mark.parametrize("kind", SOURCES)
def test_a_bomb_of_frames_takes_little(kind: str, tmp_path: Path) -> None:
    memory, seconds, told = read_apart("source", SOURCES[kind](tmp_path))
    assert told.startswith("SourceError: ")
    assert memory < 200
    assert seconds < 15


def test_a_film_of_giant_frames_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "a.mp4", 3)
    monkeypatch.setenv("MASKFERRY_MAX_PIXELS", "1000")
    with pytest.raises(SourceError, match=r"a\.mp4.*(1000 pixels at most|cannot be opened)"):
        open_source(path)


def test_the_environment_raises_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert most_pixels() == MAX_PIXELS == 134_217_728
    with pytest.raises(InputError, match="MASKFERRY_MAX_PIXELS"):
        check_size_hw(12_000, 12_000, "here")
    monkeypatch.setenv("MASKFERRY_MAX_PIXELS", "200000000")
    assert check_size_hw(12_000, 12_000, "here") == (12_000, 12_000)
    with pytest.raises(InputError, match="200000000 pixels at most"):
        check_size_hw(15_000, 15_000, "here")


@pytest.mark.parametrize("text", ["many", "-1", "0", "1e9", "²", "9" * 40])
def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MASKFERRY_MAX_PIXELS", text)
    with pytest.raises(InputError, match="MASKFERRY_MAX_PIXELS"):
        most_pixels()


def test_the_limit_is_that_of_every_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of a hundred pixels is too large where ninety are allowed, and is read where a hundred are."""
    path = png(tmp_path / "a.png", 10, 10)
    mask = as_json(tmp_path / "a.json", [{"segmentation": Rle.encode(np.eye(10, dtype=bool)).to_coco()}])
    monkeypatch.setenv("MASKFERRY_MAX_PIXELS", "90")
    with pytest.raises(SourceError, match="90 pixels"):
        open_source(path)
    with pytest.raises(InputError, match="90 pixels"):
        read_seeds(path)
    with pytest.raises(InputError, match="90 pixels"):
        read_seeds(mask)
    with pytest.raises(InputError, match="90 pixels"):
        VideoInfo(10, 10)
    with pytest.raises(InputError, match="90 pixels"):
        Rle.empty((10, 10)).decode()
    monkeypatch.setenv("MASKFERRY_MAX_PIXELS", "100")
    with open_source(path) as source:
        assert source.info.size_hw == (10, 10)
    assert len(read_seeds(mask).prompts) == 1


def test_a_label_map_of_too_many_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(100).reshape(10, 10)
    assert len(split_labels(labels)) == 99
    monkeypatch.setenv("MASKFERRY_MAX_PIXELS", "100")
    with pytest.raises(InputError, match="99 objects"):
        split_labels(labels)


@pytest.mark.parametrize(
    ("size_hw", "counts"),
    [
        ((10, 10), b""),
        ((10, 10), b"1"),
        ((10, 10), b"o"),
        ((10, 10), b"T4"),
        ((10, 10), b"5[PZmoo1"),
        ((10, 10), b"ooooooooooo0"),
        ((10, 10), b"\xff\x00"),
        ((10, 10), "d3"),
        ((10, 10), None),
        ((10**9, 10**9), b"d3"),
        ((0, 10), b"0"),
        ((10,), b"d3"),
        (None, b"d3"),
    ],
)
@pytest.mark.parametrize("use", ["check", "decode", "decode_crop"])
def test_damaged_counts_are_refused(size_hw, counts, use: str) -> None:
    with pytest.raises(InputError):
        getattr(Rle(size_hw, counts), use)()


def test_good_counts_pass() -> None:
    rle = Rle.encode(np.eye(10, dtype=bool))
    assert rle.check() is rle


def test_a_long_polygon_is_walked_in_pieces() -> None:
    corners = np.array([[i % 90, 900 * (i % 2)] for i in range(300)], dtype=float)
    whole = rasterize(corners, (1000, 100))
    assert whole.area == whole.decode().sum() > 10_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"width": 70_000},
        {"height": -1},
        {"width": 20_000, "height": 20_000},
        {"width": 3.5},
        {"width": "64"},
        {"height": True},
        {"frame_count": -1},
        {"frame_count": 2**40},
        {"frame_count": 2.5},
        {"rate": 0},
        {"rate": Fraction(-25)},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"rate": "25"},
        {"name": None},
        {"name": b"clip"},
    ],
)
def test_what_is_no_video_is_refused(wrong) -> None:
    with pytest.raises(InputError, match=r"video|width|height|frame_count|rate|name"):
        VideoInfo(**{"width": 64, "height": 48, **wrong})


def test_a_video_of_numpy_numbers_has_plain_ones() -> None:
    video = VideoInfo(np.int64(64), np.uint16(48), frame_count=np.int32(7))
    assert [type(v) for v in (video.width, video.height, video.frame_count)] == [int] * 3
