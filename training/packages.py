"""Fetches packages by name and reads the files in them; nothing is installed."""

from __future__ import annotations

import re
import struct
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

PYPI_VERSIONS = {"scikit-image": "0.26.0", "scikit-learn": "1.9.1"}
NPM_VERSIONS = {"@pmndrs/assets": "1.7.0"}


@dataclass(frozen=True)
class Package:
    """An unpacked package: its name, version and folder."""

    name: str
    version: str
    root: Path


def debian(name: str, work: Path) -> Package:
    """Downloads a Debian package, unless it is there, and unpacks it below work."""
    archives = work / "debs"
    archives.mkdir(parents=True, exist_ok=True)
    if not list(archives.glob(f"{name}_*.deb")):
        subprocess.run(["apt-get", "download", name], cwd=archives, check=True, capture_output=True)
    archive = sorted(archives.glob(f"{name}_*.deb"))[-1]
    root = work / "unpacked" / name
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
    return Package(name, unquote(archive.name.split("_")[1]), root)


def pypi(name: str, work: Path) -> Package:
    """Downloads the wheel of a Python package, unless it is there, and unpacks it below work."""
    version, wheels = PYPI_VERSIONS[name], work / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    pattern = f"{name.replace('-', '_')}-{version}-*.whl"
    if not list(wheels.glob(pattern)):
        command = ["python3", "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), f"{name}=={version}"]
        subprocess.run(command, check=True)
    root = work / "unpacked" / name
    if not root.exists():
        with zipfile.ZipFile(next(wheels.glob(pattern))) as wheel:
            wheel.extractall(root)
    return Package(name, version, root)


def npm(name: str, work: Path) -> Package:
    """Downloads a package of npm, unless it is there, and unpacks it below work."""
    version, folder = NPM_VERSIONS[name], work / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{name.strip('@').replace('/', '-')}-{version}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", f"{name}@{version}"], cwd=folder, check=True, capture_output=True)
    root = work / "unpacked" / archive.stem
    if not root.exists():
        with tarfile.open(archive) as tar:
            tar.extractall(root, filter="data")
    return Package(name, version, root)


def qt_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of the files in a Qt resource file (.rcc); those packed with zstd are left out."""
    if data[:4] != b"qres":
        raise ValueError("not a Qt resource file: it should begin with 'qres'")
    version, tree, contents, names = struct.unpack(">4i", data[4:20])
    node_size = 14 if version == 1 else 22

    def name_at(offset: int) -> str:
        length = struct.unpack(">H", data[names + offset : names + offset + 2])[0]
        return data[names + offset + 6 : names + offset + 6 + 2 * length].decode("utf-16-be")

    def walk(index: int, folder: str) -> Iterator[tuple[str, bytes]]:
        at = tree + index * node_size
        name_offset, flags = struct.unpack(">IH", data[at : at + 6])
        path = folder if index == 0 else f"{folder}/{name_at(name_offset)}"
        if flags & 2:
            count, first = struct.unpack(">II", data[at + 6 : at + 14])
            for child in range(first, first + count):
                yield from walk(child, path)
        elif not flags & 4:
            start = contents + struct.unpack(">I", data[at + 10 : at + 14])[0]
            size = struct.unpack(">I", data[start : start + 4])[0]
            body = data[start + 4 : start + 4 + size]
            yield path, zlib.decompress(body[4:]) if flags & 1 else body

    yield from walk(0, "")


def catalogue(text: str) -> list[dict[str, str]]:
    """The entries of a furniture catalogue: 'key#3=value' is the key of the third entry."""
    entries: dict[int, dict[str, str]] = {}
    for line in text.splitlines():
        found = re.match(r"(\w+)#(\d+)=(.*)", line)
        if found:
            entries.setdefault(int(found[2]), {})[found[1]] = found[3].strip()
    return [entries[k] for k in sorted(entries)]
