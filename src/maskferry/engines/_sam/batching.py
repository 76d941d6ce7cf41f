"""Running a function over objects in batches that become smaller when memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

from maskferry.engines._sam.torch_errors import is_out_of_memory

__all__ = ["BatchRunner"]

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


class BatchRunner:
    """Runs a function over objects in batches, and halves the batch size when memory runs out.

    Args:
        size: objects in a batch at most.
        what: the objects, in the plural, for messages.

    Attributes:
        size: the same; smaller once memory ran out.
    """

    def __init__(self, size: int, what: str = "objects") -> None:
        self.size, self._what = size, what

    def run(self, items: Sequence[T], function: Callable[[Sequence[T]], R]) -> list[R]:
        """Apply ``function`` to all items, batch by batch.

        Returns:
            One result for each batch.

        Raises:
            RuntimeError, MemoryError: as ``function`` raises it; out of memory only with a single item.
        """
        results: list[R] = []
        start = 0
        while start < len(items):
            batch = items[start : start + self.size]
            try:
                results.append(function(batch))
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as err:
                if not is_out_of_memory(err) or self.size == 1:
                    raise
                self._halve(len(batch))
            else:
                start += len(batch)
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # outside the handler: the traceback keeps tensors alive
        return results

    def _halve(self, failed: int) -> None:
        """Continue with half of the size that failed."""
        self.size = max(1, min(self.size, failed) // 2)
        log.warning("out of memory: continuing with %d %s at a time", self.size, self._what)
