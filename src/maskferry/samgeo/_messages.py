"""The one place of this face that prints."""

from __future__ import annotations

import time

from maskferry.run._runner import Progress

__all__ = ["SlowRun", "explain", "say"]

EVERY = 10.0  # seconds between two lines


def say(text: str) -> None:
    """Print a line, at once."""
    print(text, flush=True)  # noqa: T201


def explain(**unused: str | None) -> None:
    """Say which arguments have no meaning here, and why.

    Args:
        unused: {argument: why}; None where it was not given.
    """
    for name, why in unused.items():
        if why is not None:
            say(f"{name} is not used here: {why}.")


class SlowRun:
    """A line now and then while a run goes on; none in a short one."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Take note of a finished step."""
        now = time.monotonic()
        if now - self._last >= EVERY:
            self._last = now
            total = f" of {progress.total}" if progress.total else ""
            say(f"Tracking: step {progress.done}{total}, frame {progress.frame} ...")
