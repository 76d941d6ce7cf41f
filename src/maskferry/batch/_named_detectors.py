"""Detectors that a command names: ``module:name`` of a Python function."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from maskferry.errors import InputError

__all__ = ["load_detector"]


def load_detector(name: str) -> Callable[[Any], Any]:
    """The function that ``module:name`` names.

    Raises:
        InputError: there is none.
    """
    module, _, attribute = name.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as err:
        raise InputError(f"--detector {name}: expected MODULE:NAME of a function: {err}") from err
    if not callable(found):
        raise InputError(f"--detector {name}: expected a function that takes a frame, got {type(found).__name__}")
    return cast(Callable[[Any], Any], found)
