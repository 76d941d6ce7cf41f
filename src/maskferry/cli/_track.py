"""``maskferry track``: from a video and masks to tracks, and to files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from maskferry.cli import _completion as completion
from maskferry.cli import _options as options
from maskferry.cli import _series_options as series
from maskferry.cli._console import set_verbosity
from maskferry.errors import InputError
from maskferry.formats.registry import require_installed
from maskferry.outputs import RENDERINGS, known_kinds

__all__ = ["EXAMPLES", "track"]

EXAMPLES = options.verbatim("""Examples:
  One picture, in which pixels of value 1 are object 1, of value 2 object 2:
    maskferry track clip.mp4 --masks first.png -o out

  The mask belongs to frame 120; track from there to both ends:
    maskferry track clip.mp4 --masks car.png --frame 120 -o out

  A second mask of the same object, further on, to keep it on track:
    maskferry track clip.mp4 --masks 0=car.png --masks 400=again.png -o out

  Everything that words name, whenever it enters, each find under an id:
    maskferry track clip.mp4 --text car --text person --engine sam3 -o out

  Lakes on a series of GeoTIFFs, from their outlines on the first date:
    maskferry track scenes/ --masks 2020-01-21=lakes.gpkg --bands 4,3,2 \\
        --write geotiff,gpkg,areas,film -o out

  A folder with a black and white picture for each object:
    maskferry track clip.mp4 --masks objects/ --write csv,masks -o out

Results are saved frame by frame in OUT/tracks.sqlite. Stopped by Ctrl-C, or
killed? The same command resumes the run. From the finished tracks,
`maskferry render` and `maskferry export` make more films and files.
""")


def track(  # noqa: PLR0913
    video: Annotated[
        str,
        typer.Argument(
            metavar="VIDEO",
            help="A video file, a folder of pictures, a file of several, a URL, or a series of GeoTIFFs: a folder or a "
            "pattern.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for the results.", show_default=False)
    ],
    masks: Annotated[
        list[str],
        typer.Option(
            "--masks",
            metavar="[FRAME=]PATH",
            show_default=False,
            help="Masks to start from: a picture in which each value or colour is an object; a folder with a picture "
            "for each frame or for each object; a file of COCO, YouTube-VIS, LabelMe, Datumaro (.json), CVAT (.xml), "
            "MOTS or YOLO (.txt), a .zip of one, or one of numpy (.npy, .npz); for GeoTIFFs polygons (.gpkg, .geojson, "
            ".shp, .fgb) or a raster. May be given several times, for several frames: --masks 0=a.png --masks "
            "40=b.png, or --masks 2020-01-21=a.gpkg.",
        ),
    ] = [],  # noqa: B006
    text: options.Text = [],  # noqa: B006
    every: options.Every = None,
    min_score: options.MinScore = None,
    min_new_score: options.MinNewScore = None,
    max_iou: options.MaxIou = None,
    frame: options.MaskFrame = None,
    strict: options.Strict = False,
    first_frame: options.FirstFrame = None,
    id_field: series.IdField = None,
    label_field: series.LabelField = None,
    engine: options.Engine = "auto",
    device: options.Device = None,
    checkpoint: options.Checkpoint = None,
    memory_selection: options.MemorySelection = None,
    direction: Annotated[
        options.Direction, typer.Option("--direction", help="Where to track from the given masks.")
    ] = options.Direction.both,
    start: Annotated[str, typer.Option("--start", metavar="N|DATE", help="First frame to track.")] = "0",
    stop: Annotated[
        str | None,
        typer.Option("--stop", metavar="N|DATE", help="Frame to end before.  [default: the end]", show_default=False),
    ] = None,
    stride: Annotated[int, typer.Option("--stride", metavar="N", min=1, help="Track every n-th frame only.")] = 1,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            metavar="FPS",
            help="Frames per second, such as 25 or 30000/1001, where the video has none (pictures) or a wrong one.",
        ),
    ] = None,
    stretch: Annotated[
        str,
        typer.Option(
            "--stretch",
            metavar="auto|none|LOW,HIGH",
            help="How samples of more than 8 bits (thermal, microscopy, satellites) are shown, on all frames alike: "
            "auto shows the 2nd percentile as black and the 98th as white, none the whole range; or these two samples; "
            "of GeoTIFFs also LOW,HIGH,percent.",
        ),
    ] = "auto",
    dates: series.Dates = None,
    bands: series.Bands = None,
    nodata: series.Nodata = None,
    grid: series.Grid = None,
    resampling: series.ResamplingOption = None,
    bounds: series.Bounds = None,
    bounds_crs: series.BoundsCrs = None,
    resolution: series.Resolution = None,
    write: Annotated[
        list[str],
        typer.Option(
            "--write",
            metavar="KINDS",
            help=options.help_of_kinds(),
            autocompletion=completion.complete_kinds,
        ),
    ] = ["davis,csv,film"],  # noqa: B006
    overlap: options.OverlapOption = options.Overlap.smallest,
    palette: options.PaletteOption = options.Palette.default,
    audio: options.Audio = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Follow objects through a video, given masks of them, or words that name them.

    The masks may be of any frame, or of several. Words are looked for through the whole video, by an engine that takes
    text. The objects keep their ids on all frames. Where one cannot be seen, it is marked as lost, and found again when
    it returns.
    """
    set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    kinds = parse_kinds(write)
    if audio and "film" not in kinds:
        raise InputError("--audio is for the film: add film to --write")
    if audio and rate is not None:
        raise InputError("--audio with --rate: the sound would not be in step with the picture; leave one of them out")
    if not (masks or text):
        raise InputError("there is nothing to track: give --masks, or words with --text")
    association = options.text_options(text, every, min_score, min_new_score, max_iou)
    from maskferry.cli._running import run_and_tell
    from maskferry.outputs import Outputs
    from maskferry.prompts import GivenFiles
    from maskferry.tracks import ENDLESS, FrameRange
    from maskferry.whole_run import Request

    request = Request(
        video,
        GivenFiles(tuple(masks), series.frame_or_date(frame, "--frame"), strict, first_frame, id_field, label_field),
        Outputs(out, kinds, overlap.value, audio, palette=palette.value),
        engine,
        options.engine_options(device, checkpoint, memory_selection),
        direction.value,
        FrameRange(0, ENDLESS, stride),
        rate,
        overwrite,
        stretch,
        tuple(text),
        association,
        (series.frame_or_date(start, "--start"), series.frame_or_date(stop, "--stop", least=1)),
        series.series_options(dates, bands, nodata, grid, resampling, (bounds, bounds_crs), resolution),
    )
    run_and_tell(request, as_json=as_json)


def parse_kinds(texts: list[str]) -> tuple[str, ...]:
    """What ``--write`` names, each once.

    >>> parse_kinds(["csv,davis", "csv"]), parse_kinds(["none"])
    (('csv', 'davis'), ())
    """
    kinds = list(dict.fromkeys(kind.strip() for text in texts for kind in text.split(",")))
    if kinds == ["none"]:
        return ()
    for kind in kinds:
        if kind not in known_kinds():
            raise InputError(f"--write: expected {', '.join(known_kinds())}, or none alone, got {kind!r}")
        if kind not in RENDERINGS:
            require_installed(kind)
    return tuple(kinds)
