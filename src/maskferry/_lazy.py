"""How a package shows its public names without loading the modules behind them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["HOMES", "attach"]

HOMES: dict[str, dict[str, str]] = {}
"""{package: {public name: the module that defines it}}"""


def attach(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[list[str], Callable[[str], Any]]:
    """What a package's ``__init__`` assigns to ``__all__`` and ``__getattr__`` (PEP 562).

    A public name is loaded when it is first used, so that importing maskferry imports nothing heavy.

    Args:
        package: its name.
        homes: {module: the public names that are defined in it}.
    """
    home_of = HOMES[package] = {name: module for module, names in homes.items() for name in names}

    def load(name: str) -> Any:  # noqa: ANN401
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return sorted(home_of), load
