"""``MaskTracker``, the session a person works with, and `track`, the whole job in one call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from maskferry.data import BoxPrompt, FrameMasks, MaskPrompt, PointPrompt, Prompt, TextPrompt
from maskferry.engines.base import Engine
from maskferry.errors import InputError, MissingExtraError, PromptNotSupportedError
from maskferry.exporting import render, save_label_maps
from maskferry.formats.binary import read_mask
from maskferry.formats.seeds import read_seeds
from maskferry.masks.convert import as_masks
from maskferry.planning import Direction
from maskferry.prompts import FIRST_ID, box_prompt, object_ids, point_prompt
from maskferry.sources.base import VideoLike
from maskferry.tracking import Progress, prepare, run
from maskferry.tracks.jobs import ENDLESS, FrameRange
from maskferry.tracks.journal import same_prompt
from maskferry.tracks.results import Tracks
from maskferry.viewing import plot_frame, plot_frames
from maskferry.workspace import Workspace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["MaskTracker", "track"]


class MaskTracker(Workspace):
    """Carry masks through a video.

    >>> import numpy as np
    >>> video = np.random.default_rng(0).integers(0, 255, (5, 48, 64, 3), dtype=np.uint8)
    >>> mask = np.zeros((48, 64), dtype=bool); mask[10:20, 10:30] = True
    >>> with MaskTracker(video, engine="hold") as tracker:
    ...     object_id = tracker.add_mask_prompt(mask)
    ...     tracks = tracker.propagate()
    ...     object_id, len(tracks), tracks[4].mask(object_id).sum()
    (100, 5, np.int64(200))
    """

    def _require(self, kind: type[Prompt], what: str) -> None:
        if kind in self.engine.accepts:
            return
        takes = ", ".join(sorted(k.__name__.removesuffix("Prompt").lower() + "s" for k in self.engine.accepts))
        raise PromptNotSupportedError(
            f"engine {self.engine.name!r} takes {takes}, not {what}: make masks of them with another model "
            "(any detector or segmenter) and pass those to add_masks_prompt, or choose an engine that takes "
            f"{what} (`maskferry engines` lists them)"
        )

    # --- prompts ------------------------------------------------------------------------------------------------

    def init_tracker(self, frame_idx: int = 0) -> None:
        """Start with no objects. Optional and instant: prompts can be added at any time without it.

        Raises:
            InputError: no video has been set, or the frame is outside of it.
        """
        frame_idx = self._check_frame(frame_idx)
        self.journal.reset()
        self._restored.clear()

    def reset(self) -> None:
        """Forget all objects and results; the video stays."""
        self.init_tracker()

    def add_mask_prompt(
        self,
        mask: ArrayLike | str | Path,
        obj_id: int | None = None,
        frame_idx: int = 0,
        *,
        label: str | None = None,
        replace: bool = False,
    ) -> int:
        """Track what a mask covers. A mask of a known object on another frame is a correction.

        Args:
            mask: (H, W), (1, H, W) or (H, W, 1); bool, integer or probability (see `masks.convert.as_mask`); or a file.
            obj_id: a whole number from 1; by default the next free one from 100.
            frame_idx: the frame that the mask belongs to.
            label: a name for the object.
            replace: allow to replace the object's prompt on this very frame.

        Returns:
            The object's id.

        Raises:
            InputError: the mask is empty or malformed, the frame is outside the video, the id is no whole number from
                1, or the object has a prompt on this frame already.
        """
        ids = None if obj_id is None else [obj_id]
        labels = None if label is None else [label]
        return self.add_masks_prompt([mask], ids, frame_idx, labels=labels, replace=replace)[0]

    def add_masks_prompt(
        self,
        masks: Any,  # noqa: ANN401
        obj_ids: Sequence[int] | None = None,
        frame_idx: int = 0,
        *,
        labels: Sequence[str | None] | None = None,
        replace: bool = False,
    ) -> list[int]:
        """Track what each of several masks covers; all are added, or none.

        Args:
            masks: a stack (N, H, W) or (N, 1, H, W), or a list of what `add_mask_prompt` takes.
            obj_ids: an id for each; by default the next free ones from 100.
            frame_idx: the frame that they belong to.
            labels: a name for each object.
            replace: allow to replace prompts of the same objects on this very frame.

        Returns:
            The objects' ids, in the order of the masks.

        Raises:
            InputError: as `add_mask_prompt`, or the lengths differ.
        """
        frame_idx = self._check_frame(frame_idx)
        if isinstance(masks, str | Path):
            raise InputError(f"masks: expected a stack or a list of masks, got the path {masks}: use add_masks_file")
        if isinstance(masks, Sequence):
            masks = [read_mask(Path(mask)) if isinstance(mask, str | Path) else mask for mask in masks]
        found = as_masks(masks, self.source.info.size_hw)
        ids = self._ids(obj_ids, len(found))
        names = list(labels) if labels is not None else [None] * len(found)
        if len(names) != len(found):
            raise InputError(f"labels: expected one for each of {len(found)} masks, got {len(names)}")
        self._add([MaskPrompt(frame_idx, i, mask) for i, mask in zip(ids, found, strict=True)], names, replace=replace)
        return ids

    def add_masks_file(self, path: str | Path, frame_idx: int = 0, *, replace: bool = False) -> list[int]:
        """Track what a file of masks covers; ids and names are the file's.

        Args:
            path: a label map, a folder with a binary picture for each object, or a COCO or YouTube-VIS JSON file, which
                says itself what frames its masks belong to; see `formats.seeds.read_seeds`.
            frame_idx: the frame that they belong to, where the file does not say.
            replace: allow to replace prompts of the same objects on the same frames.

        Returns:
            The objects' ids, ascending.

        Raises:
            InputError: as `add_mask_prompt`, or there is no mask in the file.
        """
        seeds = read_seeds(Path(path), frame=self._check_frame(frame_idx))
        for frame, prompts in groupby(seeds.prompts, key=attrgetter("frame")):
            given = {prompt.object_id: prompt.mask for prompt in prompts}
            names = [seeds.labels.get(i) for i in given]
            self.add_masks_prompt(list(given.values()), list(given), frame, labels=names, replace=replace)
        return sorted({prompt.object_id for prompt in seeds.prompts})

    def add_point_prompts(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        obj_id: int | None = None,
        frame_idx: int = 0,
        *,
        replace: bool = False,
    ) -> int:
        """Track what points lie on, where the engine takes points.

        Args:
            points: float (K, 2), (x, y) in pixels.
            labels: (K,), 1 on the object, 0 off it.
            obj_id: a whole number from 1; by default the next free one from 100.
            frame_idx: the frame that they belong to.
            replace: allow to replace the object's prompt on this very frame.

        Returns:
            The object's id.

        Raises:
            PromptNotSupportedError: the engine takes no points.
            InputError: shapes, labels, points outside the picture, frame or id are wrong.
        """
        frame_idx = self._check_frame(frame_idx)
        self._require(PointPrompt, "points")
        (object_id,) = self._ids(None if obj_id is None else [obj_id], 1)
        self._add([point_prompt(frame_idx, object_id, points, labels, self.source.info)], [None], replace=replace)
        return object_id

    def add_box_prompt(
        self, box: Sequence[float], obj_id: int | None = None, frame_idx: int = 0, *, replace: bool = False
    ) -> int:
        """Track what a box encloses, where the engine takes boxes.

        Args:
            box: xyxy in pixels.
            obj_id: a whole number from 1; by default the next free one from 100.
            frame_idx: the frame that it belongs to.
            replace: allow to replace the object's prompt on this very frame.

        Returns:
            The object's id.

        Raises:
            PromptNotSupportedError: the engine takes no boxes.
            InputError: the box is not xyxy, or lies outside the picture; frame or id are wrong.
        """
        frame_idx = self._check_frame(frame_idx)
        self._require(BoxPrompt, "boxes")
        (object_id,) = self._ids(None if obj_id is None else [obj_id], 1)
        self._add([box_prompt(frame_idx, object_id, box, self.source.info)], [None], replace=replace)
        return object_id

    def generate_masks(self, prompt: str, frame_idx: int = 0) -> list[int]:
        """Find everything that words name on one frame, where the engine takes text, and track it.

        Args:
            prompt: a short noun phrase.
            frame_idx: the frame to look at.

        Returns:
            The ids of the objects found; the prompt is their label.

        Raises:
            PromptNotSupportedError: the engine takes no text.
        """
        frame_idx = self._check_frame(frame_idx)
        self._require(TextPrompt, "text")
        session = self.engine.open(self.source.info)
        try:
            found = session.step(self.frame(frame_idx), [TextPrompt(frame_idx, prompt)])
        finally:
            session.close()
        masks = [row.rle.decode() for row in found if row.rle.area]
        return self.add_masks_prompt(masks, None, frame_idx, labels=[prompt] * len(masks)) if masks else []

    def remove_object(self, obj_id: int) -> None:
        """Forget an object and its masks; the others are untouched.

        Raises:
            UnknownObjectError: no such object.
        """
        self.journal.remove_object(obj_id)

    def _add(
        self, prompts: Sequence[MaskPrompt | PointPrompt | BoxPrompt], labels: Sequence[str | None], *, replace: bool
    ) -> None:
        fresh, names = [], []
        for prompt, name in zip(prompts, labels, strict=True):
            key = (prompt.frame, prompt.object_id)
            known = self.journal.prompt(*key)
            if known is not None and key in self._restored and same_prompt(known, prompt):
                self._restored.discard(key)  # the same command, going on with a file
                continue
            if known is not None and not replace:
                raise InputError(
                    f"object {prompt.object_id} has a prompt on frame {prompt.frame} already: pass replace=True to "
                    "give it another, or correct it on another frame"
                )
            fresh.append(prompt)
            names.append(name)
        if fresh:
            self.journal.add_prompts(fresh, self._info(fresh[0].frame), names)

    def _ids(self, wanted: Sequence[int] | None, count: int) -> list[int]:
        return object_ids(wanted, count, self.journal.used_ids())

    # --- the run ------------------------------------------------------------------------------------------------

    def propagate(
        self,
        *,
        direction: Direction = "both",
        start: int = 0,
        stop: int | None = None,
        stride: int = 1,
        callback: Callable[[Progress], object] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
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

        Returns:
            The tracks, also as `tracks`.

        Raises:
            InputError: nothing to track, or a range outside the video.
            EngineError: the engine failed. Finished frames are kept.

        Warns:
            DamagedSourceWarning: the video ends early; `Tracks.stopped_at` says where.
        """
        for progress in self.steps(direction=direction, start=start, stop=stop, stride=stride, cancelled=cancelled):
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
    ) -> Iterator[Progress]:
        """As `propagate`, one step at each turn of the iterator; what is wrong is said before the first."""
        frame_range = FrameRange(start, ENDLESS if stop is None else stop, stride)
        prepare(self.journal, self.source, self.engine_name, direction, frame_range)
        return run(self.journal, self.source, self.engine, cancelled=cancelled)

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
        """Draw the masks over the video and write an MP4 film; options as in `exporting.render`."""
        return render(self.tracks, path, self.source, **options)


def track(  # noqa: PLR0913
    video: VideoLike,
    masks: Any,  # noqa: ANN401
    *,
    frame_idx: int = 0,
    engine: str | Engine = "auto",
    direction: Direction = "both",
    tracks: str | Path | None = None,
    overwrite: bool = False,
    callback: Callable[[Progress], object] | None = None,
) -> Tracks:
    """The whole job in one call: carry masks of one frame through a video.

    Args:
        video: a file, a folder of pictures, a URL, an array (T, H, W, 3), a list of arrays, any iterable of frames.
        masks: {object id: mask}; or what `MaskTracker.add_masks_prompt` takes, ids then count from 100; or a path, see
            `MaskTracker.add_masks_file`.
        frame_idx: the frame that the masks belong to.
        engine: a name, "auto" for the best that can run here, or a loaded engine.
        direction: see `MaskTracker.propagate`.
        tracks: file that receives the results as they come. Where it is there already, from a run of the same masks
            that was stopped or killed, the run goes on.
        overwrite: start over where ``tracks`` is there already.
        callback: called after each step.

    Returns:
        The tracks, open.

    Raises:
        MaskferryError: see `MaskTracker`.
    """
    with MaskTracker(video, engine=engine, tracks=tracks, resume=not overwrite, overwrite=overwrite) as tracker:
        if isinstance(masks, str | Path):
            tracker.add_masks_file(masks, frame_idx)
        else:
            if not isinstance(masks, Mapping):  # ids that a second run, which goes on, gives again
                several = [masks] if getattr(masks, "ndim", 0) == 2 else list(masks)
                masks = dict(enumerate(several, FIRST_ID))
            tracker.add_masks_prompt(list(masks.values()), list(masks), frame_idx)
        return tracker.propagate(direction=direction, callback=callback)
