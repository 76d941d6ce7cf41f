"""Many videos, on many workers: every row of a manifest ends as one receipt, or as one failure with its cause.

A driver gives videos to workers, which publish what they have made; the driver makes it the result. One module a part:

    calls           the whole job in one call
    options         how the videos are tracked, and what is done when something fails
    manifest        what videos there are, each with its masks
    named_detectors detectors that a command names
    plan            every row checked, and compared with what lies in OUT
    ledger          every row and its state
    driver          gives out videos, decides what is tried again, commits what is staged
    run_lock        one driver at a time
    stores          where results go: a folder, or an object store
    runner          what has workers, and gives each of them one video at a time
    local           workers on this machine
    local_worker    the process of one of them
    ray             workers on a Ray cluster
    ray_worker      the actor of one of them
    worker          carries out one video after another
    causes          why an attempt failed
    report          what has become of each video, as a table and as a page
    looking         how far a run is, and whether its files are whole
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.batch._calls import run as run
    from maskferry.batch._driver import BatchWatch as BatchWatch
    from maskferry.batch._driver import Outcome as Outcome
    from maskferry.batch._driver import Running as Running
    from maskferry.batch._driver import drive as drive
    from maskferry.batch._local import LocalRunner as LocalRunner
    from maskferry.batch._looking import status as status
    from maskferry.batch._looking import verify as verify
    from maskferry.batch._manifest import Fault as Fault
    from maskferry.batch._manifest import Row as Row
    from maskferry.batch._options import BatchOptions as BatchOptions
    from maskferry.batch._plan import Plan as Plan
    from maskferry.batch._plan import plan as plan
    from maskferry.batch._ray import RayRunner as RayRunner
    from maskferry.batch._report import write_report as write_report
    from maskferry.batch._runner import Cause as Cause
    from maskferry.batch._runner import Event as Event
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
        "maskferry.batch._calls": ("run",),
        "maskferry.batch._driver": (
            "BatchWatch",
            "Outcome",
            "Running",
            "drive",
        ),
        "maskferry.batch._local": ("LocalRunner",),
        "maskferry.batch._looking": (
            "status",
            "verify",
        ),
        "maskferry.batch._manifest": (
            "Fault",
            "Row",
        ),
        "maskferry.batch._options": ("BatchOptions",),
        "maskferry.batch._plan": (
            "Plan",
            "plan",
        ),
        "maskferry.batch._ray": ("RayRunner",),
        "maskferry.batch._report": ("write_report",),
        "maskferry.batch._runner": (
            "Cause",
            "Event",
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
