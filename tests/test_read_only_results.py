"""Results that lie where nothing can be written: every command that only reads them works, and leaves them alone."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cli_tools import COUNT, clip, run
from clips import SIZE_HW
from helpers import square_mask
from maskferry import MaskTracker, Tracks, export, render
from maskferry.errors import OutputError
from maskferry.tracks import editing, review

FIXTURES = Path(__file__).parent / "fixtures"
STATES = ["finished", "killed", "format_1", "format_2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with results in every state, and their video."""
    folder = tmp_path_factory.mktemp("made")
    video = clip(folder)
    steps = []

    def copy(progress):
        steps.append(progress)
        if len(steps) == 5:
            (folder / "killed").mkdir()
            for file in (folder / "finished").iterdir():
                if not file.name.endswith(".lock"):
                    shutil.copyfile(file, folder / "killed" / file.name)

    with MaskTracker(video, engine="hold", tracks=folder / "finished" / "tracks.sqlite") as tracker:
        tracker.add_masks_prompt([square_mask(SIZE_HW, 5, 10, 20), square_mask(SIZE_HW, 60, 10, 20)], [1, 2])
        tracker.propagate(callback=copy)
    for number in (1, 2):
        (folder / f"format_{number}").mkdir()
        shutil.copyfile(FIXTURES / f"tracks_format_{number}.sqlite", folder / f"format_{number}" / "tracks.sqlite")
    assert (folder / "killed" / "tracks.sqlite-wal").stat().st_size
    return folder


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        p.relative_to(folder).as_posix(): (p.stat().st_mtime_ns, p.read_bytes())
        for p in folder.rglob("*")
        if p.is_file() and not p.name.endswith("-shm")
    }


@pytest.fixture
def locked(made, tmp_path, monkeypatch):
    """The same on a disk that is read-only, also for the administrator."""
    folder = tmp_path / "disk"
    shutil.copytree(made, folder)
    before = listing(folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    really_open = os.open

    def no_writing(path, flags, *args, **options):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and folder in Path(os.fsdecode(path)).absolute().parents:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(path))
        return really_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", no_writing)
    yield folder
    assert listing(folder) == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


def commands(folder: Path, state: str, out: Path) -> list[list[object]]:
    """Every command that only reads results."""
    tracks = folder / state
    found: list[list[object]] = [
        ["export", tracks, "--format", "csv", "-o", out / "t.csv"],
        ["export", tracks, "--format", "davis", "-o", out / "masks"],
        ["review", tracks, "-o", out / "review"],
        ["check", tracks],
    ]
    if not state.startswith("format"):
        found += [
            ["render", tracks, "-o", out / "film.mp4", folder / "clip.mp4"],
            ["export", tracks, "--format", "cutouts", "--video", folder / "clip.mp4", "-o", out / "cutouts"],
        ]
    if importlib.util.find_spec("trackeval"):
        found.append(["eval", "--tracks", tracks, "--truth", out / "masks"])
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("state", STATES)
def test_every_command_that_reads(locked, state, tmp_path):
    for command in commands(locked, state, tmp_path):
        assert run(*command) == 0, command


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("state", STATES)
def test_the_library(locked, state, read_only, tmp_path):
    with Tracks.open(locked / state / "tracks.sqlite", read_only=read_only) as tracks:
        assert len(export(tracks, tmp_path / "t.json", "youtube-vis")) == 1
        assert review.summarize(tracks)
        if not state.startswith("format"):
            render(tracks, tmp_path / "film.mp4", locked / "clip.mp4")
            assert len(tracks) == {"finished": COUNT, "killed": 5}[state]
            assert np.array_equal(tracks[4].mask(1), square_mask(SIZE_HW, 5, 10, 20))
        with pytest.raises(OutputError, match="reading only" if read_only else "read-only|cannot be updated"):
            editing.rename(tracks, tracks.object_ids[0], "car")


MOUNTED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from maskferry.cli import main
from test_read_only_results import STATES, commands
for state in STATES:
    out = Path({out!r}) / state
    out.mkdir()
    for command in commands(Path({disk!r}), state, out):
        if command[0] != "eval":
            assert main([str(a) for a in command]) == 0, command
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only the administrator mounts disks")
def test_a_disk_that_is_mounted_read_only(made, tmp_path):
    disk, out = tmp_path / "disk", tmp_path / "out"
    shutil.copytree(made, disk)
    out.mkdir()
    before = listing(disk)
    script = MOUNTED.format(tests=str(Path(__file__).parent), disk=str(disk), out=str(out))
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && ! touch "$0/x" 2>/dev/null'
    if subprocess.run(["unshare", "-m", "sh", "-c", mount, disk], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', disk, sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert listing(disk) == before
