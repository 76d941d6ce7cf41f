"""Fetching a file over HTTP into a ``.part`` file, which a later call resumes.

Beside it lies a ``.part.json`` with the mark (ETag or Last-Modified) by which the server can say that the file is still
the same.
"""

from __future__ import annotations

import json
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from email.message import Message
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast

from maskferry.errors import SourceError

__all__ = ["ByteProgress", "discard", "fetch", "forget_mark"]

log = logging.getLogger(__name__)

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes that there will be; None where the server does not say."""

_CHUNK = 2**18
_USER_AGENT = "maskferry"

_PARTIAL_CONTENT, _RANGE_NOT_SATISFIABLE = 206, 416
"""Status codes (RFC 9110, sections 15.3.7 and 15.5.17)."""


def fetch(url: str, part: Path, timeout: float, progress: ByteProgress | None = None) -> str:
    """Bring ``part`` to its full length, resuming from what it holds where that is safe.

    Args:
        url: http or https.
        part: file to write.
        timeout: seconds without an answer until it fails.
        progress: see `ByteProgress`.

    Returns:
        The content type, such as "video/mp4".

    Raises:
        SourceError: the server sends no video or picture, another part than was asked for, or ends early.
        OSError: of the network, or of the file.
    """
    response, have = _open(url, part, timeout)
    with response:
        _refuse_other_types(url, response.headers)
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        _remember(part, url, response.headers)
        with part.open("ab" if have else "wb") as file:
            have = _copy(response, file, have, total, progress)
        kind = response.headers.get_content_type()
    if total is not None and have != total:
        raise SourceError(f"{url}: the connection ended after {have} of {total} bytes: download it again to go on")
    return kind


def _open(url: str, part: Path, timeout: float) -> tuple[HTTPResponse, int]:
    """Ask for what ``part`` lacks.

    Returns:
        (the answer, how many bytes of ``part`` it continues: 0 where it is the whole file).

    Raises:
        SourceError: the answer continues at another byte than was asked for; ``part`` is removed.
    """
    have, mark = _resumable(part)
    try:
        response = _request(url, have, mark, timeout)
    except urllib.error.HTTPError as err:
        if err.code != _RANGE_NOT_SATISFIABLE or not have:  # else the file has become shorter
            raise
        err.close()
        have, response = 0, _request(url, 0, "", timeout)
    if have and response.status != _PARTIAL_CONTENT:
        log.info("%s has changed or cannot be resumed: downloading it from the start", url)
        have = 0
    if response.status == _PARTIAL_CONTENT and _range_start(response.headers) != have:
        response.close()
        discard(part)
        raise SourceError(f"{url}: the server sent another part than was asked for: download it again")
    return response, have


def _request(url: str, have: int, mark: str, timeout: float) -> HTTPResponse:
    headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": mark}
    request = urllib.request.Request(url, headers=headers)
    return cast(HTTPResponse, urllib.request.build_opener(_OnlyHttp).open(request, timeout=timeout))


def _copy(response: HTTPResponse, file: BinaryIO, have: int, total: int | None, progress: ByteProgress | None) -> int:
    while chunk := response.read1(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        if progress is not None:
            progress(have, total)
    return have


class _OnlyHttp(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: object, code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme.lower() not in ("http", "https"):
            raise SourceError(f"{req.full_url} redirects to {newurl}, which is not http or https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _mark_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _resumable(part: Path) -> tuple[int, str]:
    """How many bytes are there already, and the mark by which the server knows the file; (0, "") for a new start."""
    try:
        mark = json.loads(_mark_path(part).read_text(encoding="utf-8"))["mark"]
        size = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    return (size, mark) if size and isinstance(mark, str) and mark else (0, "")


def _remember(part: Path, url: str, headers: Message) -> None:
    etag = headers.get("ETag", "")
    mark = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    _mark_path(part).write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")


def discard(part: Path) -> None:
    """Remove an unfinished download."""
    part.unlink(missing_ok=True)
    forget_mark(part)


def forget_mark(part: Path) -> None:
    """Remove what was remembered of a download, once it is finished."""
    _mark_path(part).unlink(missing_ok=True)


def _range_start(headers: Message) -> int | None:
    match = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


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
