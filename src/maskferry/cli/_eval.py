"""``maskferry eval``: scores of an engine on a data set with known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _progress as progress
from maskferry.errors import InputError
from maskferry.files import COMMENT, check_output, output

__all__ = ["EXAMPLES", "evaluate"]

EXAMPLES = options.verbatim("""Examples:
  The default engine on all sequences of DAVIS:
    maskferry eval --davis DAVIS -o scores.json

  Two sequences only:
    maskferry eval --davis DAVIS --sequences blackswan,dogs-jump --engine flow

  A run of your own against the truth, a label map for each frame:
    maskferry eval --tracks out --truth labels/
""")


def evaluate(  # noqa: PLR0913
    davis: Annotated[
        Path | None,
        typer.Option(
            "--davis",
            metavar="ROOT",
            show_default=False,
            help="Folder of a DAVIS data set, which holds JPEGImages and Annotations.",
        ),
    ] = None,
    tracks: Annotated[
        Path | None,
        typer.Option("--tracks", metavar="TRACKS", show_default=False, help="Or a run of your own, with --truth."),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            metavar="PATH",
            show_default=False,
            help="What --tracks should be: a folder of label maps, or a YouTube-VIS file.",
        ),
    ] = None,
    sequences: Annotated[
        list[str] | None,
        typer.Option(
            "--sequences",
            metavar="NAMES",
            show_default=False,
            help="Which ones, separated by commas or by giving the option several times.  [default: all]",
        ),
    ] = None,
    engine: options.Engine = "auto",
    device: options.Device = None,
    checkpoint: options.Checkpoint = None,
    memory_selection: options.MemorySelection = None,
    resolution: Annotated[
        str, typer.Option("--resolution", metavar="NAME", help="The folder below JPEGImages and Annotations.")
    ] = "480p",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE.json", help="Write the scores there too.", show_default=False),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Measure an engine on DAVIS, videos with known masks, or a run of your own against the truth.

    On DAVIS it is given the masks of each first frame; what it finds on the others is compared. J is how well the areas
    agree, F how well the borders do, J&F the mean of both, all in percent; the mean is over all objects.

    With --tracks and --truth: HOTA, its parts for finding objects (DetA) and keeping their ids (AssA), IDF1, all in
    percent, and the number of id switches. Needs the extra eval.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    if (davis is None) == (tracks is None or truth is None):
        raise InputError("give either --davis, or --tracks and --truth")
    names = [name.strip() for text in sequences for name in text.split(",")] if sequences else None
    if davis is None:
        reads = _reads_of_tracks(tracks or Path(), truth or Path())
    else:
        reads = _reads_of_davis(davis, resolution, names)
    if out is not None:
        check_output(out, reads=reads, overwrite=overwrite)
    if davis is None:
        result = _on_tracks(tracks or Path(), truth or Path())
        table = [tuple(result), tuple(f"{value:g}" for value in result.values())]
    else:
        result = _on_davis(
            davis, names, engine, options.engine_options(device, checkpoint, memory_selection), resolution
        )
        table = _table(result)
    if out is not None:
        with output(out, reads=reads, overwrite=overwrite) as part:
            part.write_text(json.dumps({"comment": COMMENT, **result}, indent=2) + "\n", encoding="utf-8")
        console.say(f"wrote {out}")
    if as_json:
        console.show_json(result)
    else:
        console.show_table(table, numbers=True, total=davis is not None)


def _on_davis(
    root: Path, names: list[str] | None, engine: str, chosen: dict[str, str | bool], resolution: str
) -> dict[str, Any]:
    from maskferry.engines.registry import load_engine
    from maskferry.evaluation import evaluate_davis

    with progress.bar("Tracking") as update:
        return evaluate_davis(
            root,
            sequences=names,
            engine=load_engine(engine, **chosen) if chosen else engine,
            resolution=resolution,
            callback=lambda name, done, total: update(done, total, f"Tracking {name}"),
        ).to_dict()


def _reads_of_davis(root: Path, resolution: str, names: list[str] | None) -> list[Path]:
    """The folders of sequences that are read."""
    parts = [root / kind / resolution for kind in ("JPEGImages", "Annotations")]
    if names is not None:
        return [part / name for part in parts for name in names]
    return [folder for part in parts if part.is_dir() for folder in part.iterdir()]


def _reads_of_tracks(path: Path, truth: Path) -> list[Path]:
    from maskferry.outputs import open_tracks
    from maskferry.rendering import reads_of

    with open_tracks(path) as tracks:
        return [*reads_of(tracks), truth]


def _on_tracks(path: Path, truth: Path) -> dict[str, Any]:
    from maskferry.evaluation import evaluate_tracks
    from maskferry.outputs import open_tracks

    with open_tracks(path) as tracks:
        return evaluate_tracks(tracks, truth).to_dict()


def _table(result: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("sequence", "frames", "J", "F", "J&F", "frames/s")]
    frames = 0
    for name, row in result["sequences"].items():
        frames += row["frames"]
        rows.append((name, str(row["frames"]), *_percents(row), f"{row['fps']:.1f}"))
    return [*rows, (f"mean ({result['engine']})", str(frames), *_percents(result["mean"]), f"{result['fps']:.1f}")]


def _percents(row: dict[str, float]) -> tuple[str, ...]:
    return tuple(f"{row[key]:.1f}" for key in ("j", "f", "jf"))
