"""Completion in shells: what is offered where, and the scripts that ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from cli_tools import run
from maskferry.cli._completion import SHELLS, complete_engines, complete_formats, complete_kinds
from maskferry.engines.registry import known_engines
from maskferry.formats.registry import known_formats
from maskferry.outputs import known_kinds


def ask(shell: str, line: str, tmp_path) -> str:
    """What the program answers when a shell asks how ``line`` may go on."""
    words = line.split(" ")
    asked = {
        "_MASKFERRY_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words[-1],
    }
    process = subprocess.run(
        [sys.executable, "-m", "maskferry"],
        env=os.environ | asked | {"HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
    )
    assert not process.stderr
    return process.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("maskferry ", ["track", "export", "demo"], ["csv"]),
        ("maskferry track --engine fl", ["flow", "flow-accurate"], ["hold"]),
        ("maskferry export out --format cv", ["cvat", "cvat-masks"], ["csv"]),
        ("maskferry track clip.mp4 --pal", ["--palette"], ["--engine"]),
        ("maskferry track clip.mp4 --palette s", ["safe"], ["default"]),
    ],
)
def test_every_shell_is_offered_what_fits(shell, line, offered, not_offered, tmp_path):
    answer = ask(shell, line, tmp_path)
    assert all(word in answer for word in offered), answer
    assert not any(word in answer.split() for word in not_offered)


def test_each_answer_is_one_line_however_long_its_help(tmp_path):
    lines = ask("fish", "maskferry track clip.mp4 --", tmp_path).splitlines()
    assert len(lines) > 15
    assert all(line.startswith("--") for line in lines)


def test_all_names_are_known():
    assert {name for name, _ in complete_engines("")} == {"auto", *known_engines()}
    assert {name for name, _ in complete_formats("")} == set(known_formats())
    assert {name for name, _ in complete_kinds("")} == {"none", *known_kinds()}


def test_of_several_kinds_the_last_is_completed():
    assert [name for name, _ in complete_kinds("csv,fi")] == ["csv,film"]
    assert "csv,film,csv" not in {name for name, _ in complete_kinds("csv,film,")}
    assert "csv,none" not in {name for name, _ in complete_kinds("csv,")}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_named_shell_is_shown(shell, capsys):
    assert run("--show-completion", shell) == 0
    out, err = capsys.readouterr()
    assert "_MASKFERRY_COMPLETE" in out
    assert "maskferry" in out
    assert not err


@pytest.mark.skipif(os.name == "nt", reason="bash has another home there")
def test_the_script_is_installed_for_a_named_shell(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("--install-completion", "bash") == 0
    installed = tmp_path / ".bash_completions" / "maskferry.sh"
    assert "complete_bash" in installed.read_text(encoding="utf-8")
    assert str(installed) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert str(installed) in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_an_unknown_shell_is_refused_with_those_there_are(option, capsys):
    assert run(option, "tcsh") == 2
    assert "bash, zsh, fish, powershell" in capsys.readouterr().err


def test_a_shell_that_is_not_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run("--install-completion", "pwsh") == 2
    assert "pwsh is not on this machine" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("bash") is None or os.name == "nt", reason="needs bash")
def test_bash_itself_completes(tmp_path, capsys):
    """The script in a real bash, in which the program is a function."""
    assert run("--show-completion", "bash") == 0
    script = tmp_path / "completion.sh"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    program = tmp_path / "maskferry"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m maskferry "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    asking = (
        f"source {script}; COMP_WORDS=(maskferry engi); COMP_CWORD=1; _maskferry_completion {program}; "
        'echo "${COMPREPLY[@]}"'
    )
    answer = subprocess.run(["bash", "--norc", "-c", asking], capture_output=True, text=True)
    assert answer.stdout == "engines\n"
