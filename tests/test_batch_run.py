"""Whole batches with workers of this machine: poison, kills, full disks, and going on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import av
import numpy as np
import pytest

from batch_tools import KILLER_HW, clips, digest, receipts, start_batch, wait_until
from cli_tools import finish, label_map, one_json, run
from clips import make_clip
from maskferry.batch import BatchOptions, LocalRunner, plan, verify
from maskferry.batch import run as run_batch
from maskferry.errors import InputError

needs_kill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
HOLD = BatchOptions(engine="hold", kinds=("csv",))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of three clips that was tracked by two workers: (films, out)."""
    films = clips(tmp_path_factory.mktemp("batch"), 3)
    outcome = run_batch(films, films.parent / "out", HOLD, runner=LocalRunner(2))
    assert (outcome.exit_code, outcome.attempts) == (0, 3)
    return films, films.parent / "out"


@pytest.fixture
def copy(made, tmp_path):
    """The same, to be changed."""
    for folder in made:
        shutil.copytree(folder, tmp_path / folder.name)
    shutil.copy(made[0].parent / "harm.py", tmp_path)
    return tmp_path / "films", tmp_path / "out"


# --- what comes of it -------------------------------------------------------------------------------------------------


def test_each_video_is_what_track_makes_of_it(made, tmp_path):
    films, out = made
    assert run("track", films / "c01.mp4", "--masks", films / "c01.png", "--engine", "hold", "-o", tmp_path, "-q") == 0
    assert digest(out / "c01") == digest(tmp_path) == receipts(out)["c01"]["digest"]
    assert sorted(path.name for path in (out / "c01").iterdir()) == ["receipt.json", "tracks.csv", "tracks.sqlite"]
    assert (out / "c01/tracks.csv").read_bytes() == (tmp_path / "tracks.csv").read_bytes()


def test_what_a_receipt_says(made):
    _, out = made
    receipt = receipts(out)["c02"]
    assert receipt["files"].keys() == {"tracks.sqlite", "tracks.csv"}
    assert receipt["files"]["tracks.csv"][0] == (out / "c02/tracks.csv").stat().st_size
    assert (receipt["frames"], receipt["steps"], receipt["attempts"], receipt["engine"]) == (12, 12, 1, "hold")
    assert [o["id"] for o in receipt["objects"]] == [1]


def test_nothing_else_is_left(made):
    _, out = made
    assert not list((out / ".batch").glob("staging/*"))
    assert sorted(path.name for path in (out / ".batch").iterdir()) == ["nonce", "run.json"]
    assert {path.name for path in out.iterdir()} >= {"c00", "c01", "c02", "report.csv", "report.html"}


def test_a_second_run_does_nothing(made):
    films, out = made
    before = {path: path.stat().st_mtime_ns for path in out.glob("c0*/*")}
    started = time.monotonic()
    outcome = run_batch(films, out, HOLD, runner=LocalRunner(2))
    assert (outcome.attempts, outcome.counts["done"], outcome.exit_code) == (0, 3, 0)
    assert time.monotonic() - started < 5
    assert {path: path.stat().st_mtime_ns for path in out.glob("c0*/*")} == before


def test_the_report_shows_what_to_look_at(tmp_path):
    """A square that is covered from the middle on."""
    films = clips(tmp_path, 2)
    for name, stops in (("c00", 30), ("c01", 12)):
        label_map(films / f"{name}.png", (10, 20, 40, 60), size_hw=(80, 96))
        with av.open(str(films / f"{name}.mp4"), "w") as film:
            stream = film.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
            for i in range(30):
                image = np.full((80, 96, 3), 60, np.uint8)
                if i < stops:
                    image[20:60, 10 + i : 40 + i] = 210
                film.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
            film.mux(stream.encode(None))
    options = BatchOptions(engine="flow", kinds=(), review=True)
    assert run_batch(films, tmp_path / "out", options, runner=LocalRunner(1)).exit_code == 0
    receipt = receipts(tmp_path / "out")["c01"]
    assert "worst.png" in receipt["files"]
    assert any("lost" in moment for moment in receipt["worst"])
    page = (tmp_path / "out/report.html").read_text()
    assert page.index("<td>c01") < page.index("<td>c00")
    assert 'src="c01/worst.png"' in page


# --- changes ----------------------------------------------------------------------------------------------------------


def test_a_changed_mask_is_refused(copy):
    films, out = copy
    label_map(films / "c01.png", (5, 5, 30, 30))
    with pytest.raises(InputError, match=r"line 2 \(c01\), id: .*of another video, or of other masks"):
        run_batch(films, out, HOLD, runner=LocalRunner(1))
    old = receipts(out)
    outcome = run_batch(films, out, BatchOptions(engine="hold", kinds=("csv",), overwrite=True), runner=LocalRunner(1))
    assert outcome.attempts == 1
    new = receipts(out)
    assert new["c01"]["digest"] != old["c01"]["digest"]
    assert (new["c00"], new["c02"]) == (old["c00"], old["c02"])


def test_other_options_are_refused(copy):
    films, out = copy
    with pytest.raises(InputError, match=r"3 rows cannot be taken: .* with other options"):
        run_batch(films, out, BatchOptions(engine="hold", direction="forward"), runner=LocalRunner(1))


def test_a_touched_video_is_the_same(copy):
    films, out = copy
    (films / "c00.mp4").touch()
    assert run_batch(films, out, HOLD, runner=LocalRunner(1)).attempts == 0


def test_more_kinds_are_written_from_the_tracks_there_are(copy):
    films, out = copy
    before = receipts(out)["c00"]
    more = BatchOptions(engine="hold", kinds=("csv", "davis"))
    outcome = run_batch(films, out, more, runner=LocalRunner(1))
    assert (outcome.attempts, outcome.exit_code) == (3, 0)
    after = receipts(out)["c00"]
    assert (after["digest"], after["steps"], after["warnings"]) == (before["digest"], 0, [])
    assert len(list((out / "c00/masks").glob("*.png"))) == 12
    assert set(before["files"]) < set(after["files"])


def test_what_lies_in_the_way_is_refused(copy):
    films, out = copy
    shutil.rmtree(out / "c01")
    (out / "c01").mkdir()
    (out / "c01/mine.txt").touch()
    with pytest.raises(InputError, match=r"c01 is in the way, and no result of a batch"):
        run_batch(films, out, HOLD, runner=LocalRunner(1))
    assert (out / "c01/mine.txt").exists()


def test_a_file_that_was_changed_is_found(copy):
    _, out = copy
    (out / "c02/tracks.csv").write_text("other")
    (out / "c00/tracks.csv").unlink()
    found = {name: problems for name, problems in verify(out) if problems}
    assert found.keys() == {"c00", "c02"}
    assert found["c00"] == ["tracks.csv: is missing"]
    assert found["c02"][0].startswith("tracks.csv: has 5 bytes, its receipt says")


# --- what goes wrong --------------------------------------------------------------------------------------------------


@needs_kill
def test_an_empty_video_and_one_that_kills_its_worker(tmp_path):
    films = clips(tmp_path)
    (films / "c03.mp4").write_bytes(b"")
    make_clip(films / "c07.mp4", 12, size_hw=KILLER_HW)
    label_map(films / "c07.png", (10, 20, 40, 60), size_hw=KILLER_HW)
    code, out, err = finish(start_batch(films, "--workers", 2, "--detector", "harm:deadly", "--every", 1, "--json"))
    assert code == 1, err
    assert one_json(out)["counts"] == {"pending": 0, "done": 10, "damaged": 0, "failed": 2}
    failures = {p.stem: json.loads(p.read_text()) for p in (tmp_path / "out/.batch/failures").glob("*.json")}
    assert failures.keys() == {"c03", "c07"}
    assert (failures["c03"]["cause"], failures["c03"]["attempts"]) == ("input", 1)
    assert "c03.mp4" in failures["c03"]["message"]
    assert (failures["c07"]["cause"], failures["c07"]["attempts"]) == ("killed", 2)
    assert "SIGKILL" in failures["c07"]["message"]
    assert len(receipts(tmp_path / "out")) == 10
    table = (tmp_path / "out/report.csv").read_text().splitlines()
    assert len(table) == 13
    assert sum(",failed," in line for line in table) == 2
    page = (tmp_path / "out/report.html").read_text()
    assert page.index("c03") < page.index("c00")
    assert not list(tmp_path.glob("maskferry-batch-*"))


@needs_kill
def test_another_attempt_goes_on_from_what_was_saved(tmp_path):
    films = clips(tmp_path, 1)
    make_clip(films / "c00.mp4", 30, size_hw=KILLER_HW)
    label_map(films / "c00.png", (10, 20, 40, 60), size_hw=KILLER_HW)
    process = start_batch(films, "--detector", "harm:once", "--every", 1, "--save-every", 0.1)
    code, _, err = finish(process)
    assert code == 0, err
    receipt = receipts(tmp_path / "out")["c00"]
    assert receipt["attempts"] == 2
    assert 2 < receipt["resumed_at"] < receipt["frames"] == 30
    (tmp_path / "died").touch()
    assert finish(start_batch(films, "--detector", "harm:once", "--every", 1, out="whole"))[0] == 0
    assert receipts(tmp_path / "whole")["c00"]["digest"] == receipt["digest"]
    assert not list((tmp_path / "out/.batch").glob("saved/*"))


@needs_kill
def test_a_driver_that_is_killed(tmp_path):
    films = clips(tmp_path)
    options = ("--workers", 2, "--detector", "harm:slow", "--every", 1)
    out = tmp_path / "out"
    process = start_batch(films, *options)
    wait_until(lambda: len(receipts(out)) >= 4, process)
    process.kill()
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    wait_until(lambda: not workers_of(tmp_path))
    done = receipts(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    code, _, err = finish(start_batch(films, *options))
    assert code == 0, err
    after = receipts(out)
    assert len(after) == 12
    assert {name: after[name] for name in done} == done
    assert len({receipt["digest"] for receipt in after.values()}) == 1
    started = time.monotonic()
    code, text, _ = finish(start_batch(films, *options, "--json"))
    assert (code, one_json(text)["attempts"]) == (0, 0)
    assert time.monotonic() - started < 5


def workers_of(folder: Path) -> list[int]:
    """Processes that work in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if (
                f"TMPDIR={folder}".encode() in path.read_bytes()
                and b"_local_worker" in (path.parent / "cmdline").read_bytes()
            ):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@needs_kill
def test_stopped_by_ctrl_c_and_by_a_cluster(tmp_path):
    films = clips(tmp_path, 2, frames=40)
    options = ("--workers", 2, "--detector", "harm:slow", "--every", 1)
    saved = tmp_path / "out/.batch/saved"
    for number in (signal.SIGTERM, signal.SIGINT):
        process = start_batch(films, *options)
        wait_until(lambda: len(list(tmp_path.glob("maskferry-batch-*/*/out/tracks.sqlite"))) == 2, process)
        process.send_signal(number)
        code, _, err = finish(process)
        assert code == 130, err
        assert "the same command goes on" in err
        assert len(list(saved.iterdir())) == 2
    assert finish(start_batch(films, *options))[0] == 0
    done = receipts(tmp_path / "out")
    assert all(0 < receipt["resumed_at"] < 40 for receipt in done.values())
    assert len({receipt["digest"] for receipt in done.values()}) == 1
    assert not list(saved.iterdir())


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_fails_no_video(tmp_path, small_disk):
    films = clips(tmp_path, 3)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 980_000)
    code, text, err = finish(start_batch(films, "--json", "--workers", 1, out=str(small_disk / "out")))
    assert code == 1, err
    assert "no room left" in err
    if text:
        assert one_json(text)["counts"]["failed"] == 0
    ballast.unlink()
    code, text, err = finish(start_batch(films, "--json", "--workers", 1, out=str(small_disk / "out")))
    assert code == 0, err
    assert one_json(text)["counts"]["done"] == 3


def test_two_drivers(tmp_path):
    films = clips(tmp_path, 2, frames=40)
    process = start_batch(films, "--detector", "harm:slow", "--every", 1)
    wait_until(lambda: (tmp_path / "out/.batch/lock").exists(), process)
    code, _, err = finish(start_batch(films, "--detector", "harm:slow", "--every", 1))
    assert code == 1
    assert "--take-over" in err
    assert finish(process)[0] == 0


def test_a_plan_writes_nothing(tmp_path):
    films = clips(tmp_path, 2)
    with_faults = plan(films, tmp_path / "out", HOLD)
    with_faults.close()
    assert not (tmp_path / "out").exists()
