"""``maskferry inspect``: how files of masks are read, without tracking anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _series_options as series

if TYPE_CHECKING:
    from maskferry.formats import Seeds

__all__ = ["EXAMPLES", "inspect"]

EXAMPLES = options.verbatim("""Examples:
  Which objects, on which frames, with which ids and names?
    maskferry inspect annotations.xml

  With the video that they are for, whose size and frames some files need:
    maskferry inspect shore_0012.json --video clip/

  Fail where anything of the file would be left out:
    maskferry inspect masks.json --strict
""")


def inspect(  # noqa: PLR0913
    masks: Annotated[
        list[str],
        typer.Argument(metavar="[FRAME=]PATH...", help="Files of masks, as track takes them.", show_default=False),
    ],
    *,
    video: Annotated[
        str | None,
        typer.Option(
            "--video", metavar="VIDEO", help="The video that the masks are for, as track takes it.", show_default=False
        ),
    ] = None,
    frame: options.MaskFrame = None,
    strict: options.Strict = False,
    first_frame: options.FirstFrame = None,
    id_field: series.IdField = None,
    label_field: series.LabelField = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """Say how files of masks are read: objects, frames, ids, names, and what is left out.

    Nothing is tracked, and nothing is written. `maskferry track` reads the same files in the same way.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    from maskferry.prompts import GivenFiles, target_of
    from maskferry.sources import open_source

    given = GivenFiles(tuple(masks), series.frame_or_date(frame, "--frame"), strict, first_frame, id_field, label_field)
    if video is None:
        found = given.read()
    else:
        with closing(open_source(video)) as source:
            found = given.read(target_of(source))
            for prompt in found.prompts:
                source.info.check_frame(prompt.frame)
    report = _report(found)
    if as_json:
        console.show_json(report)
    else:
        _show(report)


def _report(found: Seeds) -> dict[str, Any]:
    frames: dict[int, list[int]] = defaultdict(list)
    pixels: dict[int, int] = defaultdict(int)
    for prompt in found.prompts:
        frames[prompt.object_id].append(prompt.frame)
        pixels[prompt.object_id] += int(prompt.mask.sum())
    sizes = dict.fromkeys(prompt.mask.shape for prompt in found.prompts)
    return {
        "kinds": list(found.kinds),
        "sizes": [f"{width}x{height}" for height, width in sizes],
        "objects": [
            {"id": i, "label": found.labels.get(i), "frames": frames[i], "pixels": pixels[i]} for i in sorted(frames)
        ],
        "left_out": list(found.left_out),
        "notes": list(found.notes),
    }


def _show(report: dict[str, Any]) -> None:
    objects = report["objects"]
    count = len({frame for row in objects for frame in row["frames"]})
    lines = [
        ("read as", ", ".join(report["kinds"])),
        ("size", ", ".join(report["sizes"])),
        ("objects", f"{len(objects)}, on {count} frame{'s' * (count != 1)}"),
        *(("note", note) for note in report["notes"]),
        *(("left out", line) for line in report["left_out"]),
    ]
    for name, text in lines:
        console.show(f"{name:<12} {text}")
    rows = [[str(row["id"]), row["label"] or "", _ranges(row["frames"]), str(row["pixels"])] for row in objects]
    console.show_table([["id", "label", "frames", "pixels"], *rows])


def _ranges(frames: Sequence[int]) -> str:
    """Frames as a reader wants them.

    >>> _ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7-8'
    """
    parts: list[list[int]] = []
    for frame in sorted(frames):
        if parts and frame == parts[-1][1] + 1:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)
