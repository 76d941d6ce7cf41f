"""The buckets of a session as bytes; see `packing`.

The header holds the format, what the snapshot must agree with, ``step``, ``objects``, and a row for each group: its
device, its slots (each as id and use), and the steps that it remembers. Tensors are ``top/{step}``, a frame's features,
which groups share, and ``{number of the group}/{prompted or recent}/{step}/{pointers or memory}``; those that a twin
shares are stored once, under the name that ``same`` gives. Keys and values are made again of memories and features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from maskferry.engines._sam.multiplex.bucket_bank import BucketBank, BucketOptions, KnownObject
from maskferry.engines._sam.multiplex.buckets import Bucket, BucketGroup, GroupMemory, Slot, SlotUse
from maskferry.engines._sam.multiplex.loaded_model import LoadedMultiplex
from maskferry.engines._sam.packing import Header, check_header, errors_translated, pack_if_small, unpack
from maskferry.errors import EngineError

__all__ = ["MAX_BYTES", "load", "save"]

MAX_BYTES = 1 << 28
"""A session with more to remember takes no snapshots: a killed run is computed again from its first frame."""

FORMAT = "maskferry sam multiplex session 1"


def save(bank: BucketBank, identity: Mapping[str, str], models: Sequence[LoadedMultiplex]) -> bytes | None:
    """Pack the buckets; None where they are larger than `MAX_BYTES`.

    Args:
        bank: of the session.
        identity: what it must be loaded with.
        models: on whose devices the groups are.
    """
    tensors = _Shelf()
    rows = []
    for number, group in enumerate(bank.groups):
        rows.append(_header_of(group))
        with models[group.home].streams.tracking():
            for kind, entries in _entries(group).items():
                for step, entry in entries.items():
                    tensors.put(f"{number}/{kind}/{step}/pointers", entry.pointers)
                    if entry.memory is not None and entry.top is not None:
                        tensors.put(f"{number}/{kind}/{step}/memory", entry.memory)
                        tensors.put(f"top/{step}", entry.top)
    objects = [{"id": i, "lost": o.lost, "usual_area": o.usual_area} for i, o in bank.objects.items()]
    header = {"format": FORMAT, **identity, "step": bank.step, "objects": objects, "groups": rows}
    header |= {"devices": len(models), "same": tensors.same}
    for model in models:
        if model.network.device.type == "cuda":
            torch.cuda.synchronize(model.network.device)
    return pack_if_small(header, tensors.tensors, MAX_BYTES)


def load(
    data: bytes, identity: Mapping[str, str], options: BucketOptions, models: Sequence[LoadedMultiplex]
) -> BucketBank:
    """Unpack the buckets. On another number of devices than before, groups are distributed in turn.

    Args:
        data: from `save`.
        identity: what they must have been saved with.
        options: of the session.
        models: loaded on the devices there are now.

    Raises:
        EngineError: it is no snapshot of this engine, of other weights or options, or of another frame size.
    """
    with errors_translated():
        header, tensors = unpack(data)
        check_header(header, {"format": FORMAT, **identity})
        same = header["devices"] == len(models)
        shelves = [{name: t.to(model.network.device) for name, t in tensors.items()} for model in models]
        tensors_of = [shelf | {name: shelf[other] for name, other in header["same"].items()} for shelf in shelves]
        groups = []
        for number, row in enumerate(header["groups"]):
            home = int(row["home"]) if same else number % len(models)
            if not 0 <= home < len(models):
                raise ValueError(f"a group on device {home} of {len(models)}")
            groups.append(_load_group(number, row, home, tensors_of[home], models[home]))
        objects = {int(o["id"]): KnownObject(bool(o["lost"]), float(o["usual_area"])) for o in header["objects"]}
        bank = BucketBank(options, int(header["step"]), groups, objects)
        if bank.places().keys() != objects.keys():
            raise EngineError("this is not a complete snapshot of a SAM engine: objects and slots do not agree")
        return bank


class _Shelf:
    """Tensors by name, each once: twins share theirs with the group that they are made of."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.same: dict[str, str] = {}
        self._names: dict[tuple[object, ...], str] = {}

    def put(self, name: str, tensor: Tensor) -> None:
        key = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        first = self._names.setdefault(key, name)
        if first != name:
            self.same[name] = first
            return
        whole = tensor.untyped_storage().nbytes() == tensor.nbytes
        self.tensors[name] = tensor if whole else tensor.clone()  # safetensors refuses parts of other tensors


def _header_of(group: BucketGroup) -> Header:
    slots = [[[slot.object_id, slot.use.value] for slot in bucket.slots] for bucket in group.buckets]
    return {"home": group.home, "slots": slots} | {kind: list(entries) for kind, entries in _entries(group).items()}


def _load_group(
    number: int, row: Header, home: int, tensors: Mapping[str, Tensor], model: LoadedMultiplex
) -> BucketGroup:
    slots = [[Slot(int(i), SlotUse(use)) for i, use in bucket] for bucket in row["slots"]]
    group = BucketGroup(home, [Bucket(bucket) for bucket in slots])
    with torch.inference_mode(), model.streams.tracking():
        for kind, entries in _entries(group).items():
            for step in row[kind]:
                name = f"{number}/{kind}/{step}/"
                entry = GroupMemory(None, tensors[name + "pointers"], None, None, None)
                if name + "memory" in tensors:
                    entry.top = tensors[f"top/{step}"]
                    entry.memory = tensors[name + "memory"]
                    entry.keys, entry.values = model.network.project_memory(entry.top, entry.memory)
                entries[int(step)] = entry
    return group


def _entries(group: BucketGroup) -> dict[str, dict[int, GroupMemory]]:
    """What a group remembers, by its kind's name in the format."""
    return {"prompted": group.prompted, "recent": group.recent}
