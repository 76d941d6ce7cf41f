"""``Lane``: states and scores of one object over all frames, read from an index alone."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from maskferry.data import State
from maskferry.errors import DamagedTracksError
from maskferry.tracks._database import Database
from maskferry.tracks._schema import REAL

__all__ = ["STATE_CODES", "Lane", "read_lane"]

STATE_CODES = tuple(State)
"""What the codes of `Lane.states` mean: code n is the n-th state."""

_CODES = {state.value: code for code, state in enumerate(STATE_CODES)}

_STARTS = {state.value: b"%d %d " + state.value.encode() + b" " for state in STATE_CODES}
"""What the seal of a row of each state begins with."""


class Lane(NamedTuple):
    """One object over all finished frames, without its masks.

    Attributes:
        frames: int64 (N,), ascending.
        states: uint8 (N,), see `STATE_CODES`.
        scores: float32 (N,), in [0, 1].
    """

    frames: NDArray[np.int64]
    states: NDArray[np.uint8]
    scores: NDArray[np.float32]


def read_lane(database: Database, object_id: int) -> Lane:
    """Read what the index for timelines holds of one object.

    Raises:
        DamagedTracksError: a row is not the one that was written.
    """
    query = "SELECT frame, score, state, seal FROM mask INDEXED BY mask_timeline WHERE object = ? ORDER BY frame"
    rows: list[Any] = database.rows(query, [object_id])
    last, crc32, real = -1, zlib.crc32, REAL.pack
    for frame, score, state, seal in rows:  # `mask_seal`, in a loop that does as little as possible for each
        start = _STARTS.get(state)
        if start is None or seal != crc32(real(score), crc32(start % (frame, object_id))) or frame <= last:
            raise DamagedTracksError(
                f"{database.place} is damaged: the row of object {object_id} on frame {frame!r} has changed: "
                "`maskferry check` says what can be saved"
            )
        last = frame
    frames, scores, states, _ = zip(*rows, strict=True) if rows else ((), (), (), ())
    codes = np.array([_CODES[state] for state in states], dtype=np.uint8)
    return Lane(np.array(frames, dtype=np.int64), codes, np.array(scores, dtype=np.float32))
