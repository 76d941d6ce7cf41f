"""How the inner loops are compiled: by numba, on one thread, kept on disk where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])

FREEDOM = {"contract", "reassoc", "nsz"}
"""Sums may be reordered and fused so that they vectorise. The code is fixed, so the same input gives the same bytes."""


def compiled(function: Function) -> Function:
    """Compile a function on its first call; from then on its machine code is loaded from numba's cache.

    Where no folder can be written to (a read-only installation without a home), it is compiled once a process.
    """
    try:
        return numba.njit(function, cache=True, fastmath=FREEDOM, nogil=True)  # type: ignore[no-any-return]
    except RuntimeError:  # numba: "cannot cache function: no locator available"
        return numba.njit(function, fastmath=FREEDOM, nogil=True)  # type: ignore[no-any-return]
