"""Many videos, on many workers: every row of a manifest ends as one receipt, or as one failure with its cause.

runner          what has workers, and gives each of them one video at a time
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.batch._runner import Cause as Cause
    from maskferry.batch._runner import Failed as Failed
    from maskferry.batch._runner import Lost as Lost
    from maskferry.batch._runner import Progress as Progress
    from maskferry.batch._runner import Ready as Ready
    from maskferry.batch._runner import Runner as Runner
    from maskferry.batch._runner import Settings as Settings
    from maskferry.batch._runner import Staged as Staged
    from maskferry.batch._runner import Stopped as Stopped
    from maskferry.batch._runner import Task as Task

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.batch._runner": (
            "Cause",
            "Failed",
            "Lost",
            "Progress",
            "Ready",
            "Runner",
            "Settings",
            "Staged",
            "Stopped",
            "Task",
        ),
    },
)
