"""What is printed, as samgeo prints: nothing else in this package does."""

from __future__ import annotations

import time

from maskferry.run import Progress

__all__ = ["ProgressMessages", "explain_unused", "say"]

SECONDS_BETWEEN = 10.0
"""Between two lines about a run that is not finished."""


def say(text: str) -> None:
    """Print a line, at once."""
    print(text, flush=True)  # noqa: T201


def explain_unused(**unused: str | None) -> None:
    """Print which arguments have no meaning here, and why.

    Args:
        unused: {argument: why}; None where it was not given.
    """
    for name, why in unused.items():
        if why is not None:
            say(f"{name} is not used here: {why}.")


class ProgressMessages:
    """A callback of `MaskTracker.propagate`: prints a line now and then; none in a short run."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """Print where the run is, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN:
            self._last = now
            total = f" of {progress.total}" if progress.total else ""
            say(f"Tracking: step {progress.done}{total}, frame {progress.frame} ...")
