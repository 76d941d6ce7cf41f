"""What torch complains of, in this project's words; and smaller batches when the device is full."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch

from maskferry.errors import EngineError

__all__ = ["Chunks", "is_out_of_memory", "translated"]

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the host ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in ("out of memory", "can't allocate memory"))


@contextmanager
def translated(name: str, frame: int) -> Generator[None]:
    """Turn errors of torch into `EngineError`."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as err:
        if isinstance(err, EngineError):
            raise
        if is_out_of_memory(err):
            raise EngineError(
                f"engine {name!r} ran out of memory on frame {frame}, one object at a time: close other programs on "
                "this device, track fewer objects in one run, choose a smaller model (sam2.1-tiny, edgetam), or track "
                f"with device='cpu' or engine 'flow' ({err})"
            ) from err
        raise EngineError(f"engine {name!r} failed on frame {frame}: {err}") from err


class Chunks:
    """Runs a function over objects in batches, which are halved when the device is full.

    Args:
        size: objects in a batch at most.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, items: Sequence[T], function: Callable[[Sequence[T]], R]) -> list[R]:
        """Apply ``function`` to all items, some at a time."""
        results, at = [], 0
        while at < len(items):
            try:
                part = items[at : at + self.size]
                results.append(function(part))
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as err:
                if not is_out_of_memory(err) or self.size == 1:
                    raise
                self.size = max(1, min(self.size, len(part)) // 2)
                log.warning("out of memory: going on with %d objects at a time", self.size)
            else:
                at += len(part)
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        return results
