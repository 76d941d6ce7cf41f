"""Killed at any moment, or on a disk that is full: the same command goes on, and its results are the same to the byte.

``MASKFERRY_KILLS=200`` kills more often.
"""

from __future__ import annotations

import os
import random
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from cli_tools import run
from helpers import square_mask
from maskferry import Tracks
from maskferry.errors import OutputExistsError
from maskferry.outputs import Outputs, export
from maskferry.prompts import GivenFiles
from maskferry.tracks import editing
from maskferry.tracks.checking import check
from maskferry.whole_run import Request, carry_out

if sys.platform == "win32":
    pytest.skip("needs fork", allow_module_level=True)

from kills import count_steps, kill_after, kill_before, leftovers, limited

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

KILLS = int(os.environ.get("MASKFERRY_KILLS", "40"))
SIZES = min(20, KILLS // 4)
COUNT, HEIGHT, WIDTH = 5, 24, 32
KINDS = ("csv", "davis")


def block(x, y=4, size=6):
    return square_mask((HEIGHT, WIDTH), x, y, size)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a clip and a label map of two objects."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "clip").mkdir()
    for i in range(COUNT):
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 10 * i, np.uint8)).save(folder / "clip" / f"{i}.png")
    Image.fromarray(block(0).astype(np.uint8) + 2 * block(10).astype(np.uint8)).save(folder / "first.png")
    return folder


def by_library(inputs, out):
    given = GivenFiles((f"2={inputs / 'first.png'}",))
    request = Request(inputs / "clip", given, Outputs(out, KINDS), "hold")
    try:
        carry_out(request)
    except OutputExistsError as err:
        assert "this run, finished" in str(err)


def by_command(inputs, out):
    masks = f"2={inputs / 'first.png'}"
    code = run("track", inputs / "clip", "--masks", masks, "--engine", "hold", "--write", "csv,davis", "-o", out, "-q")
    if code == 2:  # it had come to its end
        by_library(inputs, out)
    elif code:
        raise OSError(f"exit code {code}")


TRACK = {"library": by_library, "command": by_command}


def everything(folder):
    """What lies in a folder; of the tracks, what they hold."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    with Tracks.open(folder / "tracks.sqlite") as tracks:
        assert tracks.finished
        files["tracks.sqlite"] = (tracks.digest(), editing.history(tracks))
    return files


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """The output folder of a run that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    by_library(inputs, out)
    return out


def places(work, count, seed):
    """Seeded ways to kill: two of three before a step, the others after 0 to 50 ms."""
    steps, generator = count_steps(work), random.Random(seed)
    chosen = sorted(generator.sample(range(1, steps + 1), min(steps, count - count // 3)))
    times = [generator.uniform(0, 50) for _ in range(count // 3)]
    return [(kill_before, step) for step in chosen] + [(kill_after, time) for time in times]


# --- killed ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", TRACK)
def test_a_run(way, inputs, whole, tmp_path):
    def work():
        TRACK[way](inputs, tmp_path / "counted")

    right, killed = everything(whole), 0
    for n, (kill, where) in enumerate(places(work, KILLS // 4, way)):
        out = tmp_path / str(n) / "out"
        killed += kill(lambda out=out: TRACK[way](inputs, out), where)
        if n % 3 == 0:  # the one that resumes, too
            kill_before(lambda out=out: TRACK[way](inputs, out), 10 + 5 * n)
        TRACK["command" if n % 2 else "library"](inputs, out)
        assert everything(out) == right, (kill.__name__, where)
        assert leftovers(tmp_path / str(n)) == []
        assert check(out / "tracks.sqlite").is_sound
    assert killed > KILLS // 8


def test_killed_when_all_is_done(inputs, whole, tmp_path):
    """Nothing is left to do, but to remove what the killed process has left."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    for name in ("tracks.sqlite", "tracks.csv", "masks"):
        (out / f".{name}.lock").write_text('{"maskferry": "a run", "host": "gone", "pid": 1}', encoding="utf-8")
    by_command(inputs, out)
    assert leftovers(out) == []
    assert everything(out) == everything(whole)


def swap(path):
    with Tracks.open(path) as tracks:
        editing.swap(tracks, 1, 2, 3)


def undo(path):
    with Tracks.open(path) as tracks:
        editing.undo(tracks)


@pytest.mark.parametrize("edit", [swap, undo])
def test_an_edit_is_whole_or_absent(edit, whole, tmp_path):
    before = tmp_path / "before"
    shutil.copytree(whole, before)
    if edit is undo:
        swap(before / "tracks.sqlite")
    after = tmp_path / "after"
    shutil.copytree(before, after)
    edit(after / "tracks.sqlite")
    right = [everything(before), everything(after)]
    shutil.copytree(before, tmp_path / "counted")
    killed = 0
    for n, (kill, where) in enumerate(places(lambda: edit(tmp_path / "counted" / "tracks.sqlite"), KILLS // 6, 3)):
        out = tmp_path / str(n)
        shutil.copytree(before, out)
        killed += kill(lambda out=out: edit(out / "tracks.sqlite"), where)
        found = everything(out)["tracks.sqlite"]
        assert found in [one["tracks.sqlite"] for one in right], (kill.__name__, where)
        if found == right[0]["tracks.sqlite"]:
            edit(out / "tracks.sqlite")
        with Tracks.open(out / "tracks.sqlite") as tracks, tracks.database.transaction():
            pass  # whoever writes next puts the folder in order
        assert everything(out) == right[1]
        assert leftovers(out) == []
        assert check(out / "tracks.sqlite").is_sound
    assert killed


@pytest.mark.parametrize("kind", KINDS)
def test_an_export(kind, whole, tmp_path):
    def write(folder):
        with Tracks.open(whole / "tracks.sqlite") as tracks:
            export(tracks, folder / "exported", kind, overwrite=True)

    def listing(folder):
        return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    (tmp_path / "right").mkdir()
    write(tmp_path / "right")
    right = listing(tmp_path / "right")
    (tmp_path / "counted").mkdir()
    for n, (kill, where) in enumerate(places(lambda: write(tmp_path / "counted"), KILLS // 8, kind)):
        out = tmp_path / str(n)
        out.mkdir()
        if n % 2:
            write(out)
        kill(lambda out=out: write(out), where)
        write(out)
        assert listing(out) == right, (kill.__name__, where)
        assert leftovers(out) == []


# --- a disk that fills ----------------------------------------------------------------------------------------------


def test_a_file_that_cannot_grow(inputs, whole, tmp_path):
    """A limit on the size of files stands for the disk: at each size the error says what to do, and the run goes on."""
    right, largest = everything(whole), max(p.stat().st_size for p in whole.rglob("*") if p.is_file())
    failed = 0
    for n in range(SIZES):
        out = tmp_path / str(n) / "out"
        size = n * largest // SIZES
        code, said = limited(lambda out=out: by_library(inputs, out), size)
        failed += code != 0
        if code:
            assert said.startswith("OutputError: "), (size, said)
            assert any(word in said for word in ("free some", "raise it")), (size, said)
        by_command(inputs, out)
        assert everything(out) == right, size
        assert leftovers(tmp_path / str(n)) == []
    assert failed > SIZES // 2
