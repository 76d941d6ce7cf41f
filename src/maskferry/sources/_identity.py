"""What tells one video from another of the same name, size and length."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from maskferry.data import Source
from maskferry.images import FRAME_SUFFIXES, natural_key

__all__ = ["add_file", "source_digest", "video_digest"]


class Digest(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes, /) -> None:
        """Take in more bytes."""


PART = 1 << 20
"""Bytes that are read of a file's head, and of its tail."""


def video_digest(path: str | None) -> str | None:
    """A digest of a video file's size, head and tail; of a folder's pictures their names and sizes, and the first and
    last of them.

    Args:
        path: of the file or folder; None where there is none.

    Returns:
        SHA-256 in hex; None where nothing lies at the path.
    """
    if path is None:
        return None
    place = Path(path)
    try:
        found = hashlib.sha256()
        if place.is_dir():
            pictures = sorted((p for p in place.iterdir() if p.suffix.lower() in FRAME_SUFFIXES), key=natural_key)
            for picture in pictures:
                found.update(f"{picture.name}\0{picture.stat().st_size}\n".encode("utf-8", "surrogateescape"))
            for picture in dict.fromkeys([*pictures[:1], *pictures[-1:]]):
                add_file(found, picture)
        else:
            add_file(found, place)
        return found.hexdigest()
    except OSError:
        return None


def source_digest(source: Source) -> str | None:
    """What identifies an open source: `video_digest` of where it lies, or what it says itself (`digest`).

    None for arrays and streams.
    """
    own = getattr(source, "digest", None)
    return own if isinstance(own, str) else video_digest(source.info.path)


def add_file(found: Digest, path: Path) -> None:
    """Take in a file's size, head and tail."""
    size = path.stat().st_size
    found.update(f"{size}\n".encode())
    with path.open("rb") as file:
        found.update(file.read(PART))
        if size > PART:
            file.seek(max(PART, size - PART))
            found.update(file.read(PART))
