"""Results and frames as samgeo hands them out, dicts and lists in all but memory: decoded when they are looked at.

They can be changed as dicts can: what is put in stays, in place of what was found. Copies and pickles hold what was
there, encoded, and follow no run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from operator import index
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from maskferry.data import FrameMasks, Image, Mask, Source
from maskferry.tracks import Tracks

__all__ = ["FoundFrames", "FrameImages", "FrameOutputs", "ObjectMasks", "PerFrame", "ids_on"]

K = TypeVar("K")
V = TypeVar("V")


class _LazyDict(MutableMapping[K, V], Generic[K, V]):
    """A dict over something that can be read at any time: only what was changed is kept."""

    def __init__(self) -> None:
        self._put: dict[K, V] = {}
        self._gone: set[K] = set()

    def _found(self) -> Sequence[K]:
        """The keys of what is read, in order."""
        raise NotImplementedError

    def _read(self, key: K) -> V:
        """What belongs to one of these keys."""
        raise NotImplementedError

    def __getitem__(self, key: K) -> V:
        if key in self._put:
            return self._put[key]
        if key in self._gone:
            raise KeyError(key)
        return self._read(key)

    def __setitem__(self, key: K, value: V) -> None:
        self._put[key] = value
        self._gone.discard(key)

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._put.pop(key, None)
        self._gone.add(key)

    def __iter__(self) -> Iterator[K]:
        there = {key: None for key in self._found() if key not in self._gone}
        return iter(there | dict.fromkeys(self._put))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def copy(self) -> Self:
        """As `copy.copy`: what is there now."""
        return copy.copy(self)

    def _changes(self) -> tuple[dict[K, V], set[K]]:
        return dict(self._put), set(self._gone)

    def _change(self, changes: tuple[dict[K, V], set[K]]) -> Self:
        self._put, self._gone = changes
        return self

    def __setstate__(self, changes: tuple[dict[K, V], set[K]]) -> None:
        self._change(changes)


class PerFrame(_LazyDict[int, V]):
    """{frame index: what is on it}, over the frames that are finished. A view: it follows the run.

    Attributes:
        masks: what was found, changes left aside.
    """

    def __init__(self, masks: Mapping[int, FrameMasks], read: Callable[[FrameMasks], V]) -> None:
        super().__init__()
        self.masks, self._show = masks, read

    def _found(self) -> Sequence[int]:
        return list(self.masks)

    def _read(self, key: int) -> V:
        value = self._show(self.masks[key])
        if isinstance(value, _OfFrame):
            value.kept_by(lambda: self.__setitem__(key, value))
        return value

    def __getitem__(self, frame: int) -> V:
        return super().__getitem__(index(frame))

    def __setitem__(self, frame: int, value: V) -> None:
        super().__setitem__(index(frame), value)

    def __contains__(self, frame: object) -> bool:
        if not isinstance(frame, int | np.integer) or int(frame) in self._gone:
            return False
        return int(frame) in self._put or int(frame) in self.masks

    def __len__(self) -> int:
        return super().__len__() if self._put or self._gone else len(self.masks)

    def changed(self, frame: int) -> V | None:
        """What was put in for a frame; None where it is what was found."""
        return self._put.get(frame)

    @property
    def is_started(self) -> bool:
        """Whether every frame of the video is there."""
        return isinstance(self.masks, FoundFrames) and self.masks.is_started

    @property
    def is_changed(self) -> bool:
        """Whether something was put in, or taken out."""
        return bool(self._put or self._gone)

    def forget_changes(self) -> None:
        """Show what was found again."""
        self._put.clear()
        self._gone.clear()

    def __reduce__(self) -> tuple[Any, ...]:
        return PerFrame, (copy.copy(self.masks), self._show), self._changes()

    def __repr__(self) -> str:
        return f"<masks of {len(ids_on(self.masks))} object(s) on {len(self)} frames, by frame index>"


def ids_on(masks: Mapping[int, FrameMasks]) -> set[int]:
    """The objects on some frames."""
    if isinstance(masks, FoundFrames):
        return set(masks.tracks.object_ids)
    return {object_id for frame in masks.values() for object_id in frame.object_ids}


class FoundFrames(Mapping[int, FrameMasks]):
    """What a run has found; once the tracker has started, all frames of the video, empty where nothing is known yet.

    A copy is a plain dict of what is there now.

    Attributes:
        tracks: the run's.
        is_started: whether all frames are there.
    """

    def __init__(self, tracks: Tracks, *, is_started: bool = False) -> None:
        self.tracks, self.is_started = tracks, is_started

    def _count(self) -> int:
        return (self.tracks.video.frame_count or 0) if self.is_started else 0

    def __getitem__(self, frame: int) -> FrameMasks:
        found = self.tracks.get(frame)
        if found is None and frame in self:
            return FrameMasks(frame, self.tracks.video.size_hw)
        if found is None:
            raise KeyError(frame)
        return found

    def __contains__(self, frame: object) -> bool:
        return (isinstance(frame, int) and 0 <= frame < self._count()) or frame in self.tracks

    def __iter__(self) -> Iterator[int]:
        return iter(sorted({*self.tracks, *range(self._count())}) if self.is_started else self.tracks)

    def __len__(self) -> int:
        return max(len(self.tracks), self._count())

    def __reduce__(self) -> tuple[Any, ...]:
        empty = {i: FrameMasks(i, self.tracks.video.size_hw) for i in range(self._count())}
        return dict, (empty | {tracked.info.index: tracked.masks for tracked in self.tracks.frames()},)


class _OfFrame(_LazyDict[K, V]):
    """A dict of what is on one frame. As soon as it is changed, the results that it was taken from keep it."""

    def __init__(self, masks: FrameMasks) -> None:
        super().__init__()
        self._masks = masks
        self._keep: Callable[[], None] | None = None

    def kept_by(self, keep: Callable[[], None]) -> None:
        """Call this when something is changed."""
        self._keep = keep

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if self._keep is not None:
            self._keep()

    def __delitem__(self, key: K) -> None:
        super().__delitem__(key)
        if self._keep is not None:
            self._keep()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._masks,), self._changes()


class FrameOutputs(_OfFrame[str, NDArray[Any]]):
    """One frame as the engine of samgeo gives it.

    ``out_obj_ids`` int64 (N,), ascending; ``out_binary_masks`` bool (N, H, W), decoded at the first look and kept as
    long as this frame's outputs are; ``out_probs`` float32 (N,), in [0, 1].
    """

    def __init__(self, masks: FrameMasks) -> None:
        super().__init__(masks)
        self._arrays: dict[str, NDArray[Any]] = {}

    def _found(self) -> Sequence[str]:
        return ("out_obj_ids", "out_binary_masks", "out_probs")

    def _read(self, key: str) -> NDArray[Any]:
        if key not in self._arrays:
            self._arrays[key] = self._make(key)
        return self._arrays[key]

    def _make(self, key: str) -> NDArray[Any]:
        if key == "out_obj_ids":
            return np.array(self._masks.object_ids, dtype=np.int64)
        if key == "out_binary_masks":
            return self._masks.stack()
        if key == "out_probs":
            return self._masks.scores
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key in self._put or (key in self._found() and key not in self._gone)

    def __repr__(self) -> str:
        return f"<outputs of frame {self._masks.frame}: {', '.join(self)}; objects {list(self._masks.object_ids)}>"


class ObjectMasks(_OfFrame[int, Mask]):
    """{object id: bool (H, W)} of one frame; each look decodes one mask into a fresh array."""

    def _found(self) -> Sequence[int]:
        return self._masks.object_ids

    def _read(self, key: int) -> Mask:
        return self._masks.mask(key)

    def __contains__(self, key: object) -> bool:
        return key in self._put or (key in self._masks and key not in self._gone)

    def __repr__(self) -> str:
        return f"<masks of frame {self._masks.frame}, by object id {list(self)}>"


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
