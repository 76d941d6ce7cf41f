"""What `track` and `demo` have in common: a whole run, watched on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from maskferry.cli import _console as console
from maskferry.cli import _progress as progress
from maskferry.errors import SourceError
from maskferry.outputs import Update
from maskferry.whole_run import Request, carry_out

__all__ = ["run_and_tell"]


class _Terminal:
    """Watches a run: bars and messages on stderr, Ctrl-C to stop."""

    def bar(self, label: str) -> AbstractContextManager[Update]:
        """A progress bar."""
        return progress.bar(label)

    def say(self, text: str) -> None:
        """A line, unless quiet."""
        console.say(text)

    def stoppable(self) -> AbstractContextManager[Callable[[], bool]]:
        """Until Ctrl-C."""
        return progress.stoppable()


def run_and_tell(request: Request, *, as_json: bool) -> None:
    """Track, write, and say what was done.

    Raises:
        StoppedError: somebody pressed Ctrl-C.
        MaskferryError: see `carry_out`.
    """
    try:
        report = carry_out(request, _Terminal())
    except KeyboardInterrupt:
        again = "the command again without --overwrite" if request.overwrite else "the same command again"
        raise console.StoppedError(
            f"finished frames are kept in {request.outputs.folder}; run {again} to resume"
        ) from None
    _tell(report, as_json=as_json)


def _tell(report: dict[str, Any], *, as_json: bool) -> None:
    """Say what was done, where the results are, and last, whether the video was damaged.

    Raises:
        SourceError: it was.
    """
    objects, pace = report["objects"], f" at {report['fps']:g} frames/s" if report["fps"] else ""
    console.say(
        f"{len(objects)} object{'s' * (len(objects) != 1)} on {report['frames']} frames of {report['video']}, "
        f"engine {report['engine']}{pace}"
    )
    for row in objects:
        if row["lost"]:
            name = f" ({row['label']})" if row["label"] else ""
            console.say(f"object {row['id']}{name} is out of sight on {row['lost']} of {row['frames']} frames")
    if as_json:
        console.show_json(report)
    else:
        for kind, path in report["files"].items():
            console.show(f"{kind:<12} {path}")
    if report["stopped_at"]:
        raise SourceError(f"{report['video']} is damaged: tracking {report['stopped_at']}. What came before is written")
