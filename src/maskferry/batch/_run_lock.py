"""One driver at a time in OUT: a lock that other machines see, too. It is a file with a heartbeat."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from typing import Any

from maskferry.batch._stores import Store
from maskferry.errors import RunningElsewhereError

__all__ = ["BEAT", "STALE", "RunLock"]

KEY = ".batch/lock"

BEAT = 15.0
"""Seconds between two heartbeats."""

STALE = 60.0
"""Seconds without one after which a driver is taken for dead. Clocks of machines must agree better than that."""


class RunLock:
    """The right to commit to OUT."""

    def __init__(self, store: Store) -> None:
        self._store, self._token = store, secrets.token_hex(8)
        self._beaten = 0.0

    def acquire(self, *, take_over: bool) -> None:
        """Take the lock.

        Args:
            take_over: also from a driver whose heart beats.

        Raises:
            RunningElsewhereError: another driver has it.
            OutputError: it cannot be written.
        """
        if self._store.create(KEY, self._text()):
            return
        holder = self._holder()
        if holder is not None and not take_over and not _is_dead(holder):
            raise RunningElsewhereError(
                f"{self._store.place} is being worked on by process {holder.get('pid')} on {holder.get('host')}: wait "
                "for its end, stop it, or take over from it with --take-over",
                host=holder.get("host"),
                pid=holder.get("pid"),
                what="a batch",
            )
        self._store.write(KEY, self._text())
        self.check()

    def beat(self) -> None:
        """Show that this driver lives, from time to time.

        Raises:
            RunningElsewhereError: another driver has taken over.
        """
        if time.monotonic() - self._beaten >= BEAT:
            self.check()
            self._store.write(KEY, self._text())

    def check(self) -> None:
        """Refuse to go on where another driver has taken over.

        Raises:
            RunningElsewhereError: it has.
        """
        holder = self._holder()
        if holder is None or holder.get("token") != self._token:
            raise RunningElsewhereError(f"another driver has taken {self._store.place} over: this one ends")

    def release(self) -> None:
        """Give the lock back, where it is still this driver's."""
        holder = self._holder()
        if holder is not None and holder.get("token") == self._token:
            self._store.delete(KEY)

    def _text(self) -> bytes:
        self._beaten = time.monotonic()
        holder = {"maskferry": "batch", "host": socket.gethostname(), "pid": os.getpid(), "time": time.time()}
        return json.dumps(holder | {"token": self._token}).encode()

    def _holder(self) -> dict[str, Any] | None:
        return holder_of(self._store)


def holder_of(store: Store) -> dict[str, Any] | None:
    """Who holds the lock of OUT; None where nobody does."""
    text = store.read(KEY)
    try:
        found = json.loads(text or b"null")
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else None


def _is_dead(holder: dict[str, Any]) -> bool:
    """Whether a driver has ended without giving its lock back."""
    if holder.get("host") == socket.gethostname() and isinstance(holder.get("pid"), int):
        return not _is_alive(holder["pid"])
    beaten = holder.get("time")
    return not isinstance(beaten, int | float) or time.time() - beaten > STALE


def _is_alive(pid: int) -> bool:
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
