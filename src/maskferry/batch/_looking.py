"""Looking at OUT without a manifest: how far a run is, and whether its files are what their receipts say."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from maskferry.batch._plan import RUN_KEY
from maskferry.batch._run_lock import holder_of
from maskferry.batch._stores import RECEIPT, Store, open_store, read_json
from maskferry.errors import InputError

__all__ = ["status", "verify"]


def status(out: str | Path) -> dict[str, Any]:
    """How far a run is, whoever makes it.

    Args:
        out: its output folder, a path or a URL.

    Returns:
        For JSON: "videos" in all, how many are "done", "damaged", "failed" and "pending", the "driver" that works on
        it ("host", "pid", "time" of its last heartbeat) or None, and the "failures", {id: cause and message}.

    Raises:
        InputError: there is no run there.
    """
    store = open_store(out)
    about = _about(store)
    counts = {"done": 0, "damaged": 0}
    for _, receipt in _receipts(store, is_sharded=bool(about.get("sharded"))):
        counts["damaged" if receipt.get("stopped_at") else "done"] += 1
    failures = {}
    for name in sorted(store.names(".batch/failures")):
        failure = read_json(store.read(f".batch/failures/{name}"))
        if failure:
            failures[name.removesuffix(".json")] = f"{failure.get('cause')}: {failure.get('message')}"
    holder = holder_of(store)
    driver = None if holder is None else {key: holder.get(key) for key in ("host", "pid", "time")}
    videos = int(about.get("videos", 0))
    pending = max(0, videos - sum(counts.values()) - len(failures))
    return {
        "out": store.place,
        "videos": videos,
        **counts,
        "failed": len(failures),
        "pending": pending,
        "driver": driver,
        "failures": failures,
    }


def verify(out: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Compare every file with what its receipt says: size and SHA-256.

    Args:
        out: the output folder of a run, a path or a URL.

    Yields:
        (id of a video, what is wrong with it: nothing, mostly).

    Raises:
        InputError: there is no run there.
    """
    store = open_store(out)
    about = _about(store)
    for place, receipt in _receipts(store, is_sharded=bool(about.get("sharded"))):
        prefix = store.prefix(place, str(receipt.get("attempt")))
        problems = []
        for name, (size, digest) in sorted(receipt.get("files", {}).items()):
            problem = _problem(store, f"{prefix}/{name}", int(size), str(digest))
            if problem is not None:
                problems.append(f"{name}: {problem}")
        yield str(receipt.get("id")), problems


def _problem(store: Store, key: str, size: int, digest: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        if not store.get(key, path):
            return "is missing"
        if path.stat().st_size != size:
            return f"has {path.stat().st_size} bytes, its receipt says {size}"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                return "has changed since it was committed"
    return None


def _about(store: Store) -> dict[str, Any]:
    found = read_json(store.read(RUN_KEY))
    if not found:
        raise InputError(f"{store.place}: no run of maskferry batch lies there")
    return found


def _receipts(store: Store, *, is_sharded: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, receipt) of each result."""
    for name in sorted(store.names("")):
        if name.startswith("."):
            continue
        inner = sorted(store.names(name)) if is_sharded and len(name) == 2 else None
        for place in [name] if inner is None else [f"{name}/{one}" for one in inner]:
            receipt = read_json(store.read(f"{place}/{RECEIPT}"))
            if receipt:
                yield place, receipt
