"""Which devices an engine runs on: one, or several of one kind, by name."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maskferry.errors import InputError

__all__ = ["devices_here", "pick_devices"]


def pick_devices(name: str, wanted: str | Sequence[str]) -> list[torch.device]:
    """The devices that a caller names.

    Args:
        name: of the engine.
        wanted: "auto", a name such as "cuda:0", several with commas between them, or a list of names.

    Raises:
        InputError: one is not there, the message says which are; none is named; or they are of several kinds.
    """
    names = [part.strip() for part in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    if not names or not all(isinstance(one, str) and one for one in names):
        raise InputError(f"engine {name!r}: device must be 'auto' or a name such as 'cuda:0', got {wanted!r}")
    if names == ["auto"]:
        return [torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")]
    devices = [_device(name, one) for one in names]
    if len({device.type for device in devices}) > 1:
        raise InputError(
            f"engine {name!r}: devices that share the work must be of one kind, got {', '.join(names)}: the slowest "
            "would set the pace"
        )
    return devices


def devices_here() -> list[str]:
    """The names of all devices that this machine has."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*gpus, *(["mps"] if torch.mps.is_available() else []), "cpu"]


def _device(name: str, wanted: str) -> torch.device:
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as err:
        reason = str(err).splitlines()[0]
        there = ", ".join(devices_here())
        raise InputError(
            f"engine {name!r}: device {wanted!r} is not to be had here: {reason}; there are: {there}"
        ) from err
    return device
