"""Pictures of masks, and folders of them -> {object id: mask}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask
from maskferry.errors import InputError
from maskferry.formats import _binary as binary
from maskferry.formats import _mots as mots
from maskferry.formats._davis import VOID, LabelMap, read_label_map
from maskferry.formats._images import list_pictures, read_pixels
from maskferry.formats._reading import Reading
from maskferry.masks._labels import split_labels

__all__ = ["read_folder", "read_picture"]


def read_picture(path: Path, reading: Reading) -> dict[int, Mask]:
    pixels = read_pixels(path)
    labels: LabelMap
    if pixels.lossy:
        labels = binary.to_binary(pixels, path).astype(np.uint8)
    elif pixels.values.ndim == 3 and not _is_gray(pixels.values):
        return split_labels(read_label_map(path))
    else:
        labels = pixels.values if pixels.values.ndim == 2 else pixels.values[:, :, 0]
    full = np.iinfo(labels.dtype).max
    if not pixels.indexed and np.isin(labels, (0, full)).all():
        labels = (labels == full).astype(np.uint8)
    if labels.dtype == np.uint8:
        return split_labels(labels, void=VOID)
    return split_labels(labels, void=mots.IGNORED if (labels[labels > 0] >= 1000).all() else None)


def _is_gray(rgb: NDArray[np.unsignedinteger[Any]]) -> bool:
    return bool((rgb == rgb[:, :, :1]).all())


def read_folder(folder: Path, reading: Reading) -> dict[int, Mask]:
    for path in list_pictures(folder):
        pixels = read_pixels(path)
        values = np.unique(pixels.values[pixels.values != 0]) if pixels.values.ndim == 2 else np.empty(0)
        if values.size > 1 and not pixels.lossy:
            raise InputError(
                f"{path} has {values.size} values beside 0 and looks like a label map; expected a folder with a binary "
                "mask for each object. Give the label map of one frame as a file"
            )
    masks = binary.read_masks(folder)
    empty = [i for i, mask in masks.items() if not mask.any()]
    if empty:
        raise InputError(f"{folder}: the masks of objects {empty} are empty; expected at least one pixel in each")
    return masks
