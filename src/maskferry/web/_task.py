"""The process of one task. It ends when its input does: nobody waits for it any more."""

from __future__ import annotations

import os
import threading

from maskferry.child_processes import describe, own_pipes, read_lines
from maskferry.web._tasks import TASKS

__all__ = ["main"]


def main() -> None:
    """Do the task that the first line names."""
    lines, tell = own_pipes()
    told = read_lines(lines)
    command = told.get()
    if command is None:
        return

    def end_with_the_input() -> None:
        while told.get() is not None:
            pass
        os._exit(1)

    threading.Thread(target=end_with_the_input, daemon=True).start()
    try:
        tell({"found": TASKS[command["task"]](tell, **command["values"])})
    except Exception as err:  # told to the server
        tell({"error": describe(err)})


if __name__ == "__main__":
    main()
