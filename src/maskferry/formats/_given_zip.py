"""An export of another tool as it is downloaded, a zip with files of masks in it -> prompts."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from maskferry._arguments import foreign
from maskferry.errors import InputError
from maskferry.formats._content import VideoTracks
from maskferry.formats._given_files import Found, of_video
from maskferry.formats._labelme import is_labelme, read_files
from maskferry.formats._reading import Reading
from maskferry.formats._yolo import CLASS_FILES, is_yolo
from maskferry.formats._yolo import read as read_yolo
from maskferry.images import natural_key
from maskferry.limits import MOST_TEXT_BYTES, most_unpacked

__all__ = ["read_zip"]

_READ = (".xml", ".json", ".txt")


def read_zip(path: Path, frame: int | None, reading: Reading, read_file: Callable[[Path], Found]) -> Found:
    """Read the one file of masks in a zip; or its files of YOLO or LabelMe, one for each picture. No pictures are read.

    Args:
        path: the zip.
        frame: the one that the caller says; None where he says none.
        reading: the video, and what is left out.
        read_file: reads a file of masks.

    Raises:
        InputError: no zip, nothing in it that is read, several files of several videos, or more than `limits` allow.
    """
    with TemporaryDirectory(prefix="maskferry-") as folder:
        try:
            files = _unpack(path, Path(folder))
            many = _of_pictures(files, reading)
            if many is not None:
                return of_video(path, many, frame, reading)
            return read_file(_the_one(files, path, Path(folder)))
        except InputError as err:
            if folder not in str(err):
                raise
            raise InputError(str(err).replace(folder, str(path))) from err


def _unpack(path: Path, folder: Path) -> list[Path]:
    """The files of kinds that are read, written to a folder under names without any folder above it."""
    with foreign(str(path)), zipfile.ZipFile(path) as archive:
        wanted = [item for item in archive.infolist() if _is_wanted(item)]
        _check_sizes(wanted, path)
        files = [_write(archive.read(item), item.filename, folder) for item in wanted]
    return sorted(set(files), key=natural_key)


def _is_wanted(item: zipfile.ZipInfo) -> bool:
    name = PurePosixPath(item.filename)
    hidden = any(part.startswith((".", "__MACOSX")) and part != ".." for part in name.parts)
    return not item.is_dir() and not hidden and (name.suffix.lower() in _READ or name.name in CLASS_FILES)


def _check_sizes(items: list[zipfile.ZipInfo], path: Path) -> None:
    total, most = sum(item.file_size for item in items), min(most_unpacked(path.stat().st_size), MOST_TEXT_BYTES)
    if total > most:
        raise InputError(f"{path}: its files unpack to {total} bytes; expected {most} at most: unpack it yourself")


def _write(data: bytes, name: str, folder: Path) -> Path:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return target


def _of_pictures(files: list[Path], reading: Reading) -> VideoTracks | None:
    """Files that are of a picture each; None where there are none, or one."""
    labels = [
        file for file in files if file.suffix.lower() == ".txt" and file.name not in CLASS_FILES and is_yolo(file)
    ]
    if labels:
        return read_yolo(labels, reading)
    pictures = [file for file in files if file.suffix.lower() == ".json" and is_labelme(file)]
    return read_files(pictures, reading.where, reading) if len(pictures) > 1 else None


def _the_one(files: list[Path], path: Path, folder: Path) -> Path:
    """The file of masks, of several that may be one."""
    for kind in (".xml", ".json", ".txt"):
        found = [file for file in files if file.suffix.lower() == kind and file.name not in CLASS_FILES]
        if len(found) == 1:
            return found[0]
        if found and kind != ".txt":
            names = ", ".join(str(file.relative_to(folder)) for file in found[:5])
            raise InputError(f"{path} has {len(found)} files of masks ({names}): unpack it, and give one")
    raise InputError(
        f"{path} has no file of masks that is read: expected CVAT's annotations.xml, a .json of COCO, Datumaro or "
        "LabelMe, or labels of YOLO. Unpack pictures of masks, and give their folder"
    )
