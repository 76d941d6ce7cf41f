"""``run``: the whole job in one call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maskferry.batch._driver import BatchWatch, Outcome, drive
from maskferry.batch._local import LocalRunner
from maskferry.batch._options import BatchOptions
from maskferry.batch._plan import plan
from maskferry.batch._report import write_report
from maskferry.batch._runner import Runner

__all__ = ["run"]


def run(
    manifest: str | Path,
    out: str | Path,
    options: BatchOptions | None = None,
    *,
    masks_like: str | None = None,
    runner: Runner | None = None,
    watch: BatchWatch | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Track every video of a manifest. The same call goes on with what an earlier one has not done.

    Args:
        manifest: a ``.jsonl``, ``.csv`` or ``.parquet`` file, a folder of videos, or a pattern.
        out: the output folder, a path or a URL of S3 or GCS.
        options: how the run goes.
        masks_like: of a folder or a pattern, where masks are, such as ``"{stem}.png"``.
        runner: what has the workers; by default processes of this machine.
        watch: who is told how far it is.
        cancelled: asked again and again; true stops the run, and attempts save what they have.

    Returns:
        What has become of it. ``OUT/report.csv`` and ``OUT/report.html`` say it of each video.

    Raises:
        InputError: a row or an option is wrong; nothing was begun.
        RunningElsewhereError: another driver works on OUT.
        OutputError: OUT cannot be written to.
    """
    made = plan(manifest, out, options, masks_like=masks_like)
    try:
        made.require_sound()
        outcome = drive(made, runner or LocalRunner(), watch=watch, cancelled=cancelled)
        write_report(made)
        return outcome
    finally:
        made.close()
