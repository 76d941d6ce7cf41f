"""What may not be read is said as such; open files and bytes are taken where a path is."""

from __future__ import annotations

import gc
import gzip
import io
import logging
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage

import maskferry
from clips import make_clip, numbered_image, read_number
from helpers import contents, square_mask
from maskferry import MaskTracker, Tracks
from maskferry.data import Source
from maskferry.errors import InputError, SourceError
from maskferry.rendering import reads_of, render, source_of
from maskferry.sources import open_source, source_digest, video_digest

HELD = "maskferry-"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "plain.mp4", 8)


def numbers_of(source: Source) -> list[int]:
    return [read_number(frame.image) for frame in source.frames(range(source.info.frame_count or 0))]


# --- what may not be read -------------------------------------------------------------------------------------------


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root; who is not root has none of them anyway."""
    if sys.platform == "win32":
        pytest.skip("files have no modes here")
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.fixture
def place(clip: Path) -> Iterator[Path]:
    """A folder that anybody may enter, with a video and pictures; every decoder has been loaded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "clip.mp4").write_bytes(clip.read_bytes())
        (folder / "frames").mkdir()
        for i in range(3):
            PilImage.fromarray(numbered_image(i)).save(folder / "frames" / f"{i}.png")
        PilImage.fromarray(numbered_image(0)).save(folder / "one.tif")
        for path in (folder / "clip.mp4", folder / "frames", folder / "one.tif"):
            with open_source(path) as source:
                assert numbers_of(source)
        yield folder
        for path in (folder, folder / "frames"):
            path.chmod(0o755)


@pytest.mark.parametrize("name", ["clip.mp4", "one.tif", "frames/1.png"])
def test_a_file_without_permission(place: Path, name: str) -> None:
    (place / name).chmod(0)
    with (
        as_nobody(),
        pytest.raises(SourceError, match=r"no permission to read it: its owner can give it \(chmod \+r\)"),
    ):
        open_source(place / name)


def test_a_picture_of_a_folder_without_permission_is_named(place: Path) -> None:
    (place / "frames" / "1.png").chmod(0)
    with as_nobody(), pytest.raises(SourceError, match=r"1\.png: no permission to read it"):
        open_source(place / "frames")


def test_permission_that_goes_while_a_folder_is_read(place: Path) -> None:
    with open_source(place / "frames") as source:
        (place / "frames" / "2.png").chmod(0)
        with as_nobody(), pytest.raises(SourceError, match=r"frame 2: .*2\.png: no permission to read it") as caught:
            numbers_of(source)
        assert caught.value.frame == 2


@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_folder_without_permission(place: Path, mode: int) -> None:
    (place / "frames").chmod(mode)
    with as_nobody():
        with pytest.raises(SourceError, match=r"frames: no permission to read it: .*\(chmod \+rx\)"):
            open_source(place / "frames")
        with pytest.raises(SourceError, match=r"1\.png: no permission to enter the folder .*frames"):
            open_source(place / "frames" / "1.png")
        with pytest.raises(SourceError, match="no permission to enter the folder"):
            open_source(place / "frames" / "nothing" / "no.mp4")


def test_a_system_that_forbids_it(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(SourceError, match="no permission to read it"):
        open_source(clip)
    with pytest.raises(SourceError, match="no permission to read it"):
        MaskTracker(str(clip))


def test_what_is_not_there_is_still_said(tmp_path: Path) -> None:
    for name in ("no.mp4", "no/where.png", "x" * 300):
        with pytest.raises(SourceError, match="does not exist"):
            open_source(tmp_path / name)


# --- open files and bytes -------------------------------------------------------------------------------------------


def held_folders() -> set[str]:
    return {path.name for path in Path(tempfile.gettempdir()).glob(f"{HELD}*") if path.is_dir()}


def opened(kind: str, path: Path) -> Any:
    data = path.read_bytes()
    if kind == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(f"some/{path.name}", data)
        return zipfile.ZipFile(buffer).open(f"some/{path.name}")
    if kind == "gzip":
        (path.parent / "packed").mkdir(exist_ok=True)
        packed = path.parent / "packed" / path.name
        packed.write_bytes(gzip.compress(data))
        return gzip.open(packed)
    if kind == "spooled":
        spooled = tempfile.SpooledTemporaryFile()  # noqa: SIM115
        spooled.write(data)
        return spooled
    kinds = {"bytes": bytes, "bytearray": bytearray, "memoryview": memoryview, "BytesIO": io.BytesIO}
    return kinds[kind](data)


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "BytesIO", "zip", "gzip", "spooled"])
def test_the_content_of_a_video(clip: Path, kind: str) -> None:
    before = held_folders()
    content = opened(kind, clip)
    with open_source(content, rate="10") as source:
        assert source.info.path is None
        assert source.info.rate == 10
        assert numbers_of(source) == list(range(8))
        assert [read_number(frame.image) for frame in source.frames([6, 3])] == [6, 3]
        assert source.frame_info(4).time == 0.4
        assert source_digest(source) == video_digest(str(clip))
        assert len(held_folders() - before) == 1
        frames = source.frames(range(8))
        next(frames)
    assert held_folders() == before
    source.close()
    if kind not in ("bytes", "bytearray", "memoryview"):
        content.close()


def test_a_copy_is_removed_with_a_forgotten_source(clip: Path) -> None:
    before = held_folders()
    source = open_source(clip.read_bytes())
    assert source.info.frame_count == 8
    del source
    gc.collect()
    assert held_folders() == before


def test_an_open_file_of_the_disk_is_opened_by_its_path(clip: Path, tmp_path: Path) -> None:
    with clip.open("rb") as file:
        file.seek(1000)
        with open_source(file) as source:
            assert source.info.path == str(clip)
            assert numbers_of(source) == list(range(8))
        assert file.tell() == 1000
        assert clip in reads_of(Tracks.create(source.info), file)
    with (tmp_path / "new.mp4").open("w+b") as file:
        file.write(clip.read_bytes())
        with open_source(file) as source:
            assert source.info.frame_count == 8
    with clip.open("rb", buffering=0) as raw, open_source(raw) as source:
        assert source.info.path == str(clip)


def test_a_position_stays(clip: Path) -> None:
    file = io.BytesIO(clip.read_bytes())
    file.seek(77)
    with open_source(file) as source:
        assert numbers_of(source) == list(range(8))
    assert file.tell() == 77
    assert not file.closed


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
def test_the_content_of_a_picture(tmp_path: Path, suffix: str) -> None:
    PilImage.fromarray(numbered_image(5)).save(tmp_path / f"shore{suffix}")
    for content in (opened("bytes", tmp_path / f"shore{suffix}"), opened("zip", tmp_path / f"shore{suffix}")):
        with open_source(content) as source:
            assert numbers_of(source) == [5]
    assert source.frame_info(0).name == f"shore{suffix}"
    assert source.info.name == f"shore{suffix}"


def test_the_content_of_pages_of_deep_samples_and_of_a_gif(tmp_path: Path) -> None:
    pictures = [PilImage.fromarray(numbered_image(i)) for i in range(4)]
    for suffix in (".tif", ".webp", ".gif"):
        options = {} if suffix == ".tif" else {"duration": 40}
        if suffix == ".webp":
            options["lossless"] = True
        path = tmp_path / f"many{suffix}"
        pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
        with open_source(path.read_bytes()) as source:
            assert numbers_of(source) == [0, 1, 2, 3]
    ok, data = cv2.imencode(".png", 7000 + numbered_image(3)[:, :, 0].astype(np.uint16))
    assert ok
    with open_source(data.tobytes(), stretch=(7000, 7255)) as source:
        assert source.info.stretch == (7000, 7255)
        assert numbers_of(source) == [3]


def test_a_run_of_an_open_file_is_resumed_and_rendered(clip: Path, tmp_path: Path) -> None:
    mask = square_mask((96, 128), 20, 20, 30)
    with MaskTracker(io.BytesIO(clip.read_bytes()), engine="hold", tracks=tmp_path / "t.sqlite") as tracker:
        tracker.add_mask_prompt(mask)
        rows = contents(tracker.propagate())
    for video in (clip, clip.read_bytes()):
        with MaskTracker(video, engine="hold", tracks=tmp_path / "t.sqlite", resume=True) as tracker:
            assert contents(tracker.tracks) == rows
    other = make_clip(tmp_path / "other.mp4", 8, gop=3).read_bytes()
    with pytest.raises(InputError, match="another video"):
        MaskTracker(other, engine="hold", tracks=tmp_path / "t.sqlite", resume=True)
    with Tracks.open(tmp_path / "t.sqlite") as tracks:
        assert tracks.video.path is None
        with pytest.raises(InputError, match=r"made of .* an open file: pass the video too \(the VIDEO argument\)"):
            render(tracks, tmp_path / "film.mp4")
        render(tracks, tmp_path / "film.mp4", io.BytesIO(clip.read_bytes()))
    assert len(maskferry.track(clip.read_bytes(), {1: mask}, engine="hold")) == 8


class Pipe(io.RawIOBase):
    """Readable, and not seekable."""

    def readable(self) -> bool:
        return True


class Odd:
    """Fails whenever it is asked."""

    def read(self, size: int = -1) -> bytes:
        raise RuntimeError("gone")

    seek = tell = read


def test_what_is_not_taken_is_said(clip: Path, tmp_path: Path) -> None:
    closed = io.BytesIO(b"x")
    closed.close()
    before = held_folders()
    for source, says in [
        (io.StringIO("text"), "opened for text: open it with mode 'rb'"),
        (closed, "is closed"),
        (Pipe(), "cannot be read from its beginning again"),
        (io.BytesIO(), "0 bytes"),
        (b"", "0 bytes"),
        (os.fsencode(clip), "pass a path as str"),
        (b"no/where/clip.mp4", "pass a path as str"),
        (Odd(), "gone"),
    ]:
        with pytest.raises(InputError, match=says):
            open_source(source)
    with clip.open(encoding="latin-1") as text, pytest.raises(InputError, match="opened for text"):
        open_source(text)
    with (tmp_path / "out.mp4").open("wb") as file, pytest.raises(InputError, match="for writing only"):
        open_source(file)
    with pytest.raises(SourceError, match=r"^video\.video cannot be opened as a video"):
        open_source(b"no video at all\n" * 99)
    damaged = io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(99))
    with pytest.raises(SourceError, match=r"^picture\.png: expected a size"):
        open_source(damaged)
    assert held_folders() == before


# --- which video it is ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a video and its tracks, made with a relative path."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    Path("clip.mp4").write_bytes(clip.read_bytes())
    with MaskTracker("clip.mp4", engine="hold", tracks="t.sqlite") as tracker:
        tracker.add_mask_prompt(square_mask((96, 128), 20, 20, 30))
        tracker.propagate()
    return tmp_path / "there"


def test_a_relative_path_is_found_from_elsewhere(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    make_clip(Path("clip.mp4"), 8, gop=3)  # another film of the same name
    with Tracks.open(run / "t.sqlite") as tracks, source_of(tracks, None) as source:
        assert Path(source.info.path or "") == run / "clip.mp4"


def test_a_video_that_is_gone_names_the_argument(run: Path) -> None:
    moved = (run / "clip.mp4").rename(run / "moved.mp4")
    with Tracks.open(run / "t.sqlite") as tracks:
        with pytest.raises(SourceError, match=r"does not exist.*the VIDEO argument"), source_of(tracks, None):
            pass
        with source_of(tracks, str(moved)) as source:
            assert numbers_of(source) == list(range(8))


def test_another_video_in_its_place_is_refused(run: Path) -> None:
    make_clip(run / "clip.mp4", 8, gop=3)
    says = r"is not the video that was tracked.*VIDEO argument"
    with Tracks.open(run / "t.sqlite") as tracks, pytest.raises(SourceError, match=says):
        render(tracks, run / "film.mp4")
    with pytest.raises(InputError, match="another video"):
        MaskTracker("clip.mp4", engine="hold", tracks="t.sqlite", resume=True)
    assert not (run / "film.mp4").exists()


def test_another_video_that_is_named_is_said(run: Path, clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = make_clip(run / "other.mp4", 8, gop=3)
    with Tracks.open(run / "t.sqlite") as tracks, caplog.at_level(logging.WARNING):
        with source_of(tracks, clip):
            assert "not the very file" not in caplog.text
        with source_of(tracks, other) as source:
            assert numbers_of(source) == list(range(8))
    assert "other.mp4 is not the very file that was tracked" in caplog.text


def test_folders_are_told_apart(tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(3):
        PilImage.fromarray(numbered_image(i)).save(frames / f"{i}.png")
    tracks = maskferry.track(frames, {1: square_mask((96, 128), 20, 20, 30)}, engine="hold")
    with source_of(tracks, None) as source:
        assert numbers_of(source) == [0, 1, 2]
    PilImage.fromarray(numbered_image(9)).save(frames / "0.png")
    with pytest.raises(SourceError, match="is not the video that was tracked"), source_of(tracks, None):
        pass
