"""Masks that are being painted: kept whole, beside the tracks, until they are applied or thrown away.

They lie in a hidden folder of their own, a file each, so that keeping one needs nobody's leave: neither the lock of the
tracks nor the worker.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path

from maskferry.child_processes import Message
from maskferry.files import translate_os_errors
from maskferry.web._answers import ApiError

__all__ = ["DraftStore"]

FIELDS = {"object", "frame", "revision", "client", "saved", "mask"}


class DraftStore:
    """The drafts of a tracks file."""

    def __init__(self, tracks: Path) -> None:
        """Look at nothing yet.

        Args:
            tracks: the file that they belong to.
        """
        self.folder = tracks.with_name(f".{tracks.name}.drafts")

    def list(self) -> list[Message]:
        """All drafts, without their masks, by object and frame."""
        found = []
        for path in sorted(self.folder.glob("*.json")) if self.folder.is_dir() else []:
            draft = _read(path)
            if draft is not None:
                found.append({name: value for name, value in draft.items() if name != "mask"})
        return sorted(found, key=lambda draft: (draft["object"], draft["frame"]))

    def get(self, object_id: int, frame: int) -> Message:
        """A draft.

        Raises:
            ApiError: there is none.
        """
        found = _read(self._path(object_id, frame))
        if found is None:
            raise ApiError(404, "NotFoundError", f"there is no draft of object {object_id} on frame {frame}")
        return found

    def put(self, draft: Message, *, over: bool) -> float:
        """Keep a draft, instead of the one of the same object and frame.

        Args:
            draft: all of `FIELDS` but ``saved``.
            over: replace another client's, too.

        Returns:
            When it was kept, in seconds since 1970.

        Raises:
            ApiError: another client's is there.
            OutputError: no room, no permission.
        """
        path = self._path(draft["object"], draft["frame"])
        there = _read(path)
        if there is not None and there["client"] != draft["client"] and not over:
            raise ApiError(
                409,
                "DraftError",
                f"object {draft['object']} on frame {draft['frame']} is being painted in another tab",
                "look at that draft, or send yours with over: true",
                client=there["client"],
                saved=there["saved"],
            )
        saved = time.time()
        text = json.dumps(draft | {"saved": saved}).encode()
        with translate_os_errors(path):
            self.folder.mkdir(exist_ok=True)
            _write(path, text)
        return saved

    def remove(self, object_id: int, frame: int) -> None:
        """Throw a draft away, where there is one."""
        with suppress(FileNotFoundError):
            self._path(object_id, frame).unlink()
        with suppress(OSError):  # others are left
            self.folder.rmdir()

    def _path(self, object_id: int, frame: int) -> Path:
        return self.folder / f"{object_id}-{frame}.json"


def _read(path: Path) -> Message | None:
    """A draft; None where the file is none, as it may come from anywhere."""
    name = re.fullmatch(r"(\d+)-(\d+)\.json", path.name)
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if name is None or not isinstance(found, dict) or found.keys() != FIELDS:
        return None
    is_own = (found["object"], found["frame"]) == (int(name[1]), int(name[2]))
    return found if is_own else None


def _write(path: Path, data: bytes) -> None:
    """Write a file whole: what was there before stays until the new one is on the disk."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
