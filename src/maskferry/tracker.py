"""``MaskTracker``, the session a person works with, and `track`, the whole job in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskferry.association._associator import Associator
from maskferry.association._options import AssociationOptions
from maskferry.association._scheduler import DetectorScheduler
from maskferry.data import FrameMasks, Image, VideoLike
from maskferry.detections import detect_kind, read_detections
from maskferry.engines.base import Engine
from maskferry.errors import InputError, MissingExtraError
from maskferry.outputs._export import save_label_maps
from maskferry.rendering._film import render
from maskferry.rendering._notebook import plot_frame, plot_frames
from maskferry.run._prompter import Prompting
from maskferry.run._runner import REDETECTION, Progress, prepare, run
from maskferry.tracks._ids import FIRST_ID
from maskferry.tracks._jobs import ENDLESS, FrameRange
from maskferry.tracks._planner import Direction
from maskferry.tracks._results import Tracks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MaskTracker", "track"]


Detector = Callable[[Image], Any]
"""Takes a frame, RGB uint8 (H, W, 3); returns its objects in any form that `detections.read_detections` reads."""


class MaskTracker(Prompting):
    """Carry masks through a video.

    >>> import numpy as np
    >>> video = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8)
    >>> mask = np.zeros((48, 64), dtype=bool); mask[10:20, 10:30] = True
    >>> with MaskTracker(video, engine="hold") as tracker:
    ...     object_id = tracker.add_mask_prompt(mask)
    ...     tracks = tracker.propagate()
    ...     object_id, len(tracks), int(tracks[4].mask(object_id).sum())
    (100, 5, 200)
    """

    # --- the run ------------------------------------------------------------------------------------------------

    def propagate(  # noqa: PLR0913
        self,
        *,
        direction: Direction = "both",
        start: int = 0,
        stop: int | None = None,
        stride: int = 1,
        callback: Callable[[Progress], object] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        detector: Detector | None = None,
        association: AssociationOptions | None = None,
    ) -> Tracks:
        """Track everything that is not tracked yet: all of it the first time, only the spans of what was added or
        corrected after that.

        Args:
            direction: "both" tracks from each prompt to both sides and merges in between; "forward" and "backward"
                one way only.
            start: first frame of the run.
            stop: frame to end before; None for the end of the video.
            stride: every stride-th frame; frames with prompts are always included.
            callback: called after each step.
            cancelled: asked after each step; true ends the run, to be gone on with by calling `propagate` again.
            detector: takes a frame, RGB uint8 (H, W, 3), and returns its objects; called on every n-th frame of the
                forward pass, where an object is lost, and where much of the picture is new. What it finds corrects
                objects, brings lost ones back and begins new ones. Without any prompt, the first frame on which it
                finds something starts the run; these finds, as all new ones, go again if no later one confirms them.
            association: when the detector is called, and how its finds are joined to tracks.

        Returns:
            The tracks, also as `tracks`.

        Raises:
            InputError: nothing to track, or a range outside the video.
            EngineError: the engine failed. Finished frames are kept.

        Warns:
            DamagedSourceWarning: the video ends early; `Tracks.stopped_at` says where.
        """
        for progress in self.steps(
            direction=direction,
            start=start,
            stop=stop,
            stride=stride,
            cancelled=cancelled,
            detector=detector,
            association=association,
        ):
            if callback is not None:
                callback(progress)
        return self.tracks

    def steps(
        self,
        *,
        direction: Direction = "both",
        start: int = 0,
        stop: int | None = None,
        stride: int = 1,
        cancelled: Callable[[], bool] = lambda: False,
        detector: Detector | None = None,
        association: AssociationOptions | None = None,
    ) -> Iterator[Progress]:
        """As `propagate`, one step at each turn of the iterator; what is wrong is said before the first."""
        frame_range = FrameRange(start, ENDLESS if stop is None else stop, stride)
        redetector = None if detector is None else self._redetector(detector, association)
        if redetector is not None and not self.journal.seeds():
            self._begin_with_finds(redetector, frame_range)
        prepare(self.journal, self.source, self.engine_name, direction, frame_range)
        steps = run(self.journal, self.source, self.engine, cancelled=cancelled, redetector=redetector)
        if redetector is None or direction == "forward":
            return steps
        return chain(steps, self._look_back(direction, frame_range, cancelled))

    def _redetector(self, detector: Detector, options: AssociationOptions | None) -> DetectorScheduler:
        size_hw, rate = self.source.info.size_hw, self.source.info.rate
        return DetectorScheduler(
            lambda frame: read_detections(detector(frame.image), size_hw),
            Associator(options or AssociationOptions(), float(rate) if rate else 25.0),
        )

    def _begin_with_finds(self, redetector: DetectorScheduler, frame_range: FrameRange) -> None:
        """Prompt with what the detector finds on the first frame on which it finds something."""
        limits = frame_range.within(self.source.info.frame_count)
        if not self.source.seekable:
            raise InputError("a stream cannot be searched for its first objects: add a mask of its first frame")
        for index in range(limits.start, limits.stop, redetector.options.every * limits.stride):
            found = redetector.detections(self.frame(index))
            if found:
                masks, labels = zip(*found, strict=True)
                redetector.begin_with(self.add_masks_prompt(masks, None, index, labels=labels))
                self.journal.note(REDETECTION, redetector.save())
                return
        raise InputError(
            f"the detector found nothing on any {redetector.options.every}th frame: there is nothing to track"
        )

    def _look_back(
        self, direction: Direction, frame_range: FrameRange, cancelled: Callable[[], bool]
    ) -> Iterator[Progress]:
        """Track what was found on the way to where it came from."""
        if not cancelled():
            prepare(self.journal, self.source, self.engine_name, direction, frame_range)
            yield from run(self.journal, self.source, self.engine, cancelled=cancelled)

    def masks(self, frame_idx: int) -> FrameMasks:
        """What is known of one frame so far: tracked, or only given.

        Raises:
            InputError: the frame is outside the video.
        """
        frame_idx = self._check_frame(frame_idx)
        return self.tracks.get(frame_idx) or FrameMasks(frame_idx, self.source.info.size_hw)

    # --- looking at it and saving it ----------------------------------------------------------------------------

    def show_frame(self, frame_idx: int = 0, **options: Any) -> Figure:  # noqa: ANN401
        """Plot one frame under its masks; options as in `viewing.plot_frame`.

        Raises:
            InputError: the frame is outside the video, or the video is a stream.
            MissingExtraError: matplotlib is not installed.
        """
        return plot_frame(self.frame(frame_idx), self.masks(frame_idx), **self._look(options))

    def show_frames(
        self,
        frame_stride: int = 20,
        ncols: int = 3,
        *,
        start: int = 0,
        stop: int | None = None,
        **options: Any,  # noqa: ANN401
    ) -> Figure:
        """Plot every ``frame_stride``-th frame side by side; options as in `viewing.plot_frames`.

        Raises:
            InputError: no frame is in the range, or the video is a stream.
            MissingExtraError: matplotlib is not installed.
        """
        limits = FrameRange(start, ENDLESS if stop is None else stop, frame_stride).within(self.source.info.frame_count)
        wanted = range(limits.start, limits.stop, limits.stride)
        frames = [(frame, self.masks(frame.index)) for frame in self.source.frames(wanted)]
        return plot_frames(frames, ncols=ncols, **self._look(options))

    def show_video(self, output: str | Path, **options: Any) -> Any:  # noqa: ANN401
        """Save the film (see `save_video`) and return it as something that a notebook plays.

        Raises:
            MissingExtraError: IPython is not installed.
        """
        try:
            from IPython import display
        except ModuleNotFoundError as err:
            raise MissingExtraError("show_video is for notebooks (IPython); elsewhere use save_video") from err
        player: Any = display.Video
        return player(str(self.save_video(output, **options)), embed=True)

    def _look(self, options: dict[str, Any]) -> dict[str, Any]:
        """Names instead of ids for the objects that have one."""
        labels = options.pop("labels", True)
        return {**options, "labels": self.tracks.labels or True if labels is True else labels}

    def save_masks(self, folder: str | Path, **options: Any) -> list[Path]:  # noqa: ANN401
        """Write a label map for every tracked frame; options as in `exporting.save_label_maps`."""
        return save_label_maps(self.tracks, folder, **options)

    def save_video(self, path: str | Path, **options: Any) -> Path:  # noqa: ANN401
        """Draw the masks over the video and write an MP4 film; options as in `filming.render`."""
        return render(self.tracks, path, self.source, **options)


def track(  # noqa: PLR0913
    video: VideoLike,
    masks: Any = None,  # noqa: ANN401
    *,
    frame_idx: int = 0,
    detector: Detector | None = None,
    every: int = 30,
    engine: str | Engine = "auto",
    direction: Direction = "both",
    tracks: str | Path | None = None,
    overwrite: bool = False,
    callback: Callable[[Progress], object] | None = None,
) -> Tracks:
    """The whole job in one call: carry masks of one frame through a video.

    Args:
        video: a file, a folder of pictures, a URL, an array (T, H, W, 3), a list of arrays, any iterable of frames.
        masks: {object id: mask}; or what `MaskTracker.add_masks_prompt` takes, such as the result of another model, ids
            then are the model's or count from 100; or a path, see `MaskTracker.add_masks_file`.
        frame_idx: the frame that the masks belong to.
        detector: a model that finds objects on a frame; without ``masks``, what it finds first is tracked. It is called
            again on every n-th frame, and its finds are joined to the tracks, see `MaskTracker.propagate`.
        every: the n.
        engine: a name, "auto" for the best that can run here, or a loaded engine.
        direction: see `MaskTracker.propagate`.
        tracks: file that receives the results as they come. Where it is there already, from a run of the same masks
            that was stopped or killed, the run goes on.
        overwrite: start over where ``tracks`` is there already.
        callback: called after each step.

    Returns:
        The tracks, open.

    Raises:
        InputError: neither masks nor a detector, or what `MaskTracker` refuses.
        MaskferryError: see `MaskTracker`.
    """
    if masks is None and detector is None:
        raise InputError("there is nothing to track: pass masks, or a detector that finds them")
    association = AssociationOptions(every=every)
    with MaskTracker(video, engine=engine, tracks=tracks, resume=not overwrite, overwrite=overwrite) as tracker:
        if isinstance(masks, str | Path):
            tracker.add_masks_file(masks, frame_idx)
        elif masks is not None:
            ids = None
            if isinstance(masks, Mapping) and detect_kind(masks) is None:
                masks, ids = list(masks.values()), list(masks)
            found = tracker._detections(masks)  # ids that a second run, which goes on, gives again:
            ids = ids or found.object_ids or list(range(FIRST_ID, FIRST_ID + len(found)))
            tracker.add_masks_prompt(found, ids, frame_idx)
        return tracker.propagate(
            direction=direction, callback=callback, detector=detector, association=association if detector else None
        )
