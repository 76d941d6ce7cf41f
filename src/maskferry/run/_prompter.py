"""``Prompting``: what a person tells the session: masks, points, boxes, text, on any frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from maskferry.data import BoxPrompt, MaskPrompt, PointPrompt, Prompt, TextPrompt
from maskferry.detections import Detections, read_detections
from maskferry.errors import InputError, PromptNotSupportedError
from maskferry.formats._binary import read_mask
from maskferry.formats._seeds import read_seeds
from maskferry.prompts._checks import box_prompt, point_prompt
from maskferry.run._workspace import Workspace
from maskferry.tracks._ids import object_ids
from maskferry.tracks._journal import same_prompt

__all__ = ["Prompting"]


class Prompting(Workspace):
    """A workspace that takes prompts. Everything is checked here; what is refused leaves nothing behind."""

    def _require(self, kind: type[Prompt], what: str) -> None:
        if kind in self.engine.accepts:
            return
        takes = ", ".join(sorted(k.__name__.removesuffix("Prompt").lower() + "s" for k in self.engine.accepts))
        raise PromptNotSupportedError(
            f"engine {self.engine.name!r} takes {takes}, not {what}: make masks of them with another model "
            "(any detector or segmenter) and pass those to add_masks_prompt, or choose an engine that takes "
            f"{what} (`maskferry engines` lists them)"
        )

    # --- prompts ------------------------------------------------------------------------------------------------

    def init_tracker(self, frame_idx: int = 0) -> None:
        """Start with no objects. Optional and instant: prompts can be added at any time without it.

        Raises:
            InputError: no video has been set, or the frame is outside of it.
        """
        frame_idx = self._check_frame(frame_idx)
        self.journal.reset()
        self._restored.clear()

    def reset(self) -> None:
        """Forget all objects and results; the video stays."""
        self.init_tracker()

    def add_mask_prompt(
        self,
        mask: ArrayLike | str | Path,
        obj_id: int | None = None,
        frame_idx: int = 0,
        *,
        label: str | None = None,
        replace: bool = False,
    ) -> int:
        """Track what a mask covers. A mask of a known object on another frame is a correction.

        Args:
            mask: (H, W), (1, H, W) or (H, W, 1); bool, integer or probability (see `masks.convert.as_mask`); or a file.
            obj_id: a whole number from 1; by default the next free one from 100.
            frame_idx: the frame that the mask belongs to.
            label: a name for the object.
            replace: allow to replace the object's prompt on this very frame.

        Returns:
            The object's id.

        Raises:
            InputError: the mask is empty or malformed, the frame is outside the video, the id is no whole number from
                1, or the object has a prompt on this frame already.
        """
        ids = None if obj_id is None else [obj_id]
        labels = None if label is None else [label]
        return self.add_masks_prompt([mask], ids, frame_idx, labels=labels, replace=replace)[0]

    def add_masks_prompt(
        self,
        masks: Any,  # noqa: ANN401
        obj_ids: Sequence[int] | None = None,
        frame_idx: int = 0,
        *,
        labels: Sequence[str | None] | None = None,
        replace: bool = False,
    ) -> list[int]:
        """Track what each of several masks covers; all are added, or none.

        Args:
            masks: a stack (N, H, W) or (N, 1, H, W), a list of what `add_mask_prompt` takes, or what another model has
                found on the frame, as it is: see `detections.read_detections`. Its names become the objects' labels,
                its scores are kept (`Tracks.given_scores`), and so are its ids where it tracks.
            obj_ids: an id for each; by default the model's, or the next free ones from 100.
            frame_idx: the frame that they belong to.
            labels: a name for each object; by default the model's.
            replace: allow to replace prompts of the same objects on this very frame.

        Returns:
            The objects' ids, in the order of the masks.

        Raises:
            InputError: as `add_mask_prompt`, or the lengths differ.
        """
        frame_idx = self._check_frame(frame_idx)
        found = self._detections(masks)
        ids = self._ids(found.object_ids if obj_ids is None else obj_ids, len(found))
        names = list(labels) if labels is not None else found.labels
        if len(names) != len(found):
            raise InputError(f"labels: expected one for each of {len(found)} masks, got {len(names)}")
        prompts = [MaskPrompt(frame_idx, i, mask) for i, mask in zip(ids, found.masks, strict=True)]
        scores = {i: score for i, score in zip(ids, found.scores, strict=True) if score is not None}
        self._add(prompts, names, scores, replace=replace)
        return ids

    def _detections(self, masks: Any) -> Detections:  # noqa: ANN401
        """Masks in any form, with whatever is known of them."""
        if isinstance(masks, str | Path):
            raise InputError(f"masks: expected a stack or a list of masks, got the path {masks}: use add_masks_file")
        if isinstance(masks, Sequence) and any(isinstance(mask, str | Path) for mask in masks):
            masks = [read_mask(Path(mask)) if isinstance(mask, str | Path) else mask for mask in masks]
        found = read_detections(masks, self.source.info.size_hw)
        if not len(found):
            raise InputError("masks: expected at least one, but nothing was found on this picture")
        return found

    def add_masks_file(self, path: str | Path, frame_idx: int = 0, *, replace: bool = False) -> list[int]:
        """Track what a file of masks covers; ids and names are the file's.

        Args:
            path: a label map, a folder with a binary picture for each object, or a file of COCO, YouTube-VIS, LabelMe,
                CVAT or MOTS, which may say itself what frames its masks belong to; see `formats.seeds.read_seeds`.
            frame_idx: the frame that they belong to, where the file does not say.
            replace: allow to replace prompts of the same objects on the same frames.

        Returns:
            The objects' ids, ascending.

        Raises:
            InputError: as `add_mask_prompt`, or there is no mask in the file.
        """
        seeds = read_seeds(Path(path), frame=self._check_frame(frame_idx))
        for frame, prompts in groupby(seeds.prompts, key=attrgetter("frame")):
            given = {prompt.object_id: prompt.mask for prompt in prompts}
            names = [seeds.labels.get(i) for i in given]
            self.add_masks_prompt(list(given.values()), list(given), frame, labels=names, replace=replace)
        return sorted({prompt.object_id for prompt in seeds.prompts})

    def add_point_prompts(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        obj_id: int | None = None,
        frame_idx: int = 0,
        *,
        replace: bool = False,
    ) -> int:
        """Track what points lie on, where the engine takes points.

        Args:
            points: float (K, 2), (x, y) in pixels.
            labels: (K,), 1 on the object, 0 off it.
            obj_id: a whole number from 1; by default the next free one from 100.
            frame_idx: the frame that they belong to.
            replace: allow to replace the object's prompt on this very frame.

        Returns:
            The object's id.

        Raises:
            PromptNotSupportedError: the engine takes no points.
            InputError: shapes, labels, points outside the picture, frame or id are wrong.
        """
        frame_idx = self._check_frame(frame_idx)
        self._require(PointPrompt, "points")
        (object_id,) = self._ids(None if obj_id is None else [obj_id], 1)
        self._add([point_prompt(frame_idx, object_id, points, labels, self.source.info)], [None], replace=replace)
        return object_id

    def add_box_prompt(
        self, box: Sequence[float], obj_id: int | None = None, frame_idx: int = 0, *, replace: bool = False
    ) -> int:
        """Track what a box encloses, where the engine takes boxes.

        Args:
            box: xyxy in pixels.
            obj_id: a whole number from 1; by default the next free one from 100.
            frame_idx: the frame that it belongs to.
            replace: allow to replace the object's prompt on this very frame.

        Returns:
            The object's id.

        Raises:
            PromptNotSupportedError: the engine takes no boxes.
            InputError: the box is not xyxy, or lies outside the picture; frame or id are wrong.
        """
        frame_idx = self._check_frame(frame_idx)
        self._require(BoxPrompt, "boxes")
        (object_id,) = self._ids(None if obj_id is None else [obj_id], 1)
        self._add([box_prompt(frame_idx, object_id, box, self.source.info)], [None], replace=replace)
        return object_id

    def generate_masks(self, prompt: str, frame_idx: int = 0) -> list[int]:
        """Find everything that words name on one frame, where the engine takes text, and track it.

        Args:
            prompt: a short noun phrase.
            frame_idx: the frame to look at.

        Returns:
            The ids of the objects found; the prompt is their label.

        Raises:
            PromptNotSupportedError: the engine takes no text.
        """
        frame_idx = self._check_frame(frame_idx)
        self._require(TextPrompt, "text")
        session = self.engine.open(self.source.info)
        try:
            found = session.step(self.frame(frame_idx), [TextPrompt(frame_idx, prompt)])
        finally:
            session.close()
        masks = [row.rle.decode() for row in found if row.rle.area]
        return self.add_masks_prompt(masks, None, frame_idx, labels=[prompt] * len(masks)) if masks else []

    def remove_object(self, obj_id: int) -> None:
        """Forget an object and its masks; the others are untouched.

        Raises:
            UnknownObjectError: no such object.
        """
        self.journal.remove_object(obj_id)

    def _add(
        self,
        prompts: Sequence[MaskPrompt | PointPrompt | BoxPrompt],
        labels: Sequence[str | None],
        scores: Mapping[int, float] | None = None,
        *,
        replace: bool,
    ) -> None:
        fresh, names = [], []
        for prompt, name in zip(prompts, labels, strict=True):
            key = (prompt.frame, prompt.object_id)
            known = self.journal.prompt(*key)
            if known is not None and key in self._restored and same_prompt(known, prompt):
                self._restored.discard(key)  # the same command, going on with a file
                continue
            if known is not None and not replace:
                raise InputError(
                    f"object {prompt.object_id} has a prompt on frame {prompt.frame} already: pass replace=True to "
                    "give it another, or correct it on another frame"
                )
            fresh.append(prompt)
            names.append(name)
        if fresh:
            self.journal.add_prompts(fresh, self._info(fresh[0].frame), names, scores)

    def _ids(self, wanted: Sequence[int] | None, count: int) -> list[int]:
        return object_ids(wanted, count, self.journal.used_ids())
