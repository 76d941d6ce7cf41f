"""``Store``: where results go: a folder, also one that several machines share, or an object store (extra ``remote``).

Keys are paths below OUT, with slashes. What a worker publishes lies under the name of its attempt, where nobody looks;
the driver makes it the video's result by one step that happens or does not: a folder is renamed, or a receipt that
names the attempt is written where there was none.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from maskferry.errors import InputError, MissingExtraError, OutputError, SourceError
from maskferry.files import translate_os_errors

__all__ = [
    "RECEIPT",
    "STAGED",
    "Store",
    "failure_key",
    "fetch",
    "file_system",
    "is_remote",
    "local_path",
    "open_store",
    "read_json",
    "read_staged",
    "saved_key",
    "shown",
    "stamp_of",
]

RECEIPT = "receipt.json"

STAGED = "staged.json"
"""Written last by a worker: what it has staged."""

STAGING = ".batch/staging"

SCHEMES = ("file", "http", "https", "s3", "gs")
"""What URLs of inputs may begin with; fsspec's chains, such as ``zip::``, may name anything and are refused."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(::|://)")


def is_remote(place: str) -> bool:
    """Whether a place is a URL that is read or written by a network.

    Raises:
        InputError: it is a URL of another kind.
    """
    found = _SCHEME.match(place)
    if found is None or (os.name == "nt" and len(found[1]) == 1):
        return False
    if found[2] == "::" or "::" in place:
        raise InputError(f"{shown(place)}: chains of protocols (::) are not taken: give the file itself")
    if found[1].lower() not in SCHEMES and not (found[1] == "memory"):
        raise InputError(f"{shown(place)}: expected a path, or a URL of {', '.join(SCHEMES)}")
    return found[1].lower() != "file"


def local_path(place: str) -> Path:
    """The path that a place is, where it is not `is_remote`."""
    return Path(unquote(urlsplit(place).path)) if place.startswith("file://") else Path(place)


def shown(place: str) -> str:
    """A place for messages: names and passwords, and what a signed URL is signed with, are left out.

    >>> shown("https://me:secret@host/a.mp4?X-Signature=1")
    'https://host/a.mp4'
    """
    if "::" in place:
        return "::".join(map(shown, place.split("::")))
    if "://" not in place:
        return place
    parts = urlsplit(place)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def file_system(place: str) -> tuple[Any, str]:
    """(fsspec's file system, path in it) of a URL.

    Raises:
        MissingExtraError: what it needs is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as err:
        raise MissingExtraError(f"{shown(place)}: needs fsspec: pip install 'maskferry[remote]'") from err
    try:
        found, path = url_to_fs(place)
    except ImportError as err:
        raise MissingExtraError(f"{shown(place)}: {err}: pip install 'maskferry[remote]'") from err
    return found, str(path)


def stamp_of(place: str) -> list[Any]:
    """What tells cheaply that a file, a folder or an object has changed: [bytes, time or ETag].

    Raises:
        FileNotFoundError: there is none.
    """
    if not is_remote(place):
        found = os.stat(local_path(place))  # noqa: PTH116
        return [found.st_size, found.st_mtime_ns]
    if place.lower().startswith("http"):
        return [None, None]  # not asked for: servers answer as they like
    system, path = file_system(place)
    info = system.info(path)
    mark = info.get("ETag") or info.get("etag") or info.get("LastModified") or info.get("mtime") or info.get("created")
    return [info.get("size"), None if mark is None else str(mark)]


def fetch(place: str, folder: Path) -> str:
    """Bring an object to the own disk; a path, or a URL that is read as a video is, is given back as it is.

    Args:
        place: a path or URL.
        folder: where it is put, under its own name.

    Returns:
        What can be opened.

    Raises:
        SourceError: there is none.
    """
    if not is_remote(place):
        return str(local_path(place))
    if place.lower().startswith("http"):
        return place
    system, path = file_system(place)
    target = folder / Path(path.rstrip("/")).name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        system.get(path, str(target), recursive=bool(system.isdir(path)))
    except FileNotFoundError as err:
        raise SourceError(f"{shown(place)}: there is no such object") from err
    return str(target)


def failure_key(video: str) -> str:
    """Where the failure of a video is written down."""
    return f".batch/failures/{video}.json"


def saved_key(video: str, fingerprint: str) -> str:
    """Where the saved state of a video lies: under what its result depends on, so that no other run goes on from it."""
    return f".batch/saved/{video}.{fingerprint[:16]}.sqlite"


def read_json(text: bytes | None) -> dict[str, Any]:
    """A JSON object that was written by `Store.write`; empty where there is none, or it is none."""
    with suppress(ValueError):
        found = json.loads(text or b"null")
        if isinstance(found, dict):
            return found
    return {}


class Store(Protocol):
    """Where results go.

    Attributes:
        place: for people.
    """

    place: str

    def read(self, key: str) -> bytes | None:
        """What lies there; None where nothing does."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put it there as a whole, whatever was there."""
        ...

    def create(self, key: str, data: bytes) -> bool:
        """Put it there where nothing is; false where something is."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key, or a folder with all that is in it, where it is there."""
        ...

    def names(self, key: str) -> Iterator[str]:
        """What lies in a folder, by name; nothing where it is not there."""
        ...

    def put(self, path: Path, key: str) -> None:
        """Copy a file there, as a whole."""
        ...

    def get(self, key: str, path: Path) -> bool:
        """Copy a file, or a folder, from there; false where there is none."""
        ...

    def stage(self, folder: Path, place: str, attempt: str) -> None:
        """Publish an attempt: bring its folder to where `commit` finds it. The folder may be moved."""
        ...

    def unstage(self, place: str, attempt: str) -> None:
        """Remove what was staged of an attempt."""
        ...

    def files(self, place: str, attempt: str) -> dict[str, int] | None:
        """{name: bytes} of what was staged; None where there is nothing."""
        ...

    def commit(self, place: str, attempt: str, receipt: bytes, *, replace: bool) -> bool:
        """Make an attempt the result, in one step; false where there is one already and it is not to be replaced."""
        ...

    def prefix(self, place: str, attempt: str) -> str:
        """Where the files of a committed attempt lie, below OUT."""
        ...

    def sweep(self) -> None:
        """Remove what was staged and not committed."""
        ...


def open_store(out: str | Path) -> Store:
    """The store of an output place.

    Raises:
        InputError: it is an address that nothing can be written to.
        MissingExtraError: the extra ``remote`` is missing.
    """
    if is_remote(str(out)):
        if str(out).lower().startswith("http"):
            raise InputError(f"{shown(str(out))}: nothing can be written there: give a folder, s3:// or gs://")
        return ObjectStore(str(out))
    return FolderStore(local_path(str(out)))


def read_staged(store: Store, place: str, attempt: str) -> dict[str, Any]:
    """What a worker says in OUT of what it has staged.

    Raises:
        OutputError: it is not there.
    """
    for key in (f"{STAGING}/{attempt}/{STAGED}", f"{place}/{attempt}/{STAGED}"):  # in a folder, and among objects
        found = read_json(store.read(key))
        if found:
            return found
    raise OutputError(f"{store.place}: what attempt {attempt} has staged cannot be read")


class FolderStore:
    """A folder; see `Store`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, str(folder)

    def read(self, key: str) -> bytes | None:
        """As `Store.read`."""
        try:
            return (self.folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, data: bytes) -> None:
        """As `Store.write`."""
        with translate_os_errors(self.folder / key):
            part = self._part(key)
            try:
                part.write_bytes(data)
                part.replace(self.folder / key)
            finally:
                part.unlink(missing_ok=True)

    def create(self, key: str, data: bytes) -> bool:
        """As `Store.create`."""
        with translate_os_errors(self.folder / key):
            part = self._part(key)
            try:
                part.write_bytes(data)
                try:
                    os.link(part, self.folder / key)
                except FileExistsError:
                    return False
                except OSError as err:
                    if err.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                        raise
                    return self._create_plainly(self.folder / key, data)
            finally:
                part.unlink(missing_ok=True)
        return True

    def _create_plainly(self, path: Path, data: bytes) -> bool:
        """Where the file system has no links."""
        try:
            with path.open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        return True

    def _part(self, key: str) -> Path:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.with_name(f".{path.name}.{secrets.token_hex(4)}")

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        path = self.folder / key
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def names(self, key: str) -> Iterator[str]:
        """As `Store.names`."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self.folder / key) as found:
            yield from (entry.name for entry in found)

    def put(self, path: Path, key: str) -> None:
        """As `Store.put`."""
        with translate_os_errors(self.folder / key):
            part = self._part(key)
            try:
                shutil.copyfile(path, part)
                part.replace(self.folder / key)
            finally:
                part.unlink(missing_ok=True)

    def get(self, key: str, path: Path) -> bool:
        """As `Store.get`."""
        source = self.folder / key
        try:
            if source.is_dir():
                shutil.copytree(source, path, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, path)
        except FileNotFoundError:
            return False
        return True

    def stage(self, folder: Path, place: str, attempt: str) -> None:
        """As `Store.stage`."""
        target = self._staged(attempt)
        with translate_os_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder.rename(target)
            except OSError as err:
                if err.errno != errno.EXDEV:
                    raise
                try:
                    shutil.copytree(folder, target)
                except shutil.Error as failed:  # lists what the system said of each file, in words alone
                    raise _first_of(failed) from failed

    def _staged(self, attempt: str) -> Path:
        return self.folder / STAGING / attempt

    def unstage(self, place: str, attempt: str) -> None:
        """As `Store.unstage`."""
        self.delete(f"{STAGING}/{attempt}")

    def files(self, place: str, attempt: str) -> dict[str, int] | None:
        """As `Store.files`."""
        return _sizes(self._staged(attempt))

    def commit(self, place: str, attempt: str, receipt: bytes, *, replace: bool) -> bool:
        """As `Store.commit`: the receipt is written into the staged folder, which is renamed."""
        staged, target = self._staged(attempt), self.folder / place
        with translate_os_errors(target):
            (staged / RECEIPT).write_bytes(receipt)
            (staged / STAGED).unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target):
                if not replace:
                    return False
                aside = self.folder / ".batch" / "replaced" / attempt
                aside.parent.mkdir(parents=True, exist_ok=True)
                target.rename(aside)
                staged.rename(target)
                self.delete(f".batch/replaced/{attempt}")
            else:
                staged.rename(target)
        return True

    def prefix(self, place: str, attempt: str) -> str:
        """As `Store.prefix`."""
        return place

    def sweep(self) -> None:
        """As `Store.sweep`."""
        self.delete(STAGING)
        for name in self.names(".batch/replaced"):  # a driver was killed between two renames
            self._put_back(name)
        self.delete(".batch/replaced")

    def _put_back(self, attempt: str) -> None:
        """What was to be replaced comes back, where its place is empty."""
        old = self.folder / ".batch" / "replaced" / attempt
        with suppress(OSError, ValueError, KeyError):
            place = str(json.loads((old / RECEIPT).read_bytes())["place"])
            target = self.folder / place
            if not os.path.lexists(target) and not Path(place).is_absolute() and ".." not in Path(place).parts:
                old.rename(target)


class ObjectStore:
    """An object store, by fsspec; see `Store`. Nothing is renamed there: a receipt names the attempt that counts."""

    def __init__(self, url: str) -> None:
        self._system, self._root = file_system(url.rstrip("/"))
        self.place = shown(url)

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}"

    def read(self, key: str) -> bytes | None:
        """As `Store.read`."""
        self._system.invalidate_cache()
        try:
            return bytes(self._system.cat_file(self._path(key)))
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes) -> None:
        """As `Store.write`."""
        with translate_os_errors(Path(key)):
            self._system.pipe_file(self._path(key), data)

    def create(self, key: str, data: bytes) -> bool:
        """As `Store.create`: a PUT on the condition that there is none (S3 ``If-None-Match``, GCS generation 0)."""
        with translate_os_errors(Path(key)):
            try:
                self._system.pipe_file(self._path(key), data, mode="create")
            except FileExistsError:
                return False
        return True

    def delete(self, key: str) -> None:
        """As `Store.delete`."""
        with suppress(FileNotFoundError):
            self._system.rm(self._path(key), recursive=True)

    def names(self, key: str) -> Iterator[str]:
        """As `Store.names`."""
        self._system.invalidate_cache()
        with suppress(FileNotFoundError, NotADirectoryError):
            for found in self._system.ls(self._path(key), detail=False):
                yield str(found).rstrip("/").rpartition("/")[2]

    def put(self, path: Path, key: str) -> None:
        """As `Store.put`."""
        with translate_os_errors(Path(key)):
            self._system.put_file(str(path), self._path(key))

    def get(self, key: str, path: Path) -> bool:
        """As `Store.get`."""
        try:
            if self._system.isdir(self._path(key)):
                self._system.get(f"{self._path(key)}/", f"{path}/", recursive=True)
            else:
                self._system.get_file(self._path(key), str(path))
        except FileNotFoundError:
            return False
        return True

    def stage(self, folder: Path, place: str, attempt: str) -> None:
        """As `Store.stage`."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.put(path, f"{place}/{attempt}/{path.relative_to(folder).as_posix()}")

    def unstage(self, place: str, attempt: str) -> None:
        """As `Store.unstage`."""
        self.delete(f"{place}/{attempt}")

    def files(self, place: str, attempt: str) -> dict[str, int] | None:
        """As `Store.files`."""
        self._system.invalidate_cache()
        root = self._path(f"{place}/{attempt}").strip("/")
        try:
            found = self._system.find(root, detail=True)
        except FileNotFoundError:
            return None
        sizes = {str(name).strip("/").removeprefix(f"{root}/"): int(info["size"]) for name, info in found.items()}
        return sizes or None

    def commit(self, place: str, attempt: str, receipt: bytes, *, replace: bool) -> bool:
        """As `Store.commit`."""
        key = f"{place}/{RECEIPT}"
        if replace:
            self.write(key, receipt)
        elif not self.create(key, receipt):
            return False
        for name in list(self.names(place)):
            if name not in (RECEIPT, attempt):
                self.delete(f"{place}/{name}")
        return True

    def prefix(self, place: str, attempt: str) -> str:
        """As `Store.prefix`."""
        return f"{place}/{attempt}"

    def sweep(self) -> None:
        """As `Store.sweep`; what lies beside a receipt, and is not named by it, was removed when that was written."""


def _sizes(folder: Path) -> dict[str, int] | None:
    """{name: bytes} of the files below a folder; None where it is not there."""
    if not folder.is_dir():
        return None
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in paths}


def _first_of(failed: shutil.Error) -> OSError:
    """The first thing that kept a folder from being copied, as an error of the system."""
    for text in itertools.chain.from_iterable(failed.args[0] if failed.args else ()):
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            if os.strerror(number) in str(text):
                return OSError(number, os.strerror(number), str(text))
    return OutputError(str(failed))
