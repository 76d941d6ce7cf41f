"""``download_file`` with samgeo's signature."""

from __future__ import annotations

import filecmp
import mimetypes
import zipfile
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from maskferry.errors import InputError, MaskferryError, SourceError
from maskferry.files import check_output, output, translate_os_errors
from maskferry.limits import most_unpacked
from maskferry.samgeo._messages import explain_unused, say
from maskferry.sources import download_file as fetch_file

__all__ = ["download_file"]

_MOST_MEMBERS = 1_000_000
"""Files of an archive."""


def download_file(  # noqa: PLR0913
    url: str | None = None,
    output: str | Path | None = None,
    quiet: bool = False,
    proxy: str | None = None,
    speed: float | None = None,
    use_cookies: bool = True,
    verify: bool | str = True,
    id: str | None = None,  # noqa: A002
    fuzzy: bool = False,
    resume: bool = False,
    unzip: bool = True,
    overwrite: bool = False,
    subfolder: bool = False,
) -> str:
    """Download a file, unless it is there already. A download that broke off is resumed.

    Args:
        url: http or https. The page of a file on GitHub is taken for the file.
        output: where to; by default the name in the address, in the working folder.
        quiet: say nothing.
        proxy: accepted and not used; the environment variables http_proxy and https_proxy are.
        speed: accepted and not used.
        use_cookies: accepted and not used.
        verify: accepted and not used; certificates are always verified.
        id: must be None: files on Google Drive are only given to a browser.
        fuzzy: accepted and not used; it is about addresses of Google Drive.
        resume: accepted and not used; downloads are always resumed.
        unzip: unpack a .zip beside itself; other files of the same names are never replaced.
        overwrite: download again, even if the file is there.
        subfolder: unpack a .zip into a folder of its name, instead.

    Returns:
        The absolute path; of that folder, if there is one.

    Raises:
        InputError: no http(s) address, or one of Google Drive.
        SourceError: it cannot be downloaded, is not what its name says, or would unpack to far more than it is.
        OutputExistsError: the archive holds a file of which another one is there.
        OutputError: it cannot be unpacked there.
    """
    address = _check_address(url, id)
    if not quiet:
        explain_unused(
            proxy=None if proxy is None else "set the environment variable https_proxy instead",
            speed=None if speed is None else "downloads are as fast as they can be",
            verify=None if verify is True else "certificates are always verified",
        )
    target = Path(output if output is not None else _name_in(address)).absolute()
    if target.is_dir():
        target = target / _name_in(address)
    if target.exists() and not overwrite:
        message = f"{target.name} is there already; pass overwrite=True to download it again."
    else:
        fetch_file(_raw_url(address), target, overwrite=overwrite, check=_is_picture_or_video(target))
        if unzip and _is_archive(target):
            _unpack(target, _folder_of(target) if subfolder else target.parent)
        message = f"Downloaded {target.name}, {target.stat().st_size / 1e6:.1f} MB."
    if not quiet:
        say(message)
    return str(_folder_of(target) if subfolder and unzip and _is_archive(target) else target)


def _check_address(url: str | None, drive_id: str | None) -> str:
    """The address, where it is that of a file which can be downloaded."""
    try:
        host = urlsplit(url).hostname if isinstance(url, str) else None
    except ValueError:  # of brackets
        host = None
    if drive_id is None and isinstance(url, str) and host and host not in ("drive.google.com", "docs.google.com"):
        return url
    came = f"the Google Drive id {drive_id!r:.80}" if drive_id else repr(url)[:200]
    raise InputError(
        f"url: expected the http(s) address of a file, got {came}: download files of Google Drive in a browser and "
        "pass their path to set_video"
    )


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _folder_of(archive: Path) -> Path:
    """The folder of an archive's own name."""
    return archive.with_suffix("")


def _name_in(url: str) -> str:
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if not name:
        raise InputError(f"output: {url} names no file: say where to save it")
    return name


def _raw_url(url: str) -> str:
    """The file itself, where the address is of its page on GitHub."""
    parts = urlsplit(url)
    if parts.hostname == "github.com" and "/blob/" in parts.path:
        return f"https://raw.githubusercontent.com{parts.path.replace('/blob/', '/', 1)}"
    return url


def _is_picture_or_video(path: Path) -> bool:
    kind = mimetypes.guess_type(path.name)[0] or ""
    return kind.startswith(("image/", "video/"))


def _unpack(path: Path, folder: Path) -> None:
    """Unpack an archive. A file that is there stays: it is the same one, or nothing is unpacked."""
    try:
        with (
            translate_os_errors(path.parent),
            TemporaryDirectory(prefix=".maskferry-", dir=path.parent) as place,
            zipfile.ZipFile(path) as archive,
        ):
            _check_members(archive, path)
            archive.extractall(place)  # members' names are made harmless: nothing lands outside
            _move_in(Path(place), folder)
    except MaskferryError:
        raise
    except Exception as err:  # zipfile's readers of damaged archives raise many kinds
        raise SourceError(f"{path} was downloaded, but is no zip archive that can be unpacked: {err}") from err


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    members = archive.infolist()
    size, most = sum(member.file_size for member in members), most_unpacked(path.stat().st_size)
    if size > most or len(members) > _MOST_MEMBERS:
        raise SourceError(
            f"{path} was downloaded, but would unpack to {size} bytes in {len(members)} files: {most} bytes in "
            f"{_MOST_MEMBERS} files are allowed at most; pass unzip=False, or set the environment variable "
            "MASKFERRY_MAX_UNPACKED if there is room for it"
        )


def _move_in(unpacked: Path, folder: Path) -> None:
    """Give files their places: all of them, or none where one would replace another file."""
    found = [member for member in sorted(unpacked.rglob("*")) if not member.is_dir()]
    places = {member: folder / member.relative_to(unpacked) for member in found}
    new = [member for member in found if not _is_same(member, places[member])]
    for member in new:
        check_output(places[member])
    for member in new:
        with output(places[member]) as part:
            member.replace(part)


def _is_same(path: Path, other: Path) -> bool:
    return other.is_file() and filecmp.cmp(path, other, shallow=False)
