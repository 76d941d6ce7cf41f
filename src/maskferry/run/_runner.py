"""Making the passes: an engine's session over a source's frames, job by job, results written as they come."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from maskferry.association._scheduler import DetectorScheduler
from maskferry.association._types import FrameContext
from maskferry.data import Frame, FrameMasks, MaskPrompt, ObjectMask, Prompt, Source
from maskferry.engines.base import Engine, LooksAhead, Session
from maskferry.errors import DamagedSourceWarning, EngineError, InputError, SourceError
from maskferry.masks._merge import merge
from maskferry.run._active_objects import Roster
from maskferry.tracks._jobs import ENDLESS, FrameRange, Span
from maskferry.tracks._journal import Journal, StoredJob
from maskferry.tracks._planner import Direction, plan

__all__ = ["REDETECTION", "Progress", "prepare", "run"]

log = logging.getLogger(__name__)

REDETECTION = "redetection"
"""Under this key the journal keeps what the redetector remembers."""

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
        masks: what was found on it; between two seeds, before the answers of both directions are merged.
    """

    done: int
    total: int | None
    frame: int
    backward: bool
    masks: FrameMasks


def prepare(
    journal: Journal, source: Source, engine: str, direction: Direction = "both", frame_range: FrameRange | None = None
) -> None:
    """Write down what is to be done. Spans that are done, or under way, are left as they are.

    Args:
        journal: with its prompts.
        source: says how long the video is, and whether it can be read backward.
        engine: name of the engine that will do it.
        direction: see `planning.plan`.
        frame_range: what part of the video; all of it by default.

    Raises:
        InputError: no prompts, a range outside the video, a stream that would have to be read backward, or a run of
            another engine that is under way.
    """
    frames = (frame_range or FrameRange()).within(source.info.frame_count)
    seeds = journal.seeds()
    if not seeds:
        raise InputError("there is nothing to track yet: add a mask first (add_mask_prompt)")
    if not any(frames.start <= seed < frames.stop for own in seeds.values() for seed in own):
        raise InputError(f"no object is prompted inside frames {frames.start} to {frames.stop - 1}")
    for stored in journal.jobs():
        valid = plan(seeds, "both", stored.job.frame_range) + plan(seeds, "backward", stored.job.frame_range)
        keep = {s.key for job in valid if job.backward == stored.job.backward for s in job.spans}
        journal.keep_spans(stored.id, keep)
    under_way = [stored for stored in journal.jobs() if not stored.done]
    if under_way and under_way[0].engine != engine:
        raise InputError(
            f"these tracks were begun with engine {under_way[0].engine!r} and are not finished: go on with that one, "
            f"or start over with {engine!r} (overwrite)"
        )
    jobs = plan(seeds, direction, frames, [stored.job for stored in journal.jobs()])
    if not source.seekable and any(job.backward for job in jobs):
        raise InputError(
            "this video is a stream, which cannot be read backward, and an object was prompted after its first frame: "
            'use direction="forward", or save the stream to a file first'
        )
    journal.add_jobs(jobs, engine)


def run(
    journal: Journal,
    source: Source,
    engine: Engine,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    redetector: DetectorScheduler | None = None,
) -> Generator[Progress]:
    """Do the jobs that are not done, one frame at each turn of the generator.

    Closing the generator, or ``cancelled()`` becoming true, stops between two frames; a later call goes on behind the
    last finished frame and gives the same masks as if nothing had happened.

    With a ``redetector``, a detector runs now and then in forward passes: its finds correct objects, bring lost ones
    back, and begin new ones.

    Warns:
        DamagedSourceWarning: the video cannot be read on; what came before is kept, and `Tracks.stopped_at` says so.

    Raises:
        EngineError: the engine failed. Finished frames are kept.
    """
    passes = [_Pass(journal, source, engine, stored, redetector) for stored in journal.jobs() if not stored.done]
    total = None if any(p.endless for p in passes) else sum(p.steps for p in passes)
    done = 0
    journal.note_damage(None)
    saved = journal.note(REDETECTION)
    if redetector is not None and saved is not None:
        redetector.restore(saved)
    try:
        for one in passes:
            with closing(one.steps_through(cancelled)) as steps:
                for masks in steps:
                    done += 1
                    yield Progress(done, total, masks.frame, one.job.backward, masks)
            if cancelled():
                return
        _check_length(journal, source)
    finally:
        journal.mark_returns()


def _check_length(journal: Journal, source: Source) -> None:
    """Say so where the video was read to its end, but the end is not where its header puts it."""
    count, announced = source.info.frame_count, source.announced_frame_count
    if count is not None and announced is not None and count < announced:
        _note_damage(journal, source, f"stopped before frame {count}: the file announces {announced} frames")


def _note_damage(journal: Journal, source: Source, message: str) -> None:
    journal.note_damage(message)
    warnings.warn(DamagedSourceWarning(f"{source.info.name}: {message}; what came before is kept"), stacklevel=3)


class _Pass:
    """One job being done."""

    def __init__(
        self, journal: Journal, source: Source, engine: Engine, stored: StoredJob, redetector: DetectorScheduler | None
    ) -> None:
        self.job = stored.job
        self._redetector = None if stored.job.backward else redetector
        self._journal, self._source, self._engine, self._id = journal, source, engine, stored.id
        self._frames = stored.job.frames()
        self.endless = self.job.frame_range.stop == ENDLESS
        self._finished = _place(self._frames, stored.position)
        self._begin = _place(self._frames, stored.snapshot_frame)
        self._stopped = False  # the source could not be read on
        self._saved_at = time.monotonic()
        self._pause = SNAPSHOT_SECONDS

    @property
    def steps(self) -> int:
        """How many frames are left to step through."""
        return 0 if self.endless else len(self._frames) - self._begin

    def steps_through(self, cancelled: Callable[[], bool]) -> Generator[FrameMasks]:
        """Track frame by frame, write what is found, and keep the session's state from time to time."""
        session = self._open()
        roster = Roster(self.job, self._frames[: self._begin], self._journal.retired(self._id))
        if self._redetector is not None:
            self._redetector.begin_pass(self._id)
        whole = None  # the last frame after which the session is in order
        try:
            with closing(self._read()) as frames:
                for count, frame in enumerate(self._in_groups(session, frames), self._begin + 1):
                    whole = None
                    enter = roster.enter if count > self._finished else roster.pass_by
                    prompts = self._prompts(frame.index, enter(frame.index))
                    masks = session.step(frame, prompts)
                    self._drop_unwanted(session, masks, roster.followed)
                    masks = roster.with_retired(masks)
                    if count > self._finished:
                        with self._journal.transaction():
                            rows = self._rows(masks, roster.current, prompts)
                            self._journal.write(self._id, frame.info, rows, _fidelity(masks, prompts))
                            if prompts:
                                self._journal.retire(self._id, roster.retired)
                            changed = self._detect(session, roster, frame, masks)
                            self._save(session, frame.index, at_once=changed)
                    elif self._redetector is not None and frame.index > self._redetector.last_frame:
                        self._redetector.observe(frame, masks)
                    whole = frame.index
                    yield masks
                    if cancelled():
                        return
            if not self._stopped:
                self._finish(roster)
                whole = None
        finally:
            if whole is not None:
                self._save_at_once(session, whole)
            session.close()

    def _open(self) -> Session:
        snapshot = self._journal.snapshot(self._id) if 0 < self._begin <= self._finished else None
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
        late = [span.seed for span in self.job.spans if last is not None and self.endless and span.seed > last]
        if late:
            self._stop(f"the stream ended after frame {last}, before the prompt on frame {min(late)}")

    def _in_groups(self, session: Session, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The same frames; a session that looks ahead is shown them before. A stream is never waited for."""
        return looking_ahead(session, frames) if self._source.seekable else frames

    def _stop(self, message: str) -> None:
        self._stopped = True
        _note_damage(self._journal, self._source, message)

    def _prompts(self, frame: int, starting: Sequence[Span]) -> list[Prompt]:
        found = [self._journal.prompt(frame, span.object_id) for span in starting]
        return [prompt for prompt in found if prompt is not None]

    def _drop_unwanted(self, session: Session, masks: FrameMasks, wanted: Collection[int]) -> None:
        for object_id in masks.object_ids:
            if object_id not in wanted:
                session.drop(object_id)

    def _rows(self, masks: FrameMasks, current: dict[int, Span], prompts: Sequence[Prompt]) -> list[ObjectMask]:
        """What is to be written of a frame: given masks stay as they are, gaps between two seeds are merged."""
        known = self._journal.masks(masks.frame, [i for i, span in current.items() if span.blend])
        given = {prompt.object_id for prompt in prompts if isinstance(prompt, MaskPrompt)}
        rows = []
        for object_id, span in current.items():
            if object_id in given:
                continue
            try:
                row = masks[object_id]
            except KeyError:
                raise EngineError(
                    f"engine {self._engine.name!r} gave no row for object {object_id} on frame {masks.frame}"
                ) from None
            if span.until is not None and object_id in known and masks.frame != span.seed:
                share = abs(masks.frame - span.until) / abs(span.seed - span.until)  # nearness to this pass's seed
                other = known[object_id]
                row = merge(other, row, 1 - share) if self.job.backward else merge(row, other, share)
            rows.append(row)
        return rows

    def _detect(self, session: Session, roster: Roster, frame: Frame, masks: FrameMasks) -> bool:
        """Let the detector look at a frame that was tracked; whether that changed anything."""
        if self._redetector is None:
            return False
        self._redetector.observe(frame, masks)
        is_last = not self.endless and frame.index == self._frames[-1]
        if not self._redetector.is_due(frame, is_last=is_last):
            return False
        journal = self._journal
        others = [row.rle for row in journal.tracks[frame.index] if row.object_id not in roster.current]
        context = FrameContext(masks, others, journal.last_seen, journal.used_ids(), is_last)
        changes = self._redetector.update(frame, context)
        session.reprompt(frame, changes.prompts)
        roster.begin(journal.extend(self._id, changes.prompts, changes.labels))
        for object_id in changes.removed:
            session.drop(object_id)
            roster.current.pop(object_id, None)
            journal.remove_object(object_id)
        for object_id, since in changes.lost_since.items():
            session.drop(object_id)
            roster.retired.add(object_id)
            journal.take_back(object_id, since, frame.index)
        journal.retire(self._id, roster.retired)
        return True

    def _finish(self, roster: Roster) -> None:
        """Nothing is left to do; new objects that were never confirmed go."""
        with self._journal.transaction():
            self._journal.finish(self._id)
            if self._redetector is not None:
                for object_id in self._redetector.end_pass(roster.current):
                    self._journal.remove_object(object_id)
                self._journal.note(REDETECTION, self._redetector.save())

    def _save(self, session: Session, frame: int, *, at_once: bool) -> None:
        """Keep the session's state: now and then, and always where stepping again would not lead to it."""
        now = time.monotonic()
        outlives = self._journal.tracks.path is not None  # what is in memory dies with the session
        if at_once or (outlives and now - self._saved_at > self._pause):
            self._save_at_once(session, frame)
            self._saved_at = time.monotonic()
            self._pause = max(SNAPSHOT_SECONDS, (self._saved_at - now) / SNAPSHOT_SHARE)

    def _save_at_once(self, session: Session, frame: int) -> None:
        """Keep the session's state and the redetector's, together: those of one frame."""
        with self._journal.transaction():
            self._journal.save_snapshot(self._id, frame, session.snapshot())
            if self._redetector is not None:
                self._journal.note(REDETECTION, self._redetector.save())


def looking_ahead(session: Session, frames: Iterator[Frame]) -> Iterator[Frame]:
    """The same frames; to a session that looks ahead, each group is shown before it comes to the group before."""
    if not isinstance(session, LooksAhead):
        yield from frames
        return

    def show() -> list[Frame]:
        group = list(islice(frames, session.ahead))
        if group and session.ahead > 1:
            session.look_ahead(group)
        return group

    group = show()
    while group:
        following = show()
        yield from group
        group = following


def _fidelity(masks: FrameMasks, prompts: Sequence[Prompt]) -> dict[int, float]:
    """What the engine says of the masks that were given on a frame: {object id: IoU with what it sees of it}."""
    given = {prompt.object_id for prompt in prompts if isinstance(prompt, MaskPrompt)}
    return {row.object_id: row.fidelity for row in masks if row.object_id in given and row.fidelity is not None}


def _place(frames: Sequence[int], frame: int | None) -> int:
    """How many frames come up to and with this one."""
    return 0 if frame is None else frames.index(frame) + 1
