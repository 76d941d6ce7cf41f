"""``Plan``: every row of a manifest checked, and compared with what lies in OUT, before any worker starts."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from maskferry.batch._ledger import Ledger, RowState
from maskferry.batch._manifest import Fault, Manifest, Row, open_manifest
from maskferry.batch._options import BatchOptions, fingerprint
from maskferry.batch._runner import Settings, Task
from maskferry.batch._stores import RECEIPT, Store, failure_key, is_remote, local_path, open_store, read_json, stamp_of
from maskferry.errors import InputError, MaskferryError
from maskferry.images import PICTURE_SUFFIXES
from maskferry.sources._identity import video_digest

__all__ = ["SHOWN_FAULTS", "Plan", "place_of", "plan"]

SHOWN_FAULTS = 50
"""Faults that are kept in full; the others are counted."""

MANY = 10_000
"""Rows beyond which headers of videos and masks are left to the workers, and results lie in folders of folders."""

PIECE = 5_000
"""Rows that are checked at once."""

THREADS = 16
"""Threads that look at files: on shared disks most of the time is spent waiting."""

RUN_KEY = ".batch/run.json"


@dataclass(slots=True)
class Plan:
    """What a run will do.

    Attributes:
        manifest: where the rows come from.
        out: the output folder, a path or a URL.
        options: how the run goes.
        settings: what workers are told.
        ledger: the rows.
        store: OUT.
        is_sharded: results lie in ``OUT/ab/ID`` in place of ``OUT/ID``.
        faults: what is wrong, the first `SHOWN_FAULTS`.
        fault_count: how much is wrong in all.
        extended: lines of rows that are done, and of which other kinds of output are wanted.
    """

    manifest: Manifest
    out: str
    options: BatchOptions
    settings: Settings
    ledger: Ledger
    store: Store
    is_sharded: bool = False
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    extended: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.ledger)

    def add_fault(self, fault: Fault) -> None:
        """Take note of what is wrong."""
        self.fault_count += 1
        if len(self.faults) < SHOWN_FAULTS:
            self.faults.append(fault)

    def require_sound(self) -> None:
        """Refuse to begin where something is wrong.

        Raises:
            InputError: it is; the message lists the first faults.
        """
        if self.fault_count:
            shown = "; ".join(map(str, self.faults))
            more = self.fault_count - len(self.faults)
            raise InputError(
                f"{self.manifest.place}: {self.fault_count} row{'s' * (self.fault_count != 1)} cannot be taken: {shown}"
                + (f"; and {more} more" if more else "")
            )

    def task(self, row: Row, attempt: str) -> Task:
        """An attempt at a row."""
        return Task(
            row.id,
            attempt,
            place_of(row.id, self.is_sharded),
            row.video,
            row.masks,
            row.direction or self.settings.direction,
            row.start,
            row.stop,
            row.stride,
            row.rate,
            fingerprint(self.settings, row),
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan for JSON: counts, frames, and the ten longest videos that are to be tracked."""
        counts = self.ledger.counts()
        frames, unknown = self.ledger.frames()
        return {
            "manifest": self.manifest.place,
            "out": self.store.place,
            "engine": self.settings.engine,
            "videos": len(self),
            "to_do": counts[RowState.pending] - len(self.extended),
            "done": counts[RowState.done],
            "to_extend": len(self.extended),
            "damaged": counts[RowState.damaged],
            "failed": counts[RowState.failed],
            "frames": int(frames),
            "of_unknown_length": unknown,
            "longest": self.ledger.longest(10),
            "faults": [asdict(fault) for fault in self.faults],
            "fault_count": self.fault_count,
        }

    def close(self) -> None:
        """Forget the rows."""
        self.ledger.close()


def place_of(video: str, is_sharded: bool) -> str:
    """Where the results of a video lie below OUT.

    >>> place_of("clip", False), place_of("clip", True)
    ('clip', '67/clip')
    """
    return f"{hashlib.sha256(video.encode()).hexdigest()[:2]}/{video}" if is_sharded else video


def plan(
    manifest: str | Path,
    out: str | Path,
    options: BatchOptions | None = None,
    *,
    masks_like: str | None = None,
) -> Plan:
    """Read a manifest and check every row of it. Nothing is written.

    Args:
        manifest: a ``.jsonl``, ``.csv`` or ``.parquet`` file, a folder of videos, or a pattern.
        out: the output folder, a path or a URL of S3 or GCS.
        options: how the run goes.
        masks_like: of a folder or a pattern, where masks are, such as ``"{stem}.png"``.

    Returns:
        The plan, with its faults: what is wrong with single rows is no error here.

    Raises:
        InputError: there is no manifest, or an option is wrong.
        UnknownEngineError: no engine of this name.
        MissingExtraError: something is not installed.
    """
    options = options or BatchOptions()
    options.check()
    needs_no_masks = bool(options.text or options.detector)
    found = open_manifest(manifest, masks_like=masks_like, has_detector=needs_no_masks)
    store = open_store(out)
    place = str(out) if is_remote(str(out)) else os.path.abspath(local_path(str(out)))  # noqa: PTH100
    if not is_remote(place) and Path(place).exists() and not Path(place).is_dir():
        raise InputError(f"{place} is a file: expected a folder, or a name for a new one")
    settings = options.settings(place, secrets.token_hex(8))
    made = Plan(found, place, options, settings, Ledger(), store)
    try:
        _read(made)
        _compare(made)
    except BaseException:
        made.close()
        raise
    return made


# --- the rows ---------------------------------------------------------------------------------------------------------


def _read(made: Plan) -> None:
    """Take in all rows; look at their inputs."""
    inside = "" if is_remote(made.out) else os.path.join(made.out, "")  # noqa: PTH118
    read, looked = 0, _Looked(inside)
    with ThreadPoolExecutor(THREADS) as threads:
        for piece in _pieces(made.manifest):
            rows: list[Row] = []
            for one in piece:
                if isinstance(one, Fault):
                    made.add_fault(one)
                else:
                    rows.append(one)
            for row in made.ledger.add(rows):
                first = made.ledger.line_of(row.id)
                made.add_fault(Fault(row.line, row.id, "id", f"line {first} has this id already"))
            read += len(rows)
            chunks = [rows[i : i + 500] for i in range(0, len(rows), 500)]
            for faults in threads.map(looked.faults_of, chunks):
                for fault in faults:
                    made.add_fault(fault)
        if not read and not made.fault_count:
            raise InputError(f"{made.manifest.place}: there are no videos in it")
        if read <= MANY:
            _look_inside(made, threads)


def _pieces(rows: Iterable[Row | Fault]) -> Iterator[list[Row | Fault]]:
    iterator = iter(rows)
    while piece := list(islice(iterator, PIECE)):
        yield piece


class _Looked:
    """What inputs are there. Many rows may name one file."""

    def __init__(self, inside: str) -> None:
        self._inside = inside
        self._known: dict[str, str | None] = {}

    def faults_of(self, rows: list[Row]) -> list[Fault]:
        """What is wrong with the inputs of some rows."""
        found = []
        for row in rows:
            cause = self._cause(row.video, may_be_empty=True)
            if cause is not None:
                found.append(Fault(row.line, row.id, "video", cause))
            for _, path in row.masks:
                cause = self._cause(path, may_be_empty=False)
                if cause is not None:
                    found.append(Fault(row.line, row.id, "masks", cause))
        return found

    def _cause(self, place: str, *, may_be_empty: bool) -> str | None:
        """What is wrong with an input; None where it is there. An empty video fails alone, at its worker."""
        if place in self._known:
            return self._known[place]
        cause = None
        if not is_remote(place):
            path = str(local_path(place))
            if self._inside and path.startswith(self._inside):
                cause = f"{path} lies where the results go"
            else:
                try:
                    found = os.stat(path)  # noqa: PTH116
                    if not found.st_size and not may_be_empty:
                        cause = f"{path} is empty"
                except (OSError, ValueError) as err:
                    cause = f"{path}: {getattr(err, 'strerror', None) or err}"
        if len(self._known) < PIECE:
            self._known[place] = cause
        return cause


def _look_inside(made: Plan, threads: ThreadPoolExecutor) -> None:
    """Look at headers: how long videos are, and whether pictures of masks can be read."""
    rows = list(made.ledger.rows())
    lengths = threads.map(_frames_of, rows)
    made.ledger.set_costs((row.line, frames) for row, frames in zip(rows, lengths, strict=True) if frames)
    for row, cause in zip(rows, threads.map(_unreadable, rows), strict=True):
        if cause is not None:
            made.add_fault(Fault(row.line, row.id, "masks", cause))


def _frames_of(row: Row) -> float:
    """How many frames a row says, or the header of its video; 0 where neither does."""
    from maskferry._ffmpeg import open_alone

    if row.frames is not None or is_remote(row.video):
        return row.frames or 0
    path = local_path(row.video)
    try:
        if path.is_dir():
            return sum(1 for _ in path.iterdir())
        with open_alone(path) as container:
            stream = container.streams.video[0]
            if stream.frames:
                return int(stream.frames)
            seconds = (container.duration or 0) / 1e6
            return seconds * float(stream.average_rate or 0)
    except Exception:  # its worker says what is wrong
        return 0


def _unreadable(row: Row) -> str | None:
    """Why a picture of masks cannot be read; None where it can, or is none."""
    from maskferry._pillow import open_picture

    for _, place in row.masks:
        if is_remote(place) or Path(place).suffix.lower() not in PICTURE_SUFFIXES:
            continue
        path = local_path(place)
        if path.is_file() and path.stat().st_size:
            try:
                with open_picture(path, path.name):
                    pass
            except Exception as err:
                return f"{path} cannot be read as a picture: {err}"
    return None


# --- what lies in OUT -------------------------------------------------------------------------------------------------


def _compare(made: Plan) -> None:
    """Tell what is done already, what has failed, and what is in the way."""
    store = made.store
    before = read_json(store.read(RUN_KEY))
    made.is_sharded = bool(before.get("sharded")) if before else len(made) > MANY
    there = set(_places(store, is_sharded=made.is_sharded))
    failed = {name.removesuffix(".json") for name in store.names(".batch/failures")}
    if not there and not failed:
        return
    states: dict[RowState, list[int]] = {RowState.done: [], RowState.damaged: [], RowState.failed: []}
    for row in made.ledger.rows():
        if place_of(row.id, made.is_sharded) in there:
            state = _state_there(made, row)
            if state is not None:
                states[state].append(row.line)
                continue
        if row.id in failed and not made.options.retry_failed and _is_same_failure(made, row):
            states[RowState.failed].append(row.line)
    for state, lines in states.items():
        made.ledger.set_state(lines, state)
    made.ledger.set_state(made.extended, RowState.pending)


def _places(store: Store, *, is_sharded: bool) -> Iterator[str]:
    for name in store.names(""):
        if name.startswith("."):
            continue
        if not is_sharded:
            yield name
        elif len(name) == 2:
            yield from (f"{name}/{inner}" for inner in store.names(name))


def _state_there(made: Plan, row: Row) -> RowState | None:
    """What the receipt of a row says; None where the row is to be tracked (again)."""
    place = place_of(row.id, made.is_sharded)
    text = made.store.read(f"{place}/{RECEIPT}")
    receipt = read_json(text)
    if not receipt:
        if text is None and is_remote(made.out):
            return None  # staged by somebody who was not heard of again
        if not made.options.overwrite:
            cause = f"{made.store.place}/{place} is in the way, and no result of a batch: move it away"
            made.add_fault(Fault(row.line, row.id, "id", cause))
        return None
    other = _difference(made, row, receipt)
    if other is not None:
        if not made.options.overwrite:
            cause = f"{made.store.place}/{place} was made {other}: give another folder with -o, or --overwrite"
            made.add_fault(Fault(row.line, row.id, "id", cause))
        return None
    if not set(made.settings.kinds) <= set(receipt.get("kinds", ())):
        made.extended.add(row.line)
    return RowState.damaged if receipt.get("stopped_at") else RowState.done


def _difference(made: Plan, row: Row, receipt: dict[str, Any]) -> str | None:
    """What sets a result apart from the one that is wanted; None where nothing does."""
    if receipt.get("fingerprint") != fingerprint(made.settings, row):
        return "with other options, or of other frames"
    inputs = [row.video, *(path for _, path in row.masks)]
    if receipt.get("inputs") == stamps_of(inputs):
        return None
    now = [None if is_remote(place) else video_digest(str(local_path(place))) for place in inputs]
    return None if None not in now and receipt.get("contents") == now else "of another video, or of other masks"


def stamps_of(places: Iterable[str]) -> list[list[Any]]:
    """What tells cheaply whether inputs have changed."""
    found = []
    for place in places:
        try:
            found.append(stamp_of(place))
        except (OSError, MaskferryError):
            found.append([None, None])
    return found


def _is_same_failure(made: Plan, row: Row) -> bool:
    """Whether a row would fail as it did before: nothing of it has changed."""
    failure = read_json(made.store.read(failure_key(row.id)))
    same = failure.get("fingerprint") == fingerprint(made.settings, row)
    return same and failure.get("inputs") == stamps_of([row.video, *(path for _, path in row.masks)])
