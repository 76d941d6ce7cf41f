"""``Prompter``: takes masks, points, boxes and words, checks them, and adds them to the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskferry.data import (
    BoxPrompt,
    Frame,
    FrameInfo,
    FrameLike,
    Mask,
    MaskPrompt,
    PointPrompt,
    Prompt,
    Source,
    TextPrompt,
)
from maskferry.detections import Detections
from maskferry.detections._reading import read_given
from maskferry.engines.base import Engine
from maskferry.errors import InputError, PromptNotSupportedError
from maskferry.formats._given_masks import Seeds, is_feature_table, read_one_mask, read_seeds, read_table
from maskferry.masks._convert import as_mask
from maskferry.prompts._checks import box_prompt, point_prompt
from maskferry.prompts._given import target_of, with_known_ids
from maskferry.tracks._journal import Journal
from maskferry.tracks._prompt_store import ObjectPrompt

__all__ = ["Prompter", "read_masks"]


class Prompter:
    """Adds prompts to a run. What is refused leaves nothing behind.

    The arguments of its methods are those of `MaskTracker`'s.
    """

    def __init__(self, source: Source, journal: Journal, engine: Callable[[], Engine]) -> None:
        """Take prompts for a run.

        Args:
            source: the open video.
            journal: where the prompts go.
            engine: gives the engine; it is only loaded for prompts other than masks.
        """
        self._source, self._journal, self._engine = source, journal, engine
        self._restored = set(journal.prompts.requests())  # of a run that is resumed

    def add_mask(
        self,
        mask: ArrayLike | str | Path,
        obj_id: int | None,
        frame_idx: FrameLike,
        label: str | None,
        *,
        replace: bool,
    ) -> int:
        """One mask, from an array or a file."""
        video = self._source.info
        frame_idx = video.check_frame(frame_idx)
        if isinstance(mask, str | Path):
            path = Path(mask)
            with self._journal.transaction():
                found_id = self.add_mask(read_one_mask(path), obj_id, frame_idx, label, replace=replace)
                self._journal.tracks.note_inputs(path)
            return found_id
        if not isinstance(mask, np.ndarray):  # whatever else has one mask in it
            one = read_masks([mask], video.size_hw)
            if len(one) != 1:
                raise InputError(f"mask: expected that of one object, got {len(one)}: pass them to add_masks_prompt")
            ids = None if obj_id is None else [obj_id]
            return self.add_masks(one, ids, frame_idx, None if label is None else [label], replace=replace)[0]
        found = as_mask(mask, video.size_hw, what="masks[0]")
        with self._journal.transaction():
            object_id = self._id(obj_id)
            labels = {} if label is None else {object_id: label}
            self._add([MaskPrompt(frame_idx, object_id, found)], labels, {}, replace=replace)
        return object_id

    def add_masks(
        self,
        masks: Any,  # noqa: ANN401
        obj_ids: Sequence[int] | None,
        frame_idx: FrameLike,
        labels: Sequence[str | None] | None,
        *,
        replace: bool,
    ) -> list[int]:
        """Several masks of one frame, in any form that `detections.read_detections` reads."""
        if is_feature_table(masks):
            if obj_ids is not None or labels is not None:
                raise InputError("obj_ids, labels: a GeoDataFrame has them in its columns (object_id, label)")
            return self._add_features(masks, frame_idx, replace=replace)
        frame_idx = self._source.info.check_frame(frame_idx)
        found = read_masks(masks, self._source.info.size_hw)
        names = list(labels) if labels is not None else found.labels
        if len(names) != len(found):
            raise InputError(f"labels: expected one for each of {len(found)} masks, got {len(names)}")
        with self._journal.transaction():
            ids = self._journal.prompts.ids(found.object_ids if obj_ids is None else obj_ids, len(found))
            self._add(
                [MaskPrompt(frame_idx, i, mask) for i, mask in zip(ids, found.masks, strict=True)],
                {i: name for i, name in zip(ids, names, strict=True) if name is not None},
                {i: score for i, score in zip(ids, found.scores, strict=True) if score is not None},
                replace=replace,
            )
        return ids

    def add_masks_file(
        self,
        path: Path,
        frame_idx: FrameLike | None,
        *,
        replace: bool,
        strict: bool,
        **options: Any,  # noqa: ANN401
    ) -> list[int]:
        """The masks of a file, on the frames that it names; ``options`` are those of `read_seeds`."""
        frame = None if frame_idx is None else self._source.info.check_frame(frame_idx)
        target = target_of(self._source)
        given = read_seeds(path, frame=frame, target=target, strict=strict, **options)
        return self._add_seeds(given, path, replace=replace)

    def _add_features(self, table: Any, frame_idx: FrameLike | None, *, replace: bool) -> list[int]:  # noqa: ANN401
        """The polygons of a GeoDataFrame."""
        frame = None if frame_idx is None else self._source.info.check_frame(frame_idx)
        return self._add_seeds(read_table(table, frame=frame, target=target_of(self._source)), None, replace=replace)

    def _add_seeds(self, given: Seeds, path: Path | None, *, replace: bool) -> list[int]:
        with self._journal.transaction():  # all, or none
            there = self._journal.tracks
            given = with_known_ids(given, there.labels, there.object_ids, str(path or "masks"))
            for frame, prompts in groupby(given.prompts, key=attrgetter("frame")):
                masks: dict[int, Mask] = {prompt.object_id: prompt.mask for prompt in prompts}
                names = [given.labels.get(i) for i in masks]
                self.add_masks(list(masks.values()), list(masks), frame, names, replace=replace)
            if path is not None:
                self._journal.tracks.note_inputs(path)
        return sorted({prompt.object_id for prompt in given.prompts})

    def add_points(
        self, points: ArrayLike, labels: ArrayLike, obj_id: int | None, frame_idx: FrameLike, *, replace: bool
    ) -> int:
        """Points on and off one object."""
        frame_idx = self._frame_index(frame_idx, PointPrompt, "points")
        with self._journal.transaction():
            object_id = self._id(obj_id)
            prompt = point_prompt(frame_idx, object_id, points, labels, self._source.info)
            self._add([prompt], {}, {}, replace=replace)
        return object_id

    def add_box(self, box: Sequence[float], obj_id: int | None, frame_idx: FrameLike, *, replace: bool) -> int:
        """A box around one object."""
        frame_idx = self._frame_index(frame_idx, BoxPrompt, "boxes")
        with self._journal.transaction():
            object_id = self._id(obj_id)
            prompt = box_prompt(frame_idx, object_id, box, self._source.info)
            self._add([prompt], {}, {}, replace=replace)
        return object_id

    def _frame_index(self, frame_idx: FrameLike, kind: type[Prompt], what: str) -> int:
        frame_idx = self._source.info.check_frame(frame_idx)
        self._require(kind, what)
        return frame_idx

    def _id(self, obj_id: int | None) -> int:
        return self._journal.prompts.ids(None if obj_id is None else [obj_id], 1)[0]

    def next_ids(self, count: int) -> list[int]:
        """The ids that new objects would get."""
        return self._journal.prompts.ids(None, count)

    def add_text(self, text: str, frame_idx: FrameLike, first_id: int | None = None) -> list[int]:
        """Everything on one frame that words name."""
        frame_idx = self._source.info.check_frame(frame_idx)
        self._require(TextPrompt, "text")
        session = self._engine().open(self._source.info)
        try:
            found = session.step(self._frame(frame_idx), [TextPrompt(frame_idx, text)])
        finally:
            session.close()
        masks = [row.rle.decode() for row in found if row.rle.area]
        if not masks:
            return []
        ids = None if first_id is None else range(first_id, first_id + len(masks))
        return self.add_masks(masks, ids, frame_idx, [text] * len(masks), replace=False)

    def _frame(self, frame_idx: int) -> Frame:
        for frame in self._source.frames([frame_idx]):
            return frame
        raise InputError(f"frame {frame_idx}: the video ended before it")

    def _require(self, kind: type[Prompt], what: str) -> None:
        """Refuse a kind of prompt that the engine does not take."""
        engine = self._engine()
        if kind in engine.accepts:
            return
        takes = ", ".join(sorted(k.__name__.removesuffix("Prompt").lower() + "s" for k in engine.accepts))
        raise PromptNotSupportedError(
            f"engine {engine.name!r} takes {takes}, not {what}: make masks of them with another model "
            "(any detector or segmenter) and pass those to add_masks_prompt, or choose an engine that takes "
            f"{what} (`maskferry engines` lists them)"
        )

    def _add(
        self,
        prompts: Sequence[ObjectPrompt],
        labels: Mapping[int, str],
        scores: Mapping[int, float],
        *,
        replace: bool,
    ) -> None:
        """Add prompts of one frame, all or none.

        A prompt that a resumed run has already is left as it is, so that the same calls resume it.
        """
        wrong = [label for label in labels.values() if not isinstance(label, str)]
        if wrong:
            raise InputError(f"label: expected a text or None, got {wrong[0]!r}")
        new = [prompt for prompt in prompts if not self._is_restored(prompt, replace=replace)]
        for prompt in new:
            there = self._journal.prompts
            is_given = there.has_prompt(prompt.frame, prompt.object_id)
            if is_given and not replace and not there.is_pin(prompt.frame, prompt.object_id):
                raise InputError(
                    f"object {prompt.object_id} has a prompt on frame {prompt.frame} already: pass replace=True to "
                    "give it another, or correct it on another frame"
                )
        if new:
            self._journal.add_prompts(new, self._frame_info(new[0].frame), labels, scores)
        self._restored -= {(prompt.frame, prompt.object_id) for prompt in prompts}

    def _is_restored(self, prompt: ObjectPrompt, *, replace: bool) -> bool:
        """Whether this very prompt is one of the run that is resumed. One that an edit has taken back since stays away,
        unless it is given anew with ``replace``."""
        key, there = (prompt.frame, prompt.object_id), self._journal.prompts
        return key in self._restored and there.is_requested(prompt) and (not replace or there.has_prompt(*key))

    def _frame_info(self, frame_idx: int) -> FrameInfo | None:
        """The frame's row of the frame table, where it is known without reading on in a stream."""
        if not self._source.seekable:
            return None
        read = getattr(type(self._source), "frame_info", Source.frame_info)  # older third-party sources have none
        info: FrameInfo = read(self._source, frame_idx)
        return info

    def reset(self) -> None:
        """Forget all objects and results."""
        self._journal.reset()
        self._restored.clear()


def read_masks(masks: Any, size_hw: tuple[int, int]) -> Detections:  # noqa: ANN401
    """Masks in any form, or files of them, with whatever is known of them.

    Raises:
        InputError: there is none, or one is malformed.
    """
    if isinstance(masks, str | Path):
        raise InputError(f"masks: expected a stack or a list of masks, got the path {masks}: use add_masks_file")
    if isinstance(masks, Sequence) and any(isinstance(mask, str | Path) for mask in masks):
        masks = [read_one_mask(Path(mask)) if isinstance(mask, str | Path) else mask for mask in masks]
    return read_given(masks, size_hw)
