"""What the command line says: results on stdout; messages, warnings, errors and the library's log on stderr."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from maskferry.errors import DamagedSourceWarning, MaskferryWarning

if TYPE_CHECKING:
    from maskferry.tracks import Tracks

__all__ = [
    "StoppedError",
    "debugging",
    "fail",
    "harmless",
    "is_quiet",
    "one_line",
    "say",
    "session",
    "set_verbosity",
    "show",
    "show_json",
    "show_table",
    "show_trace",
    "warn_unfinished",
]

log = logging.getLogger(__name__)


class StoppedError(Exception):
    """Somebody pressed Ctrl-C; the message says what is left and how to go on."""


@dataclass
class _Verbosity:
    quiet: bool = False
    debug: bool = False


_verbosity = _Verbosity()


class _LogHandler(logging.Handler):
    """Log records as console."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = {logging.WARNING: "warning: ", logging.ERROR: "error: "}.get(record.levelno, "")
        _write(sys.stderr, f"{kind}{one_line(record.getMessage())}")


@contextmanager
def session() -> Iterator[None]:
    """Route warnings and logs to stderr while a command runs."""
    _verbosity.quiet, _verbosity.debug = False, False
    logger, handler = logging.getLogger("maskferry"), _LogHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    _fill_closed_files()
    if sys.stdout is not None and not (sys.stdout.encoding or "").lower().startswith(
        "utf"
    ):  # a file's name must not end a run on a Windows console
        getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", MaskferryWarning)
            warnings.showwarning = _show_warning
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _fill_closed_files() -> None:
    """Where stdin, stdout or stderr were closed (``>&-``), open nothing in their places. Otherwise the next file
    that is opened would take one, and a library that writes messages there would write them into it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


def set_verbosity(*, quiet: bool, verbose: int, debug: bool) -> None:
    """Take the options that every command shares."""
    _verbosity.quiet, _verbosity.debug = quiet, debug
    levels = (logging.WARNING, logging.INFO, logging.DEBUG)
    logging.getLogger("maskferry").setLevel(logging.ERROR if quiet else levels[min(verbose, 2)])


def is_quiet() -> bool:
    """Whether only errors are wanted."""
    return _verbosity.quiet


def debugging() -> bool:
    """Whether tracebacks are wanted."""
    return _verbosity.debug or os.environ.get("MASKFERRY_DEBUG", "") not in ("", "0")


def show(text: str) -> None:
    """A result, one line on stdout."""
    _write(sys.stdout, text.replace("\n", "\\n"))


def show_json(value: Any) -> None:  # noqa: ANN401
    """The results, as the one JSON value on stdout."""
    _write(sys.stdout, json.dumps(value, indent=2))


def show_table(rows: Sequence[Sequence[str]], *, numbers: bool = False, total: bool = False) -> None:
    """A table, on stdout; in a file it is as wide as it needs to be.

    Args:
        rows: the first one is the header.
        numbers: align all columns but the first to the right.
        total: set the last row apart.
    """
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="right" if numbers and i else "left", overflow="fold")
    for i, row in enumerate(rows[1:], 2):
        table.add_row(
            *(escape(harmless(cell.replace("\n", "\\n"))) for cell in row), end_section=total and i == len(rows) - 1
        )
    if sys.stdout is None:
        raise BrokenPipeError("stdout is closed")
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)


def say(text: str) -> None:
    """A message, on stderr, unless quiet."""
    if not _verbosity.quiet:
        _write(sys.stderr, one_line(text))


def warn_unfinished(tracks: Tracks) -> None:
    """Say where a run has not come to its end yet."""
    from maskferry.tracks import describe_pending

    pending = [] if tracks.stopped_at else tracks.pending  # a video that ended early was warned of
    if pending:
        log.warning("%s", describe_pending(pending))


def fail(text: str, kind: str = "error") -> None:
    """One line on stderr."""
    _write(sys.stderr, f"{kind}: {one_line(text)}")


def show_trace(err: BaseException) -> None:
    """Where in the program an error happened, on stderr."""
    _write(sys.stderr, "".join(traceback.format_exception(err)).rstrip())


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, DamagedSourceWarning):
        log.info("%s", message)  # said once, as the error that the command ends with
    elif issubclass(category, MaskferryWarning):
        say(f"warning: {message}")
    else:
        log.info("%s: %s (%s:%d)", category.__name__, message, filename, lineno)


def one_line(text: str) -> str:
    """A message as one harmless line."""
    return harmless(" ".join(text.split("\n")))


def harmless(text: str) -> str:
    r"""A text whose control characters are shown and not obeyed: colours, titles of windows, right-to-left tricks.

    Line feeds and tabs stay.

    >>> harmless("a" + chr(27) + "[31mb")
    'a\\x1b[31mb'
    """
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff]"
)
"""C0 and C1 but tab and line feed; separators of lines; marks of direction; what is not seen; halves of surrogate
pairs, which stand for bytes of file names that are no UTF-8."""


def _write(stream: TextIO | None, text: str) -> None:
    """Write a line; on stderr, what nobody can read is no reason to fail.

    Raises:
        BrokenPipeError: stdout was closed before the program began, or its reader has gone.
        OSError: stdout cannot be written.
    """
    try:
        if stream is None:
            raise ValueError("closed")
        stream.write(harmless(text) + "\n")
        stream.flush()
    except ValueError:
        if stream is not sys.stderr:
            raise BrokenPipeError("stdout is closed") from None
    except OSError:
        if stream is not sys.stderr:
            raise
