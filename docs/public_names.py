"""What is public in maskferry, with signatures and docstrings, by looking at the package itself."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from maskferry._lazy import HOMES

__all__ = ["Entry", "entries", "missing_docs"]

MODULES = (
    "maskferry",
    "maskferry.data",
    "maskferry.errors",
    "maskferry.sources",
    "maskferry.tracks",
    "maskferry.tracks.editing",
    "maskferry.tracks.review",
    "maskferry.formats",
    "maskferry.formats.registry",
    "maskferry.outputs",
    "maskferry.rendering",
    "maskferry.detections",
    "maskferry.association",
    "maskferry.engines",
    "maskferry.engines.base",
    "maskferry.engines.registry",
    "maskferry.evaluation",
    "maskferry.metrics",
    "maskferry.masks",
    "maskferry.run",
    "maskferry.whole_run",
    "maskferry.samgeo",
    "maskferry.testing",
)

FIRST = ("track", "MaskTracker", "Tracks", "export", "render", "open_source", "evaluate_davis")
"""What `maskferry` is looked up for; the rest follows."""


@dataclass(frozen=True)
class Entry:
    """One documented thing.

    Attributes:
        name: full name, such as "maskferry.MaskTracker.propagate".
        kind: "module", "class", "member", "function" or "value".
        signature: code, or "".
        doc: its docstring; None where it has none.
    """

    name: str
    kind: str
    signature: str
    doc: str | None


def entries() -> Iterator[Entry]:
    """Everything public, module by module; what two modules export is told once, under the first."""
    seen: set[int] = set()
    for module_name in MODULES:
        module = importlib.import_module(module_name)
        yield Entry(module_name, "module", "", _own_doc(module))
        for name in sorted(module.__all__, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
            value, full = getattr(module, name), f"{module_name}.{name}"
            if name.startswith("__"):
                continue
            if inspect.isclass(value) or inspect.isfunction(value):
                if id(value) not in seen:
                    seen.add(id(value))
                    yield from _of_class(full, value) if inspect.isclass(value) else [_of_function(full, value)]
            elif name in _values(home := HOMES.get(module_name, {}).get(name, module_name)):
                yield _of_value(full, name, home)


def missing_docs() -> list[str]:
    """The public modules, classes, functions and members without a docstring. Values may speak for themselves."""
    return [entry.name for entry in entries() if entry.kind != "value" and not (entry.doc or "").strip()]


def _own_doc(value: Any) -> str | None:  # noqa: ANN401
    doc = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    return inspect.cleandoc(doc) if doc else None


def _of_function(full: str, function: Any) -> Entry:  # noqa: ANN401
    return Entry(full, "function", _signature(full.rpartition(".")[2], function), _own_doc(function))


def _of_value(full: str, name: str, module_name: str) -> Entry:
    code, doc = _values(module_name)[name]
    return Entry(full, "value", f"{name} = {code}", doc)


@cache
def _values(module_name: str) -> dict[str, tuple[str, str | None]]:
    """{name: (source, docstring below it)} of the values that a module assigns at its top."""
    source = inspect.getsource(importlib.import_module(module_name))
    tree = ast.parse(source)
    found: dict[str, tuple[str, str | None]] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            doc = None
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                doc = inspect.cleandoc(str(after.value.value))
            found[node.targets[0].id] = ast.get_source_segment(source, node.value) or "", doc
    return found


def _of_class(full: str, cls: type) -> Iterator[Entry]:
    name = full.rpartition(".")[2]
    base = _bases(cls)
    if issubclass(cls, enum.Enum):
        yield Entry(full, "class", f"class {name}{base}:\n" + _enum_members(cls), _own_doc(cls))
        return
    init = next((c for c in _house(cls) if "__init__" in vars(c)), None)
    signature = "" if init is None or getattr(cls, "_is_protocol", False) else _signature(name, cls)
    docs = [_own_doc(cls)]
    if init is not None and (own := _own_doc(vars(init)["__init__"])) and docs[0]:
        docs.append(own)
    yield Entry(full, "class", signature or f"class {name}{base}", "\n\n".join(filter(None, docs)) or None)
    told: set[str] = set()
    for owner in _house(cls):
        for member, value in vars(owner).items():
            if member not in told and (entry := _of_member(full, member, value)) is not None:
                told.add(member)
                yield entry


def _house(cls: type) -> list[type]:
    """The class and its bases, as far as they are maskferry's."""
    return [c for c in cls.__mro__ if c.__module__.startswith("maskferry")]


def _bases(cls: type) -> str:
    names = [c.__name__ for c in cls.__bases__ if c is not object]
    return f"({', '.join(names)})" if names else ""


def _enum_members(cls: type[enum.Enum]) -> str:
    lines = inspect.getsource(cls).splitlines()
    return "\n".join(line for line in lines if re.match(r"    [A-Z_]+ = ", line))


def _of_member(full: str, name: str, value: Any) -> Entry | None:  # noqa: ANN401
    """A method or property; those with underscores only where they are Python's own and have a docstring."""
    if isinstance(value, property):
        if name.startswith("_"):
            return None
        returns = _annotation(value.fget.__annotations__.get("return", ""))  # type: ignore[union-attr]
        return Entry(f"{full}.{name}", "member", f"{name}: {returns}", _own_doc(value))
    function = getattr(value, "__func__", value)
    if not inspect.isfunction(function) or name == "__init__":
        if not isinstance(function, property) and hasattr(function, "__wrapped__") and not name.startswith("_"):
            function = function.__wrapped__  # a fixture of pytest
        else:
            return None
    special = name.startswith("__") and name.endswith("__")
    if name.startswith("_") and not (special and function.__doc__ and function.__module__.startswith("maskferry")):
        return None
    if special and "dataclass" in str(function.__qualname__):
        return None
    prefix = {"classmethod": "@classmethod\n", "staticmethod": "@staticmethod\n"}.get(type(value).__name__, "")
    signature = prefix + _signature(name, function, skip=prefix != "@staticmethod\n")
    return Entry(f"{full}.{name}", "member", signature, _own_doc(function))


# --- signatures -------------------------------------------------------------------------------------------------


def _signature(name: str, value: Any, *, skip: bool = False) -> str:  # noqa: ANN401
    """As a person would write it; a parameter a line where it is long."""
    signature = inspect.signature(value)
    parameters = list(signature.parameters.values())[1 if skip else 0 :]
    parts = list(_parameters(parameters))
    returns = signature.return_annotation
    tail = "" if inspect.isclass(value) or returns is signature.empty else f" -> {_annotation(returns)}"
    line = f"{name}({', '.join(parts)}){tail}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f"){tail}"


def _parameters(parameters: list[inspect.Parameter]) -> Iterator[str]:
    starred = False
    for parameter in parameters:
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        starred |= prefix == "*"
        text = prefix + parameter.name
        typed = parameter.annotation is not parameter.empty
        if typed:
            text += f": {_annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f"{' = ' if typed else '='}{_default(parameter.default)}"
        yield text


def _annotation(value: Any) -> str:  # noqa: ANN401
    return value if isinstance(value, str) else inspect.formatannotation(value)


def _default(value: Any) -> str:  # noqa: ANN401
    if inspect.isfunction(value):  # a lambda has no text
        return "..."
    return f'"{value}"' if type(value) is str else repr(value)
