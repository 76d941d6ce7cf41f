"""``maskferry check``: whether a tracks file is sound, what of a damaged one can be saved, and saving it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options

if TYPE_CHECKING:
    from maskferry.data import VideoInfo
    from maskferry.tracks.checking import Report

__all__ = ["EXAMPLES", "check"]

EXAMPLES = options.verbatim("""Examples:
  Look at every row, of a file from elsewhere or after a crash of the disk:
    maskferry check out

  Save what is sound of a damaged one into a new file:
    maskferry check out --repair saved.sqlite

Exit codes: 0 it is sound, 1 it is damaged, 2 there is no tracks file.
""")

MOST_PENDING = 20


def check(
    tracks: options.TracksPath,
    *,
    repair: Annotated[
        Path | None,
        typer.Option(
            "--repair", metavar="OUT", help="Save everything that is sound into this new file.", show_default=False
        ),
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(
            "--video",
            metavar="VIDEO",
            help="With --repair: the video that was tracked, where the file does not say it any more.",
            show_default=False,
        ),
    ] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Check a tracks file, and save what is sound of a damaged one.

    Every page and every row is looked at, and compared with its checksum. Nothing in the file is trusted, and nothing
    is written to it or beside it. Of a run that was killed, or goes on, the last finished state is checked.

    With --repair, a mask that cannot be saved is left out: the same `maskferry track` command tracks it again once the
    new file is in the place of the damaged one. Damaged edits are left out, with all older ones.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    from maskferry.errors import DamagedTracksError
    from maskferry.outputs import tracks_file
    from maskferry.tracks import checking

    path = tracks_file(tracks)
    refusal: DamagedTracksError | None = None
    if repair is None:
        report = checking.check(path)
    else:
        try:
            report = checking.repair(path, repair, video=_video(video))
        except DamagedTracksError as err:
            report, refusal = checking.check(path), err
    is_saved = repair is not None and refusal is None
    if as_json:
        console.show_json({**report.to_dict(), **({"files": {"repaired": str(repair)}} if is_saved else {})})
    else:
        _show(report)
        if is_saved:
            console.show(f"{'saved':<12} {repair}")
    if refusal is not None:
        console.fail(str(refusal))
    if not report.is_sound:
        raise typer.Exit(1)


def _video(path: str | None) -> VideoInfo | None:
    from maskferry.sources import open_source

    if path is None:
        return None
    with open_source(path) as source:
        return source.info


def _show(report: Report) -> None:
    video = report.video
    size = "" if video is None else f", {video.width}x{video.height}"
    count = "" if video is None or video.frame_count is None else f", {video.frame_count} frames"
    lines = [
        ("file", f"{report.path}, format {report.format}, revision {report.revision}"),
        ("video", "lost" if video is None else f"{video.name}{size}{count}"),
        ("finished", f"{report.frames} frames, {report.masks} masks"),
        ("objects", _listed([str(i) for i in report.objects])),
        ("pending", _listed([f"object {i} from frame {start} to {stop - 1}" for i, start, stop in report.pending])),
        *(("problem", problem) for problem in report.problems),
        ("result", "sound" if report.is_sound else "damaged"),
    ]
    for name, text in lines:
        console.show(f"{name:<12} {text}")


def _listed(parts: list[str]) -> str:
    if len(parts) > MOST_PENDING:
        parts = [*parts[:MOST_PENDING], f"{len(parts) - MOST_PENDING} more"]
    return ", ".join(parts) or "none"
