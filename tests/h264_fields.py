"""H.264 by hand, as no encoder here writes it: the fields of a frame are pictures of their own, without compression."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clips import SIZE_HW, numbered_image

GOP = 8


@dataclass(frozen=True)
class Picture:
    """A coded picture: a frame, or one field of it (0 the upper, 1 the lower)."""

    frame: int
    field: int | None
    data: bytes

    @property
    def is_key(self) -> bool:
        return self.frame % GOP == 0 and self.field != 1


class _Bits:
    def __init__(self) -> None:
        self._bits = ""

    def bits(self, count: int, value: int) -> _Bits:
        self._bits += format(value, f"0{count}b")
        return self

    def codes(self, *values: int) -> _Bits:
        for value in values:
            code = format(value + 1, "b")
            self._bits += "0" * (len(code) - 1) + code
        return self

    def data(self, end: str = "") -> bytes:
        bits = self._bits + end
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _unit(head: int, data: bytes) -> bytes:
    protected = bytearray()
    for byte in data:
        if protected[-2:] == b"\0\0" and byte <= 3:
            protected.append(3)
        protected.append(byte)
    return b"\0\0\0\1" + bytes([head]) + bytes(protected)


def parameter_sets() -> bytes:
    """Main profile, frames that may be made of fields."""
    height, width = SIZE_HW
    sps = _Bits().bits(24, 77 << 16 | 30).codes(0, 0, 0, 4, 1).bits(1, 0)
    sps.codes(width // 16 - 1, height // 32 - 1).bits(5, 0b00100)
    pps = _Bits().codes(0, 0).bits(2, 0).codes(0, 0, 0).bits(3, 0).codes(0, 0, 0).bits(3, 0b100)
    return _unit(0x67, sps.data("1")) + _unit(0x68, pps.data("1"))


def _coded(luma: NDArray[np.uint8], frame: int, field: int | None) -> bytes:
    number = frame % GOP
    is_key = number == 0 and field != 1
    coded = _Bits().codes(0, 7, 0).bits(4, number).bits(1, field is not None)
    if field is not None:
        coded.bits(1, field)
        luma = luma[field::2]
    if is_key:
        coded.codes(0)
    coded.bits(8, 2 * number + (field or 0)).bits(2 if is_key else 1, 0).codes(0, 1)
    data = b""
    for y in range(0, luma.shape[0], 16):
        for x in range(0, luma.shape[1], 16):
            data += coded.codes(25).data() + luma[y : y + 16, x : x + 16].tobytes() + bytes([128]) * 128
            coded = _Bits()
    head = b"\0\0\0\1\x09\xf0" + (parameter_sets() if is_key else b"")
    return head + _unit(0x65 if is_key else 0x61, data + b"\x80")


def pictures(count: int, has_fields: Callable[[int], bool]) -> Iterator[Picture]:
    """A numbered video; frames for which ``has_fields`` is true come as two fields."""
    for frame in range(count):
        luma = (numbered_image(frame)[:, :, 0] * 0.86 + 16).astype(np.uint8)
        for field in (0, 1) if has_fields(frame) else (None,):
            yield Picture(frame, field, _coded(luma, frame, field))
