"""Videos and pictures from the web: into a cache, resumed where it broke off, checked before they are used."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import platformdirs

from maskferry.errors import InputError, OutputError, SourceError
from maskferry.files import check_free
from maskferry.sources._checks import PICTURE_SUFFIXES

__all__ = ["ByteProgress", "download_file"]

log = logging.getLogger(__name__)

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes that there will be; None where the server does not say."""

_CHUNK = 2**18
_USER_AGENT = "maskferry"
_SUFFIXES = {
    "video/mp4": ".mp4",
    "video/quicktime": ".mov",
    "video/webm": ".webm",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/mp2t": ".ts",
    "image/gif": ".gif",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/tiff": ".tif",
    "image/webp": ".webp",
}


def download_file(
    url: str,
    path: str | Path | None = None,
    *,
    overwrite: bool = False,
    check: bool = True,
    timeout: float = 30,
    progress: ByteProgress | None = None,
) -> Path:
    """Download a video or picture; what has been downloaded before is not downloaded again.

    An interrupted download leaves a ``.part`` file beside its target and is resumed from it next time, provided that
    the server says that the file is still the same (ETag or Last-Modified).

    Args:
        url: http or https.
        path: file to write, or folder to write into; by default a file in the user's cache.
        overwrite: download again, even if the file is there.
        check: make sure that the file can be opened as a video or picture.
        timeout: seconds without an answer until it fails.
        progress: called with the bytes that are there and the bytes that there will be, the latter None where the
            server does not say.

    Returns:
        Where the file is.

    Raises:
        InputError: no http(s) URL.
        OutputExistsError: ``path`` is a file that exists, and ``overwrite`` is false.
        OutputError: the file cannot be written.
        SourceError: the server cannot be reached, refuses, ends early, or sends no video or picture.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise InputError(f"url: expected http:// or https://, got {url!r}: open other files by their path")
    target = _target(url, path)
    if path is None and not overwrite and (cached := _cached(target)):
        return cached
    check_free(target, overwrite=overwrite or path is None)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        kind = _fetch(url, part, timeout, progress)
        if path is None and not target.suffix:
            target = target.with_name(target.name + _SUFFIXES.get(kind, ""))
        if check:
            _check_decodable(part, target, url)
        part.replace(target)
        _marks_of(part).unlink(missing_ok=True)
    except urllib.error.HTTPError as err:
        err.close()
        raise SourceError(f"{url}: the server answers {err.code} {err.reason}: {_http_advice(err.code)}") from err
    except (HTTPException, TimeoutError, urllib.error.URLError, ConnectionError) as err:
        reason = getattr(err, "reason", None) or err
        raise SourceError(f"{url} cannot be downloaded ({reason}): check the address and the network") from err
    except SourceError:
        raise
    except OSError as err:
        raise OutputError(f"{url} cannot be saved as {target}: {err.strerror or err}") from err
    return target


def _target(url: str, path: str | Path | None) -> Path:
    name = _file_name(url)
    if path is None:
        digest = hashlib.sha256(url.encode()).hexdigest()[:16]
        return Path(platformdirs.user_cache_dir("maskferry")) / "downloads" / f"{digest}-{name}"
    given = Path(path).expanduser()
    return given / name if given.is_dir() else given


def _cached(target: Path) -> Path | None:
    """The finished file of this name; where the URL has no suffix, one was added from the type that the server said."""
    names = [target, *(target.with_name(target.name + suffix) for suffix in _SUFFIXES.values())]
    return next((name for name in names if name.exists()), None)


def _file_name(url: str) -> str:
    """A readable, harmless name from a URL: letters, digits, dot, dash and underscore; never a path."""
    last = urllib.parse.unquote(PurePosixPath(urllib.parse.urlsplit(url).path).name)
    clean = re.sub(r"[^A-Za-z0-9._-]+", "_", last.replace("\\", "/").rsplit("/", 1)[-1]).strip("._")
    stem, dot, suffix = clean.rpartition(".")
    return f"{stem[:80]}.{suffix[:10]}" if dot else clean[:80] or "download"


def _fetch(url: str, part: Path, timeout: float, progress: ByteProgress | None) -> str:
    """Bring ``part`` to its full length, resuming from what it holds where that is safe; give its content type."""
    have, mark = _resumable(part)
    try:
        response = _request(url, have, mark, timeout)
    except urllib.error.HTTPError as err:
        if err.code != 416 or not have:  # nothing after what is there: the file has become shorter
            raise
        err.close()
        have, response = 0, _request(url, 0, "", timeout)
    with response:
        if have and response.status != 206:
            log.info("%s has changed or cannot be resumed: downloading it from the start", url)
            have = 0
        if response.status == 206 and _range_start(response.headers) != have:
            _forget(part)
            raise SourceError(f"{url}: the server sent another part than was asked for: download it again")
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


def _marks_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _resumable(part: Path) -> tuple[int, str]:
    """How many bytes are there already, and the mark by which the server knows the file; (0, "") for a new start."""
    try:
        mark = json.loads(_marks_of(part).read_text(encoding="utf-8"))["mark"]
        size = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    return (size, mark) if size and isinstance(mark, str) and mark else (0, "")


def _remember(part: Path, url: str, headers: Message) -> None:
    etag = headers.get("ETag", "")
    mark = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")
    _marks_of(part).write_text(json.dumps({"url": url, "mark": mark}), encoding="utf-8")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _marks_of(part).unlink(missing_ok=True)


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


def _check_decodable(part: Path, target: Path, url: str) -> None:
    """Open what was downloaded; where that fails, remove it."""
    try:
        if target.suffix.lower() in PICTURE_SUFFIXES:
            from maskferry.sources._pictures import read_header

            read_header(part)
        else:
            from maskferry.sources._container import open_video

            with open_video(part):
                pass
    except SourceError as err:
        _forget(part)
        raise SourceError(f"{url} was downloaded, but is no video or picture that can be opened: {err}") from err


def _http_advice(code: int) -> str:
    return {
        401: "it wants a login; download the file in a browser and open it by its path",
        403: "it does not allow this; download the file in a browser and open it by its path",
        404: "there is no such file; check the address",
        410: "the file is gone; look for another address",
        429: "too many requests; wait a while",
    }.get(code, "try again later" if code >= 500 else "check the address")
