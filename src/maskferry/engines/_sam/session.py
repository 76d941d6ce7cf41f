"""One pass over one video: what happens on a frame, in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, ObjectMask, Prompt, State, VideoInfo
from maskferry.engines._sam import snapshot
from maskferry.engines._sam.frame_encoder import Pictures
from maskferry.engines._sam.loaded_model import SamModel
from maskferry.engines._sam.mask_encoding import encode_masks, enlarge_masks
from maskferry.engines._sam.memory_bank import Entry, Limits, Target, gather
from maskferry.engines._sam.network import GIVEN, Features, Found
from maskferry.engines._sam.prompting import Prompts, fidelity, fit_masks, fit_points, look_for, sort_prompts
from maskferry.engines._sam.torch_errors import Chunks, translated
from maskferry.rle import Rle

__all__ = ["SamSession"]

log = logging.getLogger(__name__)

FAITHFUL = 0.8
"""Below this IoU of a given mask with what the model sees of it, a warning is logged."""

HIDDEN = 0.5
"""Below this share of its usual area an object counts as occluded."""

CLAMP = 32.0
"""Logits that are given back to the model with new points are cut here, as Meta's predictor does."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Objects of one frame as the network found them, still on the device.

    Attributes:
        object_ids: of the B rows.
        logits: (B, 1, h, w).
        presence: (B,).
        quality: (B,), in [0, 1].
    """

    object_ids: list[int]
    logits: Tensor
    presence: Tensor
    quality: Tensor


@dataclass(frozen=True, slots=True)
class Begun:
    """A step of which the device knows what to do.

    Attributes:
        frame: it is on.
        prompts: that it takes in, texts answered.
        answers: on their way.
    """

    frame: Frame
    prompts: Prompts
    answers: list[Answer]


class SamSession:
    """An engine's memory of one pass; see `maskferry.engines.base.Session`.

    Attributes:
        fidelity: IoU of each mask that was given on the last frame with what the model sees of it, by object id.
    """

    def __init__(self, video: VideoInfo, model: SamModel, data: bytes | None = None) -> None:
        self._video, self._model = video, model
        self._network = model.network
        self._limits = Limits.of(self._network, video.frame_count)
        self._pictures = Pictures(self._network, model.encode, model.mean, model.lanes)
        self._chunks = Chunks(model.max_batch)
        self._targets: dict[int, Target] = {}
        self._place = -1
        self.fidelity: dict[int, float] = {}
        if data is not None:
            with model.lanes.tracking():
                state = snapshot.load(data, self._identity(), self._network.device)
            self._place, self._targets = state.place, state.targets

    @property
    def ahead(self) -> int:
        """How many frames are best given to `look_ahead` at once; 1 where it does not help."""
        return self._pictures.ahead

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode frames that are about to be stepped into, at once, which is faster. Never needed."""
        with translated(self._model.name, frames[0].index if frames else 0), torch.inference_mode():
            self._pictures.look_ahead(frames)

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Track into a frame, first taking in its prompts.

        Raises:
            InputError: the frame or a prompt is malformed.
            PromptNotSupportedError: text, where the model takes none.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        sorted_prompts = sort_prompts(frame, prompts, self._video, self._model.name, text=self._model.takes_text)
        return self.finish(self.begin(frame, sorted_prompts))

    def begin(self, frame: Frame, prompts: Prompts) -> Begun:
        """The first half of a step: tell the device what to do, without waiting for it.

        Raises:
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        with self._model.at_work(frame):
            return self._begin(frame, prompts)

    def finish(self, begun: Begun) -> FrameMasks:
        """The second half: wait for the results.

        Raises:
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        with self._model.at_work(begun.frame):
            return self._finish(begun)

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last; the next step goes on from them.

        Raises:
            InputError: the frame or a prompt is malformed.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        sorted_prompts = sort_prompts(frame, prompts, self._video, self._model.name, text=False)
        with self._model.at_work(frame):
            self._take_masks(self._pictures.features(frame), sorted_prompts.masks)

    def drop(self, object_id: int) -> None:
        """Forget one object; nothing happens where it is unknown."""
        self._targets.pop(object_id, None)

    def snapshot(self) -> bytes | None:
        """Everything that the next step depends on; None where that is more than `snapshot.LARGEST` bytes."""
        with self._model.lanes.tracking():
            return snapshot.save(snapshot.Memory(self._place, self._targets), self._identity())

    def close(self) -> None:
        """Forget everything. May be called twice."""
        self._targets.clear()
        self._pictures.close()

    def _identity(self) -> dict[str, str]:
        height, width = self._video.size_hw
        return self._model.identity | {"size": f"{width}x{height}", "pointers": str(self._limits.pointers)}

    # --- a frame --------------------------------------------------------------------------------------------------

    def _begin(self, frame: Frame, prompts: Prompts) -> Begun:
        self._place += 1
        self.fidelity = {}
        features = self._pictures.features(frame)
        if prompts.texts:
            prompts = look_for(frame, prompts, self._model.find, self._targets)
        masks = prompts.masks | {i: mask for i, (mask, _) in prompts.found.items()}
        answers = self._follow(features, [t for i, t in self._targets.items() if i not in {*masks, *prompts.points}])
        answers += [self._take_points(features, i, prompts) for i in prompts.points]
        self._take_masks(features, masks)
        return Begun(frame, prompts, answers)

    def _finish(self, begun: Begun) -> FrameMasks:
        rows, prompts = self._report(begun.answers), begun.prompts
        for i, mask in prompts.masks.items():
            rows[i] = ObjectMask(i, Rle.encode(mask), 1.0, State.GIVEN, self.fidelity[i])
        for i, (mask, score) in prompts.found.items():
            rows[i] = ObjectMask(i, Rle.encode(mask), score, State.TRACKED)
        for target in self._targets.values():
            target.forget(self._place, self._limits)
        return FrameMasks(begun.frame.index, self._video.size_hw, tuple(rows[i] for i in sorted(rows)))

    def _follow(self, features: Features, targets: Sequence[Target]) -> list[Answer]:
        """Objects without a prompt on this frame: those with memories of one shape go together."""
        groups: dict[object, list[Target]] = {}
        layouts = {t.object_id: t.layout(self._place, self._limits) for t in targets}
        for target in targets:
            groups.setdefault(layouts[target.object_id].shape, []).append(target)
        answers = []
        for group in groups.values():

            def follow(part: Sequence[Target]) -> Answer:
                bundle = gather(self._network, [layouts[t.object_id] for t in part], self._limits)
                found, memory = self._model.follow(features, bundle)
                for row, target in enumerate(part):
                    target.recent[self._place] = Entry(memory, found.pointer, row)
                return _answer([t.object_id for t in part], found)

            answers += self._chunks.run(group, follow)
        return answers

    def _take_points(self, features: Features, object_id: int, prompts: Prompts) -> Answer:
        """Points and boxes: a new object, or a correction of what was just found of a known one."""
        network, target = self._network, self._targets.get(object_id)
        fitted = fit_points(prompts.points[object_id], self._video, network.image_size, network.exact)
        xy, labels = (v.to(network.device) for v in fitted)
        seen, before = network.without_memory(features), None
        if target is not None:
            bundle = gather(network, [target.layout(self._place, self._limits)], self._limits)
            seen = network.recall(features.top, bundle.memory, bundle.position, bundle.pointer_tokens, bundle.memories)
            several = network.answers_several(0, first=False)
            before = network.decode(seen, features.fine, features.middle, several=several).logits.clamp(-CLAMP, CLAMP)
        several = network.answers_several(labels.shape[1], first=target is None)
        prompted = network.embed_points(xy, labels, before)
        found = network.decode(seen, features.fine, features.middle, prompted, several=several)
        large = network.enlarge(found.logits)
        memory = network.remember(features.top, large, found.presence, hard=True)
        self._target(object_id).given[self._place] = Entry(memory, found.pointer, 0)
        return _answer([object_id], found)

    def _take_masks(self, features: Features, masks: dict[int, Mask]) -> None:
        """Masks condition the tracker directly; nothing is guessed from them."""

        def take(part: Sequence[int]) -> None:
            given = [masks[i] for i in part]
            fitted = fit_masks(given, self._network.image_size, self._network.device)
            found = self._network.take_given(features, fitted)
            large = ((fitted * 2 - 1) * GIVEN).to(self._network.dtype)
            memory = self._network.remember(features.top, large, found.presence, hard=True)
            for row, (i, iou) in enumerate(zip(part, fidelity(given, fitted), strict=True)):
                target = self._target(i)
                target.given[self._place] = Entry(memory, found.pointer, row)
                target.usual_area, target.lost = float(masks[i].sum()), False
                self._note_fidelity(i, iou)

        self._chunks.run(sorted(masks), take)

    def _note_fidelity(self, object_id: int, iou: float) -> None:
        self.fidelity[object_id] = iou
        if iou < FAITHFUL:
            log.warning(
                "object %d: of the given mask the model sees a version with IoU %.2f, because its picture is %d x %d "
                "pixels; it may be too small or too thin to be followed well",
                *(object_id, iou, self._network.image_size, self._network.image_size),
            )

    def _target(self, object_id: int) -> Target:
        """Of an object that is prompted: known, or new."""
        if object_id not in self._targets:
            self._targets = dict(sorted((self._targets | {object_id: Target(object_id)}).items()))
        target = self._targets[object_id]
        target.recent.pop(self._place, None)
        return target

    # --- what is reported -----------------------------------------------------------------------------------------

    def _report(self, answers: Sequence[Answer]) -> dict[int, ObjectMask]:
        rows = {}
        for answer in answers:
            presence, quality = answer.presence.float(), answer.quality.clamp(0, 1)
            rles = encode_masks(enlarge_masks(answer.logits, self._video.size_hw))
            scores = torch.stack([presence, quality * presence.sigmoid()]).cpu().tolist()
            for i, rle, in_sight, score in zip(answer.object_ids, rles, *scores, strict=True):
                rows[i] = self._row(self._targets[i], rle, in_sight, score)
        return rows

    def _row(self, target: Target, rle: Rle, presence: float, score: float) -> ObjectMask:
        """One object's row, and what it says of the object's state."""
        area = rle.area if presence > 0 else 0
        was_lost, target.lost = target.lost, area == 0
        if target.lost:
            return ObjectMask(target.object_id, Rle.empty(self._video.size_hw), 0.0, State.LOST)
        hidden = area < HIDDEN * target.usual_area
        target.usual_area += (area - target.usual_area) * (0.02 if hidden else 0.2 if target.usual_area else 1)
        state = State.RETURNED if was_lost else State.OCCLUDED if hidden else State.TRACKED
        return ObjectMask(target.object_id, rle, score, state)


def _answer(object_ids: list[int], found: Found) -> Answer:
    return Answer(object_ids, found.logits, found.presence[:, 0], found.quality)
