"""Videos and pictures from the web: into a cache, resumed where it broke off, checked before they are used."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath

import platformdirs

from maskferry._arguments import real, whole
from maskferry._locks import locked
from maskferry.errors import MaskferryError, OutputError, SourceError
from maskferry.files import check_free
from maskferry.images import FRAME_SUFFIXES
from maskferry.sources._address import encode_url
from maskferry.sources._resumable_http import ByteProgress, Patience, discard, fetch, forget_mark

__all__ = ["download_file"]

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


def download_file(  # noqa: PLR0913
    url: str,
    path: str | Path | None = None,
    *,
    overwrite: bool = False,
    check: bool = True,
    timeout: float = 30,
    slowest: float = 1024,
    most_bytes: int = 2**36,
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
        timeout: seconds without an answer until it fails; so many seconds, too, may pass with less than ``slowest``.
        slowest: bytes a second, on average over ``timeout``.
        most_bytes: of the file; whatever the server says of its length.
        progress: called with the bytes that are there and the bytes that there will be, the latter None where the
            server does not say.

    Returns:
        Where the file is.

    Raises:
        InputError: no http(s) URL, or an option that is no number.
        OutputExistsError: ``path`` is a file that exists, and ``overwrite`` is false.
        OutputError: the file cannot be written.
        RunningElsewhereError: it is being downloaded to the same path by another process or thread.
        SourceError: the server cannot be reached, refuses, ends early, is too slow, sends too much, or sends no video
            or picture; or it redirects inside of a private network, or to this computer, from a place outside.
    """
    address, target = encode_url(url), _target(url, path)
    patience = Patience(
        real(timeout, "timeout", least=1e-3, most=1e6),
        real(slowest, "slowest", least=0),
        whole(most_bytes, "most_bytes", least=1),
    )
    if path is None and not overwrite and (cached := _cached(target)):
        return cached
    with _translated(url, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target, "a download"):
            if path is None and not overwrite and (cached := _cached(target)):
                return cached  # somebody else has just finished it
            check_free(target, overwrite=overwrite or path is None)
            part = target.with_name(f"{target.name}.part")
            kind = fetch(address, part, patience, progress)
            if path is None and not target.suffix:
                target = target.with_name(target.name + _SUFFIXES.get(kind, ""))
            if check:
                _check_decodable(part, target, url)
            part.replace(target)
            forget_mark(part)
    return target


@contextmanager
def _translated(url: str, target: Path) -> Iterator[None]:
    """Turn what the network and the system say while ``url`` is saved into a `SourceError` or an `OutputError`."""
    try:
        yield
    except MaskferryError:
        raise
    except urllib.error.HTTPError as err:
        err.close()
        raise SourceError(f"{url}: the server answers {err.code} {err.reason}: {_http_advice(err.code)}") from err
    except (HTTPException, TimeoutError, urllib.error.URLError, ConnectionError) as err:
        reason = getattr(err, "reason", None) or err
        raise SourceError(f"{url} cannot be downloaded ({reason}): check the address and the network") from err
    except OSError as err:
        raise OutputError(f"{url} cannot be saved as {target}: {err.strerror or err}") from err


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


def _check_decodable(part: Path, target: Path, url: str) -> None:
    """Open what was downloaded; where that fails, remove it."""
    try:
        if target.suffix.lower() in FRAME_SUFFIXES:
            from maskferry.sources._pages import pages_of

            pages_of(part)
        else:
            from maskferry.sources._container import open_video

            with open_video(part):
                pass
    except SourceError as err:
        discard(part)
        raise SourceError(f"{url} was downloaded, but is no video or picture that can be opened: {err}") from err


def _http_advice(code: int) -> str:
    return {
        401: "it wants a login; download the file in a browser and open it by its path",
        403: "it does not allow this; download the file in a browser and open it by its path",
        404: "there is no such file; check the address",
        410: "the file is gone; look for another address",
        429: "too many requests; wait a while",
    }.get(code, "try again later" if code >= 500 else "check the address")
