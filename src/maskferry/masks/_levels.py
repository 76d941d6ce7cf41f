"""Which values of a picture of masks are areas, and which only come up where two areas meet."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask

__all__ = ["flat_pixels", "is_gradual", "smoothed_pixels"]

_SQUARE = np.ones((3, 3), np.uint8)

_LEAST_BETWEEN = 0.15
_LEAST_BETWEEN_IN_COLOR = 0.2
"""Of the pixels where values meet, those that lie between their neighbours. Of drawn label maps with up to 200 objects,
2 % at the median and 10 % at most do; of smoothed ones 15 to 70 %."""

_STEPS = 16
"""Values that a gradual picture has at least."""

_RINGS = 4
"""Of a picture whose values never differ by more than 1 from pixel to pixel, the highest value, at least, if it is
gradual. Areas of ids that high would have to lie inside one another, each in the one before."""

_Values = NDArray[np.unsignedinteger[Any]]


def flat_pixels(values: _Values) -> Mask:
    """The pixels, bool (H, W), that lie in a square of 3x3 pixels of one value.

    Args:
        values: (H, W), or (H, W, channels).
    """
    low, high = _neighbours(values)
    return _flat(low == high)


def smoothed_pixels(values: _Values) -> Mask | None:
    """The pixels, bool (H, W), whose values come from smoothing a picture of areas; None where it was not smoothed.

    Antialiasing, blurring and resizing with interpolation leave values between two areas where these meet: such a pixel
    is not flat (see `flat_pixels`), and lies, in some channel, strictly between the values around it. In a picture of
    areas that has such pixels too, they are rare: where thin objects lie on the edges of others, or three meet. So a
    picture was smoothed where they make more than 15 % of the pixels where values meet, in colour more than
    20 %, as one channel of three may lie between by chance.

    Args:
        values: (H, W), or (H, W, channels).
    """
    low, high = _neighbours(values)
    between = _any_channel((low < values) & (values < high)) & ~_flat(low == high)
    least = _LEAST_BETWEEN if values.ndim == 2 else _LEAST_BETWEEN_IN_COLOR
    boundary = np.count_nonzero(~_all_channels(low == high))
    return between if np.count_nonzero(between) > least * boundary else None


def is_gradual(gray: _Values) -> bool:
    """Whether a grey picture (H, W) rises from 0 to its highest value in small steps, as a widely blurred one does."""
    top = int(gray.max(initial=0))
    if top < _RINGS or gray.min() > 0:
        return False
    wide = gray.astype(np.int32)
    steps = np.concatenate([np.abs(np.diff(wide, axis=axis)).ravel() for axis in (0, 1)])
    if steps.max(initial=0) <= 1:
        return True
    if top < _STEPS or np.unique(gray).size < _STEPS:
        return False
    steps = steps[steps > 0]
    return bool(np.count_nonzero(steps > top / 12) <= 0.02 * steps.size)


def _neighbours(values: _Values) -> tuple[_Values, _Values]:
    """The lowest and the highest value around each pixel, its own included."""
    values = np.ascontiguousarray(values)
    return cv2.erode(values, _SQUARE), cv2.dilate(values, _SQUARE)  # type: ignore[return-value]


def _flat(even: Mask) -> Mask:
    centres = _all_channels(even).astype(np.uint8)
    return cv2.dilate(centres, _SQUARE).astype(np.bool_)


def _all_channels(found: Mask) -> Mask:
    return found if found.ndim == 2 else np.asarray(found.all(axis=2))


def _any_channel(found: Mask) -> Mask:
    return found if found.ndim == 2 else np.asarray(found.any(axis=2))
