"""Videos that the score is learned on and judged by: folders in the layout of DAVIS, and what is made of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Film = Iterator[tuple[Picture, Mask]]

FIRST, FRAMES = 6, 12
"""One thing begins to turn into another after so many frames, and takes so many."""


def names(root: Path) -> list[str]:
    """Of the videos in a folder."""
    return sorted(folder.name for folder in (root / "JPEGImages" / "480p").iterdir())


def film(root: Path, name: str) -> Film:
    """RGB uint8 (H, W, 3) and the visible object, bool (H, W), of each frame."""
    for path in sorted((root / "JPEGImages" / "480p" / name).glob("*.jpg")):
        truth = np.asarray(Image.open(root / "Annotations" / "480p" / name / f"{path.stem}.png"))
        yield np.asarray(Image.open(path).convert("RGB")), truth.reshape(*truth.shape[:2], -1).max(2) > 0


def dissolving(root: Path, first: str, second: str) -> Film:
    """One video fades into another; once that is more than half there, the object is gone."""
    for i, ((picture, truth), (other, _)) in enumerate(_together(root, first, second)):
        share = _share(i)
        yield _blend(picture, other, np.full((*truth.shape, 1), share)), truth & (share < 0.5)


def turning(root: Path, first: str, second: str) -> Film:
    """The object turns into a piece of another video; once it is more than half that, the object is gone."""
    for i, ((picture, truth), (other, _)) in enumerate(_together(root, first, second)):
        share = _share(i)
        soft = cv2.GaussianBlur(truth.astype(np.float32), (0, 0), 1)[:, :, None]
        yield _blend(picture, other, share * soft), truth & (share < 0.5)


def _together(root: Path, first: str, second: str) -> Iterator[tuple[tuple[Picture, Mask], tuple[Picture, Mask]]]:
    return zip(film(root, first), film(root, second), strict=False)


def _share(frame: int) -> float:
    return min(1.0, max(0.0, (frame - FIRST) / FRAMES))


def _blend(picture: Picture, other: Picture, share: NDArray[np.floating]) -> Picture:
    return np.asarray((picture * (1 - share) + other * share).round(), dtype=np.uint8)
