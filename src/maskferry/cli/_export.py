"""``maskferry export``: tracks as files that other programs read."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from maskferry.cli import _completion as completion
from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _progress as progress
from maskferry.errors import InputError
from maskferry.formats.registry import format_spec

__all__ = ["EXAMPLES", "export"]

EXAMPLES = options.verbatim("""Examples:
  A picture for each frame, in which value n is object n:
    maskferry export out --format davis -o masks

  The same as TIFF with 16 bits a pixel, named as the source's frames are:
    maskferry export out --format davis --img-ext tif --dtype uint16 \\
        --names source -o masks

  One JSON file with all masks:
    maskferry export out --format youtube-vis -o tracks.json

  Polygon tracks for CVAT, and the objects cut out of their frames:
    maskferry export out --format cvat -o tracks.xml
    maskferry export out --format cutouts -o cutouts
""")


class Names(StrEnum):
    """Of label maps, see `outputs.save_label_maps`."""

    by_index = "index"
    by_source = "source"


class Suffix(StrEnum):
    """Of label maps."""

    png = "png"
    tif = "tif"


class Depth(StrEnum):
    """Of label maps."""

    uint8 = "uint8"
    uint16 = "uint16"


def export(  # noqa: PLR0913
    tracks: options.TracksPath,
    *,
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            show_default=False,
            help=options.help_of_formats(),
            autocompletion=completion.complete_formats,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="The folder or file to write.", show_default=False)
    ],
    video: Annotated[
        str | None,
        typer.Option(
            "--video",
            metavar="VIDEO",
            help=f"For {options.formats_with_pictures()}: the video that was tracked.  [default: where it was then]",
            show_default=False,
        ),
    ] = None,
    overlap: options.OverlapOption = options.Overlap.smallest,
    names: Annotated[
        Names, typer.Option("--names", help="For davis: name pictures by the frame's number, or as the source does.")
    ] = Names.by_index,
    img_ext: Annotated[Suffix, typer.Option("--img-ext", help="For davis: the kind of picture.")] = Suffix.png,
    dtype: Annotated[
        Depth | None,
        typer.Option(
            "--dtype", show_default=False, help="For davis: bits of a pixel.  [default: 8, or 16 where ids need it]"
        ),
    ] = None,
    first_frame: Annotated[
        int | None,
        typer.Option(
            "--first-frame",
            metavar="N",
            min=0,
            show_default=False,
            help="For mots, mots-png: the number of the first frame, 1 for MOTSChallenge.  [default: 0, as KITTI MOTS]",
        ),
    ] = None,
    compress: Annotated[
        bool | None,
        typer.Option(
            "--compress/--no-compress",
            show_default=False,
            help="For youtube-vis: masks as compressed texts, or as lists of run lengths, as TrackEval takes a truth.  "
            "[default: compress]",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Write tracks as files that other programs read."""
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    changed = [
        name
        for name, is_changed in (
            ("--overlap", overlap is not options.Overlap.smallest),
            ("--names", names is not Names.by_index),
            ("--img-ext", img_ext is not Suffix.png),
            ("--dtype", dtype is not None),
        )
        if is_changed
    ]
    spec = format_spec(kind)
    if changed and kind != "davis":
        raise InputError(f"{', '.join(changed)}: only for --format davis, not for {kind}")
    more = {name: value for name, value in (("first_frame", first_frame), ("compress", compress)) if value is not None}
    for name in more:
        if name not in spec.accepts:
            flag = "--first-frame" if name == "first_frame" else "--no-compress" if not compress else "--compress"
            raise InputError(f"{flag}: only for --format {options.formats_that_accept(name)}, not for {kind}")
    if video is not None and not spec.needs_pictures:
        raise InputError(f"--video: only for --format {options.formats_with_pictures()}, not for {kind}")
    from maskferry.outputs import WatchedTracks, open_tracks, save_label_maps
    from maskferry.outputs import export as write

    with open_tracks(tracks) as found, progress.bar(f"Writing {out.name}") as update:
        watched = WatchedTracks(found, update)
        if changed:
            files = save_label_maps(
                watched,
                out,
                overlap=overlap.value,
                names=names.value,
                img_ext=img_ext.value,
                dtype=dtype and dtype.value,
                overwrite=overwrite,
            )
        else:
            files = write(watched, out, kind, video=video, overwrite=overwrite, **more)
    if as_json:
        console.show_json({"files": {kind: str(out)}, "written": len(files)})
    else:
        console.show(str(out))
