"""``maskferry engines``: what can track here."""

from __future__ import annotations

from typing import Annotated

import typer

from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.errors import InputError

__all__ = ["EXAMPLES", "engines"]

EXAMPLES = options.verbatim("""Examples:
  maskferry track clip.mp4 --masks first.png --engine flow -o out
  maskferry engines --check sam3.1 --checkpoint sam3.1_multiplex.pt
""")


def engines(
    check: Annotated[
        str | None,
        typer.Option(
            "--check",
            metavar="NAME",
            show_default=False,
            help="Try this engine out, with its weights, on 20 drawn frames whose masks are known; prints a report to "
            "paste into an issue.",
        ),
    ] = None,
    device: options.Device = None,
    checkpoint: options.Checkpoint = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """List what can track here: the engines.

    Says which can run, which not and why, and which one is taken by default (auto). With --check, tries one out: IoU,
    fidelity, milliseconds a frame, memory, what was compiled.
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
    if check is not None:
        _try_out(check, options.engine_options(device, checkpoint, None), as_json=as_json)
        return
    if device is not None or checkpoint is not None:
        raise InputError("--device and --checkpoint say how an engine is tried out: name it with --check")
    from maskferry.engines.registry import engine_status, known_engines, pick_engine

    auto = pick_engine()
    found = [engine_status(name) for name in sorted(known_engines(), key=lambda name: (name != auto, name))]
    if as_json:
        rows = [{"name": s.name, "ready": s.ready, "summary": s.summary, "reason": s.reason} for s in found]
        console.show_json({"auto": auto, "engines": rows})
        return
    names = {s.name: s.name + (" (auto)" if s.name == auto else "") for s in found}
    cells = [("engine", "what it is", "here"), *((names[s.name], s.summary, s.reason) for s in found)]
    console.show_table(cells)


def _try_out(name: str, chosen: dict[str, str | bool], *, as_json: bool) -> None:
    from maskferry.engine_check import check_engine

    found = check_engine(name, None, **chosen)
    if as_json:
        console.show_json(found.to_dict())
        return
    for line in found.to_text().splitlines():
        console.show(line)
