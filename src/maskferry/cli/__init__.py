"""The command line. One command, one file; what several of them need lies beside them.

``maskferry --help`` has to be quick: nothing here imports anything heavy at its top. What the commands need is imported
when they run.
"""

from __future__ import annotations

from maskferry.cli._app import main

__all__ = ["main"]
