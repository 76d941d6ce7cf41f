"""Which devices an engine runs on, and in which precision."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from maskferry.errors import InputError

__all__ = ["available_devices", "pick_devices", "pick_dtype"]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


def pick_devices(name: str, wanted: str | Sequence[str]) -> list[torch.device]:
    """The devices that a caller names.

    Args:
        name: of the engine.
        wanted: "auto", a name such as "cuda:0", several with commas between them, or a list of names.

    Raises:
        InputError: one is unavailable (the message says which are available), none is named, or they are of several
            kinds.
    """
    names = [part.strip() for part in wanted.split(",")] if isinstance(wanted, str) else list(wanted)
    if not names or not all(isinstance(one, str) and one for one in names):
        raise InputError(f"engine {name!r}: device must be 'auto' or a name such as 'cuda:0', got {wanted!r}")
    if names == ["auto"]:
        return [torch.device(available_devices()[0].partition(":")[0])]
    devices = [_device(name, one) for one in names]
    if len({device.type for device in devices}) > 1:
        raise InputError(
            f"engine {name!r}: devices that share the work must be of one kind, got {', '.join(names)}: the slowest "
            "would set the pace"
        )
    return devices


def available_devices() -> list[str]:
    """The names of all devices of this machine."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*gpus, *(["mps"] if torch.mps.is_available() else []), "cpu"]


def _device(name: str, wanted: str) -> torch.device:
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as err:
        reason = str(err).splitlines()[0]
        there = ", ".join(available_devices())
        raise InputError(f"engine {name!r}: device {wanted!r} is unavailable: {reason}; available: {there}") from err
    return device


def pick_dtype(name: str, precision: str, device: torch.device, *, bfloat16: bool) -> torch.dtype:
    """The dtype of a network's features.

    Args:
        name: of the engine.
        precision: "auto", "float32", "bfloat16" or "float64".
        device: that the network runs on.
        bfloat16: half precision is safe for the model.

    Raises:
        InputError: no such precision, or one that the model cannot use.
    """
    if precision == "auto":
        if not bfloat16 or device.type != "cuda":
            return torch.float32
        with torch.cuda.device(device):
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if precision not in PRECISIONS:
        raise InputError(f"engine {name!r}: precision must be auto, {' or '.join(PRECISIONS)}, got {precision!r}")
    if precision == "bfloat16" and not bfloat16:
        raise InputError(f"engine {name!r} runs in float32 only: its backbone does not work in bfloat16")
    return PRECISIONS[precision]
