"""``ObjectMemory``: what is remembered of one object between two runs of the detector."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["ObjectMemory", "pack", "unpack"]

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(slots=True)
class ObjectMemory:
    """What is remembered of one object between two runs of the detector.

    An object is *confirmed* where the caller gave it or enough detections agreed with it, and *tentative* until then.

    Attributes:
        appearance: float32 (512,), of `masks.appearance`; the mean of what detections agreed with.
        confirmed: whether the object is confirmed.
        hits: how many detections agreed with it.
        misses: runs of the detector in a row that missed it; counted while it is tentative or has returned.
        returned_at: the frame on which the engine found it again, if no detection has agreed since.
    """

    appearance: NDArray[np.float32]
    confirmed: bool = True
    hits: int = 0
    misses: int = 0
    returned_at: int | None = None

    @property
    def is_reliable(self) -> bool:
        """Whether its mask can be relied on: it is confirmed, and the engine has not just found it again by itself."""
        return self.confirmed and self.returned_at is None

    def begin_pass(self) -> None:
        """Forget what belongs to the pass before."""
        self.returned_at = None
        self.misses = 0

    def confirm(self) -> None:
        """The caller says that this is the object."""
        self.confirmed = True
        self.returned_at = None

    def mark_returned(self, frame: int) -> None:
        """The engine has found the object again on this frame.

        It stays reliable where no detection ever agreed with it: a detector that never saw it has no say.
        """
        if self.is_reliable and self.hits:
            self.returned_at = frame
            self.misses = 0

    def add_hit(self, appearance: NDArray[np.float32], needed: int) -> None:
        """A detection agrees with the object.

        Args:
            appearance: of the detection.
            needed: how many hits confirm a tentative object.
        """
        mixed = self.appearance + appearance
        self.appearance = mixed / max(float(np.linalg.norm(mixed)), 1e-6)
        self.hits += 1
        self.misses = 0
        self.returned_at = None
        self.confirmed = self.confirmed or self.hits >= needed

    # --- as JSON ----------------------------------------------------------------------------------------------------

    def to_json(self) -> list[Any]:
        """The values in the order of the attributes. Tracks files hold this: do not change the order."""
        return [pack(self.appearance), self.confirmed, self.hits, self.misses, self.returned_at]

    @classmethod
    def from_json(cls, values: list[Any]) -> ObjectMemory:
        """Read what `to_json` wrote."""
        packed, confirmed, hits, misses, returned_at = values
        return cls(unpack(packed, np.float32), confirmed, hits, misses, returned_at)


def pack(values: NDArray[Any]) -> str:
    """The bytes of an array as base64, for JSON."""
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()


def unpack(text: str, dtype: type[Scalar]) -> NDArray[Scalar]:
    """The array (N,) whose bytes `pack` wrote, a fresh copy."""
    return np.frombuffer(b64decode(text), dtype=dtype).copy()
