"""The program as a whole: help, exit codes, what is said where, and how quickly it starts."""

from __future__ import annotations

import inspect
import io
import logging
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from typing import get_args

import pytest
from typer.main import get_command

from cli_tools import finish, one_json, run, start, tracked
from maskferry import __version__, outputs
from maskferry.cli import _app as program
from maskferry.cli import _console as console
from maskferry.cli import _options as options
from maskferry.cli import _progress as progress
from maskferry.errors import (
    DamagedSourceWarning,
    EngineError,
    InputError,
    MaskferryError,
    MaskResizedWarning,
    MissingExtraError,
    OutdatedError,
    OutputError,
    OutputExistsError,
    PromptNotSupportedError,
    RunningElsewhereError,
    SourceError,
    UnknownEngineError,
    UnknownObjectError,
)
from maskferry.formats.registry import BUILT_IN
from maskferry.masks._labels import Overlap
from maskferry.tracks._planner import Direction

COMMANDS = get_command(program.app).commands  # type: ignore[attr-defined]
NAMES = ["track", "batch", "inspect", "render", "export", "review", "open", "check", "eval", "engines", "demo"]
CODES = {
    InputError: 2,
    OutputExistsError: 2,
    UnknownEngineError: 2,
    UnknownObjectError: 2,
    PromptNotSupportedError: 2,
    MissingExtraError: 2,
    SourceError: 1,
    OutputError: 1,
    RunningElsewhereError: 1,
    OutdatedError: 1,
    EngineError: 1,
}


@pytest.fixture
def failing(monkeypatch):
    """Make `maskferry engines` raise."""

    def arrange(error):
        def fail():
            raise error

        monkeypatch.setattr("maskferry.engines.registry.pick_engine", fail)

    return arrange


# --- help -----------------------------------------------------------------------------------------------------------


def test_the_commands():
    assert list(COMMANDS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_every_option_has_help(name):
    command = COMMANDS[name]
    assert command.help
    assert "Example" in command.epilog
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name} has no help text"


@pytest.mark.parametrize("name", NAMES)
def test_shared_options_are_everywhere(name):
    flags = {flag for parameter in COMMANDS[name].params for flag in parameter.opts}
    assert {"--json", "-q", "--quiet", "-v", "--verbose", "--debug"} <= flags


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_is_shown_in_80_columns_of_ascii(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run(*name.split(), "--help") == 0
    out, err = capsys.readouterr()
    assert not err
    assert out.isascii()
    assert max(map(len, out.splitlines())) <= 80
    assert "Example" in out or not name


def test_epilogues_run_as_they_stand():
    """Each example is a command with options that it has."""
    for name in NAMES:
        flags = {f for p in COMMANDS[name].params for f in (*p.opts, *p.secondary_opts)}
        lines = [line.split() for line in COMMANDS[name].epilog.splitlines() if line.startswith("    maskferry ")]
        for line in lines:
            if line[1] == name:
                assert {word for word in line if word.startswith("-")} <= flags


def test_no_arguments_show_the_help(capsys):
    assert run() == 0
    bare, err = capsys.readouterr()
    assert not err
    assert run("--help") == run("-h") == 0
    assert capsys.readouterr().out == 2 * bare
    assert bare.startswith("Usage: maskferry [OPTIONS] COMMAND")
    assert "\n  track " in bare


@pytest.mark.parametrize("program", [["-m", "maskferry"], ["-c", "import sys, maskferry.cli as c; sys.exit(c.main())"]])
def test_the_bare_program_shows_its_help_on_stdout(program):
    process = subprocess.run([sys.executable, *program], capture_output=True, text=True)
    assert process.returncode == 0
    assert not process.stderr
    assert len(process.stdout.splitlines()) > 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["exporrt"], "error: No such command 'exporrt'. Did you mean 'export'? (see maskferry --help)"),
        (["trak", "x"], "error: No such command 'trak'. Did you mean 'track'? (see maskferry --help)"),
        (["track"], "error: Missing argument 'VIDEO' (see maskferry track --help)"),
        (["export"], "error: Missing argument 'TRACKS' (see maskferry export --help)"),
        (["export", "out"], "error: Missing option '--format' (see maskferry export --help)"),
        (["render", "out", "--alhpa", "1"], "error: No such option: --alhpa"),
    ],
)
def test_what_is_missing_or_mistyped_is_one_line_with_a_hint(arguments, message, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert err.startswith(message)
    assert err.endswith(" --help)\n")


def test_the_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"maskferry {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["track", "--help"]])
def test_nothing_heavy_is_imported_before_it_is_needed(arguments):
    heavy = "{'av', 'cv2', 'PIL', 'numpy', 'matplotlib'}"
    code = f"import sys; from maskferry.cli import main; main({arguments!r}); sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_choices_are_those_of_the_library():
    assert {e.value for e in options.Direction} == set(get_args(Direction))
    assert {e.value for e in options.Overlap} == set(get_args(Overlap))
    assert {*BUILT_IN, "film", "sheet"} == set(outputs.known_kinds())


def test_options_mirror_the_library():
    from maskferry.outputs import _export as exporting
    from maskferry.rendering import _film as filming

    def names(function):
        return set(inspect.signature(function).parameters)

    assert names(filming.render) - {"path"} <= names(COMMANDS["render"].callback)
    assert names(exporting.save_label_maps) - {"folder"} <= names(COMMANDS["export"].callback)


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CODES)
def test_an_error_is_one_line_and_an_exit_code(kind, failing, capsys):
    failing(kind("what came\nand what to do"))
    assert run("engines") == CODES[kind]
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: what came and what to do\n")


def test_every_error_has_an_exit_code():
    public = {kind for kind in MaskferryError.__subclasses__() if kind.__module__ == MaskferryError.__module__}
    assert set(CODES) == public


def test_ctrl_c_where_nothing_is_kept(failing, capsys):
    failing(KeyboardInterrupt())
    assert run("engines") == 130
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", "stopped: by Ctrl-C")


def test_a_bug_says_so(failing, capsys):
    failing(ZeroDivisionError("oh"))
    assert run("engines") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: unexpected ZeroDivisionError: oh")
    assert err.count("\n") == 1


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_the_traceback(how, failing, capsys, monkeypatch):
    failing(InputError("wrong"))
    if how == "environment":
        monkeypatch.setenv("MASKFERRY_DEBUG", "1")
    assert run("engines", *(["--debug"] if how == "option" else [])) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: wrong\n")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["track"], ["engines", "--nonsense"], ["render", "x", "-o", "y.mp4", "--alpha", "2"]]
)
def test_usage_errors(arguments, capsys):
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "--help" in err


def test_warnings_are_lines_and_damage_is_not_said_twice(monkeypatch, capsys):
    def pick():
        warnings.warn(MaskResizedWarning("resized"), stacklevel=1)
        warnings.warn(DamagedSourceWarning("damaged"), stacklevel=1)
        return "flow"

    monkeypatch.setattr("maskferry.engines.registry.pick_engine", pick)
    assert run("engines") == 0
    assert capsys.readouterr().err == "warning: resized\n"
    assert run("engines", "-q") == 0
    assert capsys.readouterr().err == ""


def test_verbose_shows_the_log_and_leaves_logging_as_it_was(capsys):
    logger = logging.getLogger("maskferry")
    before = (logger.level, list(logger.handlers))
    assert run("engines", "-v") == 0
    assert "engine auto: flow" in capsys.readouterr().err
    assert (logger.level, list(logger.handlers)) == before
    assert run("engines") == 0
    assert capsys.readouterr().err == ""


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="no pipes to break")
@pytest.mark.parametrize("arguments", [["engines"], ["engines", "--json"], ["--help"], ["--version"]])
def test_a_broken_pipe_is_quiet(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "maskferry", *arguments], stdout=writing, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writing)
    assert done.stderr == ""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
@pytest.mark.parametrize("arguments", [["engines"], ["track", "--help"]])
def test_any_console_can_show_it(encoding, arguments, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("PYTHONUTF8", "0")
    done = subprocess.run([sys.executable, "-m", "maskferry", *arguments], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode(encoding)


def test_a_name_that_the_console_lacks_is_escaped(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    code = (
        "from maskferry.cli import _console as console\n"
        "with console.session(): console.show('\\u8eca.mp4'); console.say('\\u8eca')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [b"\\u8eca.mp4"]


def test_python_m_runs_it():
    assert finish(start("engines", "--json"))[0] == 0


def test_json_alone_is_on_stdout(capsys):
    assert run("engines", "--json", "-v") == 0
    assert one_json(capsys.readouterr().out)["auto"] == "flow"


def test_talk_is_quiet_on_demand(capsys):
    with console.session():
        console.set_verbosity(quiet=True, verbose=0, debug=False)
        console.say("nothing")
        console.show("a result")
        console.fail("an error")
    assert capsys.readouterr() == ("a result\n", "error: an error\n")


class Terminal(io.StringIO):
    """A stderr that somebody looks at."""

    def isatty(self):
        return True


@pytest.mark.parametrize("quiet", [False, True])
def test_a_bar_shows_rate_and_time_left_on_a_terminal(quiet, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with console.session():
        console.set_verbosity(quiet=quiet, verbose=0, debug=False)
        with progress.bar("Working") as update:
            for done in range(1, 6):
                time.sleep(0.12)
                update(done, 20, "Working [harder]")
            console.say("meanwhile")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    if quiet:
        assert not shown
        return
    assert re.search(r"Working \[harder\] .* +5/20 \d+\.\d/s 0:00:0\d", shown)
    assert "meanwhile" in shown


def test_bars_follow_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    open_bars, most = [], []

    @contextmanager
    def counted(label):
        open_bars.append(label)
        most.append(len(open_bars))
        yield lambda *_: None
        open_bars.remove(label)

    monkeypatch.setattr(progress, "bar", counted)
    tracked(tmp_path)
    assert most == [1] * 5  # opening, tracking, and one for each of three outputs


def test_a_bar_is_silent_in_a_file(capsys):
    with progress.bar("Working") as update:
        update(1, 2)
        update(2, 2, "Working harder")
    assert capsys.readouterr() == ("", "")


def test_a_thread_cannot_catch_ctrl_c_but_runs():
    answers = []

    def work():
        with progress.stoppable() as stopped:
            answers.append(stopped())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == [False]
