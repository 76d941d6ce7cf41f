"""``MaskTracker``, the session a person works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Unpack

from numpy.typing import ArrayLike

from maskferry._arguments import foreign, show
from maskferry.association._options import AssociationOptions
from maskferry.closing import Closing
from maskferry.data import Frame, FrameLike, Source, StretchOption, VideoLike
from maskferry.engines.base import Engine
from maskferry.errors import InputError
from maskferry.outputs._session_views import SessionViews
from maskferry.prompts._prompter import Prompter
from maskferry.run._detecting import RunOptions, steps
from maskferry.run._detectors import Detector
from maskferry.run._runner import Progress, never
from maskferry.run._workspace import Workspace
from maskferry.tracks import editing
from maskferry.tracks._planner import Direction
from maskferry.tracks._tracks import Tracks

__all__ = ["MaskTracker"]


class MaskTracker(Closing, SessionViews):
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

    def __init__(
        self,
        video: VideoLike | None = None,
        *,
        engine: str | Engine = "auto",
        tracks: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        **engine_options: Any,  # noqa: ANN401
    ) -> None:
        """Choose an engine, and a video now or later (`set_video`). No weights are loaded yet.

        Args:
            video: see `set_video`.
            engine: a name, "auto" for the best that can run here, or a loaded engine.
            tracks: file that receives the results as they come; without it they are kept in memory.
            resume: resume the run that ``tracks`` holds, if the file is there.
            overwrite: replace ``tracks``, if the file is there.
            engine_options: for the engine's class.

        Raises:
            UnknownEngineError: no engine of this name.
            OutputExistsError: ``tracks`` exists, and neither resume nor overwrite is set.
        """
        with foreign("tracks"):
            path = None if tracks is None else Path(tracks)
        self._work = Workspace(engine, engine_options, path, resume=resume, overwrite=overwrite)
        self._prompts: Prompter | None = None
        if video is not None:
            self.set_video(video)

    # --- the video and the engine -------------------------------------------------------------------------------

    def set_video(
        self,
        video: VideoLike,
        *,
        rate: float | str | Fraction | None = None,
        stretch: StretchOption | str = "auto",
    ) -> None:
        """Choose the video; results of an earlier one are closed.

        Args:
            video: a file, a folder of pictures, a URL, an open binary file or bytes, an array (T, H, W, 3), a list of
                arrays, any iterable of frames; see `sources.open_source`.
            rate: frames per second, where the source has none or a wrong one.
            stretch: how samples of more than 8 bits are shown, see `sources.open_source`.

        Raises:
            SourceError: it cannot be opened.
            InputError: the tracks file to resume is of another video.
            OutputExistsError: the tracks file exists.
        """
        self._work.set_video(video, rate, stretch)
        self._prompts = Prompter(self._work.source, self._work.journal, lambda: self._work.engine)

    @property
    def _prompter(self) -> Prompter:
        if self._prompts is None:
            raise InputError("no video yet: call set_video first")
        return self._prompts

    @property
    def source(self) -> Source:
        """The open video; InputError where none has been set."""
        return self._work.source

    @property
    def tracks(self) -> Tracks:
        """The results so far; InputError where no video has been set."""
        return self._work.journal.tracks

    @property
    def engine(self) -> Engine:
        """The engine, loaded when it is first needed."""
        return self._work.engine

    @property
    def engine_name(self) -> str:
        """Its name, known without loading it."""
        return self._work.engine_name

    def frame(self, frame_idx: FrameLike) -> Frame:
        """Decode one frame.

        Raises:
            InputError: the frame is outside the video, or the video is a stream.
            SourceError: it cannot be decoded.
        """
        return self._work.frame(frame_idx)

    # --- prompts ------------------------------------------------------------------------------------------------

    def reset(self) -> None:
        """Forget all objects and results; the video stays."""
        self._prompter.reset()

    def init_tracker(self, frame_idx: FrameLike = 0) -> None:
        """Forget all objects and results, as `reset` does, under the name that samgeo has for it. Never needed."""
        self.source.info.check_frame(frame_idx)
        self.reset()

    def add_mask_prompt(
        self,
        mask: ArrayLike | str | Path,
        obj_id: int | None = None,
        frame_idx: FrameLike = 0,
        *,
        label: str | None = None,
        replace: bool = False,
    ) -> int:
        """Track what a mask covers. A mask of a known object on another frame is a correction.

        Args:
            mask: (H, W), (1, H, W) or (H, W, 1); bool, whole numbers or soft (see `masks.binarize`); or a file.
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
        return self._prompter.add_mask(mask, obj_id, frame_idx, label, replace=replace)

    def add_masks_prompt(
        self,
        masks: Any,  # noqa: ANN401
        obj_ids: Sequence[int] | None = None,
        frame_idx: FrameLike = 0,
        *,
        labels: Sequence[str | None] | None = None,
        replace: bool = False,
    ) -> list[int]:
        """Track what each of several masks covers; all are added, or none.

        Args:
            masks: a stack (N, H, W) or (N, 1, H, W), a list of what `add_mask_prompt` takes, {object id: mask}, or what
                another model has found on the frame, as it is: see `detections.read_detections`. Its names become the
                objects' labels, its scores are kept (`Tracks.given_scores`), and so are its ids where it tracks.
            obj_ids: an id for each; by default the model's, or the next free ones from 100.
            frame_idx: the frame that they belong to.
            labels: a name for each object; by default the model's.
            replace: allow to replace prompts of the same objects on this very frame.

        Returns:
            The objects' ids, in the order of the masks.

        Raises:
            InputError: as `add_mask_prompt`, or the lengths differ.
        """
        return self._prompter.add_masks(masks, obj_ids, frame_idx, labels, replace=replace)

    def add_masks_file(
        self,
        path: str | Path,
        frame_idx: FrameLike | None = None,
        *,
        replace: bool = False,
        strict: bool = False,
        first_frame: int | None = None,
        id_field: str | None = None,
        label_field: str | None = None,
    ) -> list[int]:
        """Track what a file of masks covers; ids and names are the file's.

        Args:
            path: a picture (a label map, or a mask), a folder of pictures of frames or of objects, a file of numpy, of
                another tool (COCO, YouTube-VIS, LabelMe, CVAT, MOTS, YOLO and others, also zipped), or of polygons on
                the map (GeoPackage, GeoJSON, shapefile, FlatGeobuf). It may say itself what frames its masks belong to;
                see `formats.read_seeds`. Objects that have names and no ids are those of the same names.
            frame_idx: the frame that they belong to; None for the one that the file names, or else the first one. Files
                with masks of several frames say it themselves.
            replace: allow to replace prompts of the same objects on the same frames.
            strict: refuse a file of which something would be left out, with a warning otherwise.
            first_frame: what a text file of MOTS calls the video's first frame, 0 (KITTI MOTS) or 1 (MOTSChallenge);
                by default what the file tells.
            id_field: of polygons, the column of ids; by default ``object_id`` or ``id``, else they are numbered.
            label_field: of polygons, the column of names; by default ``label`` or ``name``.

        Returns:
            The objects' ids, ascending.

        Raises:
            InputError: as `add_mask_prompt`, or there is no mask in the file.

        Warns:
            LeftOutWarning: something of the file is not taken; the message counts it.
            MaskPlacementWarning: which frame, or which object, its masks are of is not sure, or they have soft edges.
        """
        with foreign("path"):
            path = Path(path)
        options = {"first_frame": first_frame, "id_field": id_field, "label_field": label_field}
        return self._prompter.add_masks_file(path, frame_idx, replace=replace, strict=strict, **options)

    def add_point_prompts(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        obj_id: int | None = None,
        frame_idx: FrameLike = 0,
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
        return self._prompter.add_points(points, labels, obj_id, frame_idx, replace=replace)

    def add_box_prompt(
        self, box: Sequence[float], obj_id: int | None = None, frame_idx: FrameLike = 0, *, replace: bool = False
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
        return self._prompter.add_box(box, obj_id, frame_idx, replace=replace)

    def next_ids(self, count: int) -> list[int]:
        """The ids that the next ``count`` new objects would get."""
        return self._prompter.next_ids(count)

    def generate_masks(self, prompt: str, frame_idx: FrameLike = 0, *, first_id: int | None = None) -> list[int]:
        """Find everything that words name on one frame, where the engine takes text, and track it.

        Args:
            prompt: a short noun phrase.
            frame_idx: the frame to look at.
            first_id: the id of the first object found, the others follow; by default the next free ones from 100.

        Returns:
            The ids of the objects found; the prompt is their label.

        Raises:
            PromptNotSupportedError: the engine takes no text.
        """
        return self._prompter.add_text(prompt, frame_idx, first_id)

    def remove_object(self, obj_id: int) -> None:
        """Forget an object and its masks; the others are untouched.

        Raises:
            UnknownObjectError: no such object.
        """
        editing.remove(self.tracks, obj_id)

    def remove_prompt(self, obj_id: int, frame_idx: FrameLike) -> None:
        """Take back what an object was prompted with on a frame; `propagate` tracks into that frame anew.

        Raises:
            UnknownObjectError: no such object.
            InputError: it has no prompt on that frame, or no other one.
        """
        editing.remove_prompt(self.tracks, obj_id, self.tracks.video.check_frame(frame_idx))

    def undo(self) -> str | None:
        """Take the last edit back, see `tracks.editing.undo`; what it was, None where there is none."""
        return editing.undo(self.tracks)

    def redo(self) -> str | None:
        """Do again what was undone last; what it was, None where there is nothing."""
        return editing.redo(self.tracks)

    def save(self) -> None:
        """Write the tracks file now. `propagate` does it before its first step; without a path nothing is to be done.

        Raises:
            OutputExistsError: there is a file, and overwriting was not asked for.
            OutputError: it cannot be written.
        """
        self._work.save()

    # --- the run ------------------------------------------------------------------------------------------------

    def propagate(  # noqa: PLR0913
        self,
        *,
        direction: Direction = "both",
        start: FrameLike = 0,
        stop: FrameLike | None = None,
        stride: int = 1,
        callback: Callable[[Progress], object] | None = None,
        cancelled: Callable[[], bool] = never,
        detector: Detector | None = None,
        text: str | Sequence[str] | None = None,
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
            cancelled: asked after each step; true ends the run; call again to resume.
            detector: takes a frame, RGB uint8 (H, W, 3), and returns its objects; called on every n-th frame of the
                forward pass, where an object is lost, and where much of the picture is new. What it finds corrects
                objects, brings lost ones back and begins new ones. Without any prompt, the first frame on which it
                finds something starts the run; these finds, as all new ones, go again if no later one confirms them.
                Frames before the first prompt are searched once it is known where the given objects are there; with
                ``direction="forward"`` they are not.
            text: a short phrase, such as "car", or several: what they name is found on the way, as by a detector, and
                is labelled with the phrase. The engine itself looks for it, on the features with which it tracks.
            association: when the detector is called, or words are looked for, and how finds are joined to tracks.

        Returns:
            The tracks, also as `tracks`.

        Raises:
            InputError: nothing to track, or a range outside the video; a detector and text, or text with
                ``direction="backward"``.
            PromptNotSupportedError: text, and an engine that does not look for words.
            EngineError: the engine failed. Finished frames are kept.

        Warns:
            DamagedSourceWarning: the video ends early; `Tracks.stopped_at` says where.
            UnconfirmedWarning: nothing was given, and all that the detector found was left out.
        """
        if not (callback is None or callable(callback)):
            raise InputError(f"callback: expected a function, got {show(callback)}")
        options = RunOptions(direction=direction, start=start, stop=stop, stride=stride, cancelled=cancelled)
        options |= {"detector": detector, "text": text, "association": association}
        for progress in steps(self._work, **options):
            if callback is not None:
                callback(progress)
        return self.tracks

    def steps(self, **options: Unpack[RunOptions]) -> Iterator[Progress]:
        """As `propagate`, one step at each turn of the iterator; what is wrong is said before the first."""
        return steps(self._work, **options)

    # --- closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the video. Tracks that were handed out can still be read. May be called twice."""
        self._work.close()
        self._prompts = None

    def shutdown(self) -> None:
        """Close everything, the engine too where it was loaded here. May be called twice."""
        self._work.shutdown()
        self._prompts = None

    def _leave(self) -> None:
        self.shutdown()
