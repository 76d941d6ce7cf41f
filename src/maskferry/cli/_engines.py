"""``maskferry engines``: what can track here."""

from __future__ import annotations

from maskferry.cli import _console as console
from maskferry.cli import _options as options

__all__ = ["EXAMPLES", "engines"]

EXAMPLES = options.verbatim("""Example:
  maskferry track clip.mp4 --masks first.png --engine flow -o out
""")


def engines(
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
    debug: options.Debug = False,
) -> None:
    """List what can track here: the engines.

    Says which can run, which not and why, and which one is taken by default (auto).
    """
    console.set_verbosity(quiet=quiet, verbose=verbose, debug=debug)
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
