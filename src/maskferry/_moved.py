"""Import paths of earlier versions: they go on working, with a `DeprecationWarning` that names the new one."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["install"]

MOVED = {
    "maskferry.editing": "maskferry.tracks.editing",
    "maskferry.engines.flow": "maskferry.engines",
    "maskferry.engines.hold": "maskferry.engines",
    "maskferry.engines.sam": "maskferry.engines",
    "maskferry.exporting": "maskferry.outputs",
    "maskferry.filming": "maskferry.rendering",
    "maskferry.formats.davis": "maskferry.formats",
    "maskferry.formats.supervision": "maskferry.formats",
    "maskferry.masks.labels": "maskferry.masks",
    "maskferry.novelty": "maskferry.association",
    "maskferry.planning": "maskferry.tracks",
    "maskferry.review": "maskferry.tracks.review",
    "maskferry.sources.base": "maskferry.sources",
    "maskferry.tracking": "maskferry.run",
    "maskferry.tracks.results": "maskferry.tracks",
    "maskferry.viewing": "maskferry.rendering",
}
"""{old path: where its public names are now}"""


class _Finder(MetaPathFinder, Loader):
    """Is asked last, for modules that nobody else has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of a module that has moved."""
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module that it is now."""
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is now {new}: change the import", DeprecationWarning, stacklevel=2)
        old = ModuleType(spec.name, f"Moved to `{new}`.")
        old.__getattr__ = lambda name: getattr(importlib.import_module(new), name)  # type: ignore[method-assign]
        return old

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: its names are looked up in the new module."""


def install() -> None:
    """Make the old paths importable; once in a process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
