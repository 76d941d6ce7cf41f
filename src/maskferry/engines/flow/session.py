"""One pass over one video: what happens on a frame, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, ObjectMask, Prompt, State, VideoInfo
from maskferry.engines.flow import snapshot
from maskferry.engines.flow.appearance import NormalEquations, fit
from maskferry.engines.flow.competition import Claim, nested_pairs, settle
from maskferry.engines.flow.finding import Finding, find
from maskferry.engines.flow.grid import Box, FloatArray, Grid, box_of
from maskferry.engines.flow.options import FlowOptions
from maskferry.engines.flow.scene import Observer, Scene
from maskferry.engines.flow.target import Target
from maskferry.errors import EngineError, InputError, PromptNotSupportedError
from maskferry.rle import Rle

__all__ = ["FlowSession"]

FIRST_FIT = 3
"""A given mask is learned from this many times the usual number of cells."""


class FlowSession:
    """An engine's memory of one pass; see `maskferry.engines.base.Session`."""

    def __init__(self, video: VideoInfo, options: FlowOptions, seed: int, data: bytes | None = None) -> None:
        self._options, self._seed = options, seed
        self._grid = Grid.for_frame(video.size_hw, options.grid_cells)
        self._observer = Observer(self._grid, options, seed)
        self._targets: dict[int, Target] = {}
        self._nested: set[tuple[int, int]] = set()
        if data is not None:
            memory = snapshot.load(data, self._grid, options, seed)
            self._observer.last, self._targets, self._nested = memory.last, memory.targets, memory.nested

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Track into a frame, first taking in its prompts.

        Raises:
            InputError: the frame or a mask has not the size of the video, or a mask is empty.
            PromptNotSupportedError: a prompt is no `MaskPrompt`.
            EngineError: OpenCV or numpy failed; the session can only be closed.
        """
        given = self._check(frame, prompts)
        try:
            return self._step(frame, given)
        except (cv2.error, np.linalg.LinAlgError, MemoryError) as err:
            raise EngineError(f"engine 'flow' failed on frame {frame.index}: {err}") from err

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last; the next step goes on from them.

        Raises:
            InputError: the frame or a mask has not the size of the video, or a mask is empty.
            EngineError: OpenCV or numpy failed; the session can only be closed.
        """
        given = self._check(frame, prompts)
        try:
            scene = self._observer.describe(frame)
            self._note_nesting(given)
            for i, mask in given.items():
                self._give(i, self._grid.mask_to_grid(mask), scene)
        except (cv2.error, np.linalg.LinAlgError, MemoryError) as err:
            raise EngineError(f"engine 'flow' failed on frame {frame.index}: {err}") from err

    def drop(self, object_id: int) -> None:
        """Forget one object; nothing happens where it is unknown."""
        self._targets.pop(object_id, None)
        self._nested = {pair for pair in self._nested if object_id not in pair}

    def snapshot(self) -> bytes:
        """Everything that the next step depends on."""
        memory = snapshot.Memory(self._observer.last, self._targets, self._nested)
        return snapshot.save(memory, self._grid, self._options, self._seed)

    def close(self) -> None:
        """Forget everything and let the second thread go. May be called twice."""
        self._targets.clear()
        self._observer.close()

    def _check(self, frame: Frame, prompts: Sequence[Prompt]) -> dict[int, Mask]:
        """The given masks by object id."""
        size_hw, at = self._grid.frame_hw, f"frame {frame.index}"
        if frame.image.shape != (*size_hw, 3) or frame.image.dtype != np.uint8:
            came = f"{frame.image.dtype} {frame.image.shape}"
            raise InputError(f"{at}: expected RGB uint8 {(*size_hw, 3)}, as the video was opened, got {came}")
        given = {}
        for prompt in prompts:
            if not isinstance(prompt, MaskPrompt):
                raise PromptNotSupportedError(f"{at}: engine 'flow' takes masks only, got a {type(prompt).__name__}")
            mask = prompt.mask
            if mask.shape != size_hw or mask.dtype != np.bool_ or not mask.any():
                came = f"{mask.dtype} {mask.shape} with {int(np.count_nonzero(mask))} pixels set"
                raise InputError(f"{at}, object {prompt.object_id}: expected a mask, bool {size_hw}, got {came}")
            given[prompt.object_id] = mask
        return given

    def _step(self, frame: Frame, given: Mapping[int, Mask]) -> FrameMasks:
        tracked = {i: t for i, t in self._targets.items() if i not in given}
        scene = self._observer.look(frame, tracking=bool(tracked))
        found = find(tracked, scene, self._observer, self._options)
        self._note_nesting(given)
        shares = {i: self._grid.mask_to_grid(mask) for i, mask in given.items()}
        cells = self._share_cells(found, shares)
        pixels = self._share_pixels({i: f.cover * cells[i] for i, f in found.items()}, given)
        rows = {i: ObjectMask(i, Rle.encode(mask), 1.0, State.GIVEN) for i, mask in given.items()}
        for i, target in tracked.items():
            rows[i] = self._take_in(target, found[i], cells[i], pixels[i], scene)
        for i, share in shares.items():
            self._give(i, share, scene)
        return FrameMasks(frame.index, self._grid.frame_hw, tuple(rows[i] for i in sorted(rows)))

    def _note_nesting(self, given: Mapping[int, Mask]) -> None:
        """Remember which pairs of given masks are meant to overlap."""
        for pair, overlap in nested_pairs(given).items():
            (self._nested.add if overlap else self._nested.discard)(pair)

    def _share_cells(self, found: Mapping[int, Finding], shares: Mapping[int, FloatArray]) -> dict[int, Mask]:
        """Who keeps which cells, bool (h, w) for each object found. A given mask is beyond doubt."""
        claims = {i: Claim.on(f.mask, np.exp(np.clip(f.evidence, -20, 20))) for i, f in found.items()}
        claims |= {i: Claim.on(share >= 0.5, np.inf) for i, share in shares.items()}
        settled = settle(claims, self._nested)
        kept = {i: np.zeros(self._grid.size_hw, dtype=np.bool_) for i in found}
        for i, mask in kept.items():
            x1, y1, x2, y2 = claims[i].box
            mask[y1:y2, x1:x2] = settled[i]
        return kept

    def _share_pixels(self, covers: Mapping[int, FloatArray], given: Mapping[int, Mask]) -> dict[int, tuple[Mask, Box]]:
        """Masks at the size of the video, each on a box of its own; they share no pixel unless they are nested."""
        claims = {i: Claim.on(mask, np.inf) for i, mask in given.items()}
        for i, cover in covers.items():
            pixels, box = self._grid.grid_to_frame(cover, box_of(cover > 0, margin=1) or (0, 0, 1, 1))
            claims[i] = Claim(pixels - np.float32(0.5), box)
        return {i: (mask, claims[i].box) for i, mask in settle(claims, self._nested).items()}

    def _take_in(
        self, target: Target, found: Finding, cells: Mask, pixels: tuple[Mask, Box], scene: Scene
    ) -> ObjectMask:
        """Remember what was found, and report it."""
        crop, (x, y, _, _) = pixels
        if not crop.any():
            cells = np.zeros_like(cells)
        target.see(cells, looks=found.mean_looks(cells))
        if target.learnable(cells):
            target.learn(self._learn(target.object_id, target.soft, scene, self._options.samples), self._options)
        if not cells.any():
            return ObjectMask(target.object_id, Rle.empty(self._grid.frame_hw), 0.0, State.LOST)
        rle = Rle.encode_crop(crop, (x, y), self._grid.frame_hw)
        return ObjectMask(target.object_id, rle, found.score(cells), target.state)

    def _give(self, object_id: int, share: FloatArray, scene: Scene) -> None:
        """Take in a mask of the caller's: a new object, or a correction of a known one."""
        seen = self._learn(object_id, share, scene, FIRST_FIT * self._options.samples)
        if object_id in self._targets:
            self._targets[object_id].give(share, seen, self._options)
        else:
            self._targets[object_id] = Target.begin(object_id, share, seen, self._options)
            self._targets = dict(sorted(self._targets.items()))

    def _learn(self, object_id: int, soft: FloatArray, scene: Scene, count: int) -> NormalEquations:
        rng = self._observer.random(scene.frame, object_id, purpose=1)
        return fit(soft, scene.features, self._observer.lift, self._grid, count, rng)
