"""Which files are pictures, and in which order they come: once, for frames and masks alike. Standard library only."""

from __future__ import annotations

import re
from pathlib import PurePath

__all__ = ["FRAME_SUFFIXES", "PICTURE_SUFFIXES", "natural_key"]

_FRAMES = "avif bmp dib exr hdr jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm ras sr tga tif tiff webp"
_OTHERS = (
    "apng avifs blp bw cur dcx dds emf eps fit fits flc fli ftc ftu gbr gif icb icns ico iim im j2c j2k jpc jpf jpx "
    "mpo msp palm pcd pcx pfm ps psd pxr qoi rgb rgba sgi vda vst wmf xbm xpm"
)

FRAME_SUFFIXES = frozenset(f".{name}" for name in _FRAMES.split())
"""What is taken for one frame of a video in a folder, in lower case. GIF and APNG are videos."""

PICTURE_SUFFIXES = FRAME_SUFFIXES | {f".{name}" for name in _OTHERS.split()}
"""What is taken for a picture of masks: these, and the other kinds of picture that Pillow knows. A folder of frames is
read more strictly, as files of such kinds lie beside frames rather than among them."""


def natural_key(path: PurePath) -> tuple[list[tuple[int, int, str]], str]:
    """Sorts paths by name, digits as numbers.

    >>> sorted(map(PurePath, ["b10", "b2", "B1"]), key=natural_key)[0].name
    'B1'
    """
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(0, int(p), "") if p.isascii() and p.isdigit() else (1, 0, p) for p in parts if p], path.name
