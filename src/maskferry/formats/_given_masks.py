"""Anything that ``--masks`` takes (a picture, a folder of pictures, a third-party file) -> prompts."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskferry._arguments import whole
from maskferry.data import Mask, MaskPrompt
from maskferry.errors import InputError
from maskferry.formats._binary import read_mask
from maskferry.formats._given_arrays import read_arrays
from maskferry.formats._given_files import Found, read_file
from maskferry.formats._given_folders import read_folder
from maskferry.formats._given_pictures import read_picture
from maskferry.formats._given_vectors import VECTOR_SUFFIXES, read_features, read_vectors
from maskferry.formats._given_zip import read_zip
from maskferry.formats._reading import Reading, Target
from maskferry.limits import MOST_FRAMES

__all__ = ["Seeds", "is_feature_table", "read_one_mask", "read_seeds", "read_table"]

_ARRAYS = (".npy", ".npz")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seeds:
    """Masks to track.

    Attributes:
        prompts: by frame, then by object id; masks have the size of their file.
        labels: {object id: name}, where the file has names.
        kinds: how it was read, in a few words for each file: "COCO", "a label map".
        left_out: what the file holds and these masks do not, a line for each kind, with a count.
        notes: how the file was read, where it could be read in another way too.
        counted: the file does not tell the ids, which are numbered; its names tell which object it is.
    """

    prompts: list[MaskPrompt]
    labels: dict[int, str]
    kinds: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    counted: bool = False


def read_seeds(
    path: Path,
    *,
    frame: int | None = None,
    target: Target | None = None,
    strict: bool = False,
    first_frame: int | None = None,
    id_field: str | None = None,
    label_field: str | None = None,
) -> Seeds:
    """Read masks to start from.

    - A picture is a label map, or a mask in black and white, with hard edges or soft ones, see
      `_mask_pictures.objects_of`. It is put on the frame whose picture has its name, or which it holds itself.
    - A folder holds pictures of frames, of objects, folders of objects, or LabelMe files, see
      `_given_folders.read_folder`.
    - A .npy or .npz file holds masks or label maps, see `_given_arrays.read_arrays`.
    - A JSON file of one video, see `youtube_vis.read` and `coco_images.read`: every mask on its own frame; where states
      are recorded, only the masks that are "given". Of one picture (COCO): every annotation is an object, 1 to N in the
      order of the file. A list of ``{"segmentation": RLE, ...}``, as SAM's mask generator makes, is read likewise. Of
    - A picture is a label map: value n is object n, and in 8 bits 255 is void and left out. A grey picture that holds
      nothing but 0 and 255 (or 65535) is a binary mask and makes object 1. In RGB every colour is an object, see
      `davis.read_label_map`. A JPEG is a binary mask, cut at 127.
      In a grey picture whose values are all from 1000, 10000 is MOTS's region to ignore and left out.
    - A folder holds a binary picture for each object, see `binary.read_masks`.
    - A JSON file of one video, see `youtube_vis.read` and `coco_images.read`: every mask on its own frame. Of an object
      that maskferry has tracked from masks that were given, only these; of one that a detector has found, all. Of one
      picture (COCO): every annotation is an object, 1 to N in the order of the file. A list of ``{"segmentation": RLE,
      ...}``, as SAM's mask generator makes, is read likewise; and so are files of SA-1B, Datumaro and Label Studio. Of
      LabelMe: ids are the groups, where every shape has one and no group has two labels; otherwise 1 to N.
    - An XML file of CVAT, see `cvat.read`: the shapes of keyframes. A text file of MOTS, see `mots.read`, or of YOLO's
      segments, see `yolo.read`.
    - A file of polygons on the map (.gpkg, .geojson, .shp, .fgb), of a series, see `_given_vectors.read_vectors`.
    - A zip with one such file in it, or with YOLO's or LabelMe's files of several pictures.

    Args:
        path: a picture, a folder, or a .json, .xml, .txt, .zip, .npy, .npz, .gpkg, .geojson, .shp or .fgb file.
        frame: the frame that a file of one picture belongs to, 0-based; None for the one that it names, or the first.
        target: the video that the masks are for, as far as it is known: files that name a picture are put on its frame.
        strict: refuse a file of which something is left out; otherwise one warning says what, and how many.
        first_frame: what a text file of MOTS calls the video's first frame, see `mots.read`; no other file takes it.
        id_field: of polygons, the column of ids; no other file takes it.
        label_field: of polygons, the column of names.

    Raises:
        InputError: nothing of this kind, or no mask in it.

    Warns:
        LeftOutWarning: something of the file is not taken.
        MaskPlacementWarning: which frame, or which object, its masks are of is not sure.
    """
    if frame is not None:
        frame = whole(frame, "frame", least=0, most=MOST_FRAMES)
    if first_frame is not None and path.suffix.lower() not in (".txt", ".zip"):
        raise InputError(f"first_frame: only for text files of MOTS (.txt), not for {path}")
    is_vector = path.suffix.lower() in VECTOR_SUFFIXES or _is_features(path)
    if (id_field or label_field) and not is_vector:
        raise InputError(f"id_field, label_field: only for polygons ({', '.join(VECTOR_SUFFIXES)}), not for {path}")
    reading = Reading(str(path), target or Target(), strict, first_frame, id_field, label_field)
    found = read_vectors(path, frame, reading) if is_vector else _read(path, frame, reading)
    if not found.prompts:
        why = f"; left out: {'; '.join(reading.told)}" if reading.told else ""
        raise InputError(f"{path} holds no mask: expected at least one pixel of an object{why}")
    reading.warn()
    for note in reading.notes:
        log.info("%s: %s", path, note)
    told, notes = tuple(reading.told), tuple(reading.notes)
    return Seeds(found.prompts, found.labels, (reading.kind,), told, notes, found.counted)


def is_feature_table(value: Any) -> bool:  # noqa: ANN401
    """Whether this is a GeoDataFrame, or behaves as one."""
    return all(hasattr(value, name) for name in ("geometry", "crs", "iterrows"))


def read_table(table: Any, *, frame: int | None, target: Target) -> Seeds:  # noqa: ANN401
    """The polygons of a GeoDataFrame, see `_given_vectors.read_vectors`; its rows are called by their index."""
    reading = Reading("masks", target)
    name = table.geometry.name
    rows = [(f"row {index}", row[name], {k: row[k] for k in row.index if k != name}) for index, row in table.iterrows()]
    found = read_features(rows, table.crs, frame, reading)
    reading.warn()
    return Seeds(found.prompts, found.labels, ("polygons on the map",), tuple(reading.told), (), found.counted)


def _is_features(path: Path) -> bool:
    """Whether a .json file is GeoJSON, which begins with saying so."""
    if path.suffix.lower() != ".json":
        return False
    try:
        with path.open("rb") as file:
            return re.match(rb'\s*\{\s*"type"\s*:\s*"FeatureCollection"', file.read(200)) is not None
    except OSError:  # whoever reads it says why
        return False


def read_one_mask(path: Path) -> Mask:
    """Read a picture, or a file of numpy, as one mask, see `_binary.read_mask`.

    Raises:
        InputError: it cannot be read, or holds several objects.
    """
    if path.suffix.lower() not in _ARRAYS:
        return read_mask(path)
    prompts = read_seeds(path, frame=0).prompts
    if len(prompts) > 1:
        raise InputError(f"{path} holds {len(prompts)} objects; expected one mask. Give it to add_masks_file")
    return prompts[0].mask


def _read(path: Path, frame: int | None, reading: Reading) -> Found:
    kind = path.suffix.lower()
    if kind in (".json", ".xml", ".txt"):
        return read_file(path, frame, reading)
    if kind == ".zip":
        return read_zip(path, frame, reading, lambda inside: read_file(inside, frame, reading))
    if kind in _ARRAYS:
        return read_arrays(path, frame, reading)
    if path.is_dir():
        return read_folder(path, frame, reading)
    return Found(read_picture(path, frame, reading), {})
