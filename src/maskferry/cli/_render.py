"""``maskferry render``: tracks drawn over their video, as a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _progress as progress

__all__ = ["EXAMPLES", "render"]

EXAMPLES = options.verbatim("""Examples:
  A film of a finished run, with the sound of the video:
    maskferry render out -o film.mp4 --audio

  Only outlines, of a video that has moved since:
    maskferry render out moved/clip.mp4 --alpha 0 --no-labels -o lines.mp4
""")


def render(  # noqa: PLR0913
    tracks: options.TracksPath,
    video: options.TrackedVideo = None,
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE.mp4", help="The film to write.", show_default=False)
    ],
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="FPS",
            help="Frames per second, such as 25 or 30000/1001.  [default: every frame at its own time]",
        ),
    ] = None,
    stride: Annotated[
        int, typer.Option("--stride", metavar="N", min=1, help="Show every n-th tracked frame only.")
    ] = 1,
    alpha: Annotated[
        float,
        typer.Option(
            "--alpha", metavar="PART", min=0, max=1, help="How strongly masks are coloured; 1 hides the picture."
        ),
    ] = 0.6,
    outline: Annotated[bool, typer.Option("--outline/--no-outline", help="Draw the borders of masks.")] = True,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Write names, or ids where objects have none.")
    ] = True,
    zoom: Annotated[
        int, typer.Option("--zoom", metavar="N", min=1, help="Enlarge the film of a small video this many times.")
    ] = 1,
    palette: options.PaletteOption = options.Palette.default,
    audio: options.Audio = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Draw tracks over their video and write a film (MP4, H.264)."""
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    from maskferry import rendering
    from maskferry.outputs import WatchedTracks, open_tracks
    from maskferry.sources import parse_rate

    with open_tracks(tracks) as found, progress.bar(f"Writing {out.name}") as update:
        rendering.render(
            WatchedTracks(found, update),
            out,
            video,
            rate=None if rate is None else parse_rate(rate),
            stride=stride,
            alpha=alpha,
            outline=outline,
            labels=labels,
            zoom=zoom,
            palette=palette.value,
            audio=audio,
            overwrite=overwrite,
        )
    if as_json:
        console.show_json({"files": {"film": str(out)}})
    else:
        console.show(str(out))
