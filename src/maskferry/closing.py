"""``Closing``: context managers that end with `close`, written once."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Closing"]


class Closing:
    """Makes a class with a method ``close`` a context manager, which closes when its block ends."""

    def close(self) -> None:
        """Free what is held. May be called twice."""
        raise NotImplementedError

    def _leave(self) -> None:
        """What the end of a block does; a class that ends otherwise than by `close` overrides it."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
