"""Samples of more than 8 bits -> 8 bits: one stretch for a whole source, found in some of its frames."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskferry.data import Stretch, StretchOption
from maskferry.errors import InputError
from maskferry.limits import check_stretch

__all__ = [
    "MOST_SAMPLED",
    "choose_stretch",
    "full_range",
    "parse_stretch",
    "spread",
    "thin",
    "to_8bit",
    "warn_if_unused",
]

log = logging.getLogger(__name__)

MOST_SAMPLED = 16
"""Frames that are looked at to find a stretch."""

_MOST_VALUES = 2**16
"""Samples that are looked at of each of them."""

_PERCENT = (2, 98)

_FEW_LEVELS = 16

_FULL_RANGES = (255, 1023, 4095, 16383, 65535)
"""Of 8, 10, 12, 14 and 16 bits."""


def parse_stretch(option: StretchOption | str) -> StretchOption:
    """Read what a caller says of the stretch: "auto", "none", (low, high), or the text "LOW,HIGH".

    Raises:
        InputError: it is none of these.
    """
    if not isinstance(option, str):
        return check_stretch(option, "stretch")
    if option == "auto":
        return "auto"
    if option == "none":
        return "none"
    try:
        low, high = (float(part) for part in option.split(","))
    except ValueError as err:
        raise InputError(f"stretch: expected auto, none or LOW,HIGH such as 7300,7500, got {option[:60]!r}") from err
    return check_stretch((low, high), "stretch")


def spread(count: int) -> list[int]:
    """Up to `MOST_SAMPLED` of so many, spread evenly, the first and the last among them."""
    picks: list[int] = np.unique(np.linspace(0, count - 1, min(MOST_SAMPLED, count)).astype(int)).tolist()
    return picks


def thin(samples: NDArray[Any]) -> NDArray[Any]:
    """The finite ones among up to 65536 pixels of a frame, evenly spread; (N,)."""
    step = int(np.ceil(np.sqrt(samples.shape[0] * samples.shape[1] / _MOST_VALUES)))
    values = samples[::step, ::step].ravel()
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def choose_stretch(option: StretchOption, frames: Sequence[NDArray[Any]], name: str) -> Stretch:
    """What is shown as black and as white in a source of deep samples; said in the log.

    Args:
        option: "auto" takes the 2nd and the 98th percentile of the samples, "none" the range of their depth.
        frames: of several frames, what `thin` gives.
        name: of the source, for messages.
    """
    frames = [values for values in frames if values.size]
    if not isinstance(option, str):
        stretch = option
    elif option == "none":
        stretch = full_range(frames)
    else:
        stretch = _percentiles(_of_like_range(frames, name)) or full_range(frames)
    log.info("%s: samples of more than 8 bits; %s", name, describe(stretch))
    _warn_if_few_levels(frames, stretch, name)
    return stretch


def warn_if_unused(option: StretchOption, name: str) -> None:
    """Say that a stretch was asked for, and that nothing is stretched."""
    if not isinstance(option, str):
        log.warning("%s: not stretched, as its samples have 8 bits, or are those of a film in colour", name)


def describe(stretch: Stretch) -> str:
    """A stretch in words."""
    low, high = stretch
    return f"{low:.10g} is shown as black, {high:.10g} as white"


def full_range(frames: Iterable[NDArray[Any]]) -> Stretch:
    """From 0 to the least of 255, 1023, 4095, 16383 and 65535 that holds all samples; to 1 for floats up to 1."""
    frames = list(frames)
    largest = max((float(values.max()) for values in frames), default=0)
    if largest <= 1 and all(values.dtype.kind == "f" for values in frames):
        return 0, 1
    return 0, next((float(full) for full in _FULL_RANGES if largest <= full), largest)


def to_8bit(samples: NDArray[Any], stretch: Stretch) -> NDArray[np.uint8]:
    """Stretch samples of any shape; NaN is black, what is outside of the stretch is black or white."""
    low, high = stretch
    with np.errstate(invalid="ignore"):  # a NaN that signals
        values = samples.astype(np.float64)
    values -= low
    values *= 255 / (high - low)
    np.nan_to_num(values, copy=False, nan=0, posinf=255, neginf=0)
    return np.clip(np.rint(values, out=values), 0, 255, out=values).astype(np.uint8)


def _percentiles(frames: Sequence[NDArray[Any]]) -> Stretch | None:
    """Of all these samples together; of background without noise the least and the largest; None of one value."""
    if not frames:
        return None
    values = np.concatenate(frames)
    for percent in (_PERCENT, (0, 100)):
        low, high = _range(values, percent)
        if low < high:
            return low, high
    return None


def _range(values: NDArray[Any], percent: tuple[int, int] = _PERCENT) -> Stretch:
    low, high = (float(np.percentile(values, part, method="nearest")) for part in percent)
    return low, high


def _of_like_range(frames: Sequence[NDArray[Any]], name: str) -> list[NDArray[Any]]:
    """Without frames of one value (a closed shutter), and without a few that share no value with the others (a black
    start, a flash): these would take the contrast from all others."""
    varied = [values for values in frames if values.min() < values.max()] or list(frames)
    groups: list[list[NDArray[Any]]] = []
    top = -np.inf
    for (low, high), values in sorted(((_range(v), v) for v in varied), key=lambda pair: pair[0]):
        if low > top:
            groups.append([])
        groups[-1].append(values)
        top = max(top, high)
    kept = [values for group in groups if 4 * len(group) >= len(varied) for values in group]
    if left_out := len(varied) - len(kept):
        log.warning(
            "%s: %d of %d sampled frames are far darker or brighter than the others, and are shown black or white: "
            "choose the stretch yourself if they matter (stretch, --stretch)",
            name,
            left_out,
            len(frames),
        )
    return kept


def _warn_if_few_levels(frames: Sequence[NDArray[Any]], stretch: Stretch, name: str) -> None:
    levels = len(np.unique(to_8bit(np.concatenate(frames), stretch))) if frames else 0
    if levels < _FEW_LEVELS:
        log.warning(
            "%s: no more than %d grey levels are left of its samples (%s): little can be told apart in it; choose "
            "another stretch (stretch, --stretch), if there is more in it",
            name,
            levels,
            describe(stretch),
        )
