"""Progress bars, on stderr where that is a terminal; and stopping with Ctrl-C between two frames."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from maskferry.cli import _console as console
from maskferry.outputs import Update

__all__ = ["bar", "stoppable"]


@contextmanager
def bar(label: str) -> Iterator[Update]:
    """Show how far something is, at which rate, and how long it will take. Silent where nobody looks.

    Args:
        label: what is done.

    Yields:
        `Update`; without a call of it, the bar says that something goes on.
    """
    if console.is_quiet() or not sys.stderr.isatty():
        yield lambda done, total, label=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(console.one_line(label), total=None, rate="")
        started = time.monotonic()

        def update(done: int, total: int | None, label: str | None = None) -> None:
            rate = done / max(time.monotonic() - started, 1e-6)
            shown = None if label is None else console.one_line(label)
            progress.update(task, completed=done, total=total, description=shown, rate=f"{rate:.1f}/s")

        yield update


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Make the first Ctrl-C a wish to stop, and the second one a command.

    Yields:
        Whether Ctrl-C was pressed.
    """
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # only there can signals be caught
        yield pressed.is_set
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        pressed.set()
        if not console.is_quiet() and sys.stderr.isatty():
            os.write(2, b"\nstopping after this frame; press Ctrl-C again to stop at once\n")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)
