"""How large a thing may be before it is read: small files can claim, or unpack to, far more than memory holds.

Every reader asks here before it allocates. The environment variable ``MASKFERRY_MAX_PIXELS`` raises what a picture, a
frame or a mask may have; whoever works with larger ones knows that he does. Standard library only.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

from maskferry._arguments import foreign, frames_per_second, real, show, whole
from maskferry.errors import InputError

__all__ = [
    "LONGEST_SIDE",
    "MAX_PIXELS",
    "MOST_CLAIMED_FRAMES",
    "MOST_FRAMES",
    "MOST_TEXT_BYTES",
    "check_masks",
    "check_size_hw",
    "check_stretch",
    "check_text_file",
    "check_video",
    "most_pixels",
    "most_unpacked",
    "size_problem",
]

MAX_PIXELS = 2**27
"""Of one picture: 134,217,728, such as 16384 x 8192."""

LONGEST_SIDE = 65_535
"""Pixels, of any picture."""

MOST_FRAMES = 2**40 - 1
"""Of a video."""

MOST_TEXT_BYTES = 2**29
"""Of a file of JSON, XML, CSV or other text; it takes several times as much memory."""

MOST_CLAIMED_FRAMES = 100_000
"""Frames that a file of masks may claim without naming them, or saying anything else of each."""

_VARIABLE = "MASKFERRY_MAX_PIXELS"

_UNPACKED = "MASKFERRY_MAX_UNPACKED"
_UNPACKED_AT_LEAST = 2**26  # bytes
_UNPACKED_PER_BYTE = 100

_FULL_MASKS = 2
"""Masks of the largest size that a small file may hold; more of them, as it is itself larger."""

_PIXELS_PER_BYTE = 16_384
"""Of all masks of a file, inside their boxes. A simple outline on a frame of 4K comes to a few thousand."""


def most_pixels() -> int:
    """How many pixels a picture may have: `MAX_PIXELS`, or what the environment says.

    Raises:
        InputError: the environment variable holds no whole number from 1.
    """
    return _from_environment(_VARIABLE, MAX_PIXELS)


def _from_environment(variable: str, default: int) -> int:
    text = os.environ.get(variable)
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 16 and int(text)):
        raise InputError(f"{variable}: expected a number such as {MAX_PIXELS}, got {text[:60]!r}")
    return int(text)


def size_problem(width: int, height: int) -> str | None:
    """What is wrong with the size of a picture, in pixels, to be put behind its name; None where nothing is."""
    if width < 1 or height < 1:
        return f"expected a size of at least one pixel, got width {width}, height {height}"
    most = most_pixels()
    if width > LONGEST_SIDE or height > LONGEST_SIDE:
        return f"expected a size of {LONGEST_SIDE} pixels a side at most, got {width}x{height}"
    if width * height > most:
        return (
            f"expected a size of {most} pixels at most, got {width}x{height} = {width * height}: make it smaller, or "
            f"set the environment variable {_VARIABLE} if there is memory for it"
        )
    return None


def check_size_hw(height: int, width: int, where: str) -> tuple[int, int]:
    """(height, width), refused where a picture of that size cannot be meant.

    Raises:
        InputError: not positive, or larger than `most_pixels` or `LONGEST_SIDE` allow; named by ``where``.
    """
    problem = size_problem(width, height)
    if problem is not None:
        raise InputError(f"{where}: {problem}")
    return height, width


def check_video(
    width: Any,  # noqa: ANN401
    height: Any,  # noqa: ANN401
    rate: Any,  # noqa: ANN401
    frame_count: Any,  # noqa: ANN401
    name: Any,  # noqa: ANN401
) -> tuple[int, int, int | None]:
    """Refuse what no video is; gives width, height and the number of frames back, as plain ints.

    Raises:
        InputError: a size outside of `most_pixels` and `LONGEST_SIDE`, a rate that is not above 0 and finite, a number
            of frames below 0 or above `MOST_FRAMES`, or a name that is no text.
    """
    width, height = whole(width, "width"), whole(height, "height")
    check_size_hw(height, width, "video")
    if rate is not None:
        if not isinstance(rate, Fraction | int | float):
            raise InputError(f"rate: expected a Fraction of frames per second, got {show(rate)}")
        frames_per_second(rate, "rate")
    if not isinstance(name, str):
        raise InputError(f"name: expected text, got {show(name)}")
    count = None if frame_count is None else whole(frame_count, "frame_count", least=0, most=MOST_FRAMES)
    return width, height, count


def check_stretch(stretch: Any, what: str) -> tuple[float, float]:  # noqa: ANN401
    """Two finite numbers, the first below the second; named by ``what`` in errors.

    Raises:
        InputError: they are not.
    """
    with foreign(what):
        numbers = None if isinstance(stretch, str) else tuple(stretch)
    if numbers is None or len(numbers) != 2:
        raise InputError(f"{what}: expected (low, high), got {show(stretch)}")
    low, high = (real(number, what) for number in numbers)
    if not low < high:
        raise InputError(f"{what}: expected (low, high), the first below the second, got {show(stretch)}")
    return low, high


def check_text_file(path: Path) -> None:
    """Refuse a text file that would fill the memory. A file that is not there passes: opening it says so.

    Raises:
        InputError: it has more than `MOST_TEXT_BYTES`.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError):
        return
    if size > MOST_TEXT_BYTES:
        raise InputError(f"{path}: expected {MOST_TEXT_BYTES} bytes of text at most, got {size}: split it")


def most_unpacked(archive_size: int) -> int:
    """How many bytes an archive of this size may unpack to: pictures and films hardly shrink in one.

    The environment variable ``MASKFERRY_MAX_UNPACKED`` raises it.

    Raises:
        InputError: the environment variable holds no whole number from 1.
    """
    return max(_from_environment(_UNPACKED, 0), _UNPACKED_AT_LEAST + _UNPACKED_PER_BYTE * archive_size)


def check_masks(pixels: int, file_size: int, where: str) -> None:
    """Refuse the masks of a file before they are decoded, where a small file asks for a large memory.

    Args:
        pixels: of all its masks together, inside their boxes.
        file_size: bytes.
        where: how errors call the file.

    Raises:
        InputError: it is so.
    """
    most = max(_FULL_MASKS * most_pixels(), _PIXELS_PER_BYTE * file_size)
    if pixels > most:
        raise InputError(
            f"{where}: its masks take {pixels} bytes of memory, far more than the file's size lets expect "
            f"({most} at most): split it, or set the environment variable {_VARIABLE} if there is memory for it"
        )
