"""The command line. One command, one file; what several of them need lies beside them.

``maskferry --help`` has to be quick: app, options, talk, progress and the commands import nothing heavy at their top;
given, outputs and running do, and are imported when a command runs.
"""

from __future__ import annotations

from maskferry.cli._app import main

__all__ = ["main"]
