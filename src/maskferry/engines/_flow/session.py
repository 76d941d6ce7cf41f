"""One pass over one video: what happens on a frame, in order, and who keeps which pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import cv2
import numpy as np

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, ObjectMask, Prompt, State, VideoInfo
from maskferry.engines._checks import check_frame, checked_mask
from maskferry.engines._flow import snapshot
from maskferry.engines._flow.appearance import NormalEquations, fit
from maskferry.engines._flow.finding import Finding, find, lattice_for
from maskferry.engines._flow.grid import Box, FloatArray, Grid, box_of
from maskferry.engines._flow.options import FlowOptions
from maskferry.engines._flow.recognition import Found, Recognition
from maskferry.engines._flow.scene import Observer, Scene, Window
from maskferry.engines._flow.segmentation import Claim, nested_pairs, rivals, settle
from maskferry.engines._flow.target import Target
from maskferry.engines._flow.timing import Timer
from maskferry.engines._flow.viewing import Viewer
from maskferry.errors import EngineError, PromptNotSupportedError
from maskferry.rle import Rle

__all__ = ["FlowSession", "Kept", "share"]


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What an object keeps.

    Attributes:
        pixels: its mask, bool, on a box of the frame.
        box: that box.
        cells: bool (h, w) on the part of its lattice in which it was found.
    """

    pixels: Mask
    box: Box
    cells: Mask


def share(
    found: Mapping[int, Finding], given: Mapping[int, Mask], nested: set[tuple[int, int]], valid: Mask | None = None
) -> dict[int, Kept]:
    """Settle who gets which pixels; where several were found, the one with the most evidence. A given mask keeps all.

    Args:
        found: by object id.
        given: masks of the caller, bool (H, W), by object id.
        nested: pairs of ids, ascending, that may share pixels.
        valid: bool (H, W), which pixels show anything: nobody found gets others. None where all do.
    """
    alone = {i: _upsample(f) for i, f in found.items()}
    claims = {i: Claim.on(mask, np.inf) for i, mask in given.items()}
    boxes = {i: box for i, (_, box) in alone.items()} | {i: claim.box for i, claim in claims.items()}
    contested = {i for pair in rivals(boxes) if pair not in nested for i in pair}
    for i, (drawn, box) in alone.items():
        pixels = _shown(drawn, box, valid)
        claims[i] = Claim(_strength(found[i], pixels) if i in contested else pixels.astype(np.float32), box)
    settled = settle(claims, nested)
    return {i: _keep(f, *alone[i], settled[i]) for i, f in found.items()}


OUTLINE = 1.5
"""Within so many cells of its border, the network's finer answer decides what belongs to a mask."""


def _reach(found: Finding) -> Box:
    """The cells that its mask may cover in pixels."""
    return box_of(found.cover * found.mask > 0, margin=1 if found.sighting is None else 3) or (0, 0, 1, 1)


def _upsample(found: Finding) -> tuple[Mask, Box]:
    """The mask in pixels, on a box."""
    cover = found.cover * found.mask
    pixels, box = found.grid.grid_to_frame(cover, _reach(found))
    mask = pixels > 0.5
    sighting = found.sighting
    if sighting is None or sighting.trust < 1 or min(found.grid.pitch_xy) < sighting.finest:
        return mask, box
    return _outline(mask, sighting.on_pixels(box), found.grid), box


def _shown(mask: Mask, box: Box, valid: Mask | None) -> Mask:
    """Without the pixels that show nothing."""
    x1, y1, x2, y2 = box
    return mask if valid is None else mask & valid[y1:y2, x1:x2]


def _outline(mask: Mask, logits: FloatArray, grid: Grid) -> Mask:
    """A mask in pixels, its border drawn by the network."""
    reach = round(OUTLINE * max(grid.pitch_xy))
    if not mask.any() or reach < 1:
        return mask
    near = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    here = mask.astype(np.uint8)
    band = (cv2.dilate(here, near) > 0) & (cv2.erode(here, near) == 0)
    return np.asarray(np.where(band, logits > 0, mask), dtype=np.bool_)


def _strength(found: Finding, pixels: Mask) -> FloatArray:
    """Evidence in pixels, always above 0 on the mask and 0 elsewhere."""
    evidence, _ = found.grid.grid_to_frame(np.clip(found.evidence, -20, 20), _reach(found))
    return np.where(pixels, np.exp(evidence), 0).astype(np.float32)


def _keep(found: Finding, pixels: Mask, box: Box, kept: Mask) -> Kept:
    if np.array_equal(pixels, kept):
        return Kept(kept, box, found.mask)
    return Kept(kept, box, found.mask & ~found.grid.pixels_to_cells(pixels & ~kept, box))


FIRST_FIT = 3
"""A given mask is learned from this many times the usual number of cells."""

TURNS = 5
"""At most this many objects are learned on a frame, in turn; more would take most of the time."""


class FlowSession:
    """An engine's memory of one pass; see `maskferry.engines.base.Session`."""

    def __init__(
        self, video: VideoInfo, options: FlowOptions, seed: int, data: bytes | None = None, timer: Timer = nullcontext
    ) -> None:
        self._options, self._seed = options, seed
        self._grid = Grid.for_frame(video.size_hw, options.grid_cells)
        self._observer = Observer(self._grid, options, seed, timer)
        self._targets: dict[int, Target] = {}
        self._nested: set[tuple[int, int]] = set()
        self._recognition: Recognition | None = None
        if options.network_weight:
            self._recognition = Recognition(Viewer(self._observer.workers), options.network_pixels)
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
            self._give(given, frame, scene)
        except (cv2.error, np.linalg.LinAlgError, MemoryError) as err:
            raise EngineError(f"engine 'flow' failed on frame {frame.index}: {err}") from err

    def drop(self, object_id: int) -> None:
        """Forget one object; nothing happens where it is unknown."""
        self._targets.pop(object_id, None)
        self._nested = {pair for pair in self._nested if object_id not in pair}

    def snapshot(self) -> bytes:
        """Everything that the next step depends on."""
        memory = snapshot.SessionState(self._observer.last, self._targets, self._nested)
        return snapshot.save(memory, self._grid, self._options, self._seed)

    def close(self) -> None:
        """Forget everything and let the second thread go. May be called twice."""
        self._targets.clear()
        self._observer.close()

    def _check(self, frame: Frame, prompts: Sequence[Prompt]) -> dict[int, Mask]:
        """The given masks by object id."""
        check_frame(frame, self._grid.frame_hw)
        given = {}
        for prompt in prompts:
            if not isinstance(prompt, MaskPrompt):
                kind = type(prompt).__name__
                raise PromptNotSupportedError(f"frame {frame.index}: engine 'flow' takes masks only, got a {kind}")
            given[prompt.object_id] = checked_mask(prompt, frame.index, self._grid.frame_hw)
        return given

    def _step(self, frame: Frame, given: Mapping[int, Mask]) -> FrameMasks:
        tracked = {i: t for i, t in self._targets.items() if i not in given}
        busy = self._recognition is not None and self._recognition.begin(tracked, frame)
        scene = self._observer.look(frame, tracking=bool(tracked), busy=busy)
        found = find(tracked, frame, scene, self._observer, self._options, self._recognition)
        self._note_nesting(given)
        with self._observer.timer("masks in pixels"):
            kept = share(found, given, self._nested, frame.valid)
        rows = {i: ObjectMask(i, Rle.encode(mask), 1.0, State.GIVEN) for i, mask in given.items()}
        for i, target in tracked.items():
            with self._observer.timer("run lengths, state"):
                rows[i] = self._take_in(target, found[i], kept[i])
        with self._remembering(tracked, found, kept):
            for i in whose_turn(tracked):
                with self._observer.timer("appearance, refit"):
                    self._learn(tracked[i], found[i].scene)
        self._give(given, frame, scene)
        return FrameMasks(frame.index, self._grid.frame_hw, tuple(rows[i] for i in sorted(rows)))

    def _note_nesting(self, given: Mapping[int, Mask]) -> None:
        """Remember which pairs of given masks are meant to overlap."""
        for pair, overlap in nested_pairs(given).items():
            if overlap:
                self._nested.add(pair)
            else:
                self._nested.discard(pair)

    def _take_in(self, target: Target, found: Finding, kept: Kept) -> ObjectMask:
        """Remember what was found, and report it."""
        cells = kept.cells if kept.pixels.any() else np.zeros_like(kept.cells)
        score = 0.0
        if cells.any():
            signs = found.signs(cells, target, self._observer.lift)
            score = target.judge(signs, found.sighting, kept.pixels, kept.box[:2])
        target.see(cells, found.grid, found.still_xy, appearance=found.mean_appearance(cells))
        if not cells.any():
            return ObjectMask(target.object_id, Rle.empty(self._grid.frame_hw), score, State.LOST)
        rle = Rle.encode_crop(kept.pixels, kept.box[:2], self._grid.frame_hw)
        return ObjectMask(target.object_id, rle, score, target.state)

    def _remembering(
        self, targets: Mapping[int, Target], found: Mapping[int, Finding], kept: Mapping[int, Kept]
    ) -> AbstractContextManager[None]:
        """Let the network remember what was found, until the context ends."""
        if self._recognition is None:
            return nullcontext()
        seen = {
            i: Found(f.sighting, kept[i].pixels, kept[i].box[:2]) for i, f in found.items() if f.sighting is not None
        }
        return self._recognition.taking_in(targets, seen)

    def _learn(self, target: Target, scene: Scene) -> None:
        """Learn what an object looks like where it was just seen."""
        target.learn(self._fit(target.object_id, target.soft, scene, self._options.samples), self._options)

    def _give(self, given: Mapping[int, Mask], frame: Frame, scene: Scene) -> None:
        """Take in masks of the caller's: new objects, or corrections of known ones."""
        for i, mask in given.items():
            self._show(i, mask, frame, scene)
        self._targets = dict(sorted(self._targets.items()))
        if self._recognition is not None and given:
            with self._observer.timer("network"):
                self._recognition.tell(self._targets, given, frame.image)

    def _show(self, object_id: int, mask: Mask, frame: Frame, scene: Scene) -> None:
        grid = lattice_for(self._grid, mask)
        local = self._observer.look_closer(frame, [Window(grid, grid, flow=False)])[0] if grid.is_window else scene
        soft = grid.mask_to_grid(mask)
        seen = self._fit(object_id, soft, local, FIRST_FIT * self._options.samples)
        if object_id in self._targets:
            self._targets[object_id].give(grid, soft, seen, self._options)
        else:
            self._targets[object_id] = Target.begin(object_id, grid, soft, seen, self._options)

    def _fit(self, object_id: int, soft: FloatArray, scene: Scene, count: int) -> NormalEquations:
        rng = self._observer.random(scene.frame, object_id, purpose=1)
        return fit(soft, scene.features, self._observer.lift, scene.grid, count, rng, self._observer.workers)


def whose_turn(targets: Mapping[int, Target]) -> list[int]:
    """The objects to learn on this frame, of those that were seen: all of a few, of many those that waited longest."""
    seen = sorted((i for i, t in targets.items() if t.waiting), key=lambda i: (-targets[i].waiting, i))
    return seen[:TURNS]
