"""The check by the way back: every object is tracked again from where it ends to where its mask was given.

Where the masks of both ways agree, the engine could have found either from the other; where they do not, one of them
is wrong. (Forward-backward error: Kalal, Mikolajczyk and Matas 2010.) Nothing of the tracks changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np

from maskferry.data import FrameMasks, MaskPrompt, Source
from maskferry.engines.base import Engine
from maskferry.errors import InputError
from maskferry.masks._regions import intersection_over_union
from maskferry.run._look_ahead import looking_ahead
from maskferry.tracks._agreement import Agreement, save_agreements
from maskferry.tracks._review_lanes import Lane, read_lanes
from maskferry.tracks._tracks import Tracks

__all__ = ["check_way_back"]


@dataclass(slots=True)
class _Leg:
    """What an object goes back.

    Attributes:
        object_id: the object.
        start: the frame on which it is taken up, with the mask that it has there.
        stop: the frame of its given mask, the last one that is compared.
        found: {frame: IoU}, of the frames after ``start``.
    """

    object_id: int
    start: int
    stop: int
    found: dict[int, float] = field(default_factory=dict)

    @property
    def is_backward(self) -> bool:
        return self.start > self.stop


def check_way_back(
    tracks: Tracks, source: Source, engine: Engine, *, callback: Callable[[int, int], object] | None = None
) -> list[Agreement]:
    """Track every object back to the first and the last of its given masks, compare, and keep what was found.

    Between two given masks an object is tracked from both, so that the check has nothing to add there. It takes as many
    steps as tracking took. `review.summarize` lists what does not agree as moments.

    Args:
        tracks: to check; nothing of them changes.
        source: their video.
        engine: loaded; the one that tracked, or another.
        callback: called after each step with the number of steps done and of all.

    Returns:
        One for each object of which anything was compared, by ascending id; kept in the tracks file.

    Raises:
        InputError: the video is a stream, which cannot be read backward.
        EngineError: the engine failed.
        RunningElsewhereError: a run of another process writes to the file.
    """
    if not source.seekable:
        raise InputError(f"{source.info.name or 'the video'}: a stream cannot be read backward, so not checked either")
    revision = tracks.revision  # masks that are edited meanwhile are not those that are compared
    lanes = read_lanes(tracks, list(tracks.object_ids), 0, None)
    legs = [leg for object_id, lane in lanes.items() for leg in _legs(object_id, lane)]
    walks = [[leg for leg in legs if leg.is_backward is backward] for backward in (True, False)]
    total, done = sum(len(_frames(walk)) for walk in walks), 0
    for walk in walks:
        for _ in _walk(tracks, source, engine, walk):
            done += 1
            if callback is not None:
                callback(done, total)
    found: dict[int, dict[int, float]] = {}
    for leg in legs:
        found.setdefault(leg.object_id, {}).update(leg.found)
    agreements = [Agreement.of(i, found[i]) for i in sorted(found)]
    save_agreements(tracks, agreements, revision)
    return agreements


def _legs(object_id: int, lane: Lane) -> Iterator[_Leg]:
    """Back to the last given mask from where the object is seen last, and to the first one from where it is first."""
    given, seen = lane.frames[lane.given].tolist(), lane.frames[lane.seen].tolist()
    if not given or not seen:
        return
    if seen[-1] > given[-1]:
        yield _Leg(object_id, seen[-1], given[-1])
    if seen[0] < given[0]:
        yield _Leg(object_id, seen[0], given[0])


def _frames(legs: Sequence[_Leg]) -> range:
    """That a walk goes over, in its order."""
    if not legs:
        return range(0)
    starts, stops = [leg.start for leg in legs], [leg.stop for leg in legs]
    if legs[0].is_backward:
        return range(max(starts), min(stops) - 1, -1)
    return range(min(starts), max(stops) + 1)


def _walk(tracks: Tracks, source: Source, engine: Engine, legs: Sequence[_Leg]) -> Iterator[int]:
    """Track all objects of one direction, and compare; gives each frame when it is done."""
    waiting, active = list(legs), dict[int, _Leg]()
    session = engine.open(source.info)
    with closing(session), closing(source.frames(_frames(legs))) as frames:
        for frame in looking_ahead(session, frames):
            known = tracks[frame.index] if frame.index in tracks else FrameMasks(frame.index, source.info.size_hw)
            beginning = [leg for leg in waiting if leg.start == frame.index]
            waiting = [leg for leg in waiting if leg.start != frame.index]
            prompts = [MaskPrompt(frame.index, leg.object_id, known.mask(leg.object_id)) for leg in beginning]
            masks = session.step(frame, prompts)
            for leg in list(active.values()):
                _compare(leg, known, masks)
                if frame.index == leg.stop:
                    session.drop(active.pop(leg.object_id).object_id)
            active |= {leg.object_id: leg for leg in beginning}
            yield frame.index


def _compare(leg: _Leg, known: FrameMasks, masks: FrameMasks) -> None:
    nothing = np.zeros(masks.size_hw, np.bool_)
    first, second = (m.mask(leg.object_id) if leg.object_id in m.object_ids else nothing for m in (known, masks))
    leg.found[masks.frame] = intersection_over_union(first, second)
