"""One pass over one video with SAM 3.1, on one device or several: what happens on a frame, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from maskferry.data import Frame, FrameMasks, Mask, MaskPrompt, Prompt, VideoInfo
from maskferry.engines._checks import check_frame
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.multiplex import snapshot
from maskferry.engines._sam.multiplex.bucket_bank import BucketBank, BucketOptions, Place
from maskferry.engines._sam.multiplex.buckets import BucketGroup, Window
from maskferry.engines._sam.multiplex.group_tracker import GroupTracker, SlotStates
from maskferry.engines._sam.multiplex.loaded_model import LoadedMultiplex
from maskferry.engines._sam.multiplex.stage_types import Predictions
from maskferry.engines._sam.prompting import (
    Prompts,
    detect_texts,
    scale_points,
    sort_prompts,
    warn_if_poorly_seen,
)
from maskferry.engines._sam.reporting import PredictedObjects, given_rows, predicted_rows
from maskferry.engines._sam.torch_errors import translate_torch_errors
from maskferry.engines.base import ScoredMask, TextThresholds
from maskferry.errors import InputError

__all__ = ["MultiplexSession"]


FoundOnDevices = dict[int, list[PredictedObjects]]
"""What was found on a frame, still on the devices, by their numbers."""


class MultiplexSession:
    """An engine's memory of one pass; see `maskferry.engines.base.Session`.

    Groups of buckets are spread over the devices. Each device encodes every frame for itself. All devices get their
    work first, then the results are collected.

    Args:
        video: what is tracked.
        models: the same network on each device.
        options: how objects are put into buckets.
        data: a snapshot to continue from.
        hooks: for measurements.

    Attributes:
        fidelity: IoU of each mask that was given on the last frame with what the model sees of it, by object id.
    """

    def __init__(
        self,
        video: VideoInfo,
        models: Sequence[LoadedMultiplex],
        options: BucketOptions,
        data: bytes | None = None,
        hooks: SessionHooks | None = None,
    ) -> None:
        self._video, self._models, self._hooks = video, models, hooks or SessionHooks()
        self._window = Window.of(models[0].network, video.frame_count)
        self._trackers = [GroupTracker(model, self._window, self._hooks) for model in models]
        self._bank = BucketBank(options)
        self._states: dict[BucketGroup, SlotStates] = {}
        self._last_frame: int | None = None
        self.fidelity: dict[int, float] = {}
        if data is not None:
            self._bank = snapshot.load(data, self._identity(), options, models)

    @property
    def ahead(self) -> int:
        """How many frames are best given to `look_ahead` at once; 1 where it does not help."""
        return min(tracker.encoder.ahead for tracker in self._trackers)

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode coming frames together, which is faster. Never needed.

        Raises:
            EngineError: torch failed; the session can only be closed.
        """
        for tracker in self._trackers:
            with translate_torch_errors(tracker.model.name, frames[0].index if frames else 0), torch.inference_mode():
                tracker.encoder.look_ahead(frames)

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Track into a frame, first taking in its prompts.

        Raises:
            InputError: the frame or a prompt is malformed.
            PromptNotSupportedError: text, where the file of weights holds no detector.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        model = self._models[0]
        return self.step_into(frame, sort_prompts(frame, prompts, self._video, model.name, text=model.takes_text))

    def step_into(self, frame: Frame, prompts: Prompts) -> FrameMasks:
        """As `step`, with prompts that are sorted and checked."""
        self._bank.step += 1
        self.fidelity, self._states, self._last_frame = {}, {}, frame.index
        self._begin(frame)
        if prompts.texts:
            prompts = detect_texts(frame, prompts, self.detect_new, self._bank.objects)
        masks = prompts.masks | {i: mask for i, (mask, _) in prompts.detected.items()}
        with self._hooks.timed("track"):
            found = self._track(frame, {*masks, *prompts.points})
        with self._hooks.timed("prompts"):
            self._take_prompts(frame, replace(prompts, masks=masks), found)
        with self._hooks.timed("masks"):
            rows = given_rows(prompts, self.fidelity)
            for home, parts in found.items():
                with self._models[home].tracking(frame):
                    rows |= predicted_rows([_joined(parts)], self._bank.objects, self._video.size_hw, self._hooks)
        self._bank.forget_old(self._window)
        return FrameMasks(frame.index, self._video.size_hw, tuple(rows[i] for i in sorted(rows)))

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last; the next step continues from them.

        Raises:
            InputError: the frame or a prompt is malformed, or another frame was stepped last.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        sorted_prompts = sort_prompts(frame, prompts, self._video, self._models[0].name, text=False)
        if frame.index != self._last_frame:
            raise InputError(
                f"frame {frame.index}: masks that come after the step belong to the frame that was stepped last, "
                f"which is {'none' if self._last_frame is None else self._last_frame}"
            )
        self._take_prompts(frame, sorted_prompts, {})

    def text_thresholds(self) -> TextThresholds:
        """Those of SAM 3.1's authors.

        Raises:
            PromptNotSupportedError: the file of weights holds no detector.
        """
        return self._models[0].text_detector.thresholds()

    def detect(
        self, frame: Frame, phrases: Sequence[str], *, min_score: float, max_iou: float
    ) -> list[list[ScoredMask]]:
        """What each phrase names on a frame, on the first device; see `maskferry.engines.base.DetectsText`.

        Raises:
            InputError: the frame has not the size of the video.
            PromptNotSupportedError: the file of weights holds no detector.
            EngineError: out of memory, torch failed, the detector is not whole, or there is no tokenizer.
        """
        check_frame(frame, self._video.size_hw)
        model, size_hw = self._models[0], self._video.size_hw
        detector = model.text_detector
        with model.tracking(frame):
            trunk = self._trackers[0].encoder.current_features(frame).trunk
            with self._hooks.timed("detect"):
                return detector.detect(trunk, size_hw, phrases, min_score=min_score, max_iou=max_iou, hooks=self._hooks)

    def detect_new(self, frame: Frame, text: str) -> list[ScoredMask]:
        """What a text names on a frame with the score that begins an object."""
        thresholds = self.text_thresholds()
        return self.detect(frame, [text], min_score=thresholds.min_new_score, max_iou=thresholds.max_iou)[0]

    def drop(self, object_id: int) -> None:
        """Report one object no longer; a no-op where it is unknown."""
        self._bank.drop(object_id)

    def snapshot(self) -> bytes | None:
        """Everything that the next step depends on; None where that is more than `snapshot.MAX_BYTES`."""
        return snapshot.save(self._bank, self._identity(), self._models)

    def close(self) -> None:
        """Forget everything. May be called twice."""
        self._bank = BucketBank(self._bank.options)
        self._states, self._last_frame = {}, None
        for tracker in self._trackers:
            tracker.end()

    def _identity(self) -> dict[str, str]:
        height, width = self._video.size_hw
        options = self._bank.options
        return self._models[0].identity | {
            "size": f"{width}x{height}",
            "pointers": str(self._window.pointers),
            "buckets": f"isolate={options.isolate}, capacity={options.capacity}",
        }

    # --- a frame --------------------------------------------------------------------------------------------------

    def _begin(self, frame: Frame) -> None:
        for tracker in self._trackers:
            with tracker.model.tracking(frame):
                tracker.begin(frame)

    def _track(self, frame: Frame, prompted: set[int]) -> FoundOnDevices:
        """All groups into the frame; what is found of objects without a prompt on it."""
        found: FoundOnDevices = {}
        for group in self._bank.groups:
            tracker = self._trackers[group.home]
            with tracker.model.tracking(frame):
                predictions = tracker.track(group, self._bank.step)
                self._states[group] = SlotStates(predictions)
                live = [(i, row, slot) for i, row, slot in group.live() if i not in prompted]
                if live:
                    found.setdefault(group.home, []).append(_of_objects(live, predictions))
        return found

    def _take_prompts(self, frame: Frame, prompts: Prompts, found: FoundOnDevices) -> None:
        """What is taken of prompts, and new memories of the groups that they touch; what is found at points is added
        to ``found``."""
        ids = sorted({*prompts.masks, *prompts.points})
        if not ids:
            return
        before = self._found_before(prompts)
        places = self._places_for(ids)
        for home, tracker in enumerate(self._trackers):
            own = {i: places[i] for i in ids if places[i].group.home == home}
            with tracker.model.tracking(frame):
                taken = self._take_masks(tracker, {i: prompts.masks[i] for i in own if i in prompts.masks})
                for i in own:
                    if i in prompts.points:
                        taken[i] = self._take_points(tracker, prompts, i, before[i])
                        found.setdefault(home, []).append(_of_objects([(i, 0, 0)], taken[i]))
                for i, (group, row, slot) in own.items():
                    self._states.setdefault(group, SlotStates()).given[row, slot] = taken[i]
                for group in dict.fromkeys(place.group for place in own.values()):
                    tracker.remember_prompts(group, self._states[group], self._bank.step)

    def _found_before(self, prompts: Prompts) -> dict[int, Tensor | None]:
        """What tracking has found of the objects with points on this frame, (1, 1, 4h, 4w); None of new ones."""
        known = self._bank.places()
        found: dict[int, Tensor | None] = {}
        for i in prompts.points:
            predictions = self._states[known[i].group].found if i in known else None
            found[i] = None if predictions is None else predictions.slot_logits(known[i].row, known[i].slot)
        return found

    def _places_for(self, ids: Sequence[int]) -> dict[int, Place]:
        """A place for each prompted object: its own, one in a twin, or a new one."""
        known = self._bank.objects
        twins = self._bank.correct([i for i in ids if i in known])
        for twin, (group, rows) in twins.items():
            self._states[twin] = self._states[group].of_buckets(rows)
        self._bank.add([i for i in ids if i not in known])
        return self._bank.places()

    def _take_masks(self, tracker: GroupTracker, masks: Mapping[int, Mask]) -> dict[int, Predictions]:
        taken, fidelity = tracker.take_masks(masks)
        for i, iou in fidelity.items():
            known = self._bank.objects[i]
            known.usual_area, known.lost = float(masks[i].sum()), False
            self.fidelity[i] = iou
            warn_if_poorly_seen(i, iou, tracker.model.network.image_size)
        return taken

    def _take_points(
        self, tracker: GroupTracker, prompts: Prompts, object_id: int, before: Tensor | None
    ) -> Predictions:
        network = tracker.model.network
        xy, labels = scale_points(prompts.points[object_id], self._video, network.image_size, network.accurate_dtype)
        return tracker.take_points(xy, labels, before)


def _of_objects(places: Sequence[tuple[int, int, int]], found: Predictions) -> PredictedObjects:
    """What is found of some objects, by their ids and the numbers of their buckets and slots."""
    slots = found.presence.shape[1]
    numbers = torch.tensor([row * slots + slot for _, row, slot in places])
    numbers = numbers.to(found.presence.device, non_blocking=True)  # the host does not wait for what it queues here
    logits, presence, quality = (t.flatten(0, 1)[numbers] for t in (found.logits, found.presence, found.quality))
    return PredictedObjects([i for i, _, _ in places], logits[:, None], presence, quality.float())


def _joined(parts: Sequence[PredictedObjects]) -> PredictedObjects:
    """All that was found on one device, so that it is waited for once."""
    columns = zip(*((part.logits, part.presence, part.quality) for part in parts), strict=True)
    return PredictedObjects([i for part in parts for i in part.object_ids], *(torch.cat(list(c)) for c in columns))
