"""`track`: the whole job in one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maskferry.association._options import AssociationOptions
from maskferry.data import FrameLike, VideoLike
from maskferry.detections import detect_kind
from maskferry.engines.base import Engine
from maskferry.errors import InputError
from maskferry.prompts._prompter import read_masks
from maskferry.run._detectors import Detector
from maskferry.run._runner import Progress
from maskferry.tracker import MaskTracker
from maskferry.tracks._planner import Direction
from maskferry.tracks._prompt_store import FIRST_ID
from maskferry.tracks._tracks import Tracks

__all__ = ["track"]


def track(  # noqa: PLR0913
    video: VideoLike,
    masks: Any = None,  # noqa: ANN401
    *,
    frame_idx: FrameLike | None = None,
    detector: Detector | None = None,
    text: str | Sequence[str] | None = None,
    every: int | None = None,
    engine: str | Engine = "auto",
    direction: Direction = "both",
    tracks: str | Path | None = None,
    overwrite: bool = False,
    callback: Callable[[Progress], object] | None = None,
) -> Tracks:
    """The whole job in one call: carry masks of one frame through a video.

    Args:
        video: a file, a folder of pictures, a URL, an open binary file or bytes, an array (T, H, W, 3), a list of
            arrays, any iterable of frames.
        masks: {object id: mask}; or what `MaskTracker.add_masks_prompt` takes, such as the result of another model, ids
            then are the model's or count from 100; or a path, see `MaskTracker.add_masks_file`.
        frame_idx: the frame that the masks belong to; None for the first one, or the one that their file names.
        detector: a model that finds objects on a frame; without ``masks``, what it finds first is tracked. It is called
            again on every n-th frame, and its finds are joined to the tracks, see `MaskTracker.propagate`.
        text: a short phrase, such as "car", or several, which the engine looks for on every n-th frame; see there.
        every: the n; by default 30 with a detector, 10 with text.
        engine: a name, "auto" for the best that can run here, or a loaded engine.
        direction: see `MaskTracker.propagate`.
        tracks: file that receives the results as they come. Where it is there already, from a run of the same masks
            that was stopped or killed, the run is resumed.
        overwrite: start over where ``tracks`` is there already.
        callback: called after each step.

    Returns:
        The tracks, open.

    Raises:
        InputError: neither masks nor a detector nor text, or what `MaskTracker` refuses.
        MaskferryError: see `MaskTracker`.
    """
    if masks is None and detector is None and text is None:
        raise InputError("there is nothing to track: pass masks, or a detector that finds them, or text")
    association = AssociationOptions(every=every)
    with MaskTracker(video, engine=engine, tracks=tracks, resume=not overwrite, overwrite=overwrite) as tracker:
        if isinstance(masks, str | Path):
            tracker.add_masks_file(masks, frame_idx)
        elif masks is not None:
            ids = None
            if isinstance(masks, Mapping) and detect_kind(masks) is None:
                masks, ids = list(masks.values()), list(masks)
            found = read_masks(
                masks, tracker.source.info.size_hw
            )  # ids that the same call gives again when it resumes the run:
            ids = ids or found.object_ids or list(range(FIRST_ID, FIRST_ID + len(found)))
            tracker.add_masks_prompt(found, ids, frame_idx or 0)
        return tracker.propagate(
            direction=direction, callback=callback, detector=detector, text=text, association=association
        )
