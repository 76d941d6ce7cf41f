"""Atomic writing: a reader never sees half a file, and what the system refuses is said in plain words."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maskferry.errors import MissingExtraError, OutputError, OutputExistsError, SourceError
from maskferry.files import atomic_path, check_free, translate_os_errors

OLD, NEW = ('{"info": {"description": "written by maskferry"},\n"videos": [' + f"{i}]}}" for i in (1, 2))


def write(path, text, **options):
    with atomic_path(path, **options) as part:
        part.write_text(text, encoding="utf-8")


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "masks.json"
    with atomic_path(path) as part:
        part.write_text("done", encoding="utf-8")
        assert part.name == path.name
        assert part.parent.stat().st_dev == path.parent.stat().st_dev
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "done"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["masks", "a.b.c.png", "Gr\u00fc\u00dfe \u65e5\u672c.mp4"])
def test_any_name(tmp_path, name):
    write(tmp_path / name, "x")
    assert [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_failing_block_leaves_nothing(tmp_path, error):
    def fail():
        with atomic_path(tmp_path / "masks.json") as part:
            part.write_text("half", encoding="utf-8")
            raise error

    with pytest.raises(OutputError if isinstance(error, OSError) else type(error)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_failing_block_leaves_what_was_there(tmp_path):
    path = tmp_path / "masks.json"
    path.write_text(OLD, encoding="utf-8")

    def fail():
        with atomic_path(path, overwrite=True) as part:
            part.write_text("half", encoding="utf-8")
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert path.read_text(encoding="utf-8") == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_overwritten_by_accident(tmp_path):
    path = tmp_path / "masks.json"
    write(path, OLD)
    with pytest.raises(OutputExistsError, match=r"masks\.json exists already: .* overwrite=True \(--overwrite\)"):
        write(path, NEW)
    assert path.read_text(encoding="utf-8") == OLD
    write(path, NEW, overwrite=True)
    assert path.read_text(encoding="utf-8") == NEW


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="cannot write"), atomic_path(tmp_path / "masks.json"):
        pass


def test_check_free(tmp_path):
    check_free(tmp_path / "nothing")
    check_free(tmp_path)  # an empty folder
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for taken in (tmp_path, tmp_path / "file"):
        with pytest.raises(OutputExistsError, match="exists already"):
            check_free(taken)
        check_free(taken, overwrite=True)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "no room left on the disk: free some"),
        (errno.EDQUOT, "the disk quota is used up"),
        (errno.EACCES, "no permission to write there"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EIO, "broken cable"),
    ],
)
def test_what_the_system_says_is_translated(tmp_path, code, advice):
    path = tmp_path / "masks.json"
    with pytest.raises(OutputError, match=advice) as caught, translate_os_errors(path):
        raise OSError(code, "broken cable")
    assert str(path) in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    "error", [SourceError("frame 7 is damaged", frame=7), OutputExistsError("taken"), MissingExtraError("no cv2")]
)
def test_own_errors_pass_unchanged(tmp_path, error):
    with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "masks.mp4") as part:
        part.write_bytes(b"half")
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "file" / "masks.json", "x")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"


def test_a_name_that_is_too_long(tmp_path):
    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / ("m" * 300), "x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_full_disk(tmp_path):
    with pytest.raises(OutputError, match="no room left on the disk"), atomic_path(tmp_path / "masks.bin"):
        Path("/dev/full").write_bytes(b"x" * 100_000)


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="no permission"):
            write(tmp_path / "masks.json", "x")
    finally:
        tmp_path.chmod(0o700)
