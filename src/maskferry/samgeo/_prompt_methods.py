"""What objects are, as samgeo takes it: masks, points and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from maskferry import BoxPrompt, MaskTracker, PointPrompt
from maskferry.data import FrameMasks
from maskferry.errors import InputError
from maskferry.prompts import pixels_of_box, pixels_of_points
from maskferry.samgeo._answers import PromptAnswer
from maskferry.samgeo._given_masks import is_empty, list_masks
from maskferry.samgeo._lazy_views import FrameOutputs
from maskferry.samgeo._messages import say

__all__ = ["PromptMethods"]


class PromptMethods:
    """The part of `SamGeo3Video` that takes and removes objects."""

    _tracker: MaskTracker
    _phrase: str | None = None
    """What the next `propagate` looks for."""

    def add_mask_prompt(
        self, mask: ArrayLike | str | Path, obj_id: int, frame_idx: int = 0, num_points: int = 5
    ) -> PromptAnswer:
        """Follow what a mask covers; a mask that this object has on this frame already is replaced.

        Args:
            mask: (H, W), from whatever model; axes of length 1 may be around it. Floats above 0 are the object, be
                they probabilities or logits, and integers that are not 0. Or a file. An empty one is left out, with a
                line that says so.
            obj_id: a whole number from 1.
            frame_idx: the frame that the mask belongs to.
            num_points: accepted and not used. samgeo turns the mask into so many points, because its engine takes no
                masks, and the engine guesses the object from these. Here the mask itself is the prompt, so that
                nothing of it is lost and there are no points to choose.

        Returns:
            The object's id, which is samgeo's dict as well: ``["frame_index"]``, ``["outputs"]``.

        Raises:
            InputError: the mask is malformed, or the frame or the id is wrong.
        """
        return self.add_masks_prompt([mask], [obj_id], frame_idx)[0]

    def add_masks_prompt(
        self,
        masks: Any,  # noqa: ANN401
        obj_ids: Sequence[int] | None = None,
        frame_idx: int = 0,
    ) -> list[PromptAnswer]:
        """Follow what each of several masks covers; all are added, or none. Empty ones are left out, with a line that
        says so.

        Args:
            masks: (N, H, W), or a list of what `add_mask_prompt` takes.
            obj_ids: an id for each; by default the next ones from 100 that were never in use.
            frame_idx: the frame that they belong to.

        Returns:
            The objects' ids, each samgeo's dict as well, as `add_mask_prompt` returns it.

        Raises:
            InputError: as `add_mask_prompt`, or there is not one id for each mask.
        """
        masks = list_masks(masks, self._tracker.source.info.size_hw)
        empty = {i for i, mask in enumerate(masks) if is_empty(mask)} if isinstance(masks, list) else set()
        if not empty:
            ids = self._tracker.add_masks_prompt(masks, obj_ids, frame_idx, replace=True)
        else:
            ids = self._tracker.next_ids(len(masks)) if obj_ids is None else _numbers(obj_ids)
            self._add_others(masks, ids, empty, frame_idx)
        known = self._tracker.masks(frame_idx)
        for i, object_id in enumerate(ids):
            if i in empty:
                say(f"Warning: Empty mask for object {object_id}. Skipping.")
            else:
                say(f"Object {object_id}: mask of {known[object_id].rle.area} pixels on frame {frame_idx}.")
        nothing = FrameMasks(known.frame, known.size_hw)
        there = [FrameOutputs(nothing if i in empty else known) for i in range(len(ids))]
        return [PromptAnswer(i, known.frame, outputs) for i, outputs in zip(ids, there, strict=True)]

    def _add_others(self, masks: list[Any], ids: Sequence[int], empty: set[int], frame_idx: int) -> None:
        """Add masks that are not empty."""
        if len(masks) != len(ids):
            raise InputError(f"obj_ids: expected one for each of {len(masks)} masks, got {len(ids)}")
        kept = [i for i in range(len(masks)) if i not in empty]
        if kept:
            some, their_ids = [masks[i] for i in kept], [ids[i] for i in kept]
            self._tracker.add_masks_prompt(some, their_ids, frame_idx, replace=True)

    def add_point_prompts(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        obj_id: int,
        frame_idx: int = 0,
        point_crs: str | None = None,
    ) -> PromptAnswer:
        """Follow what points lie on, where the engine takes points; earlier points on this frame are replaced.

        Args:
            points: (K, 2), [x, y] in pixels.
            labels: (K,), 1 on the object, 0 off it.
            obj_id: a whole number from 1.
            frame_idx: the frame that they belong to.
            point_crs: of a series of GeoTIFFs, what the points are in, such as "EPSG:4326" for longitude and latitude;
                they become pixels that are not rounded. A point outside of the grid is refused.

        Returns:
            As `add_mask_prompt`. The engine is asked for the outputs when they are first looked at.

        Raises:
            PromptNotSupportedError: the engine takes no points; the message says what to do instead.
            InputError: shapes, labels, points outside the picture, frame, id or coordinates are wrong.
        """
        if point_crs is not None:
            points = pixels_of_points(self._tracker.source.info, points, point_crs, "points (point_crs)")
        object_id = self._tracker.add_point_prompts(points, labels, obj_id, frame_idx, replace=True)
        say(f"Object {object_id}: points on frame {frame_idx}.")
        points_xy, kinds = np.array(points, dtype=np.float64), np.array(labels, dtype=np.int64)
        prompt = PointPrompt(index(frame_idx), object_id, points_xy, kinds)
        return PromptAnswer(object_id, prompt.frame, lambda: self._answer_to(prompt))

    def add_box_prompt(
        self, box: Sequence[float], obj_id: int, frame_idx: int = 0, box_crs: str | None = None
    ) -> PromptAnswer:
        """Follow what a box encloses, where the engine takes boxes; an earlier box on this frame is replaced.

        Args:
            box: [x, y, width, height] in pixels, or in ``box_crs``, where x and y are the smaller coordinates.
            obj_id: a whole number from 1.
            frame_idx: the frame that it belongs to.
            box_crs: of a series of GeoTIFFs, what the box is in; it becomes the box of whole pixels around it.

        Returns:
            As `add_mask_prompt`. The engine is asked for the outputs when they are first looked at.

        Raises:
            PromptNotSupportedError: the engine takes no boxes; the message says what to do instead.
            InputError: the box, frame, id or coordinates are wrong.
        """
        try:
            x, y, width, height = (float(side) for side in box)
        except Exception as err:  # whatever it is, it is no box
            raise InputError(f"box: expected [x, y, width, height] in pixels, got {type(box).__name__}") from err
        xyxy = (x, y, x + width, y + height)
        if box_crs is not None:
            xyxy = pixels_of_box(self._tracker.source.info, xyxy, box_crs, "box (box_crs)")
        object_id = self._tracker.add_box_prompt(xyxy, obj_id, frame_idx, replace=True)
        say(f"Object {object_id}: box on frame {frame_idx}.")
        prompt = BoxPrompt(index(frame_idx), object_id, xyxy)
        return PromptAnswer(object_id, prompt.frame, lambda: self._answer_to(prompt))

    def _answer_to(self, prompt: PointPrompt | BoxPrompt) -> FrameMasks:
        """What is on a prompt's frame, with what the engine makes of the prompt there."""
        known = self._tracker.masks(prompt.frame)
        others = [row for row in known if row.object_id != prompt.object_id]
        with closing(self._tracker.engine.open(self._tracker.source.info)) as session:
            found = session.step(self._tracker.frame(prompt.frame), [prompt])
        rows = sorted([*others, *found], key=lambda row: row.object_id)
        return FrameMasks(prompt.frame, known.size_hw, tuple(rows))

    def remove_object(self, obj_id: int | Sequence[int]) -> None:
        """Forget one object or several, and their masks; the others are untouched.

        Words that are still to be looked for would find it again: they are forgotten, with a line that says so.

        Raises:
            UnknownObjectError: no such object.
        """
        is_several = isinstance(obj_id, Sequence) or (isinstance(obj_id, np.ndarray) and obj_id.ndim > 0)
        is_one = not is_several or isinstance(obj_id, str | bytes)
        ids: Sequence[int] = [obj_id] if is_one else obj_id  # type: ignore[list-item, assignment]
        for object_id in ids:
            self._tracker.remove_object(object_id)
        say(f"Removed object(s) {', '.join(map(str, ids))}.")
        if self._phrase is not None:
            say(f"{self._phrase!r} is not looked for on other frames: that would find it again.")
            self._phrase = None


def _numbers(obj_ids: Sequence[int]) -> list[int]:
    try:
        ids = [index(object_id) for object_id in obj_ids]
    except TypeError:
        ids = [0]
    if min(ids, default=1) < 1:
        raise InputError(f"obj_ids: expected whole numbers from 1, got {obj_ids!r:.80}")
    return ids
