"""What a batch costs beside the tracking itself, and how it stands a million rows and a thousand workers.

    python benchmarks/batch.py                                # everything but Ray
    python benchmarks/batch.py --only videos --ray            # with two workers of a Ray cluster that it starts
    python benchmarks/batch.py --only rows --only simulation

``videos``: short clips (64x48, 20 frames, the engine ``hold``) tracked in one process by a loop, by local workers and
by Ray's, in turn. ``rows``: a dry run of a manifest with planted faults. ``simulation``: the driver with workers that
do nothing but say that they have done it, or that their machine is lost. Rows go to benchmarks/results/batch.json.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from machine import stamp
from PIL import Image

from maskferry import __version__
from maskferry.batch import (
    BatchOptions,
    Event,
    LocalRunner,
    Lost,
    Plan,
    RayRunner,
    Ready,
    Runner,
    Settings,
    Staged,
    Task,
    drive,
    plan,
)
from maskferry.outputs import Outputs
from maskferry.prompts import GivenFiles
from maskferry.tracks import FrameRange
from maskferry.whole_run import Request, carry_out

RESULTS = Path(__file__).resolve().parent / "results" / "batch.json"
PARTS = ("videos", "rows", "simulation")
HOLD = BatchOptions(engine="hold", kinds=())

Row = dict[str, Any]


# --- short videos -----------------------------------------------------------------------------------------------------


def make_clips(folder: Path, count: int) -> Path:
    """So many files of one clip, and a manifest of them."""
    first = folder / "c.mp4"
    with av.open(str(first), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(20):
            image = np.full((48, 64, 3), 40, np.uint8)
            image[10:20, 10 + i : 25 + i] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode(None))
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:25] = 1
    Image.fromarray(mask).save(folder / "c.png")
    rows = []
    for k in range(count):
        shutil.copy(first, folder / f"c{k}.mp4")
        rows.append({"video": f"c{k}.mp4", "masks": [{"frame": 0, "path": "c.png"}]})
    (folder / "videos.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder / "videos.jsonl"


def in_one_process(manifest: Path, out: Path) -> None:
    """A loop in a process of its own, as people write it."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import batch; batch.loop(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, str(manifest), str(out)], check=True)


def loop(manifest: str, out: str) -> None:
    """Track one video after the other."""
    folder = Path(manifest).parent
    for line in Path(manifest).read_text().splitlines():
        row = json.loads(line)
        video = folder / row["video"]
        masks = GivenFiles((f"0={folder / row['masks'][0]['path']}",))
        carry_out(Request(video, masks, Outputs(Path(out) / video.stem, ()), "hold", frames=FrameRange()))


def by_driver(make: Callable[[], Runner]) -> Callable[[Path, Path], None]:
    """A run of the driver, from the manifest to the last receipt."""

    def run(manifest: Path, out: Path) -> None:
        made = plan(manifest, out, HOLD)
        outcome = drive(made, make())
        count = len(made)
        made.close()
        if outcome.counts["done"] != count:
            raise SystemExit(f"{outcome.counts}: {outcome.why}")

    return run


def videos(count: int, rounds: int, with_ray: bool) -> Iterator[Row]:
    """Wall and CPU seconds of each way, the median of the rounds; the ways take turns."""
    ways: dict[str, Callable[[Path, Path], None]] = {
        "one process": in_one_process,
        "local, 1 worker": by_driver(lambda: LocalRunner(1)),
        "local, 2 workers": by_driver(lambda: LocalRunner(2)),
    }
    with contextlib.ExitStack() as stack:
        if with_ray:
            address = stack.enter_context(ray_cluster())
            ways["Ray, 2 workers"] = by_driver(lambda: RayRunner(address, 2))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        manifest = make_clips(folder, count)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for k in range(rounds):
            for name, way in ways.items():
                out = folder / f"out{k}{len(name)}"
                began, cpu = time.perf_counter(), cpu_seconds()
                way(manifest, out)
                times[name].append((time.perf_counter() - began, cpu_seconds() - cpu))
                shutil.rmtree(out)
    alone = statistics.median(wall for wall, _ in times["one process"])
    one = statistics.median(wall for wall, _ in times["local, 1 worker"])
    for name, found in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        workers = 2 if "2" in name else 1
        yield {
            "part": "videos",
            "way": name,
            "videos": count,
            "rounds": rounds,
            "wall_s": round(wall, 2),
            "cpu_s": round(cpu, 2),
            "ms_a_video": round(1000 * wall / count, 2),
            "overhead_ms": round(1000 * (wall - alone / workers) / count, 2),
            "efficiency": round(one / wall / workers, 3),
        }


@contextlib.contextmanager
def ray_cluster() -> Iterator[str]:
    """A cluster of one node with two CPUs."""
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory(prefix="mf") as folder:
        os.environ |= {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"}
        (Path(folder) / "ray").mkdir()
        node = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        try:
            yield str(cluster.address)
        finally:
            cluster.shutdown()  # type: ignore[no-untyped-call]


def cpu_seconds() -> float:
    """Of this process and of its children that have ended. What Ray's processes take is not among it."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


# --- many rows --------------------------------------------------------------------------------------------------------

PLANTED = {3: {"id": "v1"}, 5: {"id": "../x"}, 7: {"video": "zip::http://host/x.zip"}}


def rows(count: int) -> Row:
    """A dry run of so many rows in a process of its own: its peak of memory and CPU seconds, and the faults found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(folder, 1)
        with (folder / "videos.jsonl").open("w") as file:
            for k in range(count):
                row = {"id": f"v{k}", "video": "c0.mp4", "masks": "c.png", "frames": 300}
                file.write(json.dumps(row | PLANTED.get(count - k, {})) + "\n")
        command = ["batch", str(folder / "videos.jsonl"), "-o", str(folder / "out"), "--engine", "hold", "--dry-run"]
        code = (
            "import re, resource, sys\n"
            "from maskferry.cli import main\n"
            "code = main(sys.argv[1:])\n"
            "used = resource.getrusage(resource.RUSAGE_SELF)\n"
            "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
            "print(code, peak, used.ru_utime + used.ru_stime)\n"
        )
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
        size = (folder / "videos.jsonl").stat().st_size
    code_of, peak, cpu = done.stdout.split()[-3:]
    faults = [line.partition(": ")[2] for line in done.stderr.splitlines() if line.startswith("error: line")]
    expected = [f"line {count - 6}", f"line {count - 4}", f"line {count - 2}"]
    if [fault.split(" (")[0] for fault in faults] != expected or code_of != "2":
        raise SystemExit(f"expected faults of {expected}, got {done.stderr}")
    return {
        "part": "rows",
        "rows": count,
        "manifest_mb": round(size / 1e6, 1),
        "peak_mb": round(int(peak) / 1024, 1),
        "cpu_s": round(float(cpu), 1),
        "wall_s": round(time.perf_counter() - began, 1),
        "faults": faults,
    }


# --- many workers -----------------------------------------------------------------------------------------------------


class MemoryStore:
    """OUT in memory: what the driver decides is looked at, not what a disk does."""

    place = "memory"

    def __init__(self) -> None:
        self.there: dict[str, bytes] = {}
        self.staged: set[str] = set()
        self.commits: dict[str, int] = {}

    def read(self, key: str) -> bytes | None:
        return self.there.get(key)

    def write(self, key: str, data: bytes) -> None:
        self.there[key] = data

    def create(self, key: str, data: bytes) -> bool:
        return self.there.setdefault(key, data) is data

    def delete(self, key: str) -> None:
        self.there.pop(key, None)

    def names(self, key: str) -> Iterator[str]:
        return iter(())

    def put(self, path: Path, key: str) -> None:
        raise NotImplementedError

    def get(self, key: str, path: Path) -> bool:
        return False

    def stage(self, folder: Path, place: str, attempt: str) -> None:
        self.staged.add(attempt)

    def unstage(self, place: str, attempt: str) -> None:
        self.staged.discard(attempt)

    def files(self, place: str, attempt: str) -> dict[str, int] | None:
        return {"tracks.sqlite": 1} if attempt in self.staged else None

    def commit(self, place: str, attempt: str, receipt: bytes, *, replace: bool) -> bool:
        self.staged.remove(attempt)
        self.commits[place] = self.commits.get(place, 0) + 1
        return self.create(f"{place}/receipt.json", receipt)

    def prefix(self, place: str, attempt: str) -> str:
        return place

    def sweep(self) -> None:
        self.staged.clear()


class FakeWorkers:
    """So many workers; of each round of work a share of the machines is lost, now and then with a zombie."""

    def __init__(self, store: MemoryStore, count: int, losses: float) -> None:
        self._store, self._count, self._losses = store, count, losses
        self._random = random.Random(0)
        self._events: list[Event] = []
        self._busy: list[tuple[str, Task]] = []
        self._zombies: list[tuple[str, Task]] = []
        self._started = self.lost = 0
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def start(self, settings: Settings) -> None:
        self._nonce = settings.nonce
        for _ in range(self._count):
            self._add()

    def _add(self) -> None:
        name = f"w{self._started}"
        self._started += 1
        facts = {"maskferry": __version__, "python": platform.python_version(), "engine": None, "nonce": self._nonce}
        self._events.append(Ready(name, f"n{name}", facts))

    def submit(self, worker: str, task: Task) -> None:
        self._busy.append((worker, task))

    def wait(self, timeout: float) -> list[Event]:
        self.now += timeout
        busy, self._busy = self._busy, []
        for worker, task in self._zombies:
            self._stage(worker, task)
        self._zombies = []
        for worker, task in busy:
            if self._random.random() < self._losses:
                self.lost += 1
                if self._random.random() < 0.5:
                    self._zombies.append((worker, task))
                self._events.append(Lost(worker, "node", "the machine was lost"))
                self._add()
            elif int(task.id[1:]) % 10_000 == 7:
                self._events.append(Lost(worker, "killed", "the worker died"))
                self._add()
            else:
                self._stage(worker, task)
        events, self._events = self._events, []
        return events

    def _stage(self, worker: str, task: Task) -> None:
        self._store.staged.add(task.attempt)
        files = {"tracks.sqlite": [1, ""]}
        staged = {"id": task.id, "place": task.place, "attempt": task.attempt, "stopped_at": None, "files": files}
        self._events.append(Staged(worker, task.attempt, staged))

    def stop(self, worker: str, attempt: str) -> None:
        raise NotImplementedError

    def kill(self, worker: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


def simulation(count: int, workers: int, losses: float) -> Row:
    """Whether each of so many videos ends once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_clips(folder, 1)
        with (folder / "videos.jsonl").open("w") as file:
            for k in range(count):
                file.write(json.dumps({"id": f"v{k}", "video": "c0.mp4", "masks": "c.png", "frames": 300}) + "\n")
        made: Plan = plan(folder / "videos.jsonl", folder / "out", HOLD)
        store = MemoryStore()
        made.store = store
        runner = FakeWorkers(store, workers, losses)
        began, cpu = time.perf_counter(), cpu_seconds()
        outcome = drive(made, runner, clock=runner.clock)
        seconds, cpu = time.perf_counter() - began, cpu_seconds() - cpu
        made.close()
    receipts = sum(key.endswith("/receipt.json") for key in store.there)
    failures = sum(key.startswith(".batch/failures/") for key in store.there)
    twice = sum(n > 1 for n in store.commits.values())
    if receipts + failures != count or twice or outcome.counts["pending"]:
        raise SystemExit(f"{receipts} receipts, {failures} failures, {twice} twice, {outcome.counts}")
    return {
        "part": "simulation",
        "videos": count,
        "workers": workers,
        "lost": runner.lost,
        "receipts": receipts,
        "failures": failures,
        "attempts": outcome.attempts,
        "wall_s": round(seconds, 1),
        "cpu_s": round(cpu, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


# --- all of it --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Measure what is asked for, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--ray", action="store_true", help="with two workers of a Ray cluster")
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--simulated", type=int, nargs=2, default=(100_000, 1000), metavar=("VIDEOS", "WORKERS"))
    parser.add_argument("--losses", type=float, default=0.01)
    args = parser.parse_args()
    parts = args.only or PARTS
    found: list[Row] = []
    if "videos" in parts:
        found += videos(args.videos, args.rounds, args.ray)
    if "rows" in parts:
        found.append(rows(args.rows))
    if "simulation" in parts:
        count, workers = args.simulated
        found.append(simulation(count, workers, args.losses))
    for row in found:
        print(json.dumps(row))
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    kept = [row for row in old if row["part"] not in parts]
    new = [row | stamp() for row in found]
    text = io.StringIO()
    json.dump(kept + new, text, indent=1)
    RESULTS.write_text(text.getvalue() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
