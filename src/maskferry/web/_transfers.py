"""Files in and out: masks that are dropped on the page, results that are downloaded. Both are worked on elsewhere."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from maskferry.child_processes import Message
from maskferry.errors import InputError, MaskferryError
from maskferry.web._answers import ApiError, problem_of
from maskferry.web._errands import run_errand
from maskferry.web._events import News

__all__ = ["MOST_IMPORT_BYTES", "Export", "Transfers"]

MOST_IMPORT_BYTES = 64 << 20
"""Of a file of masks."""

MOST_KEPT = 20
"""Imports and exports that are kept; the oldest give way."""


@dataclass(slots=True)
class Export:
    """Results that are being written, or are.

    Attributes:
        key: its name for the page.
        kind: of results: a format, or a rendering.
        state: "working", "ready" or "failed".
        done: how much is written.
        total: of how much.
        path: the file, when it is ready.
        problem: why it failed, as (status, answer).
    """

    key: str
    kind: str
    state: str = "working"
    done: int = 0
    total: int | None = None
    path: Path | None = None
    problem: tuple[int, Message] | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def show(self) -> Message:
        """For the page."""
        problem = None if self.problem is None else self.problem[1]
        return {"key": self.key, "state": self.state, "done": self.done, "total": self.total, "problem": problem}


class Transfers:
    """The imports and exports of a page. Used in the server's event loop."""

    def __init__(self, settings: Message, news: News) -> None:
        """Make a place for files, which goes with the page.

        Args:
            settings: arguments of the tasks: ``tracks``, ``video``.
            news: is told how far exports are.
        """
        self._settings, self._news = settings, news
        self._folder = tempfile.TemporaryDirectory(prefix="maskferry-page-", ignore_cleanup_errors=True)
        self._exports: dict[str, Export] = {}
        self._imports: dict[str, Message] = {}

    async def close(self) -> None:
        """Stop what is worked on, and remove the files."""
        for export in self._exports.values():
            await _cancel(export)
        await asyncio.to_thread(self._folder.cleanup)

    # --- in -----------------------------------------------------------------------------------------------------

    async def read(self, name: str, data: str, frame: int | None) -> tuple[str, Message]:
        """Read a file of masks.

        Args:
            name: of which only the suffix is looked at.
            data: its bytes, in base64.
            frame: on which masks are put of which the file does not say it.

        Returns:
            (its key, what is in it), see `_tasks`.

        Raises:
            ApiError: it is too large.
            RefusedError: it cannot be read.
        """
        content = await asyncio.to_thread(_content, data)
        place = Path(tempfile.mkdtemp(dir=self._folder.name))
        path = place / f"masks{_suffix(name)}"
        try:
            await asyncio.to_thread(path.write_bytes, content)
            found = await run_errand("read_masks", {**self._settings, "path": str(path), "frame": frame})
        finally:
            with suppress(OSError):
                path.unlink()
                place.rmdir()
        key = secrets.token_hex(8)
        self._imports[key] = found
        _forget_oldest(self._imports)
        return key, found

    def given(self, key: str) -> Message:
        """What was read.

        Raises:
            ApiError: there is no such import.
        """
        if key not in self._imports:
            raise ApiError(404, "NotFoundError", "there is no such import: send the file again")
        return self._imports[key]

    def forget(self, key: str) -> None:
        """Forget an import, where there is one."""
        self._imports.pop(key, None)

    # --- out ----------------------------------------------------------------------------------------------------

    def write(self, kind: str, options: Message) -> Export:
        """Begin to write results."""
        export = Export(secrets.token_hex(8), kind)
        self._exports[export.key] = export
        for old in list(self._exports.values())[:-MOST_KEPT]:
            if old.state != "working":
                del self._exports[old.key]
        export.task = asyncio.create_task(self._write(export, options))
        return export

    async def _write(self, export: Export, options: Message) -> None:
        def take(message: Message) -> None:
            export.done, export.total = message["done"], message["total"]
            self._news.tell("export", export.show())

        folder = tempfile.mkdtemp(dir=self._folder.name)
        values = {**self._settings, "kind": export.kind, "options": options, "folder": folder}
        try:
            found = await run_errand("export", values, take)
        except MaskferryError as err:
            export.state, export.problem = "failed", problem_of(err)
        else:
            export.state, export.path = "ready", Path(found["path"])
        self._news.tell("export", export.show())

    def export(self, key: str) -> Export:
        """An export.

        Raises:
            ApiError: there is none of this key.
        """
        if key not in self._exports:
            raise ApiError(404, "NotFoundError", "there is no such export: begin it again")
        return self._exports[key]

    async def drop(self, key: str) -> None:
        """Stop an export, and remove its file."""
        export = self._exports.pop(key, None)
        if export is not None:
            await _cancel(export)
            if export.path is not None:
                export.path.unlink(missing_ok=True)


async def _cancel(export: Export) -> None:
    if export.task is not None:
        export.task.cancel()
        await asyncio.gather(export.task, return_exceptions=True)


def _content(data: str) -> bytes:
    if len(data) > (MOST_IMPORT_BYTES + 2) // 3 * 4:
        raise ApiError(413, "TooLargeError", f"a file of masks may have {MOST_IMPORT_BYTES >> 20} MiB")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as err:
        raise InputError(f"data: expected a file in base64: {err}") from err


def _suffix(name: str) -> str:
    """What a file's name ends with; nothing else of it is taken."""
    found = re.search(r"\.[A-Za-z0-9]{1,10}$", name)
    return found[0].lower() if found else ""


def _forget_oldest(kept: dict[str, Message]) -> None:
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
