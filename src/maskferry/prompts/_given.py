"""Files of masks as a command names them (``--masks FRAME=PATH``), read into one set of prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from maskferry.data import MaskPrompt
from maskferry.errors import InputError
from maskferry.formats._given_masks import Seeds, read_seeds

__all__ = ["mask_path", "read_given"]


def mask_path(argument: str, frame: int = 0) -> tuple[int, Path]:
    """Take ``40=fix.png`` apart: (frame, path). A file that is really called so is taken as it is.

    Raises:
        InputError: there is no such file or folder.
    """
    path = Path(argument)
    numbered = re.fullmatch(r"(\d+)=(.+)", argument)
    if numbered is not None and not path.exists():
        frame, path = int(numbered[1]), Path(numbered[2])
    if not path.exists():
        raise InputError(
            f"--masks: {path} does not exist: expected a picture, a folder of pictures, or a .json, .xml or .txt file"
        )
    return frame, path


def read_given(arguments: Sequence[str], frame: int = 0) -> Seeds:
    """Read all masks of a command.

    Args:
        arguments: each a path, or ``FRAME=PATH``.
        frame: the frame of those that say none.

    Returns:
        The prompts by frame, then by object id; masks have the size of their file.

    Raises:
        InputError: a file holds no masks, or two of them hold a mask of one object on one frame, or name it otherwise.
    """
    found: dict[tuple[int, int], tuple[MaskPrompt, Path]] = {}
    labels: dict[int, str] = {}
    for argument in arguments:
        index, path = mask_path(argument, frame)
        seeds = read_seeds(path, frame=index)
        for prompt in seeds.prompts:
            key = (prompt.frame, prompt.object_id)
            if key in found:
                raise InputError(
                    f"object {prompt.object_id} has two masks on frame {prompt.frame}, in {found[key][1]} and {path}: "
                    "put different objects into one label map, or into one folder with a picture for each"
                )
            found[key] = prompt, path
        for object_id, label in seeds.labels.items():
            if labels.setdefault(object_id, label) != label:
                raise InputError(f"{path} calls object {object_id} {label!r}, an earlier file {labels[object_id]!r}")
    return Seeds([found[key][0] for key in sorted(found)], labels)
