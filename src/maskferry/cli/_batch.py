"""``maskferry batch``: many videos, on many workers."""

from __future__ import annotations

import io
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskferry.cli import _completion as completion
from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _progress as progress
from maskferry.cli._track import parse_kinds
from maskferry.errors import InputError

if TYPE_CHECKING:
    from maskferry.batch import BatchOptions, BatchWatch, Outcome, Runner, Running

__all__ = ["EXAMPLES", "batch"]

log = logging.getLogger(__name__)

EXAMPLES = options.verbatim("""Examples:
  A folder of videos, each with its masks beside it, a.mp4 and a.png:
    maskferry batch films/ -o out

  The masks lie elsewhere:
    maskferry batch 'films/*.mp4' --masks-like '../masks/{stem}.png' -o out

  A list of videos, four at a time:
    maskferry batch videos.jsonl -o out --workers 4

  What would be done, and whether every row of the list can be taken:
    maskferry batch videos.jsonl -o out --dry-run

  How far it is, from another terminal; whether all files are whole:
    maskferry batch -o out --status
    maskferry batch -o out --verify

A line of videos.jsonl; only video and masks are needed:
  {"id": "a", "video": "a.mp4", "masks": [{"frame": 0, "path": "a.png"}]}

Each video's results lie in OUT/ID, as `maskferry track` writes them; what
became of each is in OUT/report.csv and OUT/report.html. Stopped, or killed?
The same command goes on.

Exit codes: 0 all done; 1 some failed or are damaged, or it was stopped by a
full disk; 2 wrong input, nothing was begun; 130 stopped by Ctrl-C.
""")


def batch(  # noqa: PLR0913
    manifest: Annotated[
        str | None,
        typer.Argument(
            metavar="MANIFEST|FOLDER|GLOB",
            help="A list of videos (.jsonl, .csv, .parquet), a folder of videos, or a pattern such as 'films/*.mp4'.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="OUT", help="Folder for the results, or an s3:// or gs:// URL.", show_default=False
        ),
    ] = None,
    masks_like: Annotated[
        str | None,
        typer.Option(
            "--masks-like",
            metavar="PATTERN",
            show_default=False,
            help="Where the masks of a video are, from its folder; {stem} stands for its name.  [default: one of "
            "{stem}.png, {stem}/ and {stem}.json]",
        ),
    ] = None,
    engine: options.Engine = "auto",
    device: options.Device = None,
    checkpoint: options.Checkpoint = None,
    direction: Annotated[
        options.Direction, typer.Option("--direction", help="Where to track from the given masks.")
    ] = options.Direction.both,
    text: options.Text = [],  # noqa: B006
    detector: Annotated[
        str | None,
        typer.Option(
            "--detector",
            metavar="MODULE:NAME",
            show_default=False,
            help="A Python function that takes a frame, RGB uint8 (H, W, 3), and returns its objects.",
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            metavar="N",
            min=1,
            show_default=False,
            help="Look for --text, or with --detector, on every n-th frame.",
        ),
    ] = None,
    write: Annotated[
        list[str],
        typer.Option(
            "--write",
            metavar="KINDS",
            help="What to make of the tracks of each video, as `maskferry track --help` lists it, or none.",
            autocompletion=completion.complete_kinds,
        ),
    ] = ["davis,csv,film"],  # noqa: B006
    overlap: options.OverlapOption = options.Overlap.smallest,
    palette: options.PaletteOption = options.Palette.default,
    review: Annotated[
        bool,
        typer.Option("--review", help="Look through each video, too, for moments to show in the report; takes longer."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            show_default=False,
            help="Videos at a time.  [default: one for every two CPUs; with --ray as many as the cluster has room for]",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="ADDRESS",
            show_default=False,
            help="Work on a Ray cluster: HOST:PORT of its head, or auto inside of it. OUT must be a folder that all "
            "its machines share, or a URL.",
        ),
    ] = None,
    cpus: Annotated[float, typer.Option("--cpus", metavar="N", min=0, help="With --ray: CPUs of each worker.")] = 1,
    gpus: Annotated[
        float,
        typer.Option("--gpus", metavar="N", min=0, help="With --ray: GPUs of each worker; 0.5: two share one."),
    ] = 0,
    memory: Annotated[
        float | None,
        typer.Option("--memory", metavar="GB", show_default=False, help="With --ray: memory that a worker claims."),
    ] = None,
    runtime_env: Annotated[
        Path | None,
        typer.Option(
            "--runtime-env", metavar="FILE", show_default=False, help="With --ray: its runtime environment, as JSON."
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option("--retries", metavar="N", min=0, help="Tries more after faults of the network.")
    ] = 3,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try videos again that an earlier run has given up.")
    ] = False,
    stall: Annotated[
        float, typer.Option("--stall", metavar="SECONDS", help="Without progress for so long, a worker is stuck.")
    ] = 600,
    save_every: Annotated[
        float,
        typer.Option(
            "--save-every", metavar="SECONDS", help="Save what an attempt has come to, so that another goes on."
        ),
    ] = 60,
    scratch: Annotated[
        str | None,
        typer.Option(
            "--scratch",
            metavar="DIR",
            show_default=False,
            help="Folder on the workers' own disks.  [default: the system's temporary one]",
        ),
    ] = None,
    scratch_limit: Annotated[
        float | None,
        typer.Option(
            "--scratch-limit", metavar="GB", min=0, show_default=False, help="What one worker may use of it at most."
        ),
    ] = None,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take OUT over from another driver that seems to be at work.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results of other inputs, or made with other options.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what would be done, and end.")
    ] = False,
    status: Annotated[bool, typer.Option("--status", help="Say how far the run in OUT is, and end.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare every file in OUT with what was committed, and end.")
    ] = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Track many videos, several at a time; what fails is tried again, and no video stops the others.

    Every row is checked before the first video is begun. The results of a video appear when they are whole.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    if out is None:
        raise InputError("where to? give the folder for the results with -o")
    if status or verify:
        if manifest is not None or (status and verify):
            raise InputError("--status and --verify look at OUT alone: leave the manifest out, and give one of them")
        (_show_status if status else _verify)(out, as_json=as_json)
        return
    if manifest is None:
        raise InputError("what is to be tracked? give a manifest, a folder of videos, or a pattern")
    from maskferry.batch import BatchOptions

    runner = _runner(workers, ray, cpus, gpus, memory, runtime_env)
    wanted = BatchOptions(
        engine=engine,
        engine_options=options.engine_options(device, checkpoint, None),
        direction=direction.value,
        kinds=parse_kinds(write),
        overlap=overlap.value,
        palette=palette.value,
        detector=detector,
        text=tuple(text),
        every=every,
        review=review,
        retries=retries,
        stall=stall,
        save_every=save_every,
        scratch=scratch,
        scratch_limit=None if scratch_limit is None else int(scratch_limit * 1e9),
        retry_failed=retry_failed,
        overwrite=overwrite,
        take_over=take_over,
    )
    _run(manifest, out, wanted, masks_like, runner, dry_run=dry_run, as_json=as_json)


def _runner(
    workers: int | None, ray: str | None, cpus: float, gpus: float, memory: float | None, runtime_env: Path | None
) -> Runner:
    """What has the workers.

    Raises:
        InputError: options of Ray without it.
        MissingExtraError: Ray is not installed.
    """
    from maskferry.batch import LocalRunner, RayRunner

    if ray is None:
        if (cpus, gpus, memory, runtime_env) != (1, 0, None, None):
            raise InputError("--cpus, --gpus, --memory and --runtime-env are for a cluster: give --ray")
        return LocalRunner(workers)
    return RayRunner(ray, workers, cpus=cpus, gpus=gpus, memory=memory, runtime_env=runtime_env)


def _run(
    manifest: str,
    out: str,
    wanted: BatchOptions,
    masks_like: str | None,
    runner: Runner,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    from maskferry.batch import drive, plan, write_report

    made = plan(manifest, out, wanted, masks_like=masks_like)
    try:
        found = made.to_dict()
        for fault in made.faults:
            console.fail(str(fault))
        if made.fault_count:
            rows = f"{made.fault_count} row{'s' * (made.fault_count != 1)}"
            raise InputError(f"{made.manifest.place}: {rows} cannot be taken; nothing was begun")
        if dry_run:
            _show_plan(found, as_json=as_json)
            return
        _say_plan(found)
        with _watching() as watch, progress.stoppable() as stopped, _as_ctrl_c(), redirect_stdout(_Prints()):
            outcome = drive(made, runner, watch=watch, cancelled=stopped)
        write_report(made)
    finally:
        made.close()
    _tell(outcome, out, as_json=as_json)


def _show_plan(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.show_json(found)
        return
    console.show(f"{found['videos']} videos: {found['to_do']} to track with {found['engine']}, {found['done']} done")
    for name, words in (("to_extend", "to write more of"), ("damaged", "damaged"), ("failed", "failed before")):
        if found[name]:
            console.show(f"{found[name]} {words}")
    unknown = f", and {found['of_unknown_length']} videos of unknown length" if found["of_unknown_length"] else ""
    console.show(f"{found['frames']} frames{unknown}; at 25 frames/s, {found['frames'] / 90000:.1f} hours of video")
    for name, frames in found["longest"]:
        console.show(f"{frames:>10} frames  {name}")


def _say_plan(found: dict[str, Any]) -> None:
    done = found["done"] + found["damaged"]
    before = f", {done} are done" if done else ""
    failed = f", {found['failed']} have failed before (--retry-failed)" if found["failed"] else ""
    to_do = found["to_do"] + found["to_extend"]
    console.say(f"{to_do} of {found['videos']} videos to track with {found['engine']}{before}{failed}")


def _tell(outcome: Outcome, out: str, *, as_json: bool) -> None:
    """Say what has become of it, and end with the exit code.

    Raises:
        StoppedError: somebody pressed Ctrl-C.
        Exit: something failed.
    """
    counts = outcome.counts
    if as_json:
        console.show_json(
            {"counts": counts, "attempts": outcome.attempts, "seconds": outcome.seconds, "stopped": outcome.why}
        )
    else:
        console.show(", ".join(f"{counts[name]} {name}" for name in ("done", "damaged", "failed", "pending")))
        console.show(f"report       {Path(out) / 'report.html' if '://' not in out else f'{out}/report.html'}")
    if outcome.stopped:
        raise console.StoppedError(f"what was done is kept in {out}; the same command goes on")
    if outcome.why is not None:
        console.fail(outcome.why, kind="stopped")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _show_status(out: str, *, as_json: bool) -> None:
    from maskferry.batch import status

    found = status(out)
    if as_json:
        console.show_json(found)
        return
    console.show(", ".join(f"{found[name]} {name}" for name in ("done", "damaged", "failed", "pending")))
    driver = found["driver"]
    console.show("nobody works on it" if driver is None else f"process {driver['pid']} on {driver['host']} works on it")
    for name, why in found["failures"].items():
        console.show(f"{name}: {why}")


def _verify(out: str, *, as_json: bool) -> None:
    from maskferry.batch import verify

    wrong: dict[str, list[str]] = {}
    count = 0
    with progress.bar("Comparing files") as update:
        for name, problems in verify(out):
            count += 1
            update(count, None)
            if problems:
                wrong[name] = problems
                for problem in problems if not as_json else ():
                    console.show(f"{name}: {problem}")
    if as_json:
        console.show_json({"videos": count, "wrong": wrong})
    else:
        console.show(f"{count - len(wrong)} of {count} videos are what was committed")
    if wrong:
        raise typer.Exit(1)


# --- progress ---------------------------------------------------------------------------------------------------------


class _Lines:
    """Watches a run: a line of JSON on stderr for each video that ends, where stderr is no terminal."""

    def finished(self, video: str, state: str, detail: dict[str, Any]) -> None:
        """As `BatchWatch.finished`."""
        line: dict[str, Any] = {"video": video, "state": state, "attempts": detail.get("attempts")}
        if state == "failed":
            line |= {"cause": detail["cause"], "message": detail["message"]}
        console.say(json.dumps(line))

    def moved(self, counts: dict[str, int], running: list[Running]) -> None:
        """As `BatchWatch.moved`."""

    def say(self, text: str) -> None:
        """As `BatchWatch.say`."""
        console.say(json.dumps({"note": text}))


class _Table(_Lines):
    """Watches a run on a terminal: counts, and a line for each video that is tracked."""

    def __init__(self, live: Any) -> None:  # noqa: ANN401
        self._live = live
        self._began: float | None = None

    def finished(self, video: str, state: str, detail: dict[str, Any]) -> None:
        """As `BatchWatch.finished`."""
        if state != "done":
            text = detail.get("message") or detail.get("stopped_at") or ""
            self._live.console.print(console.one_line(f"{video} {state}: {text}"), markup=False, highlight=False)

    def moved(self, counts: dict[str, int], running: list[Running]) -> None:
        """As `BatchWatch.moved`."""
        from rich.table import Table

        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        order = ("done", "running", "pending", "damaged", "failed")
        table.add_row(", ".join(f"{counts[name]} {name}" for name in order if counts[name] or name == "done"))
        for one in running:
            total = "" if one.total is None else f"/{one.total}"
            pace = f"{one.done / one.seconds:.1f}/s" if one.seconds > 1 else ""
            table.add_row(console.one_line(one.id), f"{one.done}{total}", pace)
        self._live.update(table)

    def say(self, text: str) -> None:
        """As `BatchWatch.say`."""
        self._live.console.print(console.one_line(text), markup=False, highlight=False)


@contextmanager
def _as_ctrl_c() -> Iterator[None]:
    """SIGTERM, by which clusters stop jobs, is taken for Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Prints(io.TextIOBase):
    """What libraries print while the workers work (Ray does): into the log, shown with -v."""

    def write(self, text: str) -> int:
        """As of a file."""
        for line in text.splitlines():
            if line.strip():
                log.info("%s", line)
        return len(text)


@contextmanager
def _watching() -> Iterator[BatchWatch]:
    if console.is_quiet() or not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), transient=True, refresh_per_second=4) as live:
        yield _Table(live)
