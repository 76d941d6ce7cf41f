"""``Runner``: what has workers, and gives each of them one video at a time. It never tries anything again by itself."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

__all__ = [
    "Cause",
    "Event",
    "Failed",
    "Lost",
    "Progress",
    "Ready",
    "Runner",
    "Settings",
    "Staged",
    "Stopped",
    "Task",
    "event_of",
    "message_of",
]

Cause = Literal["input", "network", "environment", "error", "killed", "stalled", "node"]
"""Why an attempt came to nothing.

    input        the video or its masks are wrong: trying again changes nothing
    network      something that lies elsewhere could not be read or written
    environment  the disk is full, or something is missing on the machine: it is not the video's fault
    error        anything else that was raised
    killed       the worker died: killed, out of memory, a fault in a library
    stalled      nothing moved for too long, and the worker was killed
    node         the worker's machine was lost, or taken away
"""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all videos, as workers are told it; all of it goes through JSON.

    Attributes:
        out: the output folder, a path or a URL.
        engine: a name; never "auto".
        options: what it is loaded with.
        direction: where a row says none.
        kinds: what to write of each video, see `outputs.known_kinds`.
        overlap: see `masks.Overlap`.
        palette: colours of what is drawn.
        detector: "module:name" of a function, or None.
        text: phrases that are looked for.
        every: on every how many-th frame detector or phrases are; None for the default.
        review: look through each video for moments that may be wrong.
        save_every: seconds between two saved states.
        scratch: folder on the worker's own disk; None for the system's temporary one.
        scratch_limit: bytes that one worker may use there; None for no limit.
        nonce: written by the driver to OUT, read by each worker: both see one place.
    """

    out: str
    engine: str
    options: dict[str, Any] = field(default_factory=dict)
    direction: str = "both"
    kinds: tuple[str, ...] = ()
    overlap: str = "smallest"
    palette: str = "default"
    detector: str | None = None
    text: tuple[str, ...] = ()
    every: int | None = None
    review: bool = False
    save_every: float = 60.0
    scratch: str | None = None
    scratch_limit: int | None = None
    nonce: str = ""

    @classmethod
    def of(cls, message: dict[str, Any]) -> Settings:
        """From what `dataclasses.asdict` and JSON made of them."""
        return cls(**message | {"kinds": tuple(message["kinds"]), "text": tuple(message["text"])})


@dataclass(frozen=True, slots=True)
class Task:
    """One attempt at one video.

    Attributes:
        id: of the video.
        attempt: unlike every other attempt of any run.
        place: the video's folder below OUT.
        video: a path or a URL.
        masks: (frame or None, path or URL).
        direction: "both", "forward" or "backward".
        start: first frame.
        stop: frame to end before; None for the end.
        stride: every stride-th frame.
        rate: frames per second, where the video has none; None otherwise.
        fingerprint: what the result depends on.
    """

    id: str
    attempt: str
    place: str
    video: str
    masks: tuple[tuple[int | None, str], ...]
    direction: str = "both"
    start: int = 0
    stop: int | None = None
    stride: int = 1
    rate: str | None = None
    fingerprint: str = ""

    @classmethod
    def of(cls, message: dict[str, Any]) -> Task:
        """From what `dataclasses.asdict` and JSON made of it."""
        return cls(**message | {"masks": tuple((frame, path) for frame, path in message["masks"])})


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker can be given a video.

    Attributes:
        worker: its name, never used again for another one.
        node: the machine that it is on.
        facts: what `Worker.facts` says: versions, the engine, free scratch, what it sees in OUT.
    """

    worker: str
    node: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Progress:
    """An attempt goes on.

    Attributes:
        worker: who works.
        attempt: at what.
        done: steps that are done.
        total: steps in all; None while that is not known.
    """

    worker: str
    attempt: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Staged:
    """An attempt is finished and lies below OUT, to be committed by the driver. The worker is free.

    Attributes:
        worker: who did it.
        attempt: which.
        staged: what ``staged.json`` says.
    """

    worker: str
    attempt: str
    staged: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """An attempt came to nothing; its worker is free.

    Attributes:
        worker: who did it.
        attempt: which.
        cause: why.
        kind: the name of the error's class.
        message: what the error says.
        frame: how many steps were done.
        log: the last lines of the attempt's log.
    """

    worker: str
    attempt: str
    cause: Cause
    kind: str
    message: str
    frame: int = 0
    log: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stopped:
    """An attempt was stopped as `Runner.stop` asked for; what it has done is saved. The worker is free.

    Attributes:
        worker: who did it.
        attempt: which.
    """

    worker: str
    attempt: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone; the runner starts another one in its place, under another name.

    Attributes:
        worker: which.
        why: "killed" where its machine lives on, or "node".
        message: how, for people.
    """

    worker: str
    why: Literal["killed", "node"]
    message: str


Event = Ready | Progress | Staged | Failed | Stopped | Lost
"""What a runner reports."""

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Ready, Progress, Staged, Failed, Stopped, Lost)}


def message_of(event: Event) -> dict[str, Any]:
    """An event for JSON."""
    return {"event": type(event).__name__, **asdict(event)}


def event_of(message: dict[str, Any]) -> Event:
    """The event that `message_of` made a message of."""
    values = dict(message)
    kind = _KINDS[values.pop("event")]
    if "log" in values:
        values["log"] = tuple(values["log"])
    event: Event = kind(**values)
    return event


class Runner(Protocol):
    """Has workers. All methods are called by one thread.

    A runner gives a video to the worker that it is told, reports what happens, and replaces workers that are lost. It
    never gives out a video a second time: who does that is the driver.
    """

    def start(self, settings: Settings) -> None:
        """Start the workers; each says `Ready` when it is.

        Raises:
            MaskferryError: there will be none.
        """
        ...

    def submit(self, worker: str, task: Task) -> None:
        """Give a worker that is free a video. Where it has just been lost, `Lost` says so."""
        ...

    def wait(self, timeout: float) -> list[Event]:
        """What has happened since the last call, in order; at the latest after ``timeout`` seconds, then nothing."""
        ...

    def stop(self, worker: str, attempt: str) -> None:
        """Ask a worker to stop an attempt after its frame, and to save what it has."""
        ...

    def kill(self, worker: str) -> None:
        """End a worker at once; `Lost` follows, and another one in its place."""
        ...

    def close(self) -> None:
        """End all workers at once. It may be called before `start`, and twice."""
        ...
