"""The program: its commands, and what becomes of errors: one line on stderr and an exit code.

Exit codes: 0 done; 1 failed while working; 2 wrong input or usage, nothing was done; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer
from typer.main import get_command

from maskferry import __version__
from maskferry.cli import _batch as batch
from maskferry.cli import _check as check
from maskferry.cli import _completion as completion
from maskferry.cli import _console as console
from maskferry.cli import _demo as demo
from maskferry.cli import _engines as engines
from maskferry.cli import _eval as evaluation
from maskferry.cli import _export as export
from maskferry.cli import _inspect as inspect
from maskferry.cli import _open as opening
from maskferry.cli import _options as options
from maskferry.cli import _render as render
from maskferry.cli import _review as review
from maskferry.cli import _track as track
from maskferry.errors import (
    InputError,
    MaskferryError,
    MissingExtraError,
    OutputExistsError,
    PromptNotSupportedError,
    UnknownEngineError,
    UnknownObjectError,
)

__all__ = ["app", "main"]

DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 130

_WRONG_INPUT = (
    InputError,
    OutputExistsError,
    UnknownEngineError,
    UnknownObjectError,
    PromptNotSupportedError,
    MissingExtraError,
)

app = typer.Typer(
    name="maskferry",
    help="Carry masks of objects on one frame through the whole video: same objects, same ids.",
    epilog=options.verbatim("""
To see it work:
  maskferry demo

Results go to stdout, messages to stderr.

Exit codes: 0 done, 1 failed while working (what was finished is kept),
2 wrong input (nothing was done), 130 stopped by Ctrl-C.
"""),
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("track", epilog=track.EXAMPLES)(track.track)
app.command("batch", epilog=batch.EXAMPLES)(batch.batch)
app.command("inspect", epilog=inspect.EXAMPLES)(inspect.inspect)
app.command("render", epilog=render.EXAMPLES)(render.render)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("review", epilog=review.EXAMPLES)(review.review)
app.command("open", epilog=opening.EXAMPLES)(opening.open_page)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("eval", epilog=evaluation.EXAMPLES)(evaluation.evaluate)
app.command("engines", epilog=engines.EXAMPLES)(engines.engines)
app.command("demo", epilog=demo.EXAMPLES)(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.show(f"maskferry {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments after the program's name; by default those of this process.

    Returns:
        The exit code.
    """
    with console.session():
        try:
            code = _run(argv)
            if code == STOPPED:  # typer's answer to Ctrl-C
                raise KeyboardInterrupt
            if sys.stdout is not None:
                sys.stdout.flush()
        except SystemExit as err:  # typer's answer to a broken pipe
            code = err.code
        except BaseException as err:
            code = _explain(err)
        _forget_broken_stdout()
        return code if isinstance(code, int) else DONE


def _run(argv: Sequence[str] | None) -> object:
    """Carry out a command; without any, show the help."""
    arguments = sys.argv[1:] if argv is None else argv
    if completion.completion_of_named_shell(arguments):
        return DONE
    completion.keep_help_on_one_line()
    shown = argv if arguments else ["--help"]  # typer reads the process's own arguments where it is given none
    return get_command(app).main(args=shown, prog_name="maskferry", standalone_mode=False)


def _explain(err: BaseException) -> int:
    """Say what went wrong, in one line, and give the exit code."""
    if isinstance(err, BrokenPipeError):
        return FAILED
    if console.debugging():
        console.show_trace(err)
    if isinstance(err, console.StoppedError):
        console.fail(str(err), kind="stopped")
        return STOPPED
    if isinstance(err, KeyboardInterrupt | typer.Abort):
        console.fail("by Ctrl-C", kind="stopped")
        return STOPPED
    if isinstance(err, MaskferryError):
        console.fail(str(err))
        return WRONG if isinstance(err, _WRONG_INPUT) else FAILED
    if hasattr(err, "format_message"):  # of typer, or of click below older ones
        console.fail(_usage(err))
        return WRONG
    if isinstance(err, OSError):  # of the operating system: no permission, no such folder
        console.fail(str(err))
        return FAILED
    advice = "" if console.debugging() else " (--debug shows where; please report it)"
    console.fail(f"unexpected {type(err).__name__}: {err}{advice}")
    return FAILED


def _usage(err: BaseException) -> str:
    message = str(getattr(err, "format_message")()).strip()  # noqa: B009
    context = getattr(err, "ctx", None)
    return f"{message.rstrip('.')} (see {context.command_path} --help)" if context is not None else message


def _forget_broken_stdout() -> None:
    """Where stdout cannot be written (``| head``, a full disk), let Python not complain of it when it exits."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
