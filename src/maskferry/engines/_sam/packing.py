"""A JSON header and tensors as the bytes of a safetensors file: the form of all snapshots of the SAM engines."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from maskferry.errors import EngineError

__all__ = ["Header", "check_header", "errors_translated", "pack", "pack_if_small", "unpack"]

Header = dict[str, Any]
"""As JSON gives it."""


def pack_if_small(header: Header, tensors: Mapping[str, Tensor], max_bytes: int) -> bytes | None:
    """As `pack`; None where the tensors have more bytes."""
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    return None if size > max_bytes else pack(header, tensors)


def pack(header: Header, tensors: Mapping[str, Tensor]) -> bytes:
    """The bytes that `unpack` takes."""
    text = torch.frombuffer(bytearray(json.dumps(header).encode()), dtype=torch.uint8)
    data: bytes = save_tensors({"header": text} | {name: t.cpu().contiguous() for name, t in tensors.items()})
    return data


def unpack(data: bytes) -> tuple[Header, dict[str, Tensor]]:
    """Header and tensors; raises what `errors_translated` translates."""
    tensors = load_tensors(data)
    return json.loads(tensors.pop("header").numpy().tobytes()), tensors


@contextmanager
def errors_translated() -> Generator[None]:
    """Turn what comes of bytes that are no snapshot into `EngineError`."""
    try:
        yield
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, IndexError) as err:
        raise EngineError(f"this is not a complete snapshot of a SAM engine: {err}") from err


def check_header(header: Header, expected: Mapping[str, str]) -> None:
    """Refuse a snapshot that was made under other circumstances.

    Raises:
        EngineError: the message names the first difference.
    """
    for key, value in expected.items():
        if header.get(key) != value:
            raise EngineError(
                f"this snapshot has {key} {header.get(key)!r}, this session {value!r}: open it as it was made, or "
                "start again from the first frame"
            )
