"""``Journal``: the run that a tracks file keeps beside its results, so that a killed run can be resumed.

Results and progress of a frame are committed together. Each table has a store of its own; what changes several tables
at once is done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from maskferry.data import FrameInfo, MaskPrompt, ObjectMask, State
from maskferry.rle import Rle
from maskferry.tracks._edit_store import EditStore
from maskferry.tracks._frame_store import FrameStore
from maskferry.tracks._job_store import JobStore
from maskferry.tracks._jobs import Span
from maskferry.tracks._prompt_store import ObjectPrompt, PromptStore
from maskferry.tracks._tracks import Tracks

__all__ = ["Journal"]

DETECTOR_NOTE = "redetection"


class Journal:
    """Prompts, jobs and frames of one run, in the database of its tracks.

    Attributes:
        tracks: the results, for reading.
        prompts: objects and their prompts.
        jobs: what is to be done, and how far that is.
        frames: finished frames and their masks.
        edits: what edits have changed.
        transaction: everything that is written in its block is committed together, or not at all.
    """

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks
        self._db = tracks.database
        self.transaction = self._db.transaction
        self.prompts = PromptStore(self._db, tracks.video)
        self.jobs = JobStore(self._db)
        self.frames = FrameStore(self._db, tracks.video)
        self.edits = EditStore(self._db)

    # --- prompts ------------------------------------------------------------------------------------------------

    def add_prompts(
        self,
        prompts: Sequence[ObjectPrompt],
        info: FrameInfo | None = None,
        labels: Mapping[int, str] = MappingProxyType({}),
        scores: Mapping[int, float] = MappingProxyType({}),
    ) -> None:
        """Add prompts of one frame, all or none; a prompt of the same object on the same frame is replaced.

        Args:
            prompts: checked by the caller.
            info: the frame's row of the frame table, where it is known already.
            labels: {object id: name}; other objects keep the name that they have.
            scores: {object id: score}, of the model that the prompts are from.
        """
        with self._db.transaction():
            if info is not None:
                self.frames.put_info(info)
            for prompt in prompts:
                self._add_prompt(prompt, labels.get(prompt.object_id))
            self.prompts.add_scores(scores)

    def _add_prompt(self, prompt: ObjectPrompt, label: str | None) -> None:
        self.prompts.add_object(prompt.object_id, label)
        self.prompts.put(prompt)
        if isinstance(prompt, MaskPrompt):
            given = ObjectMask(prompt.object_id, Rle.encode(prompt.mask), 1.0, State.GIVEN)
            self.frames.put(prompt.frame, [given])

    def extend(self, job_id: int, prompts: Sequence[MaskPrompt], labels: Mapping[int, str]) -> list[Span]:
        """Add prompts on the frame that a job has come to: the spans that they cut are shortened, new ones begin.

        Returns:
            The new spans, in the order of the prompts.
        """
        spans = []
        with self._db.transaction():
            for prompt in prompts:
                cut = self.jobs.last_span(job_id, prompt.object_id)
                self._add_prompt(prompt, labels.get(prompt.object_id))
                spans.append(self.jobs.cut(job_id, prompt.object_id, prompt.frame, cut))
        return spans

    def remove_object(self, object_id: int) -> None:
        """Forget an object: its prompts, its masks, what is left to do for it. Its id is not given again by itself.

        Raises:
            UnknownObjectError: no such object.
        """
        self.prompts.require(object_id)
        with self._db.transaction():
            self.jobs.drop_spans(object_id)
            self.frames.remove(object_id)
            self.prompts.remove(object_id)

    def reset(self) -> None:
        """Forget everything but the video."""
        with self._db.transaction():
            for table in ("prompt", "mask", "span", "job", "snapshot", "object", "frame"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.execute("DELETE FROM meta WHERE key = 'damage' OR key LIKE 'score:%' OR key LIKE 'note:%'")

    # --- notes --------------------------------------------------------------------------------------------------

    def note_damage(self, message: str | None) -> None:
        """Say where and why the video could not be read on; None when it could."""
        with self._db.transaction():
            self._db.execute("DELETE FROM meta WHERE key = 'damage'")
            if message is not None:
                self._db.execute("INSERT INTO meta VALUES ('damage', ?)", [message])

    @property
    def detector_state(self) -> str | None:
        """What the detector's scheduler remembers, for a run that is resumed."""
        return self._db.note(DETECTOR_NOTE)

    @detector_state.setter
    def detector_state(self, state: str) -> None:
        self._db.set_note(DETECTOR_NOTE, state)
