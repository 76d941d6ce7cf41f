"""Which values of a picture of masks are areas, and which only come up where two areas meet."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from maskferry.data import Mask

__all__ = ["flat_pixels", "is_gradual", "smoothed_pixels"]

_SQUARE = np.ones((3, 3), np.uint8)

_LEAST_FLAT = 0.2
"""Of the pixels of a value that is an area."""

_LEAST_OF_BOUNDARY = 0.1
"""Of the pixels where values meet: as many as must lie between their neighbours."""

_STEPS = 16
"""Values that a gradual picture has at least."""

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

    Antialiasing, blurring and resizing with interpolation leave values between two areas where these meet, which are no
    area themselves. So a value counts as such a one where at most a fifth of its pixels are flat (see `flat_pixels`),
    and most lie, in some channel, strictly between the values around them. A picture was smoothed where such pixels
    make a tenth of those where values meet: the values between would otherwise be thin objects that lie on the very
    edges of others.

    Args:
        values: (H, W), or (H, W, channels).
    """
    low, high = _neighbours(values)
    even = _all_channels(low == high)
    between = _any_channel((low < values) & (values < high))
    codes = _codes(values)
    area = np.bincount(codes)
    flat = np.bincount(codes[_flat(low == high).ravel()], minlength=area.size)
    inside = np.bincount(codes[between.ravel()], minlength=area.size)
    is_edge = (flat <= _LEAST_FLAT * area) & (inside > 0.5 * area)
    smoothed = is_edge[codes].reshape(between.shape)
    if np.count_nonzero(smoothed) <= _LEAST_OF_BOUNDARY * np.count_nonzero(~even):
        return None
    return smoothed


def is_gradual(gray: _Values) -> bool:
    """Whether a grey picture (H, W) rises from 0 to its highest value in small steps, as a widely blurred one does."""
    top = int(gray.max(initial=0))
    if top < _STEPS or np.unique(gray).size < _STEPS or gray.min() > 0:
        return False
    wide = gray.astype(np.int32)
    steps = np.concatenate([np.abs(np.diff(wide, axis=axis)).ravel() for axis in (0, 1)])
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


def _codes(values: _Values) -> NDArray[np.intp]:
    """A small number for each value or colour, flat."""
    wide = values.astype(np.int64)
    if wide.ndim == 3:
        wide = (wide[:, :, 0] << 32) + (wide[:, :, 1] << 16) + wide[:, :, 2]
    return np.unique(wide, return_inverse=True)[1].ravel()
