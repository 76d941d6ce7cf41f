"""Frames as JPEG: made, and kept while there is room."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import NamedTuple

import cv2
import numpy as np
import PIL.Image

from maskferry.data import Frame

__all__ = ["WIDEST", "Jpeg", "Jpegs", "jpeg_of"]

QUALITY = 85

WIDEST = 1920
"""Pixels: wider frames are scaled down, unless full size is asked for."""

MOST_BYTES = 256 << 20


class Jpeg(NamedTuple):
    """A frame.

    Attributes:
        data: the file.
        time: seconds from the start; None where the source has no clock.
    """

    data: bytes
    time: float | None


class Jpegs:
    """The frames that were asked for last, by frame and width; the oldest give way."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._kept: OrderedDict[tuple[int, int], Jpeg] = OrderedDict()
        self._bytes, self._most_bytes = 0, most_bytes

    def get(self, frame: int, width: int) -> Jpeg | None:
        """A frame, where it is kept."""
        found = self._kept.get((frame, width))
        if found is not None:
            self._kept.move_to_end((frame, width))
        return found

    def put(self, frame: int, width: int, jpeg: Jpeg) -> None:
        """Keep a frame."""
        before = self._kept.pop((frame, width), None)
        self._kept[frame, width] = jpeg
        self._bytes += len(jpeg.data) - (len(before.data) if before is not None else 0)
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.data)


def jpeg_of(frame: Frame, width: int) -> Jpeg:
    """A decoded frame as JPEG, at most ``width`` pixels wide; 0 for its own size."""
    image = frame.image
    height, own = image.shape[:2]
    if 0 < width < own:
        size = (width, max(1, round(height * width / own)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    data = io.BytesIO()
    PIL.Image.fromarray(image).save(data, "JPEG", quality=QUALITY)
    return Jpeg(data.getvalue(), frame.info.time)
