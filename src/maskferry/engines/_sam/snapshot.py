"""A memory bank as bytes: a safetensors file with a JSON header.

The header holds the format, what the snapshot must agree with, ``place`` (the bank's step) and ``targets`` (a row for
each object; ``good`` are the steps on which it was well in sight, with memory selection). Tensors are named
``{object id}/{given or recent}/{step}/{memory or pointer}``; ``given`` are the entries of prompt frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from maskferry.engines._sam.memory_bank import MemoryBank, MemoryEntry, TrackedObject
from maskferry.engines._sam.packing import Header, check_header, errors_translated, pack, pack_if_small, unpack

__all__ = ["MAX_BYTES", "join", "load", "save", "split"]

MAX_BYTES = 1 << 28
"""A session with more to remember takes no snapshots: a killed run is computed again from its first frame."""

FORMAT = "maskferry sam session 1"

ABSENT = {"memory_selection": "off"}
"""What is meant where a header lacks a key, because older versions did not write it."""


def save(bank: MemoryBank, identity: Mapping[str, str]) -> bytes | None:
    """Pack a memory bank; None where it is larger than `MAX_BYTES`."""
    tensors: dict[str, Tensor] = {}
    rows = []
    for i, known in bank.objects.items():
        good = sorted(step for step, entry in known.recent.items() if entry.good)
        rows.append({"id": i, "lost": known.lost, "usual_area": known.usual_area, "good": good})
        for kind, entries in _entries(known).items():
            for step, entry in entries.items():
                tensors[f"{i}/{kind}/{step}/pointer"] = entry.pointer[entry.row]
                if entry.memory is not None:
                    tensors[f"{i}/{kind}/{step}/memory"] = entry.memory[entry.row]
    header = {"format": FORMAT, **identity, "place": bank.step, "targets": rows}
    return pack_if_small(header, tensors, MAX_BYTES)


def load(data: bytes, identity: Mapping[str, str], device: torch.device) -> MemoryBank:
    """Unpack a memory bank.

    Args:
        data: from `save`.
        identity: what it must have been saved with.
        device: where its tensors go.

    Raises:
        EngineError: it is no snapshot of this engine, of other weights or options, or of another frame size.
    """
    with errors_translated():
        header, tensors = unpack(data)
        check_header(ABSENT | header, {"format": FORMAT, **identity})
        objects = {
            row["id"]: TrackedObject(row["id"], lost=row["lost"], usual_area=row["usual_area"])
            for row in header["targets"]
        }
        for name in [name for name in tensors if name.endswith("/pointer")]:
            i, kind, step, _ = name.split("/")
            memory = tensors.get(f"{i}/{kind}/{step}/memory")
            entry = MemoryEntry(None if memory is None else memory[None].to(device), tensors[name][None].to(device), 0)
            _entries(objects[int(i)])[kind][int(step)] = entry
        for row in header["targets"]:
            for step in row.get("good", ()):
                objects[row["id"]].recent[step].good = True
        return MemoryBank(int(header["place"]), objects)


def join(parts: Sequence[bytes | None]) -> bytes | None:
    """One snapshot of those of several sessions that share the objects of a pass; `load` takes it as well.

    Args:
        parts: from `save`, one for each device.

    Returns:
        None where one of them, or all together, are too large.
    """
    headers: list[Header] = []
    tensors: dict[str, Tensor] = {}
    for part in parts:
        if part is None:
            return None
        header, own = unpack(part)
        headers.append(header)
        tensors |= own
    rows = [row for header in headers for row in header["targets"]]
    device_of = {str(row["id"]): number for number, header in enumerate(headers) for row in header["targets"]}
    shared = {"targets": sorted(rows, key=lambda row: int(row["id"])), "homes": device_of, "devices": len(parts)}
    return pack_if_small(headers[0] | shared, tensors, MAX_BYTES)


def split(data: bytes, devices: int) -> tuple[list[bytes], dict[int, int]]:
    """A snapshot for each device, and the number of each object's device.

    Objects stay on their devices where there are as many as before. Otherwise they are distributed in turn.

    Args:
        data: from `join`, or from `save`.
        devices: how many there are now.

    Raises:
        EngineError: it is no snapshot of a SAM engine.
    """
    with errors_translated():
        header, tensors = unpack(data)
        before = header.get("homes", {}) if header.get("devices") == devices else {}
        ids = [int(row["id"]) for row in header["targets"]]
        device_of = {i: int(before.get(str(i), turn % devices)) for turn, i in enumerate(ids)}
        if not set(device_of.values()) <= set(range(devices)):
            raise ValueError(f"objects on devices {sorted(set(device_of.values()))} of {devices}")
        parts = []
        for number in range(devices):
            own = {name: t for name, t in tensors.items() if device_of[int(name.split("/")[0])] == number}
            rows = [row for row in header["targets"] if device_of[int(row["id"])] == number]
            parts.append(pack(header | {"targets": rows}, own))
        return parts, device_of


def _entries(known: TrackedObject) -> dict[str, dict[int, MemoryEntry]]:
    """An object's entries by their kind's name in the format."""
    return {"given": known.prompted, "recent": known.recent}
