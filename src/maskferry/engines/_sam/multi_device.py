"""Objects distributed over several devices: a session on each, all of one pass.

Each device encodes every frame for itself, because the features are needed wherever there are objects. The work for
each object, most of the work from a few objects on, is shared. A GPU works on by itself once its work is queued: all
devices get their work first, then the results are collected. Threads would add nothing, and would not be safe: the
choice of attention kernels and the state that torch.compile changes belong to the whole process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from maskferry.data import Frame, FrameMasks, MaskPrompt, Prompt, VideoInfo
from maskferry.engines._sam import snapshot
from maskferry.engines._sam.hooks import SessionHooks
from maskferry.engines._sam.loaded_model import LoadedModel
from maskferry.engines._sam.prompting import Prompts, detect_texts, sort_prompts
from maskferry.engines._sam.session import SamSession
from maskferry.engines.base import ScoredMask, TextThresholds

__all__ = ["MultiDeviceSession"]


class MultiDeviceSession:
    """An engine's memory of one pass, on several devices; see `maskferry.engines.base.Session`.

    A new object goes to the device that has the fewest, and stays there. What is found of an object does not depend on
    its device, except for rounding.

    Args:
        video: what is tracked.
        models: the same network on each device; the first one also detects what texts name.
        data: a snapshot of a session on any number of devices. On another number, objects are distributed anew.
        hooks: for measurements; of all devices together.
    """

    def __init__(
        self,
        video: VideoInfo,
        models: Sequence[LoadedModel],
        data: bytes | None = None,
        hooks: SessionHooks | None = None,
    ) -> None:
        self._video, self._model = video, models[0]
        self._device_of: dict[int, int] = {}
        parts: Sequence[bytes | None] = [None] * len(models)
        if data is not None:
            parts, self._device_of = snapshot.split(data, len(models))
        self._sessions = [SamSession(video, model, part, hooks) for model, part in zip(models, parts, strict=True)]

    @property
    def ahead(self) -> int:
        """How many frames are best given to `look_ahead` at once; 1 where it does not help."""
        return min(session.ahead for session in self._sessions)

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode coming frames on every device.

        Raises:
            EngineError: torch failed; the session can only be closed.
        """
        for session in self._sessions:
            session.look_ahead(frames)

    def step(self, frame: Frame, prompts: Sequence[Prompt] = ()) -> FrameMasks:
        """Track into a frame, first taking in its prompts.

        Raises:
            InputError: the frame or a prompt is malformed.
            PromptNotSupportedError: text, where the model takes none.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        wanted = sort_prompts(frame, prompts, self._video, self._model.name, text=self._model.takes_text)
        if wanted.texts:
            wanted = detect_texts(frame, wanted, self._sessions[0].detect_new, self._device_of)
        shares = self._split_prompts(wanted)
        started = [session.start_step(frame, share) for session, share in zip(self._sessions, shares, strict=True)]
        done = [session.finish_step(step) for session, step in zip(self._sessions, started, strict=True)]
        rows = sorted((row for masks in done for row in masks), key=lambda row: row.object_id)
        return FrameMasks(frame.index, self._video.size_hw, tuple(rows))

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last; the next step continues from them.

        Raises:
            InputError: the frame or a prompt is malformed.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        wanted = sort_prompts(frame, prompts, self._video, self._model.name, text=False)
        self._assign_devices(wanted.masks)
        for number, session in enumerate(self._sessions):
            own = [prompt for prompt in prompts if self._device_of[prompt.object_id] == number]
            if own:
                session.reprompt(frame, own)

    def text_thresholds(self) -> TextThresholds:
        """As `SamSession.text_thresholds`."""
        return self._sessions[0].text_thresholds()

    def detect(
        self, frame: Frame, phrases: Sequence[str], *, min_score: float, max_iou: float
    ) -> list[list[ScoredMask]]:
        """As `SamSession.detect`, on the first device."""
        return self._sessions[0].detect(frame, phrases, min_score=min_score, max_iou=max_iou)

    def drop(self, object_id: int) -> None:
        """Forget one object; a no-op where it is unknown."""
        number = self._device_of.pop(object_id, None)
        if number is not None:
            self._sessions[number].drop(object_id)

    def snapshot(self) -> bytes | None:
        """Everything that the next step depends on, and each object's device; None where that is too much."""
        return snapshot.join([session.snapshot() for session in self._sessions])

    def close(self) -> None:
        """Forget everything. May be called twice."""
        self._device_of.clear()
        for session in self._sessions:
            session.close()

    def _split_prompts(self, prompts: Prompts) -> list[Prompts]:
        """The prompts for each device; new objects get a device."""
        self._assign_devices(sorted({*prompts.masks, *prompts.points, *prompts.detected}))
        return [
            Prompts(
                {i: mask for i, mask in prompts.masks.items() if self._device_of[i] == number},
                {i: points for i, points in prompts.points.items() if self._device_of[i] == number},
                detected={i: scored for i, scored in prompts.detected.items() if self._device_of[i] == number},
            )
            for number in range(len(self._sessions))
        ]

    def _assign_devices(self, object_ids: Iterable[int]) -> None:
        """Give every new object the device that has the fewest."""
        for object_id in object_ids:
            if object_id not in self._device_of:
                load = Counter(self._device_of.values())
                self._device_of[object_id] = min(range(len(self._sessions)), key=lambda number: load[number])
