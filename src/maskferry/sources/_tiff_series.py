"""What microscopy programs say of the pages of a TIFF: channels, slices and times. Only one of them can be time."""

from __future__ import annotations

import re
from pathlib import Path

from maskferry.errors import SourceError
from maskferry.sources._tiff import TiffPage, description

__all__ = ["check_series"]

_SAMPLES = 277
"""The tag SamplesPerPixel."""

_KEYS = {"channels": "c", "slices": "z", "frames": "t", "images": "n"}


def check_series(path: Path, pages: list[TiffPage]) -> None:
    """Refuse a TIFF whose pages are more than one series of pictures, by what OME or ImageJ wrote into it.

    Args:
        path: the file.
        pages: those that it has; at least one.

    Raises:
        SourceError: several channels, slices and times at once, or pictures that are not pages.
    """
    sizes = _dimensions(description(path, pages[0]))
    if not sizes:
        return
    channels = max(1, sizes.get("c", 1) // max(1, pages[0].tags.get(_SAMPLES, 1)))
    slices, times = sizes.get("z", 1), sizes.get("t", 1)
    if channels > 1 or (slices > 1 and times > 1):
        raise SourceError(
            f"{path} holds {channels} channels, {slices} slices and {times} times: which of its pages are the frames "
            "of a video cannot be told; save one channel of one slice as a file of its own (ImageJ: Image, Duplicate)"
        )
    if sizes.get("n", 1) > len(pages) == 1:
        raise SourceError(
            f"{path} holds {sizes['n']} pictures, but one page, as ImageJ writes what is larger than 4 GB: save them "
            "as single pictures (ImageJ: Save As, Image Sequence)"
        )


def _dimensions(text: str) -> dict[str, int]:
    """{c, z, t: how many}, and n, all pictures, where ImageJ says it; empty where it is no text of theirs.

    >>> _dimensions("ImageJ=1.54f\\nimages=6\\nchannels=2\\nframes=3\\n")
    {'n': 6, 'c': 2, 't': 3}
    >>> _dimensions('<OME><Image><Pixels SizeC="1" SizeT="4" SizeZ="2" Type="uint8"/></Image></OME>')
    {'c': 1, 't': 4, 'z': 2}
    """
    if text.startswith("ImageJ="):
        return {
            _KEYS[key]: int(value) for key, value in re.findall(r"^(\w+)=(\d{1,9})\s*$", text, re.M) if key in _KEYS
        }
    pixels = re.search(r"<(?:\w+:)?Pixels\s[^>]*>", text)
    if pixels is None:
        return {}
    return {name.lower(): int(value) for name, value in re.findall(r'\bSize([CZT])="(\d{1,9})"', pixels[0])}
