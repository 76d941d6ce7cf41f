"""A folder of masks -> prompts: pictures of frames, of objects, folders of objects, or LabelMe files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from maskferry.data import Mask, MaskPrompt
from maskferry.errors import InputError
from maskferry.formats import _labelme as labelme
from maskferry.formats._binary import ids_of_names
from maskferry.formats._coco import load_json
from maskferry.formats._davis import VOID, Color
from maskferry.formats._frame_names import are_numbered_as_frames, frame_of, frames_of_pictures, own_frame
from maskferry.formats._given_files import Found, of_video
from maskferry.formats._given_pictures import on_frame
from maskferry.formats._images import Pixels, read_pixels
from maskferry.formats._mask_pictures import objects_of
from maskferry.formats._reading import Reading
from maskferry.images import PICTURE_SUFFIXES, natural_key

__all__ = ["read_folder"]

_BESIDE = frozenset({".csv", ".md", ".db", ".ini"})
"""Suffixes of what lies beside pictures and is of nobody's interest."""


class _Entries(NamedTuple):
    """What is in a folder, in natural order, hidden files aside."""

    pictures: list[Path]
    folders: list[Path]
    json: list[Path]
    others: list[Path]


def read_folder(folder: Path, frame: int | None, reading: Reading) -> Found:
    """Read a folder of masks.

    - Pictures of frames, each a mask or a label map: see `frames_of_pictures`.
    - Otherwise a picture for each object, all on one frame. The ids are the numbers at the ends of the names where each
      has one (from 1, all different); otherwise the names are labels.
    - A folder for each object, with pictures of frames in it, as ``masks`` and ``cutouts`` are written.
    - LabelMe files, each on the frame of its picture.

    Args:
        folder: it; hidden files in it are left out.
        frame: the frame of all pictures, which says that they are objects; None where nobody says so.
        reading: the video, as far as it is known, and who is told.

    Raises:
        InputError: nothing of this kind is in it, or it is not clear what its pictures are.
    """
    found = _entries(folder)
    if found.json and "shapes" in _keys(found.json[0]):
        return _read_labelme(folder, found, frame, reading)
    for path in (*found.json, *found.others, *(found.folders if found.pictures else ())):
        reading.leave_out("files and folders that are no pictures of masks", path.name)
    if found.pictures:
        return _read_pictures(found.pictures, frame, reading)
    inner = [path for path in found.folders if _entries(path).pictures]
    if not inner:
        raise InputError(f"{folder}: expected pictures (PNG, TIFF, ...), or a folder of them for each object")
    for path in found.folders:
        if path not in inner:
            reading.leave_out("folders without pictures", path.name)
    return _read_objects(inner, frame, reading)


def _entries(folder: Path) -> _Entries:
    there = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=natural_key)
    folders = [path for path in there if path.is_dir()]
    files = [path for path in there if path.is_file()]
    pictures = [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]
    json = [path for path in files if path.suffix.lower() == ".json"]
    others = [path for path in files if path not in pictures and path not in json]
    return _Entries(pictures, folders, json, [path for path in others if path.suffix.lower() not in _BESIDE])


def _keys(path: Path) -> Iterable[str]:
    data = load_json(path)
    return data.keys() if isinstance(data, dict) else ()


def _read_labelme(folder: Path, found: _Entries, frame: int | None, reading: Reading) -> Found:
    stems = {path.stem for path in found.json}
    for path in (*found.others, *found.folders, *(p for p in found.pictures if p.stem not in stems)):
        reading.leave_out("files and folders beside the files of LabelMe", path.name)
    reading.read_as("LabelMe, a file for each frame")
    return of_video(folder, labelme.read_folder(folder, reading=reading), frame, reading)


def _read_pictures(paths: Sequence[Path], frame: int | None, reading: Reading) -> Found:
    objects = _objects_of_all(paths, reading)
    several = [path for path, masks in zip(paths, objects, strict=True) if len(masks) > 1]
    if frame is None:
        frames = frames_of_pictures(paths, reading, label_maps=bool(several))
        if frames is not None:
            reading.read_as("a picture for each frame")
            return Found(_on_frames(paths, objects, frames, reading), {})
    elif are_numbered_as_frames(paths):
        reading.doubt(
            f"{len(paths)} pictures are put on frame {frame}, as asked for, though they are numbered as frames"
        )
    if several and len(paths) > 1:
        raise InputError(
            f"{several[0]} has several values beside 0 and looks like a label map; expected a folder with a black and "
            "white mask for each object. Give the label map of one frame as a file, or leave out the frame if each "
            "picture is of its own"
        )
    if several:
        reading.read_as("a picture of masks")
        return Found(on_frame(frame or 0, objects[0]), {})
    return _one_each(paths, objects, frame_of(paths[0].parent, frame, reading), reading)


def _one_each(paths: Sequence[Path], objects: Sequence[dict[int, Mask]], frame: int, reading: Reading) -> Found:
    """A picture for each object."""
    reading.read_as("a picture for each object")
    ids, labels = _names([path.stem for path in paths])
    empty = [i for i, masks in zip(ids, objects, strict=True) if not masks]
    if empty:
        folder = paths[0].parent
        raise InputError(f"{folder}: the masks of objects {empty} are empty; expected at least one pixel in each")
    masks = {i: next(iter(found.values())) for i, found in zip(ids, objects, strict=True)}
    return Found(on_frame(frame, dict(sorted(masks.items()))), labels, bool(labels))


def _read_objects(folders: Sequence[Path], frame: int | None, reading: Reading) -> Found:
    """A folder of pictures for each object; a single one with label maps is read for itself."""
    reading.read_as("a folder for each object, with a picture for each frame")
    ids, labels = _names([path.name for path in folders])
    prompts = []
    for object_id, folder in zip(ids, folders, strict=True):
        paths = _entries(folder).pictures
        objects = _objects_of_all(paths, reading)
        if any(len(masks) > 1 for masks in objects):
            if len(folders) > 1:
                raise InputError(f"{folder} holds label maps: expected those of one video; give their folder alone")
            return _read_pictures(paths, frame, reading)
        frames = _frames_of_object(paths, frame, reading)
        found = _on_frames(paths, objects, frames, reading)
        prompts += [MaskPrompt(prompt.frame, object_id, prompt.mask) for prompt in found]
    return Found(sorted(prompts, key=lambda p: (p.frame, p.object_id)), labels, bool(labels))


def _frames_of_object(paths: Sequence[Path], frame: int | None, reading: Reading) -> Sequence[int | None]:
    if len(paths) == 1 and (frame is not None or own_frame(paths[0]) is None):
        return [frame] if frame is not None else frames_of_pictures(paths, reading, label_maps=True) or [0]
    if frame is not None:
        raise InputError(
            f"{paths[0].parent} has {len(paths)} pictures of one object, each on its own frame: leave out frame {frame}"
        )
    return frames_of_pictures(paths, reading, label_maps=True) or []


def _names(stems: Sequence[str]) -> tuple[list[int], dict[int, str]]:
    """The ids of objects, and their labels where the names are no ids."""
    ids, counted = ids_of_names(stems)
    return ids, {i: stem for i, stem in zip(ids, stems, strict=True) if counted and not stem.isdecimal()}


def _objects_of_all(paths: Sequence[Path], reading: Reading) -> list[dict[int, Mask]]:
    """The objects of each picture. A colour is one object in all of them; and where some are label maps, those that
    are black and white alone hold void rather than an object."""
    colors: dict[Color, int] = {}
    found, levels = [], []
    for path in paths:
        pixels = read_pixels(path, reading)
        with reading.at(path):
            found.append(objects_of(pixels, reading, colors))
        levels.append(_levels(pixels))
    if not any(kinds is not None and kinds - {0, VOID} for kinds in levels) or all(len(m) <= 1 for m in found):
        return found
    for i, kinds in enumerate(levels):
        if kinds is not None and VOID in kinds and kinds <= {0, VOID}:
            reading.doubt(f"{VOID} is void in all of the label maps, also where it stands alone ({paths[i].name})")
            found[i] = {}
    return found


def _levels(pixels: Pixels) -> frozenset[int] | None:
    """The values of an 8-bit grey picture; None of others."""
    if pixels.shown is not None or pixels.lossy or pixels.values.ndim == 3 or pixels.values.dtype != np.uint8:
        return None
    return frozenset(np.unique(pixels.values).tolist())


def _on_frames(
    paths: Sequence[Path], objects: Sequence[dict[int, Mask]], frames: Sequence[int | None], reading: Reading
) -> list[MaskPrompt]:
    taken: dict[int, Path] = {}
    prompts = []
    for path, masks, frame in zip(paths, objects, frames, strict=True):
        if frame is None:
            reading.leave_out("pictures that are called as no frame of the video is", path.name)
        elif taken.setdefault(frame, path) != path:
            raise InputError(f"{path} and {taken[frame].name} are both of frame {frame}: expected one picture a frame")
        else:
            prompts += on_frame(frame, masks)
    return sorted(prompts, key=lambda p: (p.frame, p.object_id))
