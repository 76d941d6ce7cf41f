"""Which engines there are, by name, without importing any of them; and which of them can run here."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, PackageNotFoundError, version
from typing import Any

from maskferry._plugins import entry_points_of, load_target
from maskferry.engines._weights import REPOSITORIES, Repository, cached
from maskferry.engines.base import Engine
from maskferry.errors import (
    EngineError,
    InputError,
    MaskferryError,
    MissingExtraError,
    PromptNotSupportedError,
    UnknownEngineError,
)

__all__ = [
    "EngineSpec",
    "EngineStatus",
    "check_takes_text",
    "engine_status",
    "engines_that_take_text",
    "known_engines",
    "load_engine",
    "no_text_message",
    "pick_engine",
]

log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "maskferry.engines"


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Where an engine lives. Reading a spec imports nothing.

    Attributes:
        target: "package.module:Class"; calling the class with the caller's options loads the engine.
        summary: one line for ``maskferry engines``.
        extra: the pip extra of maskferry that brings its dependencies; None where the core is enough.
        requires: top-level packages that must be importable.
        rank: ``engine="auto"`` takes the highest rank that can run here; below 0 it is never chosen.
        options: what the class is called with, besides the caller's options.
        weights: the repository that it needs; None where it needs none.
        takes: which of the options ``device`` (of torch, or several), ``checkpoint``, ``compile`` (stages) and
            ``memory_selection`` it has; without the first two, it runs on the CPU and needs no weights.
        takes_text: it finds what words name, on any frame; None where only the loaded engine tells.
    """

    target: str
    summary: str
    extra: str | None = None
    requires: tuple[str, ...] = ()
    rank: int = 0
    options: Mapping[str, object] = field(default_factory=dict)
    weights: Repository | None = None
    takes: tuple[str, ...] = ()
    takes_text: bool | None = None


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """Whether an engine can run here, and if not, what is missing.

    Attributes:
        name: as given to ``engine=``.
        summary: one line.
        ready: it can run here and now, without a download.
        reason: why, or why not, in one line.
        fast: on hardware that it is made for; ``engine="auto"`` passes over what is not.
    """

    name: str
    summary: str
    ready: bool
    reason: str
    fast: bool = True


def _sam(name: str, summary: str, rank: int, *more: str) -> EngineSpec:
    return EngineSpec(
        "maskferry.engines._sam:SamEngine",
        summary,
        extra="sam",
        requires=("torch", "transformers"),
        rank=rank,
        options={"model": name},
        weights=REPOSITORIES[name],
        takes=("device", "checkpoint", "compile", *more),
        takes_text=name == "sam3",
    )


BUILT_IN = {
    "hold": EngineSpec(
        "maskferry.engines._hold:HoldEngine", "repeats the last mask: a baseline", rank=-1, takes_text=False
    ),
    "flow": EngineSpec(
        "maskferry.engines._flow:FlowEngine",
        "optical flow, appearance and a small network, on any CPU",
        rank=10,
        takes_text=False,
    ),
    "flow-accurate": EngineSpec(
        "maskferry.engines._flow:AccurateFlowEngine",
        "the same on a finer grid: more accurate, slower",
        rank=5,
        takes_text=False,
    ),
    "sam3.1": EngineSpec(
        "maskferry.engines._sam:MultiplexEngine",
        "SAM 3.1: sixteen objects for the price of one; takes masks, points, boxes and text",
        extra="sam",
        requires=("torch", "transformers"),
        rank=70,
        weights=REPOSITORIES["sam3.1"],
        takes=("device", "checkpoint", "compile"),
        takes_text=True,
    ),
    "sam3": _sam("sam3", "SAM 3: the best masks; takes masks, points, boxes and text", 60, "memory_selection"),
    "sam2.1-large": _sam("sam2.1-large", "SAM 2.1, large; takes masks, points and boxes", 50),
    "sam2.1-base-plus": _sam("sam2.1-base-plus", "SAM 2.1, medium; takes masks, points and boxes", 45),
    "sam2.1-small": _sam("sam2.1-small", "SAM 2.1, small; takes masks, points and boxes", 40),
    "sam2.1-tiny": _sam("sam2.1-tiny", "SAM 2.1, the smallest; takes masks, points and boxes", 35),
    "edgetam": _sam("edgetam", "EdgeTAM: made for small devices; takes masks, points and boxes", 30),
}


def known_engines() -> dict[str, EngineSpec]:
    """Every engine by name: plugins' (entry points of the group ``maskferry.engines``), then the built-in ones.

    An entry point loads to an `EngineSpec`, which should lie in a module that imports nothing heavy, or to the engine's
    class, of which nothing is known before. A built-in name cannot be taken over.
    """
    return {name: _plugin_spec(point) for name, point in entry_points_of(ENTRY_POINT_GROUP).items()} | BUILT_IN


def _plugin_spec(point: EntryPoint) -> EngineSpec:
    """What a plugin says of itself; a class, or what cannot be loaded, says nothing."""
    try:
        value = point.load()
    except Exception as err:  # whatever the plugin's module raises
        log.warning("engine plugin %r (%s) cannot be loaded: %s: %s", point.name, point.value, type(err).__name__, err)
        value = None
    return value if isinstance(value, EngineSpec) else EngineSpec(point.value, f"plugin {point.value}", rank=-1)


def _spec(name: str) -> EngineSpec:
    if name in BUILT_IN:
        return BUILT_IN[name]
    plugins = entry_points_of(ENTRY_POINT_GROUP)
    if name not in plugins:
        known = ", ".join(sorted({*plugins, *BUILT_IN}))
        raise UnknownEngineError(f"no engine is called {name!r}; there are: {known}, and auto")
    return _plugin_spec(plugins[name])


def engine_status(name: str) -> EngineStatus:
    """Whether this engine can run here, found out without importing it.

    Of a plugin, its entry point is loaded: an `EngineSpec`, or the engine's class where it gives no spec.
    """
    spec = _spec(name)
    if missing := _missing(spec):
        return EngineStatus(name, spec.summary, ready=False, reason=missing)
    if name not in BUILT_IN and spec.weights is None:
        return _plugin_status(name, spec)
    if spec.weights is None:
        return EngineStatus(name, spec.summary, ready=True, reason="runs here, on the CPU")
    if cached(spec.weights.name, spec.weights.files) is None:
        return EngineStatus(name, spec.summary, ready=False, reason=_how_to_get(spec.weights))
    device = _accelerator()
    where = f"runs here, on the {device}" if device else "runs here, but slowly: torch finds no GPU"
    return EngineStatus(name, spec.summary, ready=True, reason=f"{where}; weights in the cache", fast=bool(device))


def _plugin_status(name: str, spec: EngineSpec) -> EngineStatus:
    """What can be said of another package's engine that needs no weights which this module knows."""
    if fault := _plugin_fault(name, spec):
        return EngineStatus(name, spec.summary, ready=False, reason=f"cannot be loaded: {fault}", fast=False)
    found = f"installed, with {', '.join(spec.requires)}" if spec.requires else "installed"
    return EngineStatus(name, spec.summary, ready=True, reason=f"{found}; it has not been tried here")


def _plugin_fault(name: str, spec: EngineSpec) -> str | None:
    """Why a plugin cannot be loaded, as far as its entry point tells; a spec's target is not imported."""
    try:
        value = entry_points_of(ENTRY_POINT_GROUP)[name].load()
    except Exception as err:  # whatever the plugin's module raises
        return f"{type(err).__name__}: {err}"
    if not isinstance(value, EngineSpec):
        return None if callable(value) else f"expected an EngineSpec or a class, got {value!r}"
    package = spec.target.partition(":")[0].partition(".")[0]
    return None if importlib.util.find_spec(package) else f"there is no package {package!r}"


def _missing(spec: EngineSpec) -> str | None:
    """What is to be installed, and how, where an extra of maskferry brings it."""
    missing = [package for package in spec.requires if importlib.util.find_spec(package) is None]
    if not missing:
        return None
    ours = spec in BUILT_IN.values()
    how = f"; pip install 'maskferry[{spec.extra}]'" if ours else ""
    return f"not installed: {', '.join(missing)}{how}"


def _how_to_get(weights: Repository) -> str:
    if weights.gated:
        page = f"https://huggingface.co/{weights.name}"
        return f"weights missing: ask for access at {page}, then `hf auth login`; or checkpoint=FOLDER"
    return f"weights missing: fetched from {weights.name} on first use; or checkpoint=FOLDER"


def _accelerator() -> str | None:
    """What torch will most likely run on, guessed without importing it."""
    try:
        build = version("torch")
    except PackageNotFoundError:
        return None
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "Apple GPU (mps)"
    return "GPU (cuda)" if "+cpu" not in build and shutil.which("nvidia-smi") else None


def engines_that_take_text() -> str:
    """The names of those that find what words name, for messages."""
    return ", ".join(name for name, spec in known_engines().items() if spec.takes_text)


def check_takes_text(name: str) -> None:
    """Refuse an engine that is known to take no words; nothing is loaded.

    Raises:
        PromptNotSupportedError: the message names those that do.
    """
    spec = known_engines().get(name)
    if spec is not None and spec.takes_text is False:
        raise PromptNotSupportedError(no_text_message(name))


def no_text_message(name: str) -> str:
    """Why an engine is refused that takes no words, and what to do."""
    return (
        f"engine {name!r} takes no words here: use {engines_that_take_text()} with a checkpoint that holds the "
        "detector, or let another model find masks, as a detector or as masks to start from"
    )


def pick_engine(*, takes_text: bool = False) -> str:
    """The name of the best engine that can run here; logs which and why.

    Args:
        takes_text: rather one that finds what words name, however slow it is here.
    """
    specs = {name: spec for name, spec in known_engines().items() if spec.rank >= 0}
    if takes_text:
        able = [name for name, spec in specs.items() if spec.takes_text and engine_status(name).ready]
        if able:
            return max(able, key=lambda name: specs[name].rank)
    skipped: list[str] = []
    for name in sorted(specs, key=lambda n: -specs[n].rank):
        status = engine_status(name)
        if status.ready and status.fast:
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
        EngineError: its weights are unavailable, or it is a plugin that failed.
        InputError: it has no such option.
    """
    if not isinstance(engine, str):
        return engine
    name = pick_engine() if engine == "auto" else engine
    spec = _spec(name)
    if missing := _missing(spec):
        raise MissingExtraError(f"engine {name!r} cannot run here: {missing}")
    if name in BUILT_IN:
        _check_taken(name, spec, options)
    cls = load_target(spec.target, f"engine {name!r}")
    arguments = {**spec.options, **options}
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as err:
        raise InputError(f"engine {name!r}: {err}") from err
    return _create(name, cls, arguments)


def _check_taken(name: str, spec: EngineSpec, options: Mapping[str, object]) -> None:
    """Refuse a device or weights for an engine that has none, and memory selection."""
    lacking = {option: "runs on the CPU and takes no weights" for option in ("device", "checkpoint")}
    lacking["memory_selection"] = "has no memory selection"
    for option, because in lacking.items():
        if option in options and option not in spec.takes:
            others = ", ".join(other for other, known in BUILT_IN.items() if option in known.takes)
            raise InputError(f"engine {name!r} {because}; {option} is an option of {others}")


def _create(name: str, cls: Callable[..., Engine], arguments: Mapping[str, object]) -> Engine:
    """Call an engine's class. What goes wrong inside of a plugin is said to be the plugin's."""
    try:
        return cls(**arguments)
    except ModuleNotFoundError as err:
        raise MissingExtraError(f"engine {name!r} needs the package {err.name!r}, which is not installed") from err
    except MaskferryError:
        raise
    except Exception as err:
        if name in BUILT_IN:
            raise
        raise EngineError(f"engine {name!r}, a plugin, failed to load: {type(err).__name__}: {err}") from err
