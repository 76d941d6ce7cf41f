"""How many modules one call goes through: what a reader has to open to follow it.

    python benchmarks/modules_touched.py --list

Counts, with `sys.setprofile`, the modules of maskferry in which a function runs, and the calls from one of them to
another, for `MaskTracker.add_mask_prompt` of one mask and for one frame through the engine ``flow``. What a first call
loads (weights, compiled code) is done before.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hashes import disc, film

import maskferry
from maskferry import MaskTracker

ROOT = str(Path(maskferry.__file__).parent)


class Trace:
    """Calls between modules, by (caller, called); modules by their path inside the package."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()

    @property
    def modules(self) -> list[str]:
        """In which a function ran, ascending."""
        return sorted({called for _, called in self.calls})

    @property
    def crossings(self) -> int:
        """Calls that lead from one module into another."""
        return sum(count for (caller, called), count in self.calls.items() if caller != called)

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """As `sys.setprofile` wants it."""
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(ROOT) or frame.f_code.co_name == "<module>":
            return
        self.calls[_caller(frame), path.removeprefix(ROOT + "/")] += 1


def _caller(frame: FrameType) -> str:
    """The module of maskferry that this call comes from, through numpy or the standard library too."""
    back = frame.f_back
    while back is not None and not back.f_code.co_filename.startswith(ROOT):
        back = back.f_back
    return "" if back is None else back.f_code.co_filename.removeprefix(ROOT + "/")


@contextmanager
def traced() -> Iterator[Trace]:
    """Trace what runs in the block, in every thread that it starts."""
    trace = Trace()
    threading.setprofile_all_threads(trace) if sys.version_info >= (3, 12) else threading.setprofile(trace)  # type: ignore[attr-defined]
    sys.setprofile(trace)
    try:
        yield trace
    finally:
        sys.setprofile(None)
        threading.setprofile_all_threads(None) if sys.version_info >= (3, 12) else threading.setprofile(None)  # type: ignore[attr-defined]


def of_a_prompt() -> Trace:
    """One mask added to a session that is open."""
    with MaskTracker(film(), engine="flow") as tracker:
        with traced() as trace:
            tracker.add_mask_prompt(disc(0, 1), 1, 0)
        return trace


def of_a_frame() -> Trace:
    """One frame through ``flow`` and into the tracks."""
    with MaskTracker(film(), engine="flow") as tracker:
        tracker.add_mask_prompt(disc(0, 1), 1, 0)
        steps = tracker.steps()
        for _ in range(5):
            next(steps)
        with traced() as trace:
            next(steps)
        steps.close()  # type: ignore[attr-defined]
        return trace


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name the modules")
    as_list = parser.parse_args().list
    for name, trace in (("add_mask_prompt of one mask", of_a_prompt()), ("a frame through flow", of_a_frame())):
        print(f"{name}: {len(trace.modules)} modules, {trace.crossings} calls between them")
        for module in trace.modules if as_list else ():
            print(f"    {module}")


if __name__ == "__main__":
    main()
