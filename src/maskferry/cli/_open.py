"""``maskferry open``: the review page, on tracks that are there or on a video that nothing is known of yet."""

from __future__ import annotations

import signal
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.errors import InputError, RunningElsewhereError

__all__ = ["EXAMPLES", "open_page"]

EXAMPLES = options.verbatim("""Examples:
  Look at what `maskferry track` found, correct it, track only that again:
    maskferry open out

  Paint the first mask of a video:
    maskferry open clip.mp4 -o out

  On a machine that is reached with ssh -L 8765:127.0.0.1:8765 HOST:
    maskferry open out --no-browser
""")

WRONG = 2


def open_page(  # noqa: PLR0913
    tracks: Annotated[
        str,
        typer.Argument(
            metavar="TRACKS",
            help="What `maskferry track` wrote: its output folder, or the tracks.sqlite in it. With --out: the video "
            "to begin with.",
            show_default=False,
        ),
    ],
    video: options.TrackedVideo = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="OUT",
            help="Begin new tracks of a video in this folder; go on with those that are there.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option("--port", metavar="N", min=0, max=65535, help="Of this machine; a free one where it is taken."),
    ] = 8765,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    read_only: Annotated[bool, typer.Option("--read-only", help="Show, and refuse every change.")] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME[:PORT]",
            help="Another name by which the page may be asked for, behind a tunnel or a proxy. May be given several "
            "times.",
            show_default=False,
        ),
    ] = None,
    engine: options.Engine = "auto",
    device: options.Device = None,
    checkpoint: options.Checkpoint = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Review tracks in a browser: see where they are wrong, paint the right mask, track only that again.

    Prints the address of the page and serves it until Ctrl-C. Only this machine can reach it, and only with that
    address. Needs pip install 'maskferry[web]'.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    from maskferry import web

    engine_options: dict[str, Any] = options.engine_options(device, checkpoint, None)
    if out is not None:
        if video is not None:
            raise InputError("--out begins tracks of one video: give either TRACKS and VIDEO, or VIDEO and --out")
        if read_only:
            raise InputError("--out begins new tracks, --read-only changes nothing: give one of them")
        tracks, video = str(_begin(tracks, out)), tracks
    _require_tracks(Path(tracks))
    with _ended_by_signals():
        try:
            server = web.serve(
                tracks,
                video,
                port=port,
                hosts=allow_host or (),
                read_only=read_only,
                engine=engine,
                **engine_options,
            )
        except RunningElsewhereError as err:
            console.fail(str(err))
            raise typer.Exit(WRONG) from err
        with server:
            if server.port != port != 0:
                console.say(f"port {port} is taken: another one is used")
            if as_json:
                console.show_json({"url": server.url, "address": server.address, "port": server.port})
            else:
                console.show(server.url)
            console.say("serving the page; press Ctrl-C to end")
            if browser:
                threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()
            try:
                server.wait()
            except KeyboardInterrupt:
                console.say("ending, after the frame that is being tracked; everything is saved")


def _begin(video: str, folder: Path) -> Path:
    """The tracks file of a video, made where it is missing."""
    from maskferry.outputs import Outputs
    from maskferry.tracker import MaskTracker

    outputs = Outputs(folder, ())
    outputs.check_folder()
    if "://" not in video:
        outputs.check_apart(Path(video))
    with MaskTracker(video, engine="hold", tracks=outputs.tracks, resume=True) as tracker:
        if tracker.source.info.frame_count is None:
            raise InputError(f"{video} is a stream, which cannot be reviewed: save it to a file first")
        tracker.save()
    return folder


def _require_tracks(path: Path) -> None:
    from maskferry.outputs import tracks_file

    place = tracks_file(path)
    if not place.exists():
        raise InputError(
            f"{place}: no such tracks file; to paint the first mask of a video: maskferry open VIDEO -o OUT"
        )


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let a polite wish to end be as Ctrl-C is, so that work comes to the end of its frame."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
