"""A whole run, from masks to tracks to files; resumed where an earlier one stopped.

What the commands ``track`` and ``demo`` do, for whoever wants to do it from Python.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from maskferry.association._options import AssociationOptions
from maskferry.data import MaskPrompt, Source, State, StretchOption
from maskferry.engines.base import Engine
from maskferry.engines.registry import check_takes_text, load_engine, pick_engine
from maskferry.errors import InputError, OutputExistsError
from maskferry.formats import Seeds
from maskferry.masks import resize_mask
from maskferry.outputs._folder import Outputs
from maskferry.outputs._watch import Silent, Watch
from maskferry.prompts._given import GivenFiles, target_of
from maskferry.run._detectors import Detector, checked_phrases
from maskferry.run._prepare import prepare
from maskferry.run._resume import run_difference
from maskferry.sources import describe_series, open_series, open_source, source_digest
from maskferry.tracker import MaskTracker
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal
from maskferry.tracks._pending import note_run
from maskferry.tracks._planner import Direction
from maskferry.tracks._tracks import Tracks

__all__ = ["Request", "carry_out"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of a run.

    Attributes:
        video: a file, a folder of pictures or a URL.
        seeds: masks to start from, at any size, or the files that they are in.
        outputs: where results go.
        engine: a name, or "auto".
        options: what it is loaded with.
        direction: "both", "forward" or "backward", see `MaskTracker.propagate`.
        frames: what part of the video.
        rate: frames per second, where the video has none or a wrong one.
        overwrite: start over where there are results.
        stretch: how samples of more than 8 bits are shown, see `sources.open_source`.
        text: phrases that are looked for, see `MaskTracker.propagate`.
        association: when they are looked for, and what counts.
        limits: first frame and frame to end before, by number or date, where they are not those of ``frames``.
        series: arguments of `sources.open_series`, where the video is a series that they are for.
        detector: finds objects on the way, see `MaskTracker.propagate`.
        detector_name: what it is called: a run that another one has begun is not resumed.
    """

    video: str | Path
    seeds: Seeds | GivenFiles
    outputs: Outputs
    engine: str = "auto"
    options: Mapping[str, str | bool] = field(default_factory=dict)
    direction: Direction = "both"
    frames: FrameRange = field(default_factory=FrameRange)
    rate: str | None = None
    overwrite: bool = False
    stretch: StretchOption | str = "auto"
    text: tuple[str, ...] = ()
    association: AssociationOptions = field(default_factory=AssociationOptions)
    limits: tuple[int | str | None, int | str | None] = (None, None)
    series: Mapping[str, Any] = field(default_factory=dict)
    detector: Detector | None = None
    detector_name: str = ""

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files of masks, which must not be written over."""
        return self.seeds.paths if isinstance(self.seeds, GivenFiles) else ()

    def given(self, source: Source) -> Seeds:
        """The masks to start from."""
        return self.seeds.read(target_of(source)) if isinstance(self.seeds, GivenFiles) else self.seeds


def carry_out(request: Request, watch: Watch | None = None, engine: Engine | None = None) -> dict[str, Any]:
    """Track and write. What can be refused is refused before anything is touched.

    Args:
        request: what is wanted.
        watch: who is told how far it is, and may stop it.
        engine: the engine that the request names, where it is loaded already; it is not closed.

    Returns:
        What was done, for JSON.

    Raises:
        OutputExistsError: there is a finished run, and ``overwrite`` is false.
        KeyboardInterrupt: the watch wanted it to stop; finished frames are kept, the same request resumes the run.
        MaskferryError: see `MaskTracker`. Finished frames are kept.
    """
    outputs, watch = request.outputs, watch or Silent()
    with ExitStack() as stack:
        source = stack.enter_context(_open(request, watch))
        request = replace(request, frames=_frames(request, source), limits=(None, None))
        seeds = request.given(source)
        if engine is None:
            engine = stack.enter_context(closing(load_engine(_engine_for(request), **request.options)))
        wanted = _wanted(request, seeds, source, engine.name)
        resume = _can_resume(request, wanted, watch)
        tracker = MaskTracker(source, engine=engine, tracks=outputs.tracks, resume=resume, overwrite=request.overwrite)
        with closing(tracker.tracks), tracker, tracker.tracks.database.holding():
            if request.overwrite:
                outputs.clear()
            if not resume:
                _add(tracker, wanted, seeds)
                Journal(tracker.tracks).looked_for = wanted.looked_for
                tracker.tracks.note_inputs(*request.inputs)
            started = time.monotonic()
            steps = _track(tracker, request, watch)
            seconds = time.monotonic() - started
            for kind in outputs.missing():
                outputs.write(kind, tracker.tracks, source, watch)
            return _report(request, tracker.tracks, engine.name, steps, seconds)


@contextmanager
def _open(request: Request, watch: Watch) -> Iterator[Source]:
    request.outputs.check_folder()
    request.outputs.check_drawable()
    with watch.bar("Opening the video"):
        if request.series:
            source: Source = open_series(request.video, rate=request.rate, stretch=request.stretch, **request.series)
        else:
            source = open_source(request.video, rate=request.rate, stretch=request.stretch)
    with source:
        request.outputs.check_maps(source.info)
        if source.info.stretch is not None:
            low, high = source.info.stretch
            watch.say(f"samples of more than 8 bits: {low:g} is shown as black, {high:g} as white (--stretch)")
        for text in describe_series(source.info):
            watch.say(text)
        path = Path(source.info.path) if source.info.path else None
        request.outputs.check_apart(*request.inputs, *([path] if path else []))
        if request.outputs.audio and (path is None or not path.is_file()):
            raise InputError(f"--audio: {source.info.name} is no video file, it has no sound")
        yield source


def _frames(request: Request, source: Source) -> FrameRange:
    """The part of the video, where the request names it by dates."""
    start, stop = request.limits
    found = request.frames
    if start is not None:
        found = replace(found, start=start if isinstance(start, int) else source.info.check_frame(start))
    if stop is not None:
        found = replace(found, stop=stop if isinstance(stop, int) else source.info.check_frame(stop))
    return found


def _wanted(request: Request, seeds: Seeds, source: Source, engine: str) -> Journal:
    """The run as it is asked for, in memory: it passes every check that the real one will."""
    info, limits = source.info, request.frames.within(source.info.frame_count)
    prompts = []
    for given in seeds.prompts:
        info.check_frame(given.frame)
        what = f"the mask of object {given.object_id} on frame {given.frame}"
        if not limits.start <= given.frame < limits.stop:
            raise InputError(
                f"{what} lies outside of the frames to track, {limits.start} to {limits.stop - 1}: say which frame it "
                "belongs to (--frame, or --masks FRAME=FILE), or change --start and --stop"
            )
        mask = resize_mask(given.mask, info.size_hw, what=what)
        if not mask.any():
            raise InputError(f"{what} is too small: nothing is left of it in {info.width}x{info.height}")
        prompts.append(MaskPrompt(given.frame, given.object_id, mask))
    journal = Journal(Tracks.begin(info, digest=source_digest(source)))
    if request.text:
        journal.looked_for = json.dumps([engine, *request.text, asdict(request.association)])
    elif request.detector is not None:
        journal.looked_for = json.dumps(["detector", request.detector_name, asdict(request.association)])
    if prompts or not (request.text or request.detector):
        journal.add_prompts(prompts)
        prepare(journal, source, engine, request.direction, request.frames)
    else:
        note_run(journal.notes, request.direction, limits)
    return journal


def _engine_for(request: Request) -> str:
    """The engine's name. Words that cannot be looked for are refused before weights are loaded.

    Raises:
        InputError: they are no phrases, or to be looked for backward.
        PromptNotSupportedError: the engine takes none.
    """
    if not request.text:
        return request.engine
    checked_phrases(request.text, request.direction)
    name = pick_engine(takes_text=True) if request.engine == "auto" else request.engine
    check_takes_text(name)
    return name


def _can_resume(request: Request, wanted: Journal, watch: Watch) -> bool:
    """Whether there is a run of this very request that can be resumed."""
    outputs = request.outputs
    if request.overwrite:
        outputs.check_replaceable()
        return False
    if not outputs.tracks.exists():
        outputs.check_free()
        return False
    with Tracks.open(outputs.tracks) as tracks:
        there = Journal(tracks)
        other = run_difference(there, wanted)
        if other:
            raise OutputExistsError(
                f"{outputs.folder} holds a run of {other}: give another folder with -o, or start over with --overwrite"
            )
        outputs.put_in_order()
        if not tracks.finished:
            outputs.check_free()
            watch.say(f"resuming the run in {outputs.folder}, which has come to {len(tracks)} frames")
        elif outputs.missing():
            watch.say(f"{outputs.folder} holds all tracks already; writing what is missing")
        else:
            raise OutputExistsError(
                f"{outputs.folder} holds this run, finished: give another folder with -o, or start over with "
                "--overwrite"
            )
    return True


def _add(tracker: MaskTracker, wanted: Journal, seeds: Seeds) -> None:
    for frame, prompts in groupby(seeds.prompts, key=lambda prompt: prompt.frame):
        ids = [prompt.object_id for prompt in prompts]
        masks = [found.mask for i in ids if isinstance(found := wanted.prompts.get(frame, i), MaskPrompt)]
        tracker.add_masks_prompt(masks, ids, frame, labels=[seeds.labels.get(i) for i in ids])


def _track(tracker: MaskTracker, request: Request, watch: Watch) -> int:
    """Track what is left; the number of steps that it took."""
    limits, progressed = request.frames, None
    with watch.stoppable() as stopped, watch.bar(f"Tracking {tracker.source.info.name}") as update:
        for progressed in tracker.steps(
            direction=request.direction,
            start=limits.start,
            stop=limits.stop,
            stride=limits.stride,
            cancelled=stopped,
            text=request.text or None,
            detector=request.detector,
            association=request.association,
        ):
            update(progressed.done, progressed.total)
    if stopped() and not tracker.tracks.finished:
        raise KeyboardInterrupt
    return progressed.done if progressed else 0


def _report(request: Request, tracks: Tracks, engine: str, steps: int, seconds: float) -> dict[str, Any]:
    outputs, labels = request.outputs, tracks.labels
    objects = []
    for object_id in tracks.object_ids:
        states = [row.state for _, row in tracks.timeline(object_id)]
        lost = sum(state is State.LOST for state in states)
        objects.append({"id": object_id, "label": labels.get(object_id), "frames": len(states), "lost": lost})
    return {
        "video": tracks.video.name,
        "stretch": tracks.video.stretch,
        "dates": [date.isoformat() for date in tracks.video.dates or ()],
        "engine": engine,
        "frames": len(tracks),
        "steps": steps,
        "fps": round(steps / seconds, 2) if steps else None,
        "stopped_at": tracks.stopped_at,
        "objects": objects,
        "files": {"tracks": str(outputs.tracks), **{kind: str(outputs.path(kind)) for kind in outputs.kinds}},
    }
