"""All that a session remembers, as bytes: a safetensors file with a JSON header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from maskferry.engines.sam.memory import Entry, Target
from maskferry.errors import EngineError

__all__ = ["LARGEST", "Memory", "load", "save"]

LARGEST = 1 << 28
"""Bytes. A session with more to remember takes no snapshots: a killed run is computed again from its first frame."""

FORMAT = "maskferry sam session 1"


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What the next step depends on, besides the frame.

    Attributes:
        place: of the last frame.
        targets: by object id, ascending.
    """

    place: int
    targets: dict[int, Target]


def save(memory: Memory, identity: Mapping[str, str]) -> bytes | None:
    """Pack a memory; None where it is too large."""
    tensors: dict[str, Tensor] = {}
    rows = []
    for i, target in memory.targets.items():
        rows.append({"id": i, "lost": target.lost, "usual_area": target.usual_area})
        for kind, entries in (("given", target.given), ("recent", target.recent)):
            for place, entry in entries.items():
                tensors[f"{i}/{kind}/{place}/pointer"] = entry.pointer[entry.row]
                if entry.memory is not None:
                    tensors[f"{i}/{kind}/{place}/memory"] = entry.memory[entry.row]
    if sum(t.numel() * t.element_size() for t in tensors.values()) > LARGEST:
        return None
    header = {"format": FORMAT, **identity, "place": memory.place, "targets": rows}
    text = torch.frombuffer(bytearray(json.dumps(header).encode()), dtype=torch.uint8)
    data: bytes = save_tensors({"header": text} | {name: t.cpu().contiguous() for name, t in tensors.items()})
    return data


def load(data: bytes, identity: Mapping[str, str], device: torch.device) -> Memory:
    """Unpack a memory.

    Args:
        data: from `save`.
        identity: what it must have been saved with.
        device: where it goes.

    Raises:
        EngineError: it is no snapshot of this engine, of other weights or options, or of another frame size.
    """
    try:
        tensors = load_tensors(data)
        header = json.loads(tensors.pop("header").numpy().tobytes())
        _check(header, {"format": FORMAT, **identity})
        targets = {
            row["id"]: Target(row["id"], lost=row["lost"], usual_area=row["usual_area"]) for row in header["targets"]
        }
        for name in [name for name in tensors if name.endswith("/pointer")]:
            i, kind, place, _ = name.split("/")
            memory = tensors.get(f"{i}/{kind}/{place}/memory")
            entry = Entry(None if memory is None else memory[None].to(device), tensors[name][None].to(device), 0)
            getattr(targets[int(i)], kind)[int(place)] = entry
        return Memory(int(header["place"]), targets)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise EngineError(f"this is no whole snapshot of a SAM engine: {err}") from err


def _check(header: dict[str, Any], expected: Mapping[str, str]) -> None:
    for key, value in expected.items():
        if header.get(key) != value:
            raise EngineError(
                f"this snapshot has {key} {header.get(key)!r}, this session {value!r}: open it as it was made, or "
                "start again from the first frame"
            )
