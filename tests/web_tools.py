"""What the tests of the review page share: small runs, and a client that asks its server as a browser's page does."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from clips import SIZE_HW, make_clip
from helpers import square_mask
from maskferry import MaskTracker, Rle, Tracks
from maskferry.web import Server

COUNT = 60

SLOW_HOLD = """
import time
from maskferry.engines import _hold
step = _hold.HoldSession.step
def slow(self, frame, prompts=()):
    time.sleep(0.02)
    return step(self, frame, prompts)
_hold.HoldSession.step = slow
"""


class Answer(NamedTuple):
    """An answer: its status, its headers in small letters, its body as bytes and, where it is JSON, as a value."""

    status: int
    headers: dict[str, str]
    data: bytes
    json: Any


def block(x: int, y: int = 20, size: int = 20) -> np.ndarray:
    return square_mask(SIZE_HW, x, y, size)


def coco(x: int, y: int = 20, size: int = 20) -> dict:
    return Rle.encode(block(x, y, size)).to_coco()


def make_run(folder: Path, count: int = COUNT, seeds: tuple[int, ...] = (0,), engine: str = "hold") -> Path:
    """The output folder of a finished run over a numbered film: object 1, "car", and object 2."""
    video = make_clip(folder / "clip.mp4", count)
    out = folder / "out"
    with MaskTracker(video, engine=engine, tracks=out / "tracks.sqlite") as tracker:
        for seed in seeds:
            tracker.add_masks_prompt([block(10), block(60)], [1, 2], seed, labels=["car", None])
        tracker.propagate()
    return out


class Client:
    """Asks a server.

    Attributes:
        revision: that is sent as If-Match; taken from the answers of writes.
    """

    def __init__(self, server: Server) -> None:
        self.port, self.token = server.port, server.url.partition("#token=")[2]
        self.origin = server.address.rstrip("/")
        self.revision = 0

    def raw(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str | None] | None = None,
        *,
        host: str | None = None,
    ) -> Answer:
        """A request with these headers; None leaves out one that is sent otherwise."""
        given = {"Authorization": f"Bearer {self.token}"}
        if method not in ("GET", "HEAD"):
            given |= {"Origin": self.origin, "Content-Type": "application/json"}
        sent = {name: value for name, value in (given | (headers or {})).items() if value is not None}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", host or f"127.0.0.1:{self.port}")
            for name, value in sent.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            data = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        is_json = data and found.get("content-type", "").startswith("application/json")
        return Answer(response.status, found, data, json.loads(data) if is_json else None)

    def get(self, path: str) -> Answer:
        return self.raw("GET", f"/api/v1/{path}")

    def send(self, method: str, path: str, body: Any = None, *, revision: int | None = None) -> Answer:
        """A write, based on the revision that is known."""
        base = str(self.revision if revision is None else revision)
        data = None if body is None else json.dumps(body).encode()
        found = self.raw(method, f"/api/v1/{path}", data, {"If-Match": base})
        if found.status < 300 and isinstance(found.json, dict) and "revision" in found.json:
            self.revision = found.json["revision"]
        return found

    def look(self) -> dict:
        """Everything about the run; its revision is the base of what is sent next."""
        found = self.get("run").json
        self.revision = found["revision"]
        return found

    def wait_for(self, is_there: Callable[[dict], bool], seconds: float = 60) -> dict:
        """Look until something is so."""
        end = time.monotonic() + seconds
        while not is_there(found := self.look()):
            assert time.monotonic() < end, found["job"]
            time.sleep(0.02)
        return found

    def finish(self) -> dict:
        """Track what is to be tracked, to its end."""
        assert self.send("POST", "jobs", {}).status in (200, 202)
        return self.wait_for(lambda run: run["job"]["state"] not in ("starting", "running", "stopping"))

    @contextmanager
    def events(self, since: int | None = None) -> Iterator[Iterator[tuple[str, dict]]]:
        """The stream of news."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        path = "/api/v1/events" if since is None else f"/api/v1/events?since={since}"
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        response = connection.getresponse()
        assert response.status == 200

        def read() -> Iterator[tuple[str, dict]]:
            name = ""
            for line in response:
                if line.startswith(b"event: "):
                    name = line[7:].strip().decode()
                elif line.startswith(b"data: "):
                    yield name, json.loads(line[6:])

        try:
            yield read()
        finally:
            response.close()
            connection.close()


def rows_of(folder: Path) -> list:
    """All masks of a run, comparable to the byte."""
    with Tracks.open(folder / "tracks.sqlite") as tracks:
        return [(frame.info, row) for frame in tracks.frames() for row in frame.masks]
