"""All that a session remembers, as bytes: a safetensors file with a JSON header."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from maskferry.engines._sam.memory_bank import Entry, Target
from maskferry.errors import EngineError

__all__ = ["LARGEST", "Memory", "join", "load", "save", "split"]

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
    header = {"format": FORMAT, **identity, "place": memory.place, "targets": rows}
    return _pack(header, tensors)


def load(data: bytes, identity: Mapping[str, str], device: torch.device) -> Memory:
    """Unpack a memory.

    Args:
        data: from `save`.
        identity: what it must have been saved with.
        device: where it goes.

    Raises:
        EngineError: it is no snapshot of this engine, of other weights or options, or of another frame size.
    """
    with _translated():
        header, tensors = _unpack(data)
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


def join(parts: Sequence[bytes | None]) -> bytes | None:
    """One snapshot of those of several sessions that share the objects of a pass; `load` takes it as well.

    Args:
        parts: from `save`, one for each device.

    Returns:
        None where one of them, or all together, are too large.
    """
    headers: list[dict[str, Any]] = []
    tensors: dict[str, Tensor] = {}
    for part in parts:
        if part is None:
            return None
        header, own = _unpack(part)
        headers.append(header)
        tensors |= own
    rows = [row for header in headers for row in header["targets"]]
    homes = {str(row["id"]): number for number, header in enumerate(headers) for row in header["targets"]}
    shared = {"targets": sorted(rows, key=lambda row: int(row["id"])), "homes": homes, "devices": len(parts)}
    return _pack(headers[0] | shared, tensors)


def split(data: bytes, devices: int) -> tuple[list[bytes], dict[int, int]]:
    """A snapshot for each device, and which device each object is on: as it was, or dealt out in turn.

    Args:
        data: from `join`, or from `save`.
        devices: how many there are now.

    Raises:
        EngineError: it is no snapshot of a SAM engine.
    """
    with _translated():
        header, tensors = _unpack(data)
        known = header.get("homes", {}) if header.get("devices") == devices else {}
        ids = [int(row["id"]) for row in header["targets"]]
        homes = {i: int(known.get(str(i), turn % devices)) for turn, i in enumerate(ids)}
        if not set(homes.values()) <= set(range(devices)):
            raise ValueError(f"objects on devices {sorted(set(homes.values()))} of {devices}")
        parts = []
        for number in range(devices):
            own = {name: t for name, t in tensors.items() if homes[int(name.split("/")[0])] == number}
            rows = [row for row in header["targets"] if homes[int(row["id"])] == number]
            parts.append(_packed(header | {"targets": rows}, own))
        return parts, homes


def _pack(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes | None:
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    return None if size > LARGEST else _packed(header, tensors)


def _packed(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    text = torch.frombuffer(bytearray(json.dumps(header).encode()), dtype=torch.uint8)
    data: bytes = save_tensors({"header": text} | {name: t.cpu().contiguous() for name, t in tensors.items()})
    return data


def _unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tensors = load_tensors(data)
    return json.loads(tensors.pop("header").numpy().tobytes()), tensors


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise EngineError(f"this is no whole snapshot of a SAM engine: {err}") from err


def _check(header: dict[str, Any], expected: Mapping[str, str]) -> None:
    for key, value in expected.items():
        if header.get(key) != value:
            raise EngineError(
                f"this snapshot has {key} {header.get(key)!r}, this session {value!r}: open it as it was made, or "
                "start again from the first frame"
            )
