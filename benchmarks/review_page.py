"""How quick the review page's server is: a frame and its masks, idle and while an engine recomputes; a large file.

    python benchmarks/review_page.py > benchmarks/results/review_page.json
    python benchmarks/review_page.py --frames 2000 --objects 50

A film of 1280x720 with a keyframe every 250 frames is made, with five objects that the engine hold has tracked; then a
large tracks file without a film. Times are milliseconds by the clock, of the requests that the page makes for a step,
over one connection that is kept. One JSON object is printed; the exit code is 1 where a time is beyond twice its
budget.
"""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from large_tracks import make
from machine import stamp

from maskferry import MaskTracker, Rle
from maskferry.web import serve

HEIGHT, WIDTH, COUNT, GOP = 720, 1280, 600, 250
PACE = 1 / 25

BUDGETS = {"step": 33.0, "step_back": 60.0, "seek": 800.0, "step_busy": 120.0, "seek_busy": 800.0}
"""Milliseconds, of the 95th percentile."""


def make_film(path: Path) -> None:
    """Something that moves over something that does not."""
    still = np.random.default_rng(0).integers(0, 200, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    still = still.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libx264", rate=Fraction(25), options={"preset": "veryfast", "sc_threshold": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = GOP
        for index in range(COUNT):
            image = still.copy()
            for mask in discs(index):
                image[mask] = (240, 60, 60)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        film.mux(stream.encode(None))


def discs(index: int) -> list[np.ndarray]:
    """Five discs, bool (H, W) each."""
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    places = [(100 + 130 * k, 150 + 200 * k + index // 2) for k in range(5)]
    return [(y - a) ** 2 + (x - b) ** 2 < 50**2 for a, b in places]


class Page:
    """Asks the server as the page does."""

    def __init__(self, url: str) -> None:
        address, self.token = url.split("#token=")
        self.origin = address.rstrip("/")
        self._connection = http.client.HTTPConnection(self.origin.removeprefix("http://"))

    def ask(self, path: str, method: str = "GET", body: object = None, revision: int = 0) -> bytes:
        """The body of an answer."""
        headers = {"Authorization": f"Bearer {self.token}", "Origin": self.origin, "If-Match": str(revision)}
        headers["Content-Type"] = "application/json"
        self._connection.request(method, f"/api/v1/{path}", None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
        return data

    def steps(self, frames: Iterable[int], pace: float = PACE) -> list[float]:
        """How long each frame and its masks take, in milliseconds."""
        found = []
        for index in frames:
            begun = time.perf_counter()
            self.ask(f"frames/{index}")
            self.ask(f"masks?from={index}&to={index + 1}")
            took = time.perf_counter() - begun
            found.append(1000 * took)
            time.sleep(max(0.0, pace - took))
        return found

    def timed(self, path: str) -> float:
        """How long an answer takes, in milliseconds."""
        begun = time.perf_counter()
        self.ask(path)
        return 1000 * (time.perf_counter() - begun)


def summary(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {"median": round(float(np.median(times)), 1), "p95": round(float(np.percentile(times, 95)), 1)}


def measure_film(folder: Path) -> dict[str, Any]:
    """Steps and seeks, idle and while flow recomputes all five objects."""
    film, tracks = folder / "film.mp4", folder / "tracks.sqlite"
    make_film(film)
    with MaskTracker(film, engine="hold", tracks=tracks) as tracker:
        tracker.add_masks_prompt(discs(0), [1, 2, 3, 4, 5])
        tracker.propagate()
    anywhere = np.random.default_rng(1).integers(0, COUNT, 20).tolist()
    with serve(tracks, engine="flow") as server:
        page = Page(server.url)
        page.steps(range(3))
        found = {"step": page.steps(range(3, 150)), "step_back": page.steps(range(400, 300, -1))[3:]}
        found["seek"] = page.steps(anywhere, 0.3)
        revision = json.loads(page.ask("run"))["revision"]
        for i, mask in enumerate(discs(300), 1):
            body = {"mask": Rle.encode(mask).to_coco()}
            revision = json.loads(page.ask(f"objects/{i}/seeds/300", "PUT", body, revision))["revision"]
        page.ask("jobs", "POST", {})
        while json.loads(page.ask("run"))["job"]["state"] != "running":
            time.sleep(0.1)
        found["step_busy"] = page.steps(range(450, 600))
        found["seek_busy"] = page.steps(anywhere, 0.3)
        state = json.loads(page.ask("run"))["job"]["state"]
        page.ask("jobs/current", "DELETE")
    return {"busy_to_the_end": state == "running", **{name: summary(times) for name, times in found.items()}}


def measure_large(folder: Path, frames: int, objects: int) -> dict[str, Any]:
    """Opening a large tracks file."""
    path = folder / "large.sqlite"
    made = make(path, frames, objects)
    begun = time.perf_counter()
    with serve(path, engine="hold") as server:
        page = Page(server.url)
        found = {"open": 1000 * (time.perf_counter() - begun), "run": page.timed("run")}
        ids = ",".join(str(i) for i in range(1, min(objects, 30) + 1))
        found |= {"lanes": page.timed(f"lanes?objects={ids}"), "lanes_again": page.timed(f"lanes?objects={ids}")}
        found |= {"masks": page.timed("masks?from=412&to=413"), "scores": page.timed("scores/7")}
    return {"tracks": made, **{name: round(value, 1) for name, value in found.items()}}


def main() -> int:
    """Measure, print JSON; 1 where something is far too slow."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--objects", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film = measure_film(Path(folder))
        large = measure_large(Path(folder), options.frames, options.objects)
    print(json.dumps({**stamp(), "budgets_ms": BUDGETS, "film_ms": film, "large_ms": large}, indent=2))
    return int(any(film[name]["p95"] > 2 * budget for name, budget in BUDGETS.items()))


if __name__ == "__main__":
    sys.exit(main())
