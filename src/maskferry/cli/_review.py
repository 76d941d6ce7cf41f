"""``maskferry review``: what may be wrong with tracks, object by object, and a picture of the worst moments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _progress as progress
from maskferry.errors import InputError

if TYPE_CHECKING:
    from maskferry.tracks import Tracks
    from maskferry.tracks.review import ObjectSummary

__all__ = ["EXAMPLES", "review"]

EXAMPLES = options.verbatim("""Examples:
  What was seen of each object, and a picture of the moments to look at:
    maskferry review out -o worst.png

  Track everything back as well, and say where it does not agree:
    maskferry review out --check

  For a program:
    maskferry review out --json
""")


def review(  # noqa: PLR0913
    tracks: options.TracksPath,
    video: options.TrackedVideo = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.png", help="Write a picture of the worst moments.", show_default=False
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="First track every object back, from where it is seen last to its given mask, and compare. What is "
            "found is kept for the next review.",
        ),
    ] = False,
    engine: options.Engine = "auto",
    device: options.Device = None,
    checkpoint: options.Checkpoint = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="How many moments it shows at most.")] = 12,
    palette: options.PaletteOption = options.Palette.default,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Say where tracks may be wrong.

    For each object: on how many frames it is seen, where it is lost, its mean score, how much the engine's model saw
    of its given masks (fidelity, an IoU; low for what is too small for the model), and the moments to look at: it
    leaps, its area or its colours change at once, it may have changed places with another, it is lost, its score falls
    low, the engine sees a given mask differently, it is not found again on the way back (with --check).
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    chosen = options.engine_options(device, checkpoint, None)
    if not check and (engine != "auto" or chosen):
        raise InputError("an engine is only needed to track back: give --check")
    from maskferry.files import check_output
    from maskferry.outputs import open_tracks
    from maskferry.rendering import reads_of, render_moments
    from maskferry.tracks.review import worst_moments

    with open_tracks(tracks) as found:
        if out is not None:
            check_output(out, reads=reads_of(found, video), overwrite=overwrite)
        console.warn_unfinished(found)
        if check:
            _check(found, video, engine, chosen)
        summaries = _summaries(found, video)
        worst = worst_moments(summaries, count)
        has_picture = out is not None and bool(worst)
        if out is not None and worst:
            render_moments(found, worst, out, video, palette=palette.value, overwrite=overwrite)
    if as_json:
        picture = {"files": {"sheet": str(out)}} if has_picture else {}
        console.show_json({"objects": [s.to_dict() for s in summaries], "worst": [str(m) for m in worst], **picture})
        return
    console.show_table(_table(summaries), numbers=True)
    for moment in worst:
        console.show(str(moment))
    if has_picture:
        console.show(str(out))
    elif out is not None:
        console.say("there is nothing to show: no picture was written")
    console.say(f"to look at it and to correct it: maskferry open {tracks}")


def _check(tracks: Tracks, video: str | None, engine: str, chosen: dict[str, str | bool]) -> None:
    """Track back, compare, and keep what was found."""
    from maskferry.engines.registry import load_engine
    from maskferry.rendering import source_of
    from maskferry.way_back import check_way_back

    with source_of(tracks, video) as source, progress.bar("Tracking back") as update:
        check_way_back(tracks, source, load_engine(engine, **chosen), callback=update)


def _summaries(tracks: Tracks, video: str | None) -> list[ObjectSummary]:
    """With the video where it is known: the one that was named here, or else the one that the tracks name."""
    from maskferry.rendering import source_of
    from maskferry.tracks.review import summarize

    if video is None and tracks.video.path is None:
        console.say("these tracks do not name their video: changes of appearance and swaps are left out")
        return summarize(tracks)
    with source_of(tracks, video) as source, progress.bar("Looking through the video"):
        return summarize(tracks, source)


def _table(summaries: list[ObjectSummary]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("object", "frames", "seen", "lost", "occluded", "score", "fidelity", "moments")]
    for s in summaries:
        name = f"{s.object_id} {s.label}" if s.label else str(s.object_id)
        fidelity = "-" if s.fidelity is None else f"{s.fidelity:.2f}"
        values: list[Any] = [s.frames, s.seen, len(s.lost_spans), s.occluded, f"{s.mean_score:.2f}", fidelity]
        rows.append((name, *map(str, values), str(len(s.moments))))
    return rows
