"""Write docs/cli.md from the command line's own help.

    python docs/build_reference.py

The file is committed; `tests/test_docs.py` fails when it is stale.
"""

from __future__ import annotations

import enum
import inspect
import re
import textwrap
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
WIDTH = 118

_CLI_HEAD = """# Command line reference

Made by `docs/build_reference.py` from the program's own help; edit that, not this file. `maskferry COMMAND --help` says
the same.
"""

_CLI_COMPLETION = """
**Completion**

`maskferry --install-completion` lets the shell in use complete commands, options, engines and formats in new terminals;
`--show-completion` prints what it would install. Both look for the shell themselves, or take its name: bash, zsh, fish,
powershell or pwsh, as in `maskferry --install-completion zsh`.
"""


def build_cli() -> str:
    """docs/cli.md."""
    from maskferry.cli._app import app

    commands = {str(command.name): command for command in app.registered_commands}
    parts = [_CLI_HEAD.rstrip(), "\n".join(f"- [maskferry {name}](#maskferry-{name})" for name in commands)]
    parts += [str(app.info.help), "```text\nmaskferry COMMAND ...\n```"]
    program = app.registered_callback
    parts += [_parameter_list("Options", program and program.callback, options=True), _epilog(app.info.epilog)]
    parts += [_CLI_COMPLETION.strip()]
    for name, command in commands.items():
        parts += [f"## maskferry {name}", *_command(name, command)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _command(name: str, command: Any) -> list[str]:  # noqa: ANN401
    function = command.callback
    arguments = [_metavar(p) for p in cli_parameters(function) if not p.names]
    return [
        inspect.cleandoc(function.__doc__ or ""),
        f"```text\n{' '.join(['maskferry', name, *arguments, '[OPTIONS]'])}\n```",
        _parameter_list("Arguments", function, options=False),
        _parameter_list("Options", function, options=True),
        _epilog(command.epilog),
    ]


@dataclass(frozen=True)
class CliParameter:
    """An argument or option of a command.

    Attributes:
        names: such as ("--out", "-o"); () for an argument.
        info: what typer was told.
        type: its type, without what typer was told.
        default: or `inspect.Parameter.empty`.
    """

    names: tuple[str, ...]
    info: Any
    type: Any
    default: Any

    @property
    def takes_value(self) -> bool:
        """Whether a value follows the name."""
        return self.type is not bool and not getattr(self.info, "count", False)


def cli_parameters(function: Any) -> list[CliParameter]:  # noqa: ANN401
    """The arguments and options of a command's function."""
    hints = typing.get_type_hints(function, include_extras=True)
    found = []
    for parameter in inspect.signature(function).parameters.values():
        kind, info = typing.get_args(hints[parameter.name])[:2]
        names = _names(info, parameter.name) if type(info).__name__ == "OptionInfo" else ()
        found.append(CliParameter(names, info, _without_none(kind), parameter.default))
    return found


def _names(info: Any, name: str) -> tuple[str, ...]:  # noqa: ANN401
    """Of an option; typer keeps the first that is declared as ``default``."""
    first = (info.default,) if isinstance(info.default, str) and info.default.startswith("-") else ()
    declared = (*first, *(info.param_decls or ())) or (f"--{name.replace('_', '-')}",)
    return tuple(part for names in declared for part in names.split("/"))


def _without_none(kind: Any) -> Any:  # noqa: ANN401
    options = [k for k in typing.get_args(kind) if k is not type(None)]
    return options[0] if type(None) in typing.get_args(kind) else kind


def _parameter_list(title: str, function: Any, *, options: bool) -> str:  # noqa: ANN401
    chosen = [p for p in cli_parameters(function) if bool(p.names) == options]
    lines = [fill(_parameter_line(p), "  ") for p in chosen]
    return f"**{title}**\n\n" + "\n".join(lines) if lines else ""


def _metavar(parameter: CliParameter) -> str:
    if inspect.isclass(parameter.type) and issubclass(parameter.type, enum.Enum):
        return "|".join(choice.value for choice in parameter.type)
    return str(parameter.info.metavar or {int: "N", float: "X"}.get(parameter.type, "TEXT"))


def _parameter_line(parameter: CliParameter) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.names)
    value = f"`{_metavar(parameter)}`" if parameter.takes_value or not parameter.names else ""
    text = " ".join(re.sub(r"\[(default: .*?)\]", r"(\1)", str(parameter.info.help or "")).split())
    return f"- {' '.join(filter(None, (names, value)))}: {text}{_note(parameter)}"


def _note(parameter: CliParameter) -> str:
    default, empty = parameter.default, inspect.Parameter.empty
    if default is empty:
        return " (required)" if parameter.names else ""
    if not parameter.takes_value or default is None or parameter.info.show_default is False:
        return ""
    values = default if isinstance(default, list | tuple) else [default]
    return " (default: " + ", ".join(f"`{getattr(v, 'value', v)}`" for v in values) + ")"


def _epilog(text: str | None) -> str:
    """What typer prints below the options, where "\\b" keeps lines apart."""
    kept = re.sub(r"\n{3,}", "\n\n", (text or "").replace("\b\n", "")).strip("\n")
    return f"```text\n{kept}\n```" if kept else ""


def fill(text: str, indent: str) -> str:
    """Break a list item into lines."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def main() -> None:
    """Write the page."""
    (DOCS / "cli.md").write_text(build_cli(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
