"""Which engines there are, by name, without importing any of them; and which of them can run here."""

from __future__ import annotations

import importlib
import importlib.util
import logging
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from maskferry.engines.base import Engine
from maskferry.errors import EngineError, InputError, MissingExtraError, UnknownEngineError

__all__ = ["EngineSpec", "EngineStatus", "engine_status", "known_engines", "load_engine", "pick_engine"]

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "maskferry.engines"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Where an engine lives. Reading a spec imports nothing.

    Attributes:
        target: "package.module:Class"; calling the class with the caller's options loads the engine.
        summary: one line for ``maskferry engines``.
        extra: the pip extra that brings its dependencies; None where the core is enough.
        requires: top-level packages that must be importable.
        rank: ``engine="auto"`` takes the highest rank that can run here; below 0 it is never chosen.
    """

    target: str
    summary: str
    extra: str | None = None
    requires: tuple[str, ...] = ()
    rank: int = 0


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Whether an engine can run here, and if not, what is missing.

    Attributes:
        name: as given to ``engine=``.
        summary: one line.
        ready: it can run here and now.
        reason: why, or why not, in one line.
    """

    name: str
    summary: str
    ready: bool
    reason: str


BUILT_IN = {
    "hold": EngineSpec("maskferry.engines.hold:HoldEngine", "repeats the last mask: a baseline", rank=-1),
    "flow": EngineSpec(
        "maskferry.engines.flow:FlowEngine", "optical flow and appearance, on any CPU, without weights", rank=10
    ),
    "flow-accurate": EngineSpec(
        "maskferry.engines.flow:AccurateFlowEngine", "the same on a finer grid: more accurate, slower", rank=5
    ),
}


def known_engines() -> dict[str, EngineSpec | str]:
    """Every engine by name: the built-in ones, then plugins' entry points (group ``maskferry.engines``).

    A plugin's value is its "package.module:Class"; a built-in name cannot be taken over.
    """
    plugins = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**plugins, **BUILT_IN}


def _spec(name: str) -> EngineSpec:
    known = known_engines()
    if name not in known:
        raise UnknownEngineError(f"no engine is called {name!r}; there are: {', '.join(sorted(known))}, and auto")
    found = known[name]
    return EngineSpec(found, f"plugin {found}") if isinstance(found, str) else found


def engine_status(name: str) -> EngineStatus:
    """Whether this engine can run here, found out without importing it."""
    spec = _spec(name)
    missing = [package for package in spec.requires if importlib.util.find_spec(package) is None]
    if missing:
        advice = f"not installed: {', '.join(missing)}; pip install 'maskferry[{spec.extra}]'"
        return EngineStatus(name, spec.summary, ready=False, reason=advice)
    return EngineStatus(name, spec.summary, ready=True, reason="runs here, on the CPU")


def pick_engine() -> str:
    """The name of the best engine that can run here; logs which and why."""
    specs = {name: spec for name, spec in known_engines().items() if isinstance(spec, EngineSpec) and spec.rank >= 0}
    skipped: list[str] = []
    for name in sorted(specs, key=lambda n: -specs[n].rank):
        status = engine_status(name)
        if status.ready:
            because = f" ({'; '.join(skipped)})" if skipped else ""
            log.info("engine auto: %s, %s%s", name, status.summary, because)
            return name
        skipped.append(f"{name}: {status.reason}")
    raise EngineError(f"no engine can run here: {'; '.join(skipped)}")


def load_engine(engine: str | Engine = "auto", **options: Any) -> Engine:  # noqa: ANN401
    """Load an engine by name, or take one that is loaded.

    Args:
        engine: a name of `known_engines`, "auto" for the best that can run here, or a loaded engine.
        options: for the engine's class.

    Raises:
        UnknownEngineError: no engine of this name.
        MissingExtraError: its dependencies are not installed.
        InputError: it has no such option.
    """
    if not isinstance(engine, str):
        return engine
    name = pick_engine() if engine == "auto" else engine
    spec = _spec(name)
    status = engine_status(name)
    if not status.ready:
        raise MissingExtraError(f"engine {name!r} cannot run here: {status.reason}")
    module, _, cls = spec.target.partition(":")
    try:
        loaded: Engine = getattr(importlib.import_module(module), cls)(**options)
    except ModuleNotFoundError as err:
        raise MissingExtraError(f"engine {name!r} needs the package {err.name!r}, which is not installed") from err
    except TypeError as err:
        raise InputError(f"engine {name!r}: {err}") from err
    return loaded
