"""What other packages add by entry points: engines, formats, detection readers."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from maskferry.errors import InputError, MissingExtraError

__all__ = ["entry_points_of", "load_plugins", "load_target"]

log = logging.getLogger(__name__)

T = TypeVar("T")


def entry_points_of(group: str) -> dict[str, EntryPoint]:
    """Entry points of installed packages, by name; reading them imports nothing.

    All packages are gone through once, and again only where something has been installed since.
    """
    return dict(_entry_points_of(group, tuple((path, _changed(path)) for path in sys.path)))


@lru_cache(maxsize=16)
def _entry_points_of(group: str, where: tuple[tuple[str, int], ...]) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _changed(folder: str) -> int:
    """When something was put into a folder last; 0 where it is none."""
    try:
        return os.stat(folder or ".").st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0


def load_plugins(group: str, kind: type[T], taken: frozenset[str]) -> dict[str, T]:
    """What the entry points of a group load to, by name.

    One that cannot be loaded, is of another kind, or has a name that is taken is left out, with a warning in the log
    that says why: a broken plugin must not stop those who do not use it.

    Args:
        group: such as "maskferry.formats".
        kind: what each of them must be.
        taken: names of what is built in, which nobody else can have.
    """
    found = {}
    for name, point in entry_points_of(group).items():
        try:
            value = point.load()
        except Exception as err:  # whatever the plugin's module raises
            log.warning("%s %r (%s) cannot be loaded: %s: %s", group, name, point.value, type(err).__name__, err)
            continue
        if name in taken:
            log.warning("%s %r (%s): the name is that of a built-in one; left out", group, name, point.value)
        elif not isinstance(value, kind):
            log.warning("%s %r (%s): expected a %s, got %r", group, name, point.value, kind.__name__, value)
        else:
            found[name] = value
    return found


def load_target(target: str, what: str) -> Any:  # noqa: ANN401
    """The object that "package.module:name" names.

    Args:
        target: where it is.
        what: how errors call it.

    Raises:
        MissingExtraError: a package that its module needs is not installed.
        InputError: there is no such name in the module.
    """
    module, _, name = target.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as err:
        raise MissingExtraError(f"{what} needs the package {err.name!r}, which is not installed") from err
    except AttributeError as err:
        raise InputError(f"{what}: expected {target!r} to name an object of a module: {err}") from err
