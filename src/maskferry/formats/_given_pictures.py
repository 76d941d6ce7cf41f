"""One picture of masks -> prompts on its frame."""

from __future__ import annotations

import re
from pathlib import Path

from maskferry.data import Mask, MaskPrompt
from maskferry.formats._images import read_frame_info, read_pixels
from maskferry.formats._mask_pictures import objects_of
from maskferry.formats._reading import Reading

__all__ = ["frame_named", "on_frame", "read_picture"]


def read_picture(path: Path, frame: int | None, reading: Reading) -> list[MaskPrompt]:
    """Read a picture, see `objects_of`, on the frame that it belongs to, see `_frame_of`."""
    return on_frame(_frame_of(path, frame, reading), objects_of(read_pixels(path), reading))


def on_frame(frame: int, masks: dict[int, Mask]) -> list[MaskPrompt]:
    return [MaskPrompt(frame, i, mask) for i, mask in masks.items()]


def frame_named(path: Path, reading: Reading) -> int | None:
    """The frame that a picture says itself: as one of maskferry's, or by the name of the frame's own picture."""
    info = read_frame_info(path)
    return reading.target.frame_named(path.name) if info is None else info.index


def _frame_of(path: Path, said: int | None, reading: Reading) -> int:
    """The frame that a picture belongs to: the one that the caller says, the one that it says itself, or the first."""
    named = frame_named(path, reading)
    if said is not None:
        if named not in (None, said):
            reading.doubt(f"put on frame {said}, as asked for, though the file is named as frame {named} is")
        return said
    if named is not None:
        return named
    number = re.search(r"0\d+$|\d{4,}$|(?<=frame)[-_ ]?\d+$", path.stem, re.IGNORECASE)
    if number is not None and number[0].strip("-_ 0"):
        reading.doubt(
            f"put on frame 0, as no frame's picture is called {path.stem!r}: if it belongs to another frame, say so "
            f"(--masks FRAME={path.name}, or frame_idx)"
        )
    return 0
