"""Anything that ``--masks`` takes (a picture, a folder of pictures, a third-party file) -> prompts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maskferry._arguments import whole
from maskferry.data import MaskPrompt
from maskferry.errors import InputError
from maskferry.formats._given_files import Found, read_file
from maskferry.formats._given_pictures import read_folder, read_picture
from maskferry.formats._given_zip import read_zip
from maskferry.formats._reading import Reading, Target
from maskferry.limits import MOST_FRAMES

__all__ = ["Seeds", "read_seeds"]


@dataclass(frozen=True, slots=True)
class Seeds:
    """Masks to track.

    Attributes:
        prompts: by frame, then by object id; masks have the size of their file.
        labels: {object id: name}, where the file has names.
        left_out: what the file holds and these masks do not, a line for each kind, with a count.
        notes: how the file was read, where it could be read in another way too.
    """

    prompts: list[MaskPrompt]
    labels: dict[int, str]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_seeds(
    path: Path,
    *,
    frame: int | None = None,
    target: Target | None = None,
    strict: bool = False,
    first_frame: int | None = None,
) -> Seeds:
    """Read masks to start from.

    - A picture is a label map: value n is object n, and in 8 bits 255 is void and left out. A grey picture that holds
      nothing but 0 and 255 (or 65535) is a binary mask and makes object 1. In RGB every colour is an object, see
      `davis.read_label_map`. A JPEG is a binary mask, cut at 127.
      In a grey picture whose values are all from 1000, 10000 is MOTS's region to ignore and left out.
    - A folder holds a binary picture for each object, see `binary.read_masks`.
    - A JSON file of one video, see `youtube_vis.read` and `coco_images.read`: every mask on its own frame; where states
      are recorded, only the masks that are "given". Of one picture (COCO): every annotation is an object, 1 to N in the
      order of the file. A list of ``{"segmentation": RLE, ...}``, as SAM's mask generator makes, is read likewise. Of
      LabelMe: ids are the groups, where every shape has one and no group has two labels; otherwise 1 to N.
    - An XML file of CVAT, see `cvat.read`, or a text file of MOTS, see `mots.read`: every mask on its own frame.

    Args:
        path: a picture, a folder of pictures, or a .json, .xml or .txt file.
        frame: the frame that files belong to which do not say it themselves, 0-based; None for the first one.
        target: the video that the masks are for, as far as it is known: files that name a picture are put on its frame.
        strict: refuse a file of which something is left out; otherwise one warning says what, and how many.
        first_frame: what a text file of MOTS calls the video's first frame, see `mots.read`; no other file takes it.

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
    reading = Reading(str(path), target or Target(), strict, first_frame)
    found = _read(path, frame, reading)
    if not found.prompts:
        why = f"; left out: {'; '.join(reading.told)}" if reading.told else ""
        raise InputError(f"{path} holds no mask: expected at least one pixel of an object{why}")
    reading.warn()
    return Seeds(found.prompts, found.labels, tuple(reading.told), tuple(reading.notes))


def _read(path: Path, frame: int | None, reading: Reading) -> Found:
    kind = path.suffix.lower()
    if kind in (".json", ".xml", ".txt"):
        return read_file(path, frame, reading)
    if kind == ".zip":
        return read_zip(path, frame, reading, lambda inside: read_file(inside, frame, reading))
    masks = read_folder(path, reading) if path.is_dir() else read_picture(path, reading)
    return Found([MaskPrompt(frame or 0, i, mask) for i, mask in masks.items()], {})
