"""Doing a run: one pass after the other over its jobs, each finished frame committed."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from maskferry.association._scheduler import DetectorScheduler
from maskferry.association._types import FrameContext, TrackUpdate
from maskferry.data import Frame, FrameMasks, MaskPrompt, ObjectMask, Prompt, Source
from maskferry.engines.base import Engine, Session
from maskferry.errors import EngineError, SourceError
from maskferry.masks._merge import merge
from maskferry.run._active_objects import ActiveObjects
from maskferry.run._damage import check_length, note_damage
from maskferry.run._look_ahead import looking_ahead
from maskferry.tracks._jobs import ENDLESS, Span, StoredJob, count_up_to
from maskferry.tracks._journal import Journal

__all__ = ["Progress", "never", "run"]

SNAPSHOT_SECONDS = 5.0
SNAPSHOT_SHARE = 0.02  # of the running time, at most, goes into snapshots


@dataclass(frozen=True, slots=True)
class Progress:
    """One finished step of a run.

    Attributes:
        done: steps finished, of this run.
        total: steps of this run in all; None while the length of the video is unknown.
        frame: index of the frame that was just finished.
        backward: which way the pass goes.
        masks: what was found on it; between two prompts, before the answers of both directions are merged.
    """

    done: int
    total: int | None
    frame: int
    backward: bool
    masks: FrameMasks


def never() -> bool:
    """For runs that nobody cancels."""
    return False


def run(
    journal: Journal,
    source: Source,
    engine: Engine,
    *,
    cancelled: Callable[[], bool] = never,
    scheduler: DetectorScheduler | None = None,
) -> Generator[Progress]:
    """Do the jobs that are not done, one frame at each turn of the generator.

    Closing the generator, or ``cancelled()`` becoming true, stops between two frames; a later call resumes behind the
    last finished frame and gives the same masks as if nothing had happened.

    With a ``scheduler``, a detector runs now and then in forward passes: its finds correct objects, bring lost ones
    back, and begin new ones.

    Warns:
        DamagedSourceWarning: the video cannot be read on; what came before is kept, and `Tracks.stopped_at` says so.

    Raises:
        EngineError: the engine failed. Finished frames are kept.
    """
    touched: set[int] = set()
    with journal.tracks.database.holding():
        passes = [_Pass(journal, source, engine, stored, scheduler, touched) for stored in journal.jobs.unfinished()]
        journal.note_damage(None)
        if scheduler is not None and journal.detector_state is not None:
            scheduler.restore(journal.detector_state)
        try:
            if (yield from _steps(passes, cancelled)):
                check_length(journal, source)
        finally:
            journal.frames.mark_returns(touched)


def _steps(passes: list[_Pass], cancelled: Callable[[], bool]) -> Generator[Progress, None, bool]:
    """Make the passes; returns whether all of them were made."""
    total = None if any(one.endless for one in passes) else sum(one.steps_left for one in passes)
    done = 0
    for one in passes:
        with closing(one.steps(cancelled)) as steps:
            for masks in steps:
                done += 1
                yield Progress(done, total, masks.frame, one.job.backward, masks)
        if cancelled():
            return False
    return True


class _Pass:
    """One job being done.

    Attributes:
        job: what is to be found.
        endless: the length of the video is unknown.
    """

    def __init__(
        self,
        journal: Journal,
        source: Source,
        engine: Engine,
        stored: StoredJob,
        scheduler: DetectorScheduler | None,
        touched: set[int],
    ) -> None:
        """Prepare a job.

        Args:
            journal: where results and progress go.
            source: the open video.
            engine: the loaded engine.
            stored: the job, and how far it has come.
            scheduler: says when the detector runs; None without one.
            touched: takes the ids of objects whose masks are written.
        """
        self.job = stored.job
        self._touched = touched
        self.endless = self.job.frame_range.stop == ENDLESS
        self._scheduler = None if stored.job.backward else scheduler
        self._journal, self._source, self._engine, self._id = journal, source, engine, stored.id
        self._frames = stored.job.frames()
        self._finished = count_up_to(self._frames, stored.position)
        self._begin = count_up_to(self._frames, stored.snapshot_frame)
        self._stopped = False  # the source could not be read on
        self._saved_at = time.monotonic()
        self._pause = SNAPSHOT_SECONDS

    @property
    def steps_left(self) -> int:
        """How many frames are left to step through."""
        return 0 if self.endless else len(self._frames) - self._begin

    def steps(self, cancelled: Callable[[], bool]) -> Generator[FrameMasks]:
        """Track frame by frame, write what is found, and keep the session's state from time to time."""
        self._session = self._open_session()
        self._begin_objects(self._frames[: self._begin])
        self._in_order: int | None = None  # the last frame after which session and journal agree
        if self._scheduler is not None:
            self._scheduler.begin_pass(self._id)
        try:
            with closing(self._read()) as frames:
                for count, frame in enumerate(self._in_groups(frames), self._begin + 1):
                    yield self._step(frame, count, is_new=count > self._finished)
                    if cancelled():
                        return
                    if self._active.is_done:  # what was left was taken away by an edit
                        break
            if not self._stopped:
                self._finish()
        finally:
            if self._in_order is not None:
                self._save_at_once(self._in_order)
            self._session.close()

    # --- frames in ----------------------------------------------------------------------------------------------

    def _open_session(self) -> Session:
        snapshot = self._journal.jobs.snapshot(self._id) if 0 < self._begin <= self._finished else None
        if snapshot is None:
            self._begin = 0
        return self._engine.open(self._source.info, snapshot)

    def _read(self) -> Generator[Frame]:
        """The frames that are left; damage ends them with a warning."""
        last = None
        try:
            with closing(self._source.frames(self._frames[self._begin :])) as frames:
                for frame in frames:
                    yield frame
                    last = frame.index
        except SourceError as err:
            self._stop(f"stopped before frame {err.frame}: {err}")
            return
        if not self.endless or last is None:
            return
        late = [span.seed for span in self.job.spans if span.seed > last]
        if late:
            self._stop(f"the stream ended after frame {last}, before the prompt on frame {min(late)}")

    def _in_groups(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames; a session that looks ahead is shown them before. A stream is never waited for."""
        return looking_ahead(self._session, frames) if self._source.seekable else frames

    def _stop(self, message: str) -> None:
        self._stopped = True
        note_damage(self._journal, self._source, message)

    # --- one step -----------------------------------------------------------------------------------------------

    def _begin_objects(self, passed: Sequence[int]) -> None:
        """Read which objects the pass has to find after some frames that it has come by."""
        self._generation = self._journal.tracks.database.generation
        self.job = replace(self.job, spans=self._journal.jobs.spans(self._id))
        self._active = ActiveObjects(self.job, passed, self._journal.jobs.suspended(self._id))

    def _step(self, frame: Frame, count: int, *, is_new: bool) -> FrameMasks:
        """Track into a frame; one that was finished before the run was resumed is not written again."""
        self._in_order = None
        self._see_edits(count - 1)
        starting = self._active.enter(frame.index) if is_new else self._active.pass_by(frame.index)
        prompts = self._prompts(frame.index, starting)
        masks = self._session.step(frame, prompts)
        self._drop_inactive(masks)
        masks = self._active.with_suspended(masks)
        if is_new:
            self._commit(frame, count, masks, prompts)
        elif self._scheduler is not None and frame.index > self._scheduler.last_frame:
            self._scheduler.observe(frame, masks)
        self._in_order = frame.index
        return masks

    def _see_edits(self, passed: int) -> None:
        """Take in what was edited through these very tracks since the step before: spans may be cut, objects gone."""
        if self._generation != self._journal.tracks.database.generation:
            self._begin_objects(self._frames[:passed])

    def _prompts(self, frame: int, starting: Sequence[Span]) -> list[Prompt]:
        found = [self._journal.prompts.get(frame, span.object_id) for span in starting]
        return [prompt for prompt in found if prompt is not None]

    def _drop_inactive(self, masks: FrameMasks) -> None:
        followed = self._active.followed
        for object_id in masks.object_ids:
            if object_id not in followed:
                self._session.drop(object_id)

    def _commit(self, frame: Frame, count: int, masks: FrameMasks, prompts: Sequence[Prompt]) -> None:
        """Write a finished frame and all that follows from it, together."""
        given = {prompt.object_id for prompt in prompts if isinstance(prompt, MaskPrompt)}
        fidelity = {row.object_id: row.fidelity for row in masks if row.object_id in given and row.fidelity is not None}
        with self._journal.transaction():
            self._see_edits(count)
            rows = self._rows(masks, given)
            self._journal.frames.write(frame.info, rows, fidelity)
            self._journal.frames.note_valid(frame)
            self._journal.jobs.move_on(self._id, frame.index)
            self._touched.update(row.object_id for row in rows)
            if prompts:
                self._journal.jobs.suspend(self._id, self._active.suspended)
            changed = self._detect(frame, masks)
            self._save(frame.index, at_once=changed)

    def _rows(self, masks: FrameMasks, given: set[int]) -> list[ObjectMask]:
        """What is to be written of a frame: given masks stay as they are, gaps between two seeds are merged."""
        to_blend = [i for i, span in self._active.spans.items() if span.blend]
        known = self._journal.frames.get(masks.frame, to_blend) if to_blend else {}
        found = {row.object_id: row for row in masks}
        rows = []
        for object_id, span in self._active.spans.items():
            if object_id in given:
                continue
            if object_id not in found:
                raise EngineError(
                    f"engine {self._engine.name!r} gave no row for object {object_id} on frame {masks.frame}"
                )
            row = found[object_id]
            rows.append(self._blend(row, known[object_id], span, masks.frame) if object_id in known else row)
        return rows

    def _blend(self, row: ObjectMask, other: ObjectMask, span: Span, frame: int) -> ObjectMask:
        """One mask of this pass's answer and that of the other direction, each weighted by the nearness of its seed."""
        if span.until is None or frame == span.seed:
            return row
        share = abs(frame - span.until) / abs(span.seed - span.until)  # nearness to this pass's seed
        return merge(other, row, 1 - share) if self.job.backward else merge(row, other, share)

    # --- the detector -------------------------------------------------------------------------------------------

    def _detect(self, frame: Frame, masks: FrameMasks) -> bool:
        """Let the detector look at a frame that was tracked; whether that changed the session."""
        scheduler, journal = self._scheduler, self._journal
        if scheduler is None:
            return False
        scheduler.observe(frame, masks)
        is_last = not self.endless and frame.index == self._frames[-1]
        if not scheduler.is_due(frame, is_last=is_last):
            return False
        others = [row.rle for row in journal.tracks[frame.index] if row.object_id not in self._active.spans]
        phrases = {i: name for i, name in journal.tracks.labels.items() if name in scheduler.phrases}
        used = journal.prompts.used_ids()
        context = FrameContext(masks, others, journal.frames.last_seen, used, is_last, phrases)
        update = scheduler.update(frame, context, self._session)
        journal.detector_state = scheduler.save()
        return self._apply(update, frame)

    def _apply(self, update: TrackUpdate, frame: Frame) -> bool:
        """Do what follows from a detector's finds, in the session, in the active objects and in the journal alike.

        Returns:
            Whether anything follows. Where nothing does, the session is as it would be without the detector.
        """
        if not (update.prompts or update.removed or update.lost_since):
            return False
        session, active, journal = self._session, self._active, self._journal
        session.reprompt(frame, update.prompts)
        names = zip(update.prompts, update.labels, strict=True)
        labels = {prompt.object_id: label for prompt, label in names if label is not None}
        active.begin(journal.extend(self._id, update.prompts, labels))
        for object_id in update.removed:
            session.drop(object_id)
            active.spans.pop(object_id, None)
            journal.drop_object(object_id)
        for object_id, since in update.lost_since.items():
            session.drop(object_id)
            active.suspended.add(object_id)
            journal.frames.mark_lost(object_id, since, frame.index)
        journal.jobs.suspend(self._id, active.suspended)
        return True

    # --- what is kept -------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Nothing is left to do; new objects that were never confirmed are removed."""
        with self._journal.transaction():
            self._journal.jobs.finish(self._id)
            if self._scheduler is not None:
                for object_id in self._scheduler.end_pass(self._active.spans):
                    self._journal.drop_object(object_id)
                self._journal.detector_state = self._scheduler.save()
        self._in_order = None

    def _save(self, frame: int, *, at_once: bool) -> None:
        """Keep the session's state: now and then, and always where stepping again would not lead to it."""
        now = time.monotonic()
        outlives = self._journal.tracks.path is not None  # what is in memory dies with the session
        if at_once or (outlives and now - self._saved_at > self._pause):
            self._save_at_once(frame)
            self._saved_at = time.monotonic()
            self._pause = max(SNAPSHOT_SECONDS, (self._saved_at - now) / SNAPSHOT_SHARE)

    def _save_at_once(self, frame: int) -> None:
        """Keep the session's state and the scheduler's, together: those of one frame."""
        with self._journal.transaction():
            self._journal.jobs.save_snapshot(self._id, frame, self._session.snapshot())
            if self._scheduler is not None:
                self._journal.detector_state = self._scheduler.save()
