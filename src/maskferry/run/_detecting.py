"""A run with a detector: what begins it, and the way back from objects that were found on the way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from typing import TypedDict

from maskferry._arguments import show
from maskferry.association._associator import Associator
from maskferry.association._options import AssociationOptions
from maskferry.association._scheduler import DetectorScheduler
from maskferry.data import Frame, FrameLike, MaskPrompt, VideoInfo
from maskferry.engines.base import Session
from maskferry.errors import InputError, NothingFoundError, SourceError, UnconfirmedWarning
from maskferry.run._detectors import Detector, RunDetector, choose_detector
from maskferry.run._prepare import prepare
from maskferry.run._runner import Progress, never, run
from maskferry.run._workspace import Workspace
from maskferry.tracks._jobs import ENDLESS, FrameRange
from maskferry.tracks._planner import Direction

__all__ = ["RunOptions", "steps"]


class RunOptions(TypedDict, total=False):
    """What a run covers, see `MaskTracker.propagate`."""

    direction: Direction
    start: FrameLike
    stop: FrameLike | None
    stride: int
    cancelled: Callable[[], bool]
    detector: Detector | None
    text: str | Sequence[str] | None
    association: AssociationOptions | None


def steps(  # noqa: PLR0913
    workspace: Workspace,
    direction: Direction = "both",
    start: FrameLike = 0,
    stop: FrameLike | None = None,
    stride: int = 1,
    *,
    cancelled: Callable[[], bool] = never,
    detector: Detector | None = None,
    text: str | Sequence[str] | None = None,
    association: AssociationOptions | None = None,
) -> Iterator[Progress]:
    """Plan a run and return its steps; what is wrong is said at once, before the first. See `MaskTracker.propagate`."""
    if not (association is None or isinstance(association, AssociationOptions)):
        raise InputError(f"association: expected AssociationOptions, got {show(association)}")
    if not callable(cancelled):
        raise InputError(f"cancelled: expected a function, got {show(cancelled)}")
    reach = _Reach(workspace, direction, FrameRange(*_limits(workspace.source.info, start, stop), stride), cancelled)
    options = association or AssociationOptions()
    looks = choose_detector(workspace, detector, text, direction, options)
    if looks is None:
        return reach.prepared()
    return _DetectingRun(reach, looks, _scheduler(workspace, looks, options)).steps()


def _limits(video: VideoInfo, start: FrameLike, stop: FrameLike | None) -> tuple[int, int]:
    """First frame and frame to end before, where they are named by date."""
    first = video.check_frame(start) if isinstance(start, str | date) else start
    if stop is None:
        return first, ENDLESS
    return first, video.check_frame(stop) if isinstance(stop, str | date) else stop


def _scheduler(workspace: Workspace, looks: RunDetector, options: AssociationOptions) -> DetectorScheduler:
    rate = workspace.source.info.rate
    associator = Associator(options, float(rate) if rate else 25.0)
    return DetectorScheduler(looks, associator, looks.defaults, frozenset(looks.phrases))


@dataclass(frozen=True, slots=True)
class _Reach:
    """What a run covers."""

    workspace: Workspace
    direction: Direction
    frames: FrameRange
    cancelled: Callable[[], bool]

    def prepared(
        self, scheduler: DetectorScheduler | None = None, *, backward_only: bool = False
    ) -> Iterator[Progress]:
        """Write down what is to be done, and return the steps of doing it."""
        journal, source, name = self.workspace.journal, self.workspace.source, self.workspace.engine_name
        prepare(journal, source, name, self.direction, self.frames, backward_only=backward_only)
        self.workspace.save()
        return run(journal, source, self.workspace.engine, cancelled=self.cancelled, scheduler=scheduler)


@dataclass(frozen=True, slots=True)
class _DetectingRun:
    """A run with a detector.

    Attributes:
        reach: what it covers.
        looks: the detector.
        scheduler: says when it runs.
    """

    reach: _Reach
    looks: RunDetector
    scheduler: DetectorScheduler

    def steps(self) -> Iterator[Progress]:
        """Plan it and return its steps; what is wrong is said at once."""
        if self._has_prompts and not self._has_seen_all():
            return self._after_a_search(self.reach.prepared(self.scheduler, backward_only=True))
        if not self._has_prompts:
            if not self._begin(self.reach.frames):
                if self.reach.cancelled():
                    return iter(())
                every = self.scheduler.settings.every
                where = "any frame" if every == 1 else f"any {every}th frame"
                raise NothingFoundError(f"{self.looks.nothing_found} on {where}: there is nothing to track")
            if self.reach.direction == "backward" and self.scheduler.options.confirm:  # it runs on forward passes only
                return self._end_with_nothing()
        forward = self.reach.prepared(self.scheduler)
        self.reach.workspace.journal.searched_for = self.looks.what
        return self._to_the_end(forward)

    @property
    def _has_prompts(self) -> bool:
        return bool(self.reach.workspace.journal.prompts.prompt_frames())

    # --- in order ---------------------------------------------------------------------------------------------------

    def _has_seen_all(self) -> bool:
        """Whether the detector has seen, or will see, all frames that it is to see.

        Where objects were given and a detector comes in, it has not seen what was tracked without it, nor the frames
        before the first mask. With forward passes alone it does not see these: nothing would tell a given object from a
        new one.
        """
        journal = self.reach.workspace.journal
        if journal.searched_for == self.looks.what or not self.reach.workspace.source.seekable:
            return True
        return self.reach.direction != "both" and not journal.tracks.finished

    def _after_a_search(self, backward: Iterator[Progress]) -> Iterator[Progress]:
        """First where given objects were before, then what else was there up to the first frame that is to be tracked
        forward, then as always."""
        yield from backward
        if self.reach.cancelled():
            return
        journal = self.reach.workspace.journal
        limits = self.reach.frames.within(self.reach.workspace.source.info.frame_count)
        stop = min((pending.start for pending in journal.tracks.pending), default=limits.stop)
        if limits.start < stop:
            self._begin(replace(limits, stop=min(stop, limits.stop)))
        if self.reach.cancelled():
            return
        journal.searched_for = self.looks.what
        yield from self._to_the_end(self.reach.prepared(self.scheduler))

    def _to_the_end(self, forward: Iterator[Progress]) -> Iterator[Progress]:
        """The forward passes; where all finds were false, the search goes on after them; then the way back of objects
        that were found on the way."""
        yield from forward
        while not (self.reach.cancelled() or self._has_prompts):
            if not self._begin(self.reach.frames, after=self.scheduler.last_frame):
                if not self.reach.cancelled():
                    yield from self._end_with_nothing()
                return
            yield from self.reach.prepared(self.scheduler)
        if self.reach.direction != "forward" and not self.reach.cancelled():
            yield from self.reach.prepared()

    def _end_with_nothing(self) -> Iterator[Progress]:
        """Leave out what the detector has found, and say so."""
        workspace = self.reach.workspace
        for object_id in workspace.journal.tracks.object_ids:
            workspace.journal.drop_object(object_id)
        workspace.save()
        message = (
            "no later run of the detector confirmed what it had found: no object is left. If its finds are right, pass "
            "AssociationOptions(confirm=0), or let it run more often (every)"
        )
        warnings.warn(UnconfirmedWarning(message), stacklevel=2)
        return iter(())

    # --- searching --------------------------------------------------------------------------------------------------

    def _begin(self, frames: FrameRange, after: int = -1) -> bool:
        """Prompt with what the detector finds on the first frame after this one on which it finds something new;
        whether it finds anything."""
        source = self.reach.workspace.source
        limits = frames.within(source.info.frame_count)
        if not source.seekable:
            raise InputError("a stream cannot be searched for its first objects: add a mask of its first frame")
        step = self.scheduler.settings.every * limits.stride
        indices = [index for index in range(limits.start, limits.stop, step) if index > after]
        try:
            with self.looks.open() as session, closing(source.frames(indices)) as found:
                for frame in found:
                    if self.reach.cancelled():
                        return False
                    if self._prompt(frame, session):
                        return True
        except SourceError:
            if after < 0:
                raise
        return False  # or the video is damaged from here on; what came before is kept

    def _prompt(self, frame: Frame, session: Session | None) -> bool:
        """Prompt with what the detector finds on a frame, where it is not known already; whether it finds anything."""
        journal, scheduler = self.reach.workspace.journal, self.scheduler
        known = [row.rle for row in journal.tracks.get(frame.index, ())]
        found = scheduler.beginnings(frame, known, session)
        if not found:
            return False
        with journal.transaction():
            ids = journal.prompts.ids(None, len(found), scheduler.options.first_id)
            labels = {i: label for i, (_, label) in zip(ids, found, strict=True) if label is not None}
            prompts = [MaskPrompt(frame.index, i, mask) for i, (mask, _) in zip(ids, found, strict=True)]
            journal.add_prompts(prompts, frame.info, labels, is_requested=False)
            scheduler.begin_with(ids)
            journal.detector_state = scheduler.save()
            journal.searched_for = self.looks.what
        return True
