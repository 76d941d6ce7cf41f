"""H.264 whose fields lie in packets of their own, as cameras of interlaced video write it: two packets are one frame.

Only as much of the stream is read as tells the second field of a frame from the first (ITU-T H.264, 7.3.2.1.1, 7.3.3).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

__all__ = ["SecondFields"]

_SLICE, _IDR_SLICE, _SPS = 1, 5, 7
"""Types of the stream's units."""

_START = b"\0\0\1"

_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})

_HEADER_BYTES = 512
"""In which the header of a unit lies, scaling lists included."""

_SLICE_HEADER_BYTES = 32
"""In which what is read of a slice's header lies."""

_MOST_ZEROS = 32
"""Before the first one of an Exp-Golomb code; more are damage."""


class SecondFields:
    """Asked of one packet after the other, whether it holds the second field of the frame of the packet before."""

    def __init__(self, extradata: bytes) -> None:
        """Take the stream's parameters.

        Args:
            extradata: of the codec, as the container has it: an avcC record, or units behind start codes.
        """
        is_record = extradata[:1] == b"\x01" and len(extradata) > 6
        self._length_size = (extradata[4] & 3) + 1 if is_record else 0
        self._format: _Format | None = None
        self._first: tuple[int, int] | None = None  # frame number and parity of a field that waits for its second
        sets = islice(_units(extradata[6:], 2), extradata[5] & 31) if is_record else _units(extradata, 0)
        for unit in sets:
            self._learn(unit)

    @property
    def are_possible(self) -> bool:
        """Whether the stream may hold fields."""
        return self._format is not None

    def is_second(self, packet: bytes) -> bool:
        """Whether a packet holds a second field."""
        for unit in _units(packet, self._length_size):
            self._learn(unit)
            if unit[0] & 31 in (_SLICE, _IDR_SLICE):
                return self._is_second_slice(unit)
        return False

    def _learn(self, unit: bytes) -> None:
        if unit[0] & 31 == _SPS:
            self._format = _read_format(_Bits(unit[1:]))

    def _is_second_slice(self, unit: bytes) -> bool:
        field = _read_field(_Bits(unit[1:_SLICE_HEADER_BYTES]), self._format) if self._format else None
        is_second = field is not None and self._first == (field[0], 1 - field[1])
        self._first = None if is_second else field
        return is_second


@dataclass(frozen=True, slots=True)
class _Format:
    """What a slice's header needs to know of its sequence."""

    frame_number_bits: int
    has_colour_planes: bool


def _read_format(bits: _Bits) -> _Format | None:
    """Read a sequence parameter set; None where its frames are never made of fields."""
    profile = bits.read(24) >> 16
    bits.read_ue()
    has_colour_planes = _read_chroma(bits) if profile in _HIGH_PROFILES else False
    frame_number_bits = bits.read_ue() + 4
    order_type = bits.read_ue()
    if order_type == 0:
        bits.read_ue()
    elif order_type == 1:
        bits.read(1)
        bits.read_ue()
        bits.read_ue()
        for _ in range(min(bits.read_ue(), 255)):
            bits.read_ue()
    bits.read_ue()
    bits.read(1)
    bits.read_ue()
    bits.read_ue()
    return None if bits.read(1) else _Format(frame_number_bits, has_colour_planes)


def _read_chroma(bits: _Bits) -> bool:
    """Read what only high profiles have; give whether each colour plane is coded by itself."""
    chroma = bits.read_ue()
    has_colour_planes = chroma == 3 and bool(bits.read(1))
    bits.read_ue()
    bits.read_ue()
    bits.read(1)
    if bits.read(1):
        for number in range(12 if chroma == 3 else 8):
            if bits.read(1):
                _skip_scaling_list(bits, 16 if number < 6 else 64)
    return has_colour_planes


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = 8
    for _ in range(size):
        last = (last + bits.read_se()) % 256
        if not last:
            return


def _read_field(bits: _Bits, format_: _Format) -> tuple[int, int] | None:
    """Read a slice's header; (frame number, 1 for the bottom field), None where it belongs to a whole frame."""
    for _ in range(3):
        bits.read_ue()
    bits.read(2 * format_.has_colour_planes)
    frame_number = bits.read(format_.frame_number_bits)
    return (frame_number, bits.read(1)) if bits.read(1) else None


def _units(data: bytes, length_size: int) -> Iterator[bytes]:
    """The beginnings of the units in a packet, behind their lengths, or behind start codes where these have 0 bytes."""
    at = 0
    while length_size and at + length_size < len(data):
        start = at + length_size
        at = start + int.from_bytes(data[at:start])
        if unit := data[start : min(at, start + _HEADER_BYTES)]:
            yield unit
    while not length_size and (at := data.find(_START, at) + 3) > 2:
        if unit := data[at : at + _HEADER_BYTES].split(_START, 1)[0]:
            yield unit


class _Bits:
    """Reads a unit bit by bit; behind its end there are zeros."""

    def __init__(self, unit: bytes) -> None:
        data = unit.replace(b"\0\0\3", b"\0\0")
        self._bits = "".join(format(byte, "08b") for byte in data)
        self._at = 0

    def read(self, count: int) -> int:
        """An unsigned number of so many bits."""
        bits = self._bits[self._at : self._at + count]
        self._at += count
        return int(bits or "0", 2)

    def read_ue(self) -> int:
        """An unsigned Exp-Golomb code (9.1); 0 where it is damaged."""
        zeros = self._bits.find("1", self._at) - self._at
        if not 0 <= zeros <= _MOST_ZEROS:
            return 0
        self._at += zeros
        return self.read(zeros + 1) - 1

    def read_se(self) -> int:
        """A signed Exp-Golomb code."""
        code = self.read_ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)
