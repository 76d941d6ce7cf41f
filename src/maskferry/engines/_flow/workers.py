"""Two threads for what can be done at once. What is computed does not depend on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Workers"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """The threads of one session, which start when they are first needed."""

    def __init__(self, count: int = 2) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="maskferry-flow")

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """What the function gives for each item, in their order. Not to be called from within one of its calls."""
        return list(self._pool.map(function, items))

    def close(self) -> None:
        """Let the threads go. May be called twice."""
        self._pool.shutdown()
