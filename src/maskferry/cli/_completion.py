"""Completion in shells: the names that options take, and its script for a shell that is named.

Without a name, ``--show-completion`` and ``--install-completion`` are typer's own, which look for the shell themselves.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from maskferry.cli import _console as console
from maskferry.errors import InputError

__all__ = [
    "SHELLS",
    "complete_engines",
    "complete_formats",
    "complete_kinds",
    "completion_of_named_shell",
    "keep_help_on_one_line",
]

SHELLS = ("bash", "zsh", "fish", "powershell", "pwsh")

_PROGRAM, _VARIABLE = "maskferry", "_MASKFERRY_COMPLETE"
_SHOW, _INSTALL = "--show-completion", "--install-completion"

Completions = list[tuple[str, str]]
"""(what may stand here, what it is)"""


def complete_engines(incomplete: str) -> Completions:
    """For ``--engine``."""
    from maskferry.engines.registry import known_engines

    known = {"auto": "the best that can run here"} | {name: spec.summary for name, spec in known_engines().items()}
    return _beginning(incomplete, known)


def complete_formats(incomplete: str) -> Completions:
    """For ``--format``."""
    from maskferry.formats.registry import known_formats

    return _beginning(incomplete, {name: spec.summary for name, spec in known_formats().items()})


def complete_kinds(incomplete: str) -> Completions:
    """For ``--write``: the last of several names, separated by commas."""
    from maskferry.outputs import known_kinds

    *before, last = incomplete.split(",")
    known = {name: f"OUT/{place}" for name, place in known_kinds().items() if name not in before}
    if not before:
        known["none"] = "only the tracks"
    return [(",".join([*before, name]), place) for name, place in _beginning(last, known)]


def keep_help_on_one_line() -> None:
    """While a shell asks for completions: rich folds help to the width of a terminal, and a shell would take each line
    of it for a name."""
    if _VARIABLE in os.environ:
        os.environ["COLUMNS"] = "10000"


def completion_of_named_shell(arguments: Sequence[str]) -> bool:
    """Show or install the completion of a shell that is named, as in ``--show-completion zsh``.

    Returns:
        Whether the arguments ask for that.

    Raises:
        InputError: there is no completion for this shell.
    """
    if len(arguments) != 2 or arguments[0] not in (_SHOW, _INSTALL):
        return False
    option, shell = arguments
    if shell not in SHELLS:
        raise InputError(f"{option}: expected {', '.join(SHELLS)}, or nothing for the shell in use, got {shell!r}")
    if option == _SHOW:
        _show(shell)
    else:
        _install(shell)
    return True


def _show(shell: str) -> None:
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    for line in get_completion_script(prog_name=_PROGRAM, complete_var=_VARIABLE, shell=shell).splitlines():
        console.show(line)


def _install(shell: str) -> None:
    from typer.completion import install  # type: ignore[attr-defined]

    try:
        _, path = install(shell, _PROGRAM, _VARIABLE)
    except FileNotFoundError as err:  # PowerShell itself is asked where it wants the script
        raise InputError(f"{_INSTALL}: {shell} is not on this machine") from err
    console.say(f"completion for {shell} is in {Path(path)}; it takes effect in new terminals")


def _beginning(start: str, known: Mapping[str, str]) -> Completions:
    return [(name, summary) for name, summary in known.items() if name.startswith(start)]
