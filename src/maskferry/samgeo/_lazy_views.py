"""Results and frames as samgeo hands them out, dicts and lists in all but memory: decoded when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import index
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskferry.data import FrameMasks, Image, Mask, Source
from maskferry.tracks import Tracks

__all__ = ["FrameImages", "FrameOutputs", "ObjectMasks", "PerFrame"]

V = TypeVar("V")


class PerFrame(Mapping[int, V], Generic[V]):
    """{frame index: what is on it}, over the frames that are finished. A view: it follows the run."""

    def __init__(self, tracks: Tracks, read: Callable[[FrameMasks], V]) -> None:
        self._tracks, self._read = tracks, read

    def __getitem__(self, frame: int) -> V:
        return self._read(self._tracks[index(frame)])

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int | np.integer) and int(frame) in self._tracks

    def __iter__(self) -> Iterator[int]:
        return iter(self._tracks)

    def __len__(self) -> int:
        return len(self._tracks)

    def __repr__(self) -> str:
        return f"<masks of {len(self._tracks.object_ids)} object(s) on {len(self)} frames, by frame index>"


class FrameOutputs(Mapping[str, NDArray[Any]]):
    """One frame as the engine of samgeo gives it.

    ``out_obj_ids`` int64 (N,), ascending; ``out_binary_masks`` bool (N, H, W), decoded at the first look and kept as
    long as this frame's outputs are; ``out_probs`` float32 (N,), in [0, 1].
    """

    def __init__(self, masks: FrameMasks) -> None:
        self._masks = masks
        self._arrays: dict[str, NDArray[Any]] = {}
        self._makers: dict[str, Callable[[], NDArray[Any]]] = {
            "out_obj_ids": lambda: np.array(masks.object_ids, dtype=np.int64),
            "out_binary_masks": masks.stack,
            "out_probs": lambda: masks.scores,
        }

    def __getitem__(self, key: str) -> NDArray[Any]:
        if key not in self._arrays:
            self._arrays[key] = self._makers[key]()
        return self._arrays[key]

    def __contains__(self, key: object) -> bool:
        return key in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    def __repr__(self) -> str:
        return f"<outputs of frame {self._masks.frame}: {', '.join(self)}; objects {list(self._masks.object_ids)}>"


class ObjectMasks(Mapping[int, Mask]):
    """{object id: bool (H, W)} of one frame; each look decodes one mask into a fresh array."""

    def __init__(self, masks: FrameMasks) -> None:
        self._masks = masks

    def __getitem__(self, object_id: int) -> Mask:
        return self._masks.mask(object_id)

    def __contains__(self, object_id: object) -> bool:
        return object_id in self._masks

    def __iter__(self) -> Iterator[int]:
        return iter(self._masks.object_ids)

    def __len__(self) -> int:
        return len(self._masks)

    def __repr__(self) -> str:
        return f"<masks of frame {self._masks.frame}, by object id {list(self._masks.object_ids)}>"


class FrameImages(Sequence[Image]):
    """The frames of a source, RGB uint8 (H, W, 3), one decoded at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401
        where = range(len(self))[key]
        if isinstance(where, range):
            return [frame.image for frame in self._source.frames(where)]
        (frame,) = self._source.frames([where])
        return frame.image

    def __iter__(self) -> Iterator[Image]:
        return (frame.image for frame in self._source.frames(range(len(self))))

    def __len__(self) -> int:
        return self._source.info.frame_count or 0
