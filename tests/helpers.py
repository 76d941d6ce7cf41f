"""What many tests need: masks of squares, pictures as arrays, and tracks as values that can be compared."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from PIL import Image

from maskferry import FrameInfo, ObjectMask, Tracks


def square_mask(size_hw: tuple[int, int], x: int, y: int, size: int) -> np.ndarray:
    """A square with its upper left corner at (x, y), bool (H, W)."""
    mask = np.zeros(size_hw, dtype=bool)
    mask[y : y + size, x : x + size] = True
    return mask


def contents(tracks: Tracks, object_id: int | None = None) -> list[tuple[FrameInfo, ObjectMask]]:
    """Everything that is known of all objects, or of one, comparable to the byte."""
    rows = [(frame.info, row) for frame in tracks.frames() for row in frame.masks]
    return [(info, row) for info, row in rows if object_id in (None, row.object_id)]


def saved_contents(path: Path) -> list[tuple[FrameInfo, ObjectMask]]:
    """`contents` of a tracks file."""
    with Tracks.open(path) as tracks:
        return contents(tracks)


def read_picture(path: str | Path) -> np.ndarray:
    """The samples of a picture file, as they are stored."""
    with Image.open(path) as image:
        return np.array(image)


def film_frames(path: str | Path) -> list[np.ndarray]:
    """All frames of a film, RGB, uint8 (H, W, 3)."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
