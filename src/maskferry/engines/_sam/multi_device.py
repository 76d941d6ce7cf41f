"""Objects spread over several devices: a session on each, all of one pass.

Each device encodes every frame for itself, as the frame is needed wherever there are objects; what is done for each
object, most of the work from a few objects on, is shared. A GPU works on by itself once it has been told what to do,
so that all are told first and then asked for their results. Threads would add nothing, and could not be used safely:
the choice of attention kernels and what torch.compile changes while it works belong to the whole process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from maskferry.data import Frame, FrameMasks, MaskPrompt, Prompt, VideoInfo
from maskferry.engines._sam import snapshot
from maskferry.engines._sam.loaded_model import SamModel
from maskferry.engines._sam.prompting import Prompts, look_for, sort_prompts
from maskferry.engines._sam.session import SamSession

__all__ = ["SpreadSession"]


class SpreadSession:
    """An engine's memory of one pass, on several devices; see `maskferry.engines.base.Session`.

    A new object goes to the device that has the fewest, and stays there. What is found of an object does not depend on
    where it is, but for rounding.

    Args:
        video: what is tracked.
        models: the same network on each device; words are looked for by the first.
        data: a snapshot of a session on any number of devices. On another number, objects are dealt out anew.
    """

    def __init__(self, video: VideoInfo, models: Sequence[SamModel], data: bytes | None = None) -> None:
        self._video, self._model = video, models[0]
        self._homes: dict[int, int] = {}
        parts: Sequence[bytes | None] = [None] * len(models)
        if data is not None:
            parts, self._homes = snapshot.split(data, len(models))
        self._sessions = [SamSession(video, model, part) for model, part in zip(models, parts, strict=True)]

    @property
    def ahead(self) -> int:
        """How many frames are best given to `look_ahead` at once; 1 where it does not help."""
        return min(session.ahead for session in self._sessions)

    def look_ahead(self, frames: Sequence[Frame]) -> None:
        """Encode frames that are about to be stepped into, on every device."""
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
            with self._model.at_work(frame):
                wanted = look_for(frame, wanted, self._model.find, self._homes)
        shares = self._share(wanted)
        begun = [session.begin(frame, share) for session, share in zip(self._sessions, shares, strict=True)]
        done = [session.finish(one) for session, one in zip(self._sessions, begun, strict=True)]
        rows = sorted((row for masks in done for row in masks), key=lambda row: row.object_id)
        return FrameMasks(frame.index, self._video.size_hw, tuple(rows))

    def reprompt(self, frame: Frame, prompts: Sequence[MaskPrompt]) -> None:
        """Take in masks on the frame that was stepped last; the next step goes on from them.

        Raises:
            InputError: the frame or a prompt is malformed.
            EngineError: out of memory, or torch failed; the session can only be closed.
        """
        wanted = sort_prompts(frame, prompts, self._video, self._model.name, text=False)
        self._settle(wanted.masks)
        for number, session in enumerate(self._sessions):
            own = [prompt for prompt in prompts if self._homes[prompt.object_id] == number]
            if own:
                session.reprompt(frame, own)

    def drop(self, object_id: int) -> None:
        """Forget one object; nothing happens where it is unknown."""
        home = self._homes.pop(object_id, None)
        if home is not None:
            self._sessions[home].drop(object_id)

    def snapshot(self) -> bytes | None:
        """Everything that the next step depends on, and where objects are; None where that is too much."""
        return snapshot.join([session.snapshot() for session in self._sessions])

    def close(self) -> None:
        """Forget everything. May be called twice."""
        self._homes.clear()
        for session in self._sessions:
            session.close()

    def _share(self, prompts: Prompts) -> list[Prompts]:
        """What each device has to take in."""
        self._settle(sorted({*prompts.masks, *prompts.points, *prompts.found}))
        return [
            Prompts(
                {i: mask for i, mask in prompts.masks.items() if self._homes[i] == number},
                {i: points for i, points in prompts.points.items() if self._homes[i] == number},
                found={i: find for i, find in prompts.found.items() if self._homes[i] == number},
            )
            for number in range(len(self._sessions))
        ]

    def _settle(self, object_ids: Iterable[int]) -> None:
        """Give every object that is new a device: the one that has the fewest."""
        for object_id in object_ids:
            if object_id not in self._homes:
                load = Counter(self._homes.values())
                self._homes[object_id] = min(range(len(self._sessions)), key=lambda number: load[number])
