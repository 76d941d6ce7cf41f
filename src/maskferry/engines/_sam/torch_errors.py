"""Errors of torch, translated into errors of this package."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from maskferry.errors import EngineError

__all__ = ["is_out_of_memory", "translate_torch_errors"]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the host ran out of memory."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error) for s in ("out of memory", "can't allocate memory"))


@contextmanager
def translate_torch_errors(name: str, frame: int, unit: str = "object") -> Generator[None]:
    """Turn errors of torch into `EngineError`.

    Args:
        name: of the engine.
        frame: index of the frame that the engine works on.
        unit: what it takes at a time at least.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as err:
        if isinstance(err, EngineError):
            raise
        if is_out_of_memory(err):
            raise EngineError(
                f"engine {name!r} ran out of memory on frame {frame}, one {unit} at a time: close other programs on "
                "this device, track fewer objects in one run, choose a smaller model (sam2.1-tiny, edgetam), or track "
                f"with device='cpu' or engine 'flow' ({err})"
            ) from err
        raise EngineError(f"engine {name!r} failed on frame {frame}: {err}") from err
