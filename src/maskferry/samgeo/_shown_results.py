"""What is shown and saved: what the run has found, with what a notebook has put in its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from maskferry.data import Frame, FrameLike, FrameMasks, FrameTracks, ObjectMask, Source, State
from maskferry.errors import InputError
from maskferry.masks import resize_mask, to_numpy
from maskferry.outputs import SessionViews
from maskferry.rle import Rle
from maskferry.samgeo._lazy_views import PerFrame
from maskferry.tracks import Tracks

__all__ = ["ShownResults"]


class ShownResults(SessionViews):
    """A video and its changed results, to be looked at and saved."""

    def __init__(self, source: Source, tracks: Tracks, outputs: PerFrame[Any]) -> None:
        self._source, self._tracks = source, _ChangedTracks(tracks, outputs)

    @property
    def source(self) -> Source:
        """The open video."""
        return self._source

    @property
    def tracks(self) -> Tracks:
        """The results."""
        return self._tracks

    def frame(self, frame_idx: FrameLike) -> Frame:
        """Decode one frame."""
        (frame,) = self._source.frames([self._source.info.check_frame(frame_idx)])
        return frame


class _ChangedTracks(Tracks):
    """Tracks as the outputs of a notebook show them."""

    def __init__(self, tracks: Tracks, outputs: PerFrame[Any]) -> None:
        super().__init__(tracks.database)
        self._outputs = outputs

    @property
    def object_ids(self) -> tuple[int, ...]:
        """As `Tracks.object_ids`."""
        return tuple(sorted({object_id for frame in self for object_id in self[frame].object_ids}))

    def __contains__(self, frame: object) -> bool:
        return super().__contains__(frame) and frame in self._outputs

    def __iter__(self) -> Iterator[int]:
        return (frame for frame in super().__iter__() if frame in self._outputs)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, frame: int) -> FrameMasks:
        if frame not in self:
            raise KeyError(frame)
        return self._shown(super().__getitem__(frame))

    def frames(self, start: int = 0, stop: int | None = None, stride: int = 1) -> Iterator[FrameTracks]:
        """As `Tracks.frames`."""
        kept = (tracked for tracked in super().frames(start, stop) if tracked.info.index in self._outputs)
        return (replace(tracked, masks=self._shown(tracked.masks)) for tracked in islice(kept, 0, None, stride))

    def _shown(self, masks: FrameMasks) -> FrameMasks:
        value = self._outputs.changed(masks.frame)
        return masks if value is None else _frame_masks(value, masks)


def _frame_masks(value: Any, was: FrameMasks) -> FrameMasks:  # noqa: ANN401
    """What a notebook has put in for a frame, in any of the forms that samgeo reads."""
    where = f"outputs_per_frame[{was.frame}]"
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: expected a dict of outputs or masks, got {type(value).__name__}")
    if "out_obj_ids" not in value:
        masks = {key: mask for key, mask in value.items() if isinstance(key, int)}
        probabilities = dict.fromkeys(masks, 1.0)
    else:
        ids = [int(i) for i in to_numpy(value["out_obj_ids"], f"{where}['out_obj_ids']").ravel()]
        stack = list(value.get("out_binary_masks", ()))
        scores = list(value.get("out_probs", [1.0] * len(ids)))
        if not len(ids) == len(stack) == len(scores):
            raise InputError(
                f"{where}: {len(ids)} ids, {len(stack)} masks and {len(scores)} probabilities: expected one each"
            )
        masks, probabilities = dict(zip(ids, stack, strict=True)), dict(zip(ids, map(float, scores), strict=True))
    rows = [_row(i, mask, probabilities[i], was, f"{where}, object {i}") for i, mask in sorted(masks.items())]
    return FrameMasks(was.frame, was.size_hw, tuple(rows))


def _row(object_id: int, mask: Any, score: float, was: FrameMasks, what: str) -> ObjectMask:  # noqa: ANN401
    array = np.squeeze(to_numpy(mask, what) > 0)
    if array.ndim != 2 or object_id < 1:
        raise InputError(f"{what}: expected a mask (H, W) of an object from 1, got the shape {array.shape}")
    return ObjectMask(object_id, Rle.encode(resize_mask(array, was.size_hw, what=what)), score, State.GIVEN)
