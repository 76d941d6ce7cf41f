"""Options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from maskferry.association import AssociationOptions
from maskferry.cli import _completion as completion
from maskferry.errors import InputError
from maskferry.formats.registry import BUILT_IN

__all__ = [
    "Audio",
    "Checkpoint",
    "Debug",
    "Device",
    "Direction",
    "Engine",
    "Every",
    "FirstFrame",
    "Json",
    "MaskFrame",
    "MaxIou",
    "MemorySelection",
    "MinNewScore",
    "MinScore",
    "Overlap",
    "OverlapOption",
    "Overwrite",
    "Palette",
    "PaletteOption",
    "Quiet",
    "Strict",
    "Text",
    "TrackedVideo",
    "TracksPath",
    "Verbose",
    "engine_options",
    "formats_that_accept",
    "formats_with_pictures",
    "help_of_formats",
    "help_of_kinds",
    "text_options",
    "verbatim",
]


class Direction(StrEnum):
    """`planning.Direction`."""

    both = "both"
    forward = "forward"
    backward = "backward"


class Overlap(StrEnum):
    """`masks.labels.Overlap`."""

    smallest = "smallest"
    score = "score"
    first = "first"
    last = "last"


class Palette(StrEnum):
    """`rendering.Palette`."""

    default = "default"
    safe = "safe"


TracksPath = Annotated[
    Path,
    typer.Argument(
        metavar="TRACKS",
        help="What `maskferry track` wrote: its output folder, or the tracks.sqlite in it.",
        show_default=False,
    ),
]
TrackedVideo = Annotated[
    str | None,
    typer.Argument(
        metavar="VIDEO", help="The video that was tracked.  [default: where it was then]", show_default=False
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help="What tracks: auto is the best that can run here.",
        autocompletion=completion.complete_engines,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAMES",
        show_default=False,
        help="Where a SAM engine runs: cuda:0, mps or cpu. Several, as in cuda:0,cuda:1, share the objects.  [default: "
        "a GPU where there is one]",
    ),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        metavar="PATH",
        show_default=False,
        help="The weights of a SAM engine: a folder, or a repository of the Hugging Face hub; of sam3.1 also its file. "
        " [default: the repository of the model's authors]",
    ),
]
MemorySelection = Annotated[
    bool | None,
    typer.Option(
        "--memory-selection/--no-memory-selection",
        show_default=False,
        help="Whether sam3 remembers the frames on which an object was well in sight, however long ago, or the last "
        "frames.  [default: those in sight]",
    ),
]
Text = Annotated[
    list[str],
    typer.Option(
        "--text",
        metavar="PHRASE",
        show_default=False,
        help="A short phrase, such as car: everything that it names is found and followed, whenever it enters, and is "
        "labelled with it. May be given several times, and beside --masks. Needs an engine that takes text, such as "
        "sam3.",
    ),
]
Every = Annotated[
    int | None,
    typer.Option(
        "--every", metavar="N", min=1, show_default=False, help="Look for --text on every n-th frame.  [default: 10]"
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        metavar="0..1",
        min=0,
        max=1,
        show_default=False,
        help="Finds of --text with a lower score are left out.  [default: the checkpoint's, 0.5 for sam3, 0.4 for "
        "sam3.1]",
    ),
]
MinNewScore = Annotated[
    float | None,
    typer.Option(
        "--min-new-score",
        metavar="0..1",
        min=0,
        max=1,
        show_default=False,
        help="Finds of --text with a lower score begin no new object.  [default: the checkpoint's, 0.7 for sam3, 0.65 "
        "for sam3.1]",
    ),
]
MaxIou = Annotated[
    float | None,
    typer.Option(
        "--max-iou",
        metavar="0..1",
        min=0,
        max=1,
        show_default=False,
        help="Of two finds of one phrase that overlap more, the weaker is left out.  [default: the checkpoint's, 0.1 "
        "for sam3 and sam3.1]",
    ),
]
OverlapOption = Annotated[
    Overlap,
    typer.Option(
        "--overlap",
        help="Which object gets a pixel that several claim, in files that hold one object a pixel: the smallest, the "
        "one with the best score, or that with the first or last id.",
    ),
]
PaletteOption = Annotated[
    Palette,
    typer.Option(
        "--palette",
        help="Colours of the objects; safe ones can be told apart by people who see fewer colours, too.",
    ),
]
Audio = Annotated[bool, typer.Option("--audio/--no-audio", help="Put the sound of the video under the film.")]
MaskFrame = Annotated[
    str | None,
    typer.Option(
        "--frame",
        metavar="N|DATE",
        show_default=False,
        help="The frame that --masks belong to, where their file does not say it of each mask; the first one is 0.  "
        "[default: the one that the file names, or 0]",
    ),
]
FirstFrame = Annotated[
    int | None,
    typer.Option(
        "--first-frame",
        metavar="N",
        min=0,
        show_default=False,
        help="For MOTS: the number of the first frame, 0 in KITTI MOTS, 1 in MOTSChallenge.  "
        "[default: told by the file]",
    ),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Refuse files of masks of which something cannot be taken, instead of warning."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier run left there.")]
Json = Annotated[bool, typer.Option("--json", help="Print the results as one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but results and errors.")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Say more; -vv says everything.")
]
Debug = Annotated[
    bool, typer.Option("--debug", help="After an error, show where in the program it happened (or MASKFERRY_DEBUG=1).")
]


def help_of_formats() -> str:
    """All built-in formats, each with what it is."""
    return "; ".join(f"{name}: {spec.summary}" for name, spec in BUILT_IN.items()) + "."


def formats_with_pictures() -> str:
    """The built-in formats that need the video's frames, in words."""
    return _in_words(name for name, spec in BUILT_IN.items() if spec.needs_pictures)


def formats_that_accept(option: str) -> str:
    """The built-in formats whose writers take a keyword argument, in words."""
    return _in_words(name for name, spec in BUILT_IN.items() if option in spec.accepts)


def _in_words(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def help_of_kinds() -> str:
    """What ``--write`` takes, each with its place in the output folder."""
    places = {name: f"{spec.output}/" if spec.is_folder else spec.output for name, spec in BUILT_IN.items()}
    listed = ", ".join(f"{name} (OUT/{place})" for name, place in places.items())
    return (
        f"What to make of the tracks: {listed}, film (OUT/overlay.mp4), sheet (OUT/sheet.png, some frames at a "
        "glance), or none. `maskferry export --help` says what each is. Separate by commas, or give the option "
        "several times."
    )


def engine_options(device: str | None, checkpoint: str | None, memory_selection: bool | None) -> dict[str, str | bool]:
    """What an engine is loaded with: those of its options that somebody chose."""
    given = {"device": device, "checkpoint": checkpoint, "memory_selection": memory_selection}
    return {name: value for name, value in given.items() if value is not None}


def text_options(
    text: Sequence[str],
    every: int | None,
    min_score: float | None,
    min_new_score: float | None,
    max_iou: float | None,
) -> AssociationOptions:
    """How words are looked for.

    Raises:
        InputError: nothing is looked for, and an option says how.
    """
    wanted = {"every": every, "min_score": min_score, "min_new_score": min_new_score, "max_iou": max_iou}
    given = {name: value for name, value in wanted.items() if value is not None}
    if given and not text:
        raise InputError(f"--{next(iter(given)).replace('_', '-')} says how words are looked for: give --text")
    return AssociationOptions(every=every, min_score=min_score, min_new_score=min_new_score, max_iou=max_iou)


def verbatim(text: str) -> str:
    """Keep help from wrapping the lines of a text: each paragraph begins with the mark that says so."""
    return "\n\n".join(f"\b\n{paragraph}" for paragraph in text.strip("\n").split("\n\n"))
