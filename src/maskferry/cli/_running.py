"""A whole run, what `track` and `demo` have in common: from masks to tracks to files, going on where one stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from maskferry.cli import _progress as progress
from maskferry.cli import _talk as talk
from maskferry.cli._outputs import Outputs
from maskferry.data import MaskPrompt, Source, State
from maskferry.engines.registry import load_engine
from maskferry.errors import InputError, OutputExistsError, SourceError
from maskferry.formats._seeds import Seeds
from maskferry.masks._convert import resize_mask
from maskferry.run._resume import run_difference
from maskferry.run._runner import prepare
from maskferry.sources import open_source
from maskferry.tracker import MaskTracker
from maskferry.tracks._jobs import FrameRange
from maskferry.tracks._journal import Journal
from maskferry.tracks._planner import Direction
from maskferry.tracks._tracks import Tracks

__all__ = ["Request", "carry_out", "tell"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks for.

    Attributes:
        video: a file, a folder of pictures or a URL.
        seeds: masks to start from, at any size.
        outputs: where results go.
        inputs: files that must not be written over.
        engine: a name, or "auto".
        options: what it is loaded with.
        direction: see `planning.plan`.
        frames: what part of the video.
        rate: frames per second, where the video has none or a wrong one.
        overwrite: start over where there are results.
    """

    video: str | Path
    seeds: Seeds
    outputs: Outputs
    inputs: tuple[Path, ...] = ()
    engine: str = "auto"
    options: Mapping[str, str] = field(default_factory=dict)
    direction: Direction = "both"
    frames: FrameRange = field(default_factory=FrameRange)
    rate: str | None = None
    overwrite: bool = False


def carry_out(request: Request) -> dict[str, Any]:
    """Track and write. What can be refused is refused before anything is touched.

    Returns:
        What was done, for JSON.

    Raises:
        OutputExistsError: there is a finished run, and ``overwrite`` is false.
        StoppedError: somebody pressed Ctrl-C.
        MaskferryError: see `MaskTracker`. Finished frames are kept.
    """
    outputs = request.outputs
    with closing(load_engine(request.engine, **request.options)) as engine, _open(request) as source:
        wish = _wish(request, source, engine.name)
        resume = _look(request, wish)
        with _going_on(request):
            if request.overwrite:
                outputs.clear()
            tracker = MaskTracker(source, engine=engine, tracks=outputs.tracks, resume=resume, overwrite=True)
            with closing(tracker.tracks), tracker:
                if not resume:
                    _add(tracker, wish, request.seeds)
                started = time.monotonic()
                steps = _track(tracker, request)
                seconds = time.monotonic() - started
                for kind in outputs.missing():
                    outputs.write(kind, tracker.tracks, source)
                return _report(request, tracker.tracks, engine.name, steps, seconds)


@contextmanager
def _open(request: Request) -> Iterator[Source]:
    request.outputs.check_folder()
    with progress.bar("Opening the video"):
        source = open_source(request.video, rate=request.rate)
    with source:
        path = Path(source.info.path) if source.info.path else None
        request.outputs.check_apart(*request.inputs, *([path] if path else []))
        if request.outputs.audio and (path is None or not path.is_file()):
            raise InputError(f"--audio: {source.info.name} is no video file, it has no sound")
        yield source


def _wish(request: Request, source: Source, engine: str) -> Journal:
    """The run as it is asked for, in memory: it passes every check that the real one will."""
    info, limits = source.info, request.frames.within(source.info.frame_count)
    prompts = []
    for given in request.seeds.prompts:
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
    journal = Journal(Tracks.create(info))
    journal.add_prompts(prompts)
    prepare(journal, source, engine, request.direction, request.frames)
    return journal


def _look(request: Request, wish: Journal) -> bool:
    """Whether there is a run of this very command to go on with."""
    outputs = request.outputs
    if request.overwrite:
        outputs.check_replaceable()
        return False
    if not outputs.tracks.exists():
        outputs.check_free()
        return False
    with Tracks.open(outputs.tracks) as tracks:
        there = Journal(tracks)
        if not there.jobs.all():  # killed before it began
            outputs.check_free()
            return False
        other = run_difference(there, wish)
        if other:
            raise OutputExistsError(
                f"{outputs.folder} holds a run of {other}: give another folder with -o, or start over with --overwrite"
            )
        if there.jobs.unfinished():
            outputs.check_free()
            talk.say(f"going on with the run in {outputs.folder}, which has come to {len(tracks)} frames")
        elif outputs.missing():
            talk.say(f"{outputs.folder} holds all tracks already; writing what is missing")
        else:
            raise OutputExistsError(
                f"{outputs.folder} holds this run, finished: give another folder with -o, or start over with "
                "--overwrite"
            )
    return True


def _add(tracker: MaskTracker, wish: Journal, seeds: Seeds) -> None:
    for frame, prompts in groupby(seeds.prompts, key=lambda prompt: prompt.frame):
        ids = [prompt.object_id for prompt in prompts]
        masks = [found.mask for i in ids if isinstance(found := wish.prompts.get(frame, i), MaskPrompt)]
        tracker.add_masks_prompt(masks, ids, frame, labels=[seeds.labels.get(i) for i in ids])


def _track(tracker: MaskTracker, request: Request) -> int:
    """Track what is left; the number of steps that it took."""
    limits, progressed = request.frames, None
    with progress.stoppable() as stopped, progress.bar(f"Tracking {tracker.source.info.name}") as update:
        for progressed in tracker.steps(
            direction=request.direction,
            start=limits.start,
            stop=limits.stop,
            stride=limits.stride,
            cancelled=stopped,
        ):
            update(progressed.done, progressed.total)
    if stopped() and Journal(tracker.tracks).jobs.unfinished():
        raise KeyboardInterrupt
    return progressed.done if progressed else 0


@contextmanager
def _going_on(request: Request) -> Iterator[None]:
    """Say how to go on after Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        again = "the command again without --overwrite" if request.overwrite else "the same command again"
        raise talk.StoppedError(
            f"finished frames are kept in {request.outputs.folder}; run {again} to go on from there"
        ) from None


def _report(request: Request, tracks: Tracks, engine: str, steps: int, seconds: float) -> dict[str, Any]:
    outputs, labels = request.outputs, tracks.labels
    objects = []
    for object_id in tracks.object_ids:
        states = [row.state for _, row in tracks.timeline(object_id)]
        lost = sum(state is State.LOST for state in states)
        objects.append({"id": object_id, "label": labels.get(object_id), "frames": len(states), "lost": lost})
    return {
        "video": tracks.video.name,
        "engine": engine,
        "frames": len(tracks),
        "steps": steps,
        "fps": round(steps / seconds, 2) if steps else None,
        "stopped_at": tracks.stopped_at,
        "objects": objects,
        "files": {"tracks": str(outputs.tracks), **{kind: str(outputs.path(kind)) for kind in outputs.kinds}},
    }


def tell(report: dict[str, Any], *, as_json: bool) -> None:
    """Say what was done, where the results are, and last, whether the video was damaged.

    Raises:
        SourceError: it was.
    """
    objects, pace = report["objects"], f" at {report['fps']:g} frames/s" if report["fps"] else ""
    talk.say(
        f"{len(objects)} object{'s' * (len(objects) != 1)} on {report['frames']} frames of {report['video']}, "
        f"engine {report['engine']}{pace}"
    )
    for row in objects:
        if row["lost"]:
            name = f" ({row['label']})" if row["label"] else ""
            talk.say(f"object {row['id']}{name} is out of sight on {row['lost']} of {row['frames']} frames")
    if as_json:
        talk.show_json(report)
    else:
        for kind, path in report["files"].items():
            talk.show(f"{kind:<12} {path}")
    if report["stopped_at"]:
        raise SourceError(f"{report['video']} is damaged: tracking {report['stopped_at']}. What came before is written")
