"""Fetching a file over HTTP into a ``.part`` file, which a later call resumes.

Beside it lies a ``.part.json`` with the address, the marks (ETag, Last-Modified) and the length by which one can say
that the file is still the same.
"""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import urllib.error
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO

from maskferry.errors import OutputError, SourceError
from maskferry.sources._http import Watch, request

__all__ = ["ByteProgress", "Patience", "discard", "fetch", "forget_mark"]

log = logging.getLogger(__name__)

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes that there will be; None where the server does not say."""

_CHUNK = 2**16
_USER_AGENT = "maskferry"

_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416
"""Status codes (RFC 9110, sections 15.3.7 and 15.5.17)."""


_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
"""How files are opened: no link is followed."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a download may take, and how long it may be.

    Attributes:
        timeout: seconds without a byte until it fails, and of which each must bring ``slowest`` bytes, on average.
        slowest: bytes a second.
        most_bytes: of the whole file.
    """

    timeout: float
    slowest: float
    most_bytes: int


@dataclass(frozen=True, slots=True)
class _Marks:
    """By which a file on a server is known to be the same; "" and None where the server does not say."""

    url: str
    etag: str = ""
    modified: str = ""
    total: int | None = None

    @property
    def condition(self) -> str:
        """What If-Range asks for: an ETag that is a strong one, or the time of the last change."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def are_those_of(self, headers: Message) -> bool:
        """Whether an answer with a part is of the same file. It must repeat the ETag (RFC 9110, 15.3.7)."""
        if self.etag != headers.get("ETag", ""):
            return False
        if self.modified != headers.get("Last-Modified", self.modified):
            return False
        total = _range_of(headers)[2]
        return self.total is None or total is None or self.total == total


def fetch(url: str, part: Path, patience: Patience, progress: ByteProgress | None = None) -> str:
    """Bring ``part`` to its full length, resuming from what it holds where that is safe. Nobody else may write to it.

    Args:
        url: http or https, encoded.
        part: file to write.
        patience: see `Patience`.
        progress: see `ByteProgress`.

    Returns:
        The content type, such as "video/mp4".

    Raises:
        SourceError: the server sends no video or picture, too much, too slowly, another part than was asked for, or
            ends early.
        OutputError: ``part`` is there, and is no download.
        OSError: of the network, or of the file.
    """
    watch = Watch()
    with watch.running(2 * patience.timeout):
        try:
            return _fetch(url, part, patience, progress, watch)
        except Exception as err:
            if watch.expired:
                raise SourceError(
                    f"{url}: the server sends less than {patience.slowest:g} bytes a second, or does not answer, for "
                    f"{patience.timeout:g} seconds: download it again later to go on"
                ) from err
            raise


def _fetch(url: str, part: Path, patience: Patience, progress: ByteProgress | None, watch: Watch) -> str:
    response, have = _open(url, part, patience.timeout, watch)
    with response:
        _refuse_other_types(url, response.headers)
        total = _total(response.headers, have)
        _refuse_size(url, total or have, patience)
        with _open_part(part, have, _marks_of(url, response.headers, total)) as file:
            have = _Copy(url, file, total, patience, progress, watch).run(response, have)
        kind = response.headers.get_content_type()
    if watch.expired or (total is not None and have != total):
        raise SourceError(f"{url}: the connection ended after {have} of {total} bytes: download it again to go on")
    return kind


def _open(url: str, part: Path, timeout: float, watch: Watch) -> tuple[HTTPResponse, int]:
    """Ask for what ``part`` lacks.

    Returns:
        (the answer, how many bytes of ``part`` it continues: 0 where it is the whole file).

    Raises:
        SourceError: the answer continues at another byte than was asked for; ``part`` is removed.
    """
    have, marks = _resumable(part, url)
    try:
        response = _ask(url, have, marks, timeout, watch)
    except urllib.error.HTTPError as err:
        if err.code != _RANGE_NOT_SATISFIABLE or not have:  # else the file has become shorter
            raise
        err.close()
        have, response = 0, _ask(url, 0, marks, timeout, watch)
    if have and (response.status != _PARTIAL_CONTENT or not marks.are_those_of(response.headers)):
        log.info("%s has changed or cannot be resumed: downloading it from the start", url)
        have = 0
        if response.status == _PARTIAL_CONTENT:  # a part of another file
            response.close()
            response = _ask(url, 0, marks, timeout, watch)
    if response.status == _PARTIAL_CONTENT and _range_of(response.headers)[0] != have:
        response.close()
        discard(part)
        raise SourceError(f"{url}: the server sent another part than was asked for: download it again")
    return response, have


def _ask(url: str, have: int, marks: _Marks, timeout: float, watch: Watch) -> HTTPResponse:
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": marks.condition}
    return request(url, headers, timeout, watch)


class _Copy:
    """Copies an answer into a file, as long as it comes fast enough."""

    def __init__(
        self,
        url: str,
        file: BinaryIO,
        total: int | None,
        patience: Patience,
        progress: ByteProgress | None,
        watch: Watch,
    ) -> None:
        self._url, self._file, self._total = url, file, total
        self._patience, self._progress, self._watch = patience, progress, watch

    def run(self, response: HTTPResponse, have: int) -> int:
        """Copy; gives how many bytes there are then."""
        patience = self._patience
        enough = have + patience.slowest * patience.timeout
        self._watch.allow(patience.timeout)
        while chunk := response.read1(_CHUNK):
            _refuse_size(self._url, have + len(chunk), patience)
            self._file.write(chunk)
            have += len(chunk)
            if have >= enough:
                enough = have + patience.slowest * patience.timeout
                self._watch.allow(patience.timeout)
            if self._progress is not None:
                self._progress(have, self._total)
        return have


def _open_part(part: Path, have: int, marks: _Marks) -> BinaryIO:
    """Open ``part`` for what comes next; a link in its place is not followed, and only our own file is written to."""
    if have:
        file = os.open(part, os.O_WRONLY | os.O_APPEND | _SAFELY)
        if not stat.S_ISREG(os.fstat(file).st_mode) or os.fstat(file).st_size != have:
            os.close(file)
            raise OutputError(f"{part} has changed while it was downloaded: download it again")
        return os.fdopen(file, "ab")
    discard(part)
    new = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
    with os.fdopen(os.open(_mark_path(part), new, 0o666), "w", encoding="utf-8") as text:
        json.dump(asdict(marks), text)
    return os.fdopen(os.open(part, new, 0o666), "wb")


def _mark_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _resumable(part: Path, url: str) -> tuple[int, _Marks]:
    """How many bytes of this very address are there already, and its marks; 0 for a new start.

    Raises:
        OutputError: there is something of that name which is no download.
    """
    nothing = 0, _Marks(url)
    if not os.path.lexists(part):
        return nothing
    about = part.lstat()
    try:
        found = json.loads(_mark_path(part).read_text(encoding="utf-8"))
        known = "mark" not in found  # as in earlier versions, which told less
        marks = _Marks(**found) if known else _Marks("")
    except (OSError, ValueError, TypeError, RecursionError) as err:
        raise _in_the_way(part) from err
    if not stat.S_ISREG(about.st_mode):
        raise _in_the_way(part)
    texts = all(isinstance(text, str) for text in (marks.url, marks.etag, marks.modified))
    return (about.st_size, marks) if texts and marks.url == url and marks.condition and about.st_size else nothing


def _in_the_way(part: Path) -> OutputError:
    return OutputError(f"{part} is in the way, and is no unfinished download: move it elsewhere")


def _marks_of(url: str, headers: Message, total: int | None) -> _Marks:
    return _Marks(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), total)


def discard(part: Path) -> None:
    """Remove an unfinished download."""
    part.unlink(missing_ok=True)
    forget_mark(part)


def forget_mark(part: Path) -> None:
    """Remove what was remembered of a download, once it is finished."""
    _mark_path(part).unlink(missing_ok=True)


def _range_of(headers: Message) -> tuple[int | None, int | None, int | None]:
    """First byte, last byte and total length that an answer with a part says; None where it does not."""
    match = re.match(r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:([0-9]{1,18})|\*)", headers.get("Content-Range", ""))
    if match is None:
        return None, None, None
    return int(match[1]), int(match[2]), None if match[3] is None else int(match[3])


def _total(headers: Message, have: int) -> int | None:
    """How long the whole file is; None where the server does not say."""
    length = headers.get("Content-Length", "")
    if re.fullmatch(r"[0-9]{1,18}", length) and not headers.get("Transfer-Encoding"):
        return have + int(length)
    last, total = _range_of(headers)[1:]
    return total if total is not None else None if last is None else last + 1


def _refuse_size(url: str, size: int, patience: Patience) -> None:
    if size > patience.most_bytes:
        raise SourceError(
            f"{url}: expected {patience.most_bytes} bytes at most, but it has {size} or more: pass most_bytes to allow "
            "more"
        )


def _refuse_other_types(url: str, headers: Message) -> None:
    kind = headers.get_content_type() if headers.get("Content-Type") else "application/octet-stream"
    main = kind.split("/", 1)[0]
    if main == "text" or kind in ("application/json", "application/xhtml+xml", "application/xml"):
        raise SourceError(
            f"{url}: expected a video or picture, got {kind}: this is the address of a page, not of the file; use the "
            "address behind its download button"
        )
    if main == "audio":
        raise SourceError(f"{url}: expected a video or picture, got {kind}")
