"""Long videos: memory does not grow, and a run that is killed goes on to the very same result."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import av
import numpy as np
import pytest

from maskferry import Tracks
from maskferry.errors import InputError

SIZE_HW = 360, 640
WORKER = """
import json, resource, sys
import numpy as np
from maskferry import track
from maskferry.run import _runner as tracking

tracking.SNAPSHOT_SECONDS = 0.5  # so that short runs have snapshots to go on from

def report(progress):
    if progress.done in (progress.total // 10, progress.total):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"done": progress.done, "peak": peak}), flush=True)

video, mask, tracks, engine = sys.argv[1:]
track(video, np.load(mask), tracks=tracks, engine=engine, callback=report).close()
"""


def square(index):
    """Where the square is: it swings across the picture."""
    x = 60 + round(200 * (1 + np.sin(index / 80)))
    return np.s_[140:200, x : x + 60]


def make_video(path: Path, count: int) -> Path:
    """A textured square that swings over a textured background; returns the path of frame 0's mask."""
    background = np.random.default_rng(0).integers(0, 100, (*SIZE_HW, 3), dtype=np.uint8)
    background = np.repeat(np.repeat(background[::8, ::8], 8, axis=0), 8, axis=1)
    patch = np.random.default_rng(1).integers(120, 255, (60, 60, 3), dtype=np.uint8)
    patch = np.repeat(np.repeat(patch[::6, ::6], 6, axis=0), 6, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = SIZE_HW
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "ultrafast", "crf": "20"}
        for index in range(count):
            image = background.copy()
            image[square(index)] = patch
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    mask = np.zeros(SIZE_HW, dtype=bool)
    mask[square(0)] = True
    np.save(path.with_suffix(".npy"), mask)
    return path.with_suffix(".npy")


def start(video: Path, mask: Path, tracks: Path, engine: str = "flow") -> subprocess.Popen:
    worker = [sys.executable, "-c", WORKER, str(video), str(mask), str(tracks), engine]
    return subprocess.Popen(worker, stdout=subprocess.PIPE, text=True)


def run(video: Path, mask: Path, tracks: Path) -> None:
    with start(video, mask, tracks) as worker:
        worker.communicate()
    assert worker.returncode == 0


def finished(path: Path) -> dict[int, bytes]:
    with Tracks.open(path) as tracks:
        return {frame.info.index: frame.masks[100].rle.counts for frame in tracks.frames()}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="peak memory is read with getrusage")
@pytest.mark.parametrize(("engine", "count", "most"), [("hold", 10_000, 1.1), ("flow", 2_500, 1.05)])
def test_ten_times_the_frames_take_no_more_memory(tmp_path, engine, count, most):
    """Everything but the engine over ten thousand frames; `flow` over fewer, as it takes its time."""
    video, tracks = tmp_path / "long.mp4", tmp_path / "tracks.sqlite"
    mask = make_video(video, count)
    with start(video, mask, tracks, engine) as worker:
        reports = [json.loads(line) for line in worker.stdout]
    assert worker.returncode == 0
    print(reports)  # noqa: T201  (pytest -rP shows it)
    assert [r["done"] for r in reports] == [count // 10, count]
    assert reports[1]["peak"] <= most * reports[0]["peak"], reports
    with Tracks.open(tracks) as found:
        assert len(found) == count
        for index in (count // 10 - 1, count // 2, count - 1):
            wanted = np.zeros(SIZE_HW, dtype=bool)
            wanted[square(index if engine == "flow" else 0)] = True
            got = found[index].mask(100)
            assert (got & wanted).sum() / (got | wanted).sum() > 0.8, index


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_run_goes_on_and_loses_no_finished_frame(tmp_path):
    video, broken, whole = tmp_path / "clip.mp4", tmp_path / "broken.sqlite", tmp_path / "whole.sqlite"
    mask = make_video(video, 300)
    run(video, mask, whole)
    for after in (80, 180):  # killed twice
        with start(video, mask, broken) as worker:
            wait_for_frames(broken, after)
            os.kill(worker.pid, signal.SIGKILL)
        before = finished(broken)
        assert after <= len(before) < 300
        with closing(sqlite3.connect(broken)) as database:
            assert database.execute("SELECT snapshot_frame FROM job").fetchone()[0] is not None
    run(video, mask, broken)
    after_all = finished(broken)
    assert {frame: after_all[frame] for frame in before} == before
    assert after_all == finished(whole)


def wait_for_frames(path: Path, count: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists() and path.stat().st_size:
            try:
                with Tracks.open(path) as tracks:
                    if len(tracks) >= count:
                        return
            except InputError:  # the file is being made at this moment
                pass
        time.sleep(0.2)
    raise AssertionError(f"{path} did not come to {count} frames")
