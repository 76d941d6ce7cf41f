"""``hold``: repeats the last mask of each object. A baseline to beat, and the test double of everything else."""

from __future__ import annotations

import json
from collections.abc import Sequence

from maskferry.data import Frame, FrameMasks, MaskPrompt, ObjectMask, Prompt, State, VideoInfo
from maskferry.errors import EngineError
from maskferry.rle import Rle

__all__ = ["HoldEngine", "HoldSession"]


class HoldEngine:
    """Needs nothing, knows nothing."""

    name = "hold"
    accepts: frozenset[type[Prompt]] = frozenset({MaskPrompt})

    def open(self, video: VideoInfo, snapshot: bytes | None = None) -> HoldSession:
        """Start a session, or resume one from a snapshot."""
        session = HoldSession(video.size_hw)
        if snapshot is not None:
            session.restore(snapshot)
        return session

    def close(self) -> None:
        """Nothing is held."""


class HoldSession:
    """The last mask of each object."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self._size_hw = size_hw
        self._masks: dict[int, Rle] = {}

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Every object where it was last given; score 1 on its own frames, 0.5 elsewhere."""
        given = {p.object_id: Rle.encode(p.mask) for p in prompts if isinstance(p, MaskPrompt)}
        self._masks.update(given)
        rows = (
            ObjectMask(i, rle, 1.0, State.GIVEN) if i in given else ObjectMask(i, rle, 0.5, State.TRACKED)
            for i, rle in sorted(self._masks.items())
        )
        return FrameMasks(frame.index, self._size_hw, tuple(rows))

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Hold these masks from now on."""
        self._masks.update((p.object_id, Rle.encode(p.mask)) for p in prompts)

    def drop(self, object_id: int) -> None:
        """Forget one object."""
        self._masks.pop(object_id, None)

    def snapshot(self) -> bytes:
        """JSON: {object id: RLE}."""
        return json.dumps({i: rle.to_coco() for i, rle in self._masks.items()}).encode()

    def restore(self, snapshot: bytes) -> None:
        """Take over what `snapshot` gave."""
        try:
            self._masks = {int(i): Rle.from_coco(rle) for i, rle in json.loads(snapshot).items()}
        except (ValueError, AttributeError) as err:
            raise EngineError(f"this is no snapshot of the engine hold: {err}") from err

    def close(self) -> None:
        """Forget everything."""
        self._masks.clear()
