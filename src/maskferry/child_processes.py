"""Processes that are spoken to in lines of JSON: both ends of the pipes."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import IO, Any

from maskferry.errors import MaskferryError, OutdatedError, RunningElsewhereError, SourceError

__all__ = ["Child", "Message", "describe", "own_pipes", "read_lines"]

Message = dict[str, Any]

KEPT_LINES = 20
"""Lines of a process's messages that are kept, to say why it died."""


class Child:
    """A process of this package, running.

    Attributes:
        process: the process.
    """

    def __init__(self, module: str, heard: Callable[[Message], None], ended: Callable[[str], None]) -> None:
        """Start it.

        Args:
            module: which is run.
            heard: takes what it says, in a thread.
            ended: called once, in a thread, when it has ended: how, for people.
        """
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._heard, self._ended = heard, ended
        self._lock = threading.Lock()
        self._said: deque[str] = deque(maxlen=KEPT_LINES)
        errors = threading.Thread(target=self._keep_errors, daemon=True)
        errors.start()
        self._reader = threading.Thread(target=self._read, args=(errors,), daemon=True)
        self._reader.start()

    def say(self, message: Message) -> bool:
        """Send it a message; false where it has gone."""
        with self._lock:
            try:
                _pipe(self.process.stdin).write(json.dumps(message).encode() + b"\n")
                _pipe(self.process.stdin).flush()
            except (OSError, ValueError):
                return False
        return True

    def close(self, patience: float = 0) -> None:
        """Close its input, wait for it, and end it where it does not end by itself."""
        with self._lock, suppress(OSError, ValueError):
            _pipe(self.process.stdin).close()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join()

    def _read(self, errors: threading.Thread) -> None:
        with _pipe(self.process.stdout) as lines:
            for line in lines:
                with suppress(ValueError):
                    self._heard(json.loads(line))
        errors.join()
        code = self.process.wait()
        with self._lock, suppress(OSError, ValueError):
            _pipe(self.process.stdin).close()
        self._ended(_how(code, self._said))

    def _keep_errors(self) -> None:
        with _pipe(self.process.stderr) as lines:
            for line in lines:
                self._said.append(line.decode(errors="replace").rstrip())


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise ValueError("the process has no such pipe")
    return pipe


def _how(code: int, said: deque[str]) -> str:
    """How a process ended, for people."""
    if code < 0:
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
    last = next((line for line in reversed(said) if line.strip()), "")
    return f"it ended with code {code}" + (f": {last[:300]}" if last else "")


# --- in the process itself --------------------------------------------------------------------------------------------


def own_pipes() -> tuple[IO[bytes], Callable[[Message], None]]:
    """(what this process is told, what it says with). Ctrl-C is left to the server, and prints of libraries go to
    stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    lock = threading.Lock()

    def tell(message: Message) -> None:
        with lock, suppress(OSError):  # nobody listens any more: stdin says so, too
            out.write(json.dumps(message).encode() + b"\n")

    return sys.stdin.buffer, tell


def read_lines(lines: IO[bytes]) -> queue.SimpleQueue[Message | None]:
    """Messages as they come; None when there are no more."""
    found: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def read() -> None:
        for message in _messages(lines):
            found.put(message)
        found.put(None)

    threading.Thread(target=read, daemon=True).start()
    return found


def _messages(lines: IO[bytes]) -> Iterator[Message]:
    for line in lines:
        yield json.loads(line)


def describe(err: BaseException) -> Message:
    """An error as a message: its kind, its text, and what it holds besides."""
    kind = type(err).__name__ if isinstance(err, MaskferryError) else "UnexpectedError"
    text = str(err) if isinstance(err, MaskferryError) else f"{type(err).__name__}: {err}"
    found: Message = {"kind": kind, "message": text}
    if isinstance(err, OutdatedError):
        found |= {"revision": err.revision, "objects": list(err.objects)}
    if isinstance(err, RunningElsewhereError):
        found |= {"pid": err.pid}
    if isinstance(err, SourceError):
        found |= {"frame": err.frame}
    return found
