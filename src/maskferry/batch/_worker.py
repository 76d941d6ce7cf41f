"""``Worker``: carries out one video after another, in a process of its own; its engine stays loaded.

An attempt is made on the worker's own disk and published as a whole. Nothing that it publishes counts before the driver
has committed it, so that a worker that was given up, and does not know it, harms nobody.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import sqlite3
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, cast

from maskferry._version import __version__
from maskferry.association._options import AssociationOptions
from maskferry.batch._causes import cause_of
from maskferry.batch._named_detectors import load_detector
from maskferry.batch._runner import Event, Failed, Progress, Settings, Staged, Stopped, Task
from maskferry.batch._stores import RECEIPT, STAGED, Store, fetch, is_remote, open_store, saved_key, shown, stamp_of
from maskferry.engines.base import Engine
from maskferry.engines.registry import engine_status, load_engine
from maskferry.errors import (
    DamagedTracksError,
    InputError,
    MaskferryError,
    MaskferryWarning,
    OutputExistsError,
)
from maskferry.outputs._folder import Outputs
from maskferry.outputs._watch import Silent, Update
from maskferry.prompts._given import GivenFiles
from maskferry.rendering import render_moments
from maskferry.sources import open_source
from maskferry.sources._identity import video_digest
from maskferry.tracks._jobs import ENDLESS, FrameRange
from maskferry.tracks._planner import Direction
from maskferry.tracks._saving import save_as
from maskferry.tracks._tracks import Tracks
from maskferry.tracks.review import ObjectSummary, summarize, worst_moments
from maskferry.whole_run import Request, carry_out

__all__ = ["WORST", "Worker"]

WORST = "worst.png"
"""Pictures of the worst moments, for the report."""

LOG_LINES = 50
"""Lines of a log that a failure keeps."""

PICTURES = 4
"""Moments in `WORST`."""

TELL_EVERY = 0.5
"""Seconds between two messages of progress."""

_log = logging.getLogger(__name__)


class Worker:
    """Carries out tasks, one at a time.

    Attributes:
        settings: what is the same for all of them.
        name: of the worker.
        node: of its machine.
    """

    def __init__(self, settings: Settings, name: str, node: str) -> None:
        self.settings, self.name, self.node = settings, name, node
        self._store: Store = open_store(settings.out)
        self._engine: Engine | None = None
        self._detector = load_detector(settings.detector) if settings.detector else None
        self._attempt = ""
        self._stops = threading.Event()
        scratch = Path(settings.scratch) if settings.scratch else Path(tempfile.gettempdir())
        self._scratch = scratch / f"maskferry-batch-{os.getpid()}-{name}"

    def facts(self) -> dict[str, Any]:
        """What the driver compares: versions, the engine, free bytes of scratch, and what it sees in OUT."""
        status = engine_status(self.settings.engine)
        folder = next(path for path in (self._scratch, *self._scratch.parents) if path.is_dir())
        nonce = self._store.read(".batch/nonce")
        return {
            "maskferry": __version__,
            "python": platform.python_version(),
            "engine": None if status.ready else status.reason,
            "scratch": shutil.disk_usage(folder).free,
            "nonce": nonce.decode(errors="replace") if nonce is not None else None,
            "pid": os.getpid(),
        }

    def stop(self, attempt: str) -> None:
        """Stop an attempt after its frame; from another thread."""
        if attempt == self._attempt:
            self._stops.set()

    def do(self, task: Task, tell: Callable[[Event], None]) -> Staged | Failed | Stopped:
        """Carry out a task.

        Args:
            task: what is to be done.
            tell: takes `Progress`.

        Returns:
            What became of it.
        """
        self._stops.clear()
        self._attempt = task.attempt
        watch = _Watch(self, task, tell)
        folder = self._scratch / task.attempt
        with _logging(self._scratch / f"{task.attempt}.log") as (lines, warned):
            try:
                staged = self._carry_out(task, folder, watch, warned)
                event: Staged | Failed | Stopped = Staged(self.name, task.attempt, staged)
            except KeyboardInterrupt:
                self._save(task, folder / "out" / "tracks.sqlite")
                event = Stopped(self.name, task.attempt)
            except Exception as err:
                _log.debug("the attempt failed", exc_info=True)
                cause = cause_of(err, [task.video, *(path for _, path in task.masks)])
                if cause in ("network", "environment"):  # the video itself may be well: what was done is kept
                    with suppress(Exception):
                        self._save(task, folder / "out" / "tracks.sqlite")
                if not isinstance(err, MaskferryError) or cause == "error":
                    self._forget_engine()  # what is left of it after that, nobody knows
                text = str(err) if isinstance(err, MaskferryError) else f"{type(err).__name__}: {err}"
                event = Failed(self.name, task.attempt, cause, type(err).__name__, text, watch.done, tuple(lines))
            finally:
                self._attempt = ""
                shutil.rmtree(folder, ignore_errors=True)
        self._keep_log(task, failed=isinstance(event, Failed))
        return event

    def close(self) -> None:
        """Leave nothing behind on the own disk."""
        self._forget_engine()
        shutil.rmtree(self._scratch, ignore_errors=True)

    # --- one attempt --------------------------------------------------------------------------------------------

    def _carry_out(self, task: Task, folder: Path, watch: _Watch, warned: list[str]) -> dict[str, Any]:
        out = folder / "out"
        out.mkdir(parents=True)
        began = time.monotonic()
        request = self._request(task, folder, out)
        resumed = self._resume_from(task, out)
        try:
            report = carry_out(request, watch, self._loaded())
        except (OutputExistsError, DamagedTracksError):
            if resumed is None:
                raise
            resumed = None
            shutil.rmtree(out)  # what was saved is of another run, or broken: it is made anew
            out.mkdir()
            report = carry_out(request, watch, self._loaded())
        staged = self._staged(task, request, out, report)
        staged["seconds"] = round(time.monotonic() - began, 3)
        staged["resumed_at"] = resumed
        staged["warnings"] = warned
        (out / STAGED).write_text(json.dumps(staged), encoding="utf-8")
        self._store.stage(out, task.place, task.attempt)
        return staged

    def _request(self, task: Task, folder: Path, out: Path) -> Request:
        settings = self.settings
        self._check_room(task)
        video = fetch(task.video, folder / "video")
        masks = []
        for frame, place in task.masks:
            path = fetch(place, folder / "masks")
            masks.append(path if frame is None else f"{frame}={path}")
        kinds = settings.kinds
        return Request(
            video,
            GivenFiles(tuple(masks)),
            Outputs(out, kinds, settings.overlap, palette=settings.palette),  # type: ignore[arg-type]
            settings.engine,
            settings.options,
            cast(Direction, task.direction),
            FrameRange(task.start, ENDLESS if task.stop is None else task.stop, task.stride),
            task.rate,
            text=settings.text,
            association=AssociationOptions(every=settings.every),
            detector=self._detector,
            detector_name=settings.detector or "",
        )

    def _check_room(self, task: Task) -> None:
        """Refuse to bring in what is larger than the scratch may be.

        Raises:
            InputError: it is.
        """
        limit = self.settings.scratch_limit
        if limit is None or not is_remote(task.video) or task.video.lower().startswith("http"):
            return
        size: int | None = stamp_of(task.video)[0]
        if size is not None and size > limit:
            raise InputError(
                f"{shown(task.video)} has {size} bytes, and a worker may use {limit} of its disk: raise --scratch-limit"
            )

    def _loaded(self) -> Engine:
        if self._engine is None:
            self._engine = load_engine(self.settings.engine, **self.settings.options)
        return self._engine

    def _forget_engine(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            with suppress(Exception):
                engine.close()

    def _staged(self, task: Task, request: Request, out: Path, report: dict[str, Any]) -> dict[str, Any]:
        """What ``staged.json`` says of a finished attempt."""
        with Tracks.open(out / "tracks.sqlite", read_only=True) as tracks:
            digest = tracks.digest()
            frames, stopped_at = len(tracks), tracks.stopped_at
            summaries = self._summaries(tracks, request)
            worst = worst_moments(summaries, PICTURES)
            if worst:
                (out / WORST).unlink(missing_ok=True)
                try:
                    render_moments(tracks, worst, out / WORST, str(request.video))
                except MaskferryError as err:  # a picture less is no reason to fail
                    _log.warning("no pictures of the worst moments: %s", err)
        (out / STAGED).unlink(missing_ok=True)
        scores = [s.mean_score for s in summaries if s.seen]
        return {
            "maskferry": __version__,
            "id": task.id,
            "attempt": task.attempt,
            "place": task.place,
            "fingerprint": task.fingerprint,
            "contents": _contents(request),
            "digest": digest,
            "engine": report["engine"],
            "frames": frames,
            "steps": report["steps"],
            "fps": report["fps"],
            "objects": report["objects"],
            "mean_score": round(sum(scores) / len(scores), 4) if scores else None,
            "worst": [str(moment) for moment in worst],
            "moments": sum(len(s.moments) for s in summaries),
            "lost": sum(row["lost"] for row in report["objects"]),
            "stopped_at": stopped_at,
            "kinds": list(request.outputs.kinds),
            "worker": self.name,
            "node": self.node,
            "files": _hashes(out),
        }

    def _summaries(self, tracks: Tracks, request: Request) -> list[ObjectSummary]:
        if not self.settings.review:
            return summarize(tracks)
        with open_source(request.video, rate=request.rate) as source:
            return summarize(tracks, source)

    # --- saved states -------------------------------------------------------------------------------------------

    def _resume_from(self, task: Task, out: Path) -> int | None:
        """Bring what an earlier attempt has come to; how many frames that are, None where there is none.

        Where a video is done and other kinds of output are wanted, that is its result itself.
        """
        receipt = self._store.read(f"{task.place}/{RECEIPT}")
        if receipt is not None:
            done = json.loads(receipt)
            if done.get("fingerprint") == task.fingerprint:
                self._store.get(self._store.prefix(task.place, str(done["attempt"])), out)
                for name in (RECEIPT, STAGED, WORST):
                    (out / name).unlink(missing_ok=True)
                return int(done["frames"])
        if not self._store.get(saved_key(task.id, task.fingerprint), out / "tracks.sqlite"):
            return None
        try:
            with Tracks.open(out / "tracks.sqlite", read_only=True) as tracks:
                return len(tracks)
        except MaskferryError as err:
            _log.warning("what was saved cannot be gone on with: %s", err)
            (out / "tracks.sqlite").unlink()
            return None

    def save(self, task: Task, tracks: Path) -> None:
        """Publish what an attempt has come to, so that another one can go on from there."""
        copy = tracks.parent.parent / "saved.sqlite"
        with closing(sqlite3.connect(f"{tracks.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            save_as(connection, copy)
        self._store.put(copy, saved_key(task.id, task.fingerprint))
        copy.unlink()

    def _save(self, task: Task, tracks: Path) -> None:
        if tracks.exists():
            self.save(task, tracks)

    # --- logs ---------------------------------------------------------------------------------------------------

    def _keep_log(self, task: Task, *, failed: bool) -> None:
        """Publish the attempt's log, where it says anything."""
        path = self._scratch / f"{task.attempt}.log"
        with suppress(OSError, MaskferryError):
            if path.exists() and path.stat().st_size:
                self._store.put(path, f".batch/logs/{task.id}/{task.attempt}.log")
        path.unlink(missing_ok=True)


class _Watch(Silent):
    """Watches one attempt: tells how far it is, saves its state from time to time, stops it when that is wanted."""

    def __init__(self, worker: Worker, task: Task, tell: Callable[[Event], None]) -> None:
        self._worker, self._task, self._tell = worker, task, tell
        self._tracks = worker._scratch / task.attempt / "out" / "tracks.sqlite"
        self._told = 0.0
        self._saved = time.monotonic()
        self.done = 0

    def bar(self, label: str) -> Any:  # noqa: ANN401
        """As `Watch.bar`: whatever moves is progress."""
        update: Update = self._tracking if label.startswith("Tracking") else self._moving
        return nullcontext(update)

    def say(self, text: str) -> None:
        """As `Watch.say`: into the log."""
        _log.info("%s", text)

    def stoppable(self) -> Any:  # noqa: ANN401
        """As `Watch.stoppable`."""
        return nullcontext(self._worker._stops.is_set)

    def _moving(self, done: int, total: int | None, label: str | None = None) -> None:
        self._tell_now(self.done, None)

    def _tracking(self, done: int, total: int | None, label: str | None = None) -> None:
        self.done = done
        self._tell_now(done, total)
        if time.monotonic() - self._saved >= self._worker.settings.save_every:
            try:
                self._worker.save(self._task, self._tracks)
            except (MaskferryError, OSError) as err:
                _log.warning("what the attempt has come to could not be saved: %s", err)
            self._saved = time.monotonic()

    def _tell_now(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self._told >= TELL_EVERY:
            self._told = now
            self._tell(Progress(self._worker.name, self._task.attempt, done, total))


@contextmanager
def _logging(path: Path) -> Iterator[tuple[deque[str], list[str]]]:
    """Write the package's log, and warnings, into a file; (its last lines, the warnings)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines: deque[str] = deque(maxlen=LOG_LINES)
    warned: list[str] = []
    handler = _LineHandler(path, lines)
    logger = logging.getLogger("maskferry")
    level = logger.level

    def warn(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        _log.warning("%s: %s", category.__name__, message)
        if issubclass(category, MaskferryWarning):
            warned.append(str(message))

    logger.addHandler(handler)
    logger.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = warn
            yield lines, warned
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()


class _LineHandler(logging.Handler):
    """Writes records to a file, which is made with the first one, and keeps the last."""

    def __init__(self, path: Path, lines: deque[str]) -> None:
        super().__init__()
        self._path, self._lines = path, lines
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """As `logging.Handler.emit`."""
        line = self.format(record)
        self._lines.extend(line.splitlines())
        with suppress(OSError), self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{line}\n")


def _contents(request: Request) -> list[str | None]:
    """Digests of the video and of the files of masks: what tells that they are what they were."""
    paths = [str(path) for path in request.inputs]
    return [video_digest(str(request.video)), *(video_digest(path) for path in paths)]


def _hashes(folder: Path) -> dict[str, list[Any]]:
    """{name: [bytes, SHA-256 in hex]} of the files below a folder."""
    found: dict[str, list[Any]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found[path.relative_to(folder).as_posix()] = [path.stat().st_size, digest]
    return found
