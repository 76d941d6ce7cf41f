"""A run with a detector: what begins it, and the way back from objects that were found on the way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypedDict

from maskferry._arguments import show
from maskferry.association._associator import Associator
from maskferry.association._options import AssociationOptions
from maskferry.association._scheduler import DetectorScheduler
from maskferry.data import Image, MaskPrompt
from maskferry.detections import read_detections
from maskferry.errors import InputError, SourceError, UnconfirmedWarning
from maskferry.run._prepare import prepare
from maskferry.run._runner import Progress, never, run
from maskferry.run._workspace import Workspace
from maskferry.tracks._jobs import ENDLESS, FrameRange
from maskferry.tracks._planner import Direction

__all__ = ["Detector", "RunOptions", "steps"]

Detector = Callable[[Image], Any]
"""Takes a frame, RGB uint8 (H, W, 3); returns its objects in any form that `detections.read_detections` reads."""


class RunOptions(TypedDict, total=False):
    """What a run covers, see `MaskTracker.propagate`."""

    direction: Direction
    start: int
    stop: int | None
    stride: int
    cancelled: Callable[[], bool]
    detector: Detector | None
    association: AssociationOptions | None


def steps(  # noqa: PLR0913
    workspace: Workspace,
    direction: Direction = "both",
    start: int = 0,
    stop: int | None = None,
    stride: int = 1,
    *,
    cancelled: Callable[[], bool] = never,
    detector: Detector | None = None,
    association: AssociationOptions | None = None,
) -> Iterator[Progress]:
    """Plan a run and return its steps; what is wrong is said at once, before the first. See `MaskTracker.propagate`."""
    if not (detector is None or callable(detector)):
        raise InputError(f"detector: expected a function that takes a frame, got {show(detector)}")
    if not (association is None or isinstance(association, AssociationOptions)):
        raise InputError(f"association: expected AssociationOptions, got {show(association)}")
    if not callable(cancelled):
        raise InputError(f"cancelled: expected a function, got {show(cancelled)}")
    frame_range = FrameRange(start, ENDLESS if stop is None else stop, stride)
    if detector is None:
        return _prepared(workspace, direction, frame_range, cancelled)
    scheduler = _scheduler(workspace, detector, association or AssociationOptions())
    if not _has_prompts(workspace):
        if not _begin_with_finds(workspace, scheduler, frame_range):
            every = scheduler.options.every
            raise InputError(f"the detector found nothing on any {every}th frame: there is nothing to track")
        if direction == "backward" and scheduler.options.confirm:  # it runs on forward passes only
            return _end_with_nothing(workspace)
    forward = _prepared(workspace, direction, frame_range, cancelled, scheduler)
    return _to_the_end(workspace, direction, frame_range, cancelled, scheduler, forward)


def _has_prompts(workspace: Workspace) -> bool:
    return bool(workspace.journal.prompts.prompt_frames())


def _prepared(
    workspace: Workspace,
    direction: Direction,
    frame_range: FrameRange,
    cancelled: Callable[[], bool],
    scheduler: DetectorScheduler | None = None,
) -> Iterator[Progress]:
    prepare(workspace.journal, workspace.source, workspace.engine_name, direction, frame_range)
    workspace.save()
    return run(workspace.journal, workspace.source, workspace.engine, cancelled=cancelled, scheduler=scheduler)


def _to_the_end(
    workspace: Workspace,
    direction: Direction,
    frame_range: FrameRange,
    cancelled: Callable[[], bool],
    scheduler: DetectorScheduler,
    forward: Iterator[Progress],
) -> Iterator[Progress]:
    """The forward passes; where all finds were false, the search goes on after them; then the way back of objects that
    were found on the way."""
    yield from forward
    while not (cancelled() or _has_prompts(workspace)):
        if not _begin_with_finds(workspace, scheduler, frame_range, after=scheduler.last_frame):
            yield from _end_with_nothing(workspace)
            return
        yield from _prepared(workspace, direction, frame_range, cancelled, scheduler)
    if direction != "forward" and not cancelled():
        yield from _prepared(workspace, direction, frame_range, cancelled)


def _end_with_nothing(workspace: Workspace) -> Iterator[Progress]:
    """Leave out what the detector has found, and say so."""
    for object_id in workspace.journal.tracks.object_ids:
        workspace.journal.drop_object(object_id)
    workspace.save()
    message = (
        "no later run of the detector confirmed what it had found: no object is left. If its finds are right, pass "
        "AssociationOptions(confirm=0), or let it run more often (every)"
    )
    warnings.warn(UnconfirmedWarning(message), stacklevel=2)
    return iter(())


def _scheduler(workspace: Workspace, detector: Detector, options: AssociationOptions) -> DetectorScheduler:
    size_hw, rate = workspace.source.info.size_hw, workspace.source.info.rate
    return DetectorScheduler(
        lambda frame: read_detections(detector(frame.image), size_hw),
        Associator(options, float(rate) if rate else 25.0),
    )


def _begin_with_finds(
    workspace: Workspace, scheduler: DetectorScheduler, frame_range: FrameRange, after: int = -1
) -> bool:
    """Prompt with what the detector finds on the first frame after this one on which it finds something; whether it
    finds anything."""
    source, journal = workspace.source, workspace.journal
    limits = frame_range.within(source.info.frame_count)
    if not source.seekable:
        raise InputError("a stream cannot be searched for its first objects: add a mask of its first frame")
    for index in range(limits.start, limits.stop, scheduler.options.every * limits.stride):
        if index <= after:
            continue
        try:
            frame = workspace.frame(index)
        except (SourceError, InputError):
            if after < 0:
                raise
            return False  # the video is damaged from here on; what came before is kept
        found = scheduler.detections(frame)
        if found:
            ids = journal.prompts.ids(None, len(found))
            labels = {i: label for i, (_, label) in zip(ids, found, strict=True) if label is not None}
            prompts = [MaskPrompt(index, i, mask) for i, (mask, _) in zip(ids, found, strict=True)]
            journal.add_prompts(prompts, frame.info, labels)
            scheduler.begin_with(ids)
            journal.detector_state = scheduler.save()
            return True
    return False
