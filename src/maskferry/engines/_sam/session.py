"""One pass over one video: what happens on a frame, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, Prompt, VideoInfo
from maskferry.engines._checks import check_frame
from maskferry.engines._sam import snapshot
from maskferry.engines._sam.batching import BatchRunner
from maskferry.engines._sam.frame_encoder import FrameEncoder
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.loaded_model import LoadedModel
from maskferry.engines._sam.memory_bank import MemoryBank, MemoryEntry, MemoryWindow, TrackedObject, batch_memories
from maskferry.engines._sam.memory_selection import effective_quality
from maskferry.engines._sam.network import GIVEN_LOGIT
from maskferry.engines._sam.prompting import (
    MAX_LOGIT,
    Prompts,
    detect_texts,
    mask_fidelity,
    resize_masks,
    scale_points,
    sort_prompts,
    warn_if_poorly_seen,
)
from maskferry.engines._sam.reporting import PredictedObjects, given_rows, predicted_rows
from maskferry.engines._sam.stage_types import Features, Predictions
from maskferry.engines._sam.torch_errors import translate_torch_errors
from maskferry.engines.base import ScoredMask, TextThresholds

__all__ = ["SamSession", "StartedStep"]


@dataclass(frozen=True, slots=True)
class StartedStep:
    """A step whose work is queued on the device.

    Attributes:
        frame: the step's.
        prompts: that it takes in, with what the texts among them name.
        predictions: of objects without a mask on this frame.
    """

    frame: Frame
    prompts: Prompts
    predictions: list[PredictedObjects]


class SamSession:
    """An engine's memory of one pass; see `maskferry.engines.base.Session`.

    Args:
        video: what is tracked.
        model: that tracks.
        data: a snapshot to continue from.
        hooks: for measurements.

    Attributes:
        fidelity: IoU of each mask that was given on the last frame with what the model sees of it, by object id.
    """

    def __init__(
        self, video: VideoInfo, model: LoadedModel, data: bytes | None = None, hooks: SessionHooks | None = None
    ) -> None:
        self._video, self._model, self._hooks = video, model, hooks or SessionHooks()
        self._network = model.network
        self._window = MemoryWindow.of(self._network, video.frame_count, selects=model.memory_selection)
        self._encoder = FrameEncoder(model, self._hooks)
        self._batches = BatchRunner(model.max_batch)
        self._bank = MemoryBank()
        self.fidelity: dict[int, float] = {}
        if data is not None:
            with model.streams.tracking():
                self._bank = snapshot.load(data, self._identity(), self._network.device)

    @property
    def ahead(self) -> int:
        """How many frames are best given to `look_ahead` at once; 1 where it does not help."""
        return self._encoder.ahead

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode coming frames together, which is faster. Never needed.

        Raises:
            EngineError: torch failed; the session can only be closed.
        """
        with translate_torch_errors(self._model.name, frames[0].index if frames else 0), torch.inference_mode():
            self._encoder.look_ahead(frames)

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Track into a frame, first taking in its prompts.

        Raises:
            InputError: the frame or a prompt is malformed.
            PromptNotSupportedError: text, where the model takes none.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        sorted_prompts = sort_prompts(frame, prompts, self._video, self._model.name, text=self._model.takes_text)
        return self.finish_step(self.start_step(frame, sorted_prompts))

    def start_step(self, frame: Frame, prompts: Prompts) -> StartedStep:
        """The first half of a step: queue the work on the device, without waiting for it.

        Raises:
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        with self._model.tracking(frame):
            return self._start_step(frame, prompts)

    def finish_step(self, started: StartedStep) -> FrameMasks:
        """The second half: wait for the results.

        Raises:
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        with self._model.tracking(started.frame):
            return self._finish_step(started)

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last; the next step continues from them.

        Raises:
            InputError: the frame or a prompt is malformed.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        sorted_prompts = sort_prompts(frame, prompts, self._video, self._model.name, text=False)
        with self._model.tracking(frame):
            self._take_masks(self._encoder.current_features(frame), sorted_prompts.masks)

    def text_thresholds(self) -> TextThresholds:
        """The checkpoint's own, of its detector.

        Raises:
            PromptNotSupportedError: the model takes no text.
            EngineError: the checkpoint cannot be read.
        """
        return self._model.text_detector.thresholds()

    def detect(
        self, frame: Frame, phrases: Sequence[str], *, min_score: float, max_iou: float
    ) -> list[list[ScoredMask]]:
        """What each phrase names on a frame; see `maskferry.engines.base.DetectsText`.

        Raises:
            InputError: the frame has not the size of the video.
            PromptNotSupportedError: the model takes no text.
            EngineError: out of memory, torch failed, or the checkpoint holds no detector.
        """
        check_frame(frame, self._video.size_hw)
        detector = self._model.text_detector
        with self._model.tracking(frame):
            features = self._encoder.current_features(frame)
            with self._hooks.timed("detect"):
                return detector.detect(
                    self._model.trunk_of(features),
                    self._video.size_hw,
                    phrases,
                    min_score=min_score,
                    max_iou=max_iou,
                    hooks=self._hooks,
                )

    def detect_new(self, frame: Frame, text: str) -> list[ScoredMask]:
        """What a text names on a frame with the score that begins an object."""
        thresholds = self.text_thresholds()
        return self.detect(frame, [text], min_score=thresholds.min_new_score, max_iou=thresholds.max_iou)[0]

    def drop(self, object_id: int) -> None:
        """Forget one object; a no-op where it is unknown."""
        self._bank.objects.pop(object_id, None)

    def snapshot(self) -> bytes | None:
        """Everything that the next step depends on; None where that is more than `snapshot.MAX_BYTES`."""
        with self._model.streams.tracking():
            return snapshot.save(self._bank, self._identity())

    def close(self) -> None:
        """Forget everything. May be called twice."""
        self._bank.objects.clear()
        self._encoder.close()

    def _identity(self) -> dict[str, str]:
        height, width = self._video.size_hw
        return self._model.identity | {"size": f"{width}x{height}", "pointers": str(self._window.pointers)}

    # --- a frame --------------------------------------------------------------------------------------------------

    def _start_step(self, frame: Frame, prompts: Prompts) -> StartedStep:
        self._bank.step += 1
        self.fidelity = {}
        features = self._encoder.features(frame)
        if prompts.texts:
            prompts = detect_texts(frame, prompts, self.detect_new, self._bank.objects)
        masks = prompts.masks | {i: mask for i, (mask, _) in prompts.detected.items()}
        unprompted = [known for i, known in self._bank.objects.items() if i not in {*masks, *prompts.points}]
        with self._hooks.timed("track"):
            predictions = self._track(features, unprompted)
        with self._hooks.timed("prompts"):
            predictions += [self._take_points(features, i, prompts) for i in prompts.points]
            self._take_masks(features, masks)
        return StartedStep(frame, prompts, predictions)

    def _finish_step(self, started: StartedStep) -> FrameMasks:
        with self._hooks.timed("masks"):
            rows = predicted_rows(started.predictions, self._bank.objects, self._video.size_hw, self._hooks)
        rows |= given_rows(started.prompts, self.fidelity)
        if self._window.selects:
            for batch in started.predictions:
                self._bank.rate(batch.object_ids, effective_quality(batch.presence, batch.quality).tolist())
        self._bank.forget_old(self._window)
        return FrameMasks(started.frame.index, self._video.size_hw, tuple(rows[i] for i in sorted(rows)))

    def _track(self, features: Features, objects: Sequence[TrackedObject]) -> list[PredictedObjects]:
        """Objects without a prompt on this frame: those with memories of one shape go together."""
        selected = {known.object_id: known.select(self._bank.step, self._window) for known in objects}
        groups: dict[object, list[TrackedObject]] = {}
        for known in objects:
            groups.setdefault(selected[known.object_id].shape, []).append(known)

        def track(part: Sequence[TrackedObject]) -> PredictedObjects:
            batch = batch_memories(self._network, [selected[known.object_id] for known in part], self._window)
            found, memory = self._model.track(features, batch)
            for row, known in enumerate(part):
                known.recent[self._bank.step] = MemoryEntry(memory, found.pointer, row)
            return PredictedObjects.of([known.object_id for known in part], found)

        return [result for group in groups.values() for result in self._batches.run(group, track)]

    def _take_points(self, features: Features, object_id: int, prompts: Prompts) -> PredictedObjects:
        """Points and boxes: a new object, or a correction of what the model finds of a known one."""
        network, known = self._network, self._bank.objects.get(object_id)
        scaled = scale_points(prompts.points[object_id], self._video, network.image_size, network.accurate_dtype)
        points_xy, labels = (v.to(network.device) for v in scaled)
        conditioned, logits = network.features_without_memory(features), None
        if known is not None:
            conditioned, before = self._predict(features, known)
            logits = before.logits.clamp(-MAX_LOGIT, MAX_LOGIT)
        multimask = network.uses_multimask(labels.shape[1], first=known is None)
        embedded = network.embed_points(points_xy, labels, logits)
        found = network.decode(conditioned, features, embedded, multimask=multimask)
        large = network.upscale_logits(found.logits)
        memory = network.encode_memory(features.top, large, found.presence, hard=True)
        self._bank.prompted_object(object_id).prompted[self._bank.step] = MemoryEntry(memory, found.pointer, 0)
        return PredictedObjects.of([object_id], found)

    def _predict(self, features: Features, known: TrackedObject) -> tuple[Tensor, Predictions]:
        """One object without its new prompt: the features conditioned on its memories, and what is found of it."""
        network = self._network
        batch = batch_memories(network, [known.select(self._bank.step, self._window)], self._window)
        conditioned = network.attend_to_memory(
            features.top, batch.memory, batch.position, batch.padding, batch.pointer_tokens, batch.memory_frames
        )
        multimask = network.uses_multimask(0, first=False)
        return conditioned, network.decode(conditioned, features, multimask=multimask)

    def _take_masks(self, features: Features, masks: dict[int, Mask]) -> None:
        """Masks condition the tracker directly; the model predicts nothing from them."""

        def take(part: Sequence[int]) -> None:
            given = [masks[i] for i in part]
            resized = resize_masks(given, self._network.image_size, self._network.device)
            found = self._network.use_given_masks(features, resized)
            large = ((resized * 2 - 1) * GIVEN_LOGIT).to(self._network.dtype)
            memory = self._network.encode_memory(features.top, large, found.presence, hard=True)
            for row, (i, iou) in enumerate(zip(part, mask_fidelity(given, resized), strict=True)):
                known = self._bank.prompted_object(i)
                known.prompted[self._bank.step] = MemoryEntry(memory, found.pointer, row)
                known.usual_area, known.lost = float(masks[i].sum()), False
                self.fidelity[i] = iou
                warn_if_poorly_seen(i, iou, self._network.image_size)

        self._batches.run(sorted(masks), take)
