"""Reading the published file of SAM 3.1, strictly: every tensor is the one that is expected, or an error names it.

The file is one dictionary of tensors, a ``.pt`` or a ``.safetensors``, float32 or half precision, perhaps below the key
"model". It holds the picture encoder, the tracker and the detector. Names below ``detector.`` that belong to no part of
the picture encoder are the detector's: they are known, and read only by who wants them.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from maskferry.errors import EngineError, InputError

__all__ = ["Checkpoint", "published_name", "read_checkpoint", "read_detector"]

VISION, TRACKER, DETECTOR = "detector.backbone.vision_backbone.", "tracker.model.", "detector."

OLDER_PREFIXES = {"sam3_model.": "detector.", "sam2_predictor.": "tracker."}
"""Of files that were written before the names were changed."""

TABLES = "freqs_cis"
"""The last part of the names of rotary tables, which are computed here."""

MAX_NAMED = 5
"""An error names so many tensors of each kind."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a file, memory-mapped, by their published names.

    Attributes:
        path: of the file.
        tensors: of the picture encoder and the tracker, whole.
        holds_detector: there are tensors of the detector, too; `read_detector` reads them.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    holds_detector: bool


def published_name(name: str) -> str:
    """The name in the file of a tensor of `MultiplexNetwork`."""
    part = name.removeprefix("vision.")
    return VISION + part if part != name else TRACKER + name


def read_checkpoint(engine: str, path: Path, network: nn.Module) -> Checkpoint:
    """Read a file's tensors, and compare their names and shapes with those of a network.

    Args:
        engine: its name, for messages.
        path: of the file.
        network: whose tensors the file is to hold.

    Raises:
        EngineError: the file cannot be read, or tensors are missing, unexpected or misshapen.
        InputError: a file of another kind.
    """
    tensors = _renamed(engine, path, _read(engine, path))
    own = {name: t for name, t in tensors.items() if not _is_detectors(name)}
    wanted = {published_name(name): tuple(t.shape) for name, t in network.state_dict().items()}
    if faults := _faults(own, wanted):
        raise EngineError(f"engine {engine!r}: {path} is no whole checkpoint of SAM 3.1: {'; '.join(faults)}")
    return Checkpoint(path, own, len(own) < len(tensors))


def read_detector(
    engine: str, path: Path, wanted: Mapping[str, tuple[int, ...]], unused: tuple[str, ...]
) -> dict[str, Tensor]:
    """Read the detector's tensors, memory-mapped, by their published names; as strictly as the rest.

    Args:
        engine: its name, for messages.
        path: of the file.
        wanted: shapes of all that the file is to hold.
        unused: beginnings of names that may be there and are not looked at.

    Raises:
        EngineError: the file cannot be read, or tensors are missing, unexpected or misshapen.
        InputError: a file of another kind.
    """
    tensors = _renamed(engine, path, _read(engine, path))
    own = {name: t for name, t in tensors.items() if _is_detectors(name) and not name.startswith(unused)}
    if faults := _faults(own, wanted):
        raise EngineError(
            f"engine {engine!r}: {path} does not hold the whole detector of SAM 3.1, which words need: "
            f"{'; '.join(faults)}"
        )
    return own


def _read(engine: str, path: Path) -> object:
    if path.suffix not in (".pt", ".safetensors"):
        raise InputError(f"engine {engine!r}: checkpoint {path}: expected a file .pt or .safetensors, or its folder")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        SafetensorError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as err:
        reason = str(err).splitlines()[0] if str(err) else type(err).__name__
        raise EngineError(f"engine {engine!r}: {path} cannot be read as weights: {reason}") from err


def _renamed(engine: str, path: Path, content: object) -> dict[str, Tensor]:
    """Tensors by the names that are published now, without tables."""
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise EngineError(f"engine {engine!r}: {path} holds a {type(content).__name__}, expected a table of tensors")
    found: dict[str, Tensor] = {}
    for key, value in content.items():
        name = str(key)
        for older, now in OLDER_PREFIXES.items():
            if name.startswith(older):
                name = now + name.removeprefix(older)
        if name.endswith(TABLES):
            continue
        if not isinstance(value, Tensor) or name in found:
            came = "comes twice" if name in found else f"is a {type(value).__name__}, expected a tensor"
            raise EngineError(f"engine {engine!r}: {path}: {name} {came}")
        found[name] = value
    return found


def _faults(tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> list[str]:
    """What is wrong with a file, in words."""
    missing = sorted(wanted.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - wanted.keys())
    misshapen = [
        f"{name} {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in wanted.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    no_numbers = [
        f"{name} {tensors[name].dtype}" for name in wanted if name in tensors and not tensors[name].is_floating_point()
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "misshapen": misshapen, "no floating point": no_numbers}
    return [f"{len(names)} {kind} ({_listed(names)})" for kind, names in kinds.items() if names]


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _is_detectors(name: str) -> bool:
    """Whether a tensor belongs to the detector: its own neck, or anything that is not of the picture encoder."""
    part = name.removeprefix(VISION)
    if part != name:
        return part.startswith("convs.")
    return name.startswith(DETECTOR)
