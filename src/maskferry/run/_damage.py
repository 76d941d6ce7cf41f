"""Saying that a video could not be read to its end."""

from __future__ import annotations

import warnings

from maskferry.data import Source
from maskferry.errors import DamagedSourceWarning
from maskferry.tracks._journal import Journal

__all__ = ["check_length", "note_damage"]


def check_length(journal: Journal, source: Source) -> None:
    """Say so where the video was read to its end, but the end is not where its header puts it."""
    count, announced = source.info.frame_count, source.announced_frame_count
    if count is not None and announced is not None and count < announced:
        note_damage(journal, source, f"stopped before frame {count}: the file announces {announced} frames")


def note_damage(journal: Journal, source: Source, message: str) -> None:
    """Write down, and warn, that the video could not be read to its end."""
    journal.note_damage(message)
    warnings.warn(DamagedSourceWarning(f"{source.info.name}: {message}; what came before is kept"), stacklevel=3)
