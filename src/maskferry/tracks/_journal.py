"""``Journal``: the run that a tracks file keeps beside its results, so that a killed run can be resumed.

Results and progress of a frame are committed together. Each table has a store of its own; what changes several tables
at once is done here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from maskferry.data import FrameInfo, MaskPrompt, ObjectMask, State
from maskferry.rle import Rle
from maskferry.tracks._edit_store import EditStore
from maskferry.tracks._frame_store import FrameStore
from maskferry.tracks._intervals import subtract
from maskferry.tracks._job_store import JobStore
from maskferry.tracks._jobs import Span
from maskferry.tracks._notes import Notes
from maskferry.tracks._prompt_store import ObjectPrompt, PromptStore
from maskferry.tracks._spans import Prompted, Undone, sort_spans, undone_frames
from maskferry.tracks._tracks import Tracks

__all__ = ["Journal"]

DETECTOR_NOTE = "note:redetection"
SEARCHED_NOTE = "note:searched"
LOOKED_FOR_NOTE = "note:looked for"


class Journal:
    """Prompts, jobs and frames of one run, in the database of its tracks.

    Attributes:
        tracks: the results, for reading.
        prompts: objects and their prompts.
        jobs: what is to be done, and how far that is.
        frames: finished frames and their masks.
        edits: what edits have changed.
        notes: what is said of the whole run.
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
        self.notes = Notes(self._db)

    @property
    def prompted(self) -> Prompted:
        """What objects are prompted with, for the planner."""
        return Prompted(self.prompts.prompt_frames(), self.prompts.absences())

    # --- edits --------------------------------------------------------------------------------------------------

    @contextmanager
    def edit(
        self,
        what: str,
        objects: Sequence[int],
        made: Sequence[int] = (),
        *,
        changed: Mapping[int, Collection[int]] = MappingProxyType({}),
        follow: Callable[[Undone], Undone] = lambda undone: undone,
        goes_on: bool = True,
        is_light: bool = False,
    ) -> Iterator[None]:
        """Change prompts, rows and names of objects as one edit, which can be undone.

        Args:
            what: the edit, for people.
            objects: ids of those that it changes.
            made: ids of those that it makes.
            changed: {object id: frames on which its prompt is added, replaced or removed}.
            follow: where the frames that are still to be tracked are after the edit.
            goes_on: for the session of a run under way, the objects stay the same.
            is_light: only names or pins change, so that what is tracked later does not depend on it.
        """
        with self.transaction():
            self.prompts.require(*objects)
            stored, everyone = self.jobs.all(), [*objects, *made]
            undone = undone_frames(stored, self.prompted, everyone)
            with self.edits.recording(what, objects, made, None if is_light else undone):
                yield
                self.frames.mark_returns(everyone)
            spans = sort_spans(stored, self.prompted, follow(undone), changed, goes_on=goes_on)
            self.jobs.replace_spans(everyone, spans)
            self.edits.forget_old()
            self._note_edit(everyone)

    def undo(self) -> str | None:
        """Take the last edit back; what it was, None where there is none."""
        return self._exchange(taken_back=True)

    def redo(self) -> str | None:
        """Do again what was undone last; what it was, None where there is nothing."""
        return self._exchange(taken_back=False)

    def _exchange(self, *, taken_back: bool) -> str | None:
        with self.transaction():
            edit = self.edits.last() if taken_back else self.edits.next()
            if edit is None:
                return None
            stored = self.jobs.all()
            now = undone_frames(stored, self.prompted, edit.objects)
            self.edits.exchange(edit, None if edit.undone is None else now, taken_back=taken_back)
            undone = undone_frames(stored, self.prompted, edit.objects) | (now if edit.undone is None else edit.undone)
            self.jobs.replace_spans(edit.objects, sort_spans(stored, self.prompted, undone))
            self._note_edit(edit.objects)
        return edit.what

    def _note_edit(self, objects: Sequence[int]) -> None:
        """Let others know of an edit: a run of this process, and whoever looks at the revision."""
        self._db.changed(objects, 0, 0)
        self._db.generation += 1

    # --- prompts ------------------------------------------------------------------------------------------------

    def add_prompts(
        self,
        prompts: Sequence[ObjectPrompt],
        info: FrameInfo | None = None,
        labels: Mapping[int, str] = MappingProxyType({}),
        scores: Mapping[int, float] = MappingProxyType({}),
        *,
        is_requested: bool = True,
    ) -> None:
        """Add prompts of one frame, all or none; a prompt of the same object on the same frame is replaced.

        Args:
            prompts: checked by the caller.
            info: the frame's row of the frame table, where it is known already.
            labels: {object id: name}; other objects keep the name that they have.
            scores: {object id: score}, of the model that the prompts are from.
            is_requested: the caller gave them; otherwise a detector of the run found them.
        """
        with self.transaction():
            ids = [prompt.object_id for prompt in prompts]
            made = [i for i in ids if not self.prompts.is_known(i)]
            for i in ids:
                if i not in made:  # one that was removed comes back
                    self.prompts.add_object(i, None)
            objects = [i for i in ids if i not in made]
            changed = {prompt.object_id: [prompt.frame] for prompt in prompts}
            with self.edit(_what(objects, made, prompts[0].frame), objects, made, changed=changed):
                if info is not None:
                    self.frames.put_info(info)
                for prompt in prompts:
                    self._come_back(prompt)
                    self._add_prompt(prompt, labels.get(prompt.object_id))
                    if is_requested:
                        self.prompts.note_request(prompt)
                self.prompts.add_scores(scores)

    def _come_back(self, prompt: ObjectPrompt) -> None:
        """An object that is prompted on a frame is not absent there."""
        own = self.prompts.absences().get(prompt.object_id)
        if own:
            self.prompts.set_absences(prompt.object_id, subtract(own, [(prompt.frame, prompt.frame + 1)]))

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
        with self.transaction():
            for prompt in prompts:
                cut = self.jobs.last_span(job_id, prompt.object_id)
                self._add_prompt(prompt, labels.get(prompt.object_id))
                spans.append(self.jobs.cut(job_id, prompt.object_id, prompt.frame, cut))
        return spans

    def drop_object(self, object_id: int) -> None:
        """Forget an object that a detector began: its prompts, its masks, what is left to do for it."""
        with self.transaction():
            self.jobs.drop_spans(object_id)
            self.frames.remove(object_id)
            self.prompts.remove(object_id)

    def reset(self) -> None:
        """Forget everything but the video."""
        with self.transaction():
            tables = ("prompt", "absence", "request", "mask", "span", "job", "snapshot", "object", "frame")
            self._db.changed(self.tracks.object_ids, 0, 1 << 62)
            self._db.changed(self.tracks.object_ids, 0, 0)
            for table in tables:
                self._db.execute(f"DELETE FROM {table}")
            self.edits.forget_all()
            self.notes.forget("damage", "score:", "note:", "retired:", "run", "highest_id", "input:")
            self._db.generation += 1

    # --- notes --------------------------------------------------------------------------------------------------

    def note_damage(self, message: str | None) -> None:
        """Say where and why the video could not be read on; None when it could."""
        if self.notes.get("damage") != message:
            self.notes.set("damage", message)

    @property
    def detector_state(self) -> str | None:
        """What the detector's scheduler remembers, for a run that is resumed."""
        return self.notes.get(DETECTOR_NOTE)

    @detector_state.setter
    def detector_state(self, state: str) -> None:
        self.notes.set(DETECTOR_NOTE, state)

    @property
    def looked_for(self) -> str | None:
        """The words that a run was asked for, and how it looks for them; None where there are none."""
        return self.notes.get(LOOKED_FOR_NOTE)

    @looked_for.setter
    def looked_for(self, request: str | None) -> None:
        self.notes.set(LOOKED_FOR_NOTE, request)

    @property
    def searched_for(self) -> str | None:
        """What a detector has looked for on the frames that are tracked already, or that no forward pass comes to."""
        return self.notes.get(SEARCHED_NOTE)

    @searched_for.setter
    def searched_for(self, what: str) -> None:
        self.notes.set(SEARCHED_NOTE, what)


def _what(objects: Sequence[int], made: Sequence[int], frame: int) -> str:
    """The edit that adds prompts, for people."""
    new = f"add {', '.join(map(str, made))} on frame {frame}" if made else ""
    old = f"correct {', '.join(map(str, objects))} on frame {frame}" if objects else ""
    return " and ".join(part for part in (new, old) if part)
