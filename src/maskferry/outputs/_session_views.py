"""What a session draws and saves of its tracks: pictures for notebooks, label maps, films."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from maskferry.data import Frame, FrameLike, FrameMasks, Source
from maskferry.files import check_output
from maskferry.outputs._export import LabelMapOptions, save_label_maps
from maskferry.rendering._film import RenderOptions, render
from maskferry.rendering._notebook import PlotOptions, check_notebook, play_in_notebook, plot_frame, plot_frames
from maskferry.rendering._tracked_video import reads_of
from maskferry.tracks._jobs import ENDLESS, FrameRange
from maskferry.tracks._tracks import Tracks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["SessionViews"]


class SessionViews(ABC):
    """Something with a video and tracks of it, that can be looked at and saved."""

    @property
    @abstractmethod
    def source(self) -> Source:
        """The open video; InputError where none has been set."""

    @property
    @abstractmethod
    def tracks(self) -> Tracks:
        """The results so far; InputError where no video has been set."""

    @abstractmethod
    def frame(self, frame_idx: FrameLike) -> Frame:
        """Decode one frame."""

    def masks(self, frame_idx: FrameLike) -> FrameMasks:
        """What is known of one frame so far: tracked, or only given.

        Raises:
            InputError: the frame is outside the video.
        """
        frame_idx = self.source.info.check_frame(frame_idx)
        return self.tracks.get(frame_idx) or FrameMasks(frame_idx, self.source.info.size_hw)

    def show_frame(self, frame_idx: FrameLike = 0, **options: Unpack[PlotOptions]) -> Figure:
        """Plot one frame under its masks; options as in `rendering.plot_frame`.

        Raises:
            InputError: the frame is outside the video, or the video is a stream.
            MissingExtraError: matplotlib is not installed.
        """
        options = self._with_labels(options)
        return plot_frame(self.frame(frame_idx), self.masks(frame_idx), **options)

    def show_frames(
        self,
        frame_stride: int = 20,
        ncols: int = 3,
        *,
        start: int = 0,
        stop: int | None = None,
        **options: Unpack[PlotOptions],
    ) -> Figure:
        """Plot every ``frame_stride``-th frame side by side; options as in `rendering.plot_frames`.

        Raises:
            InputError: no frame is in the range, or the video is a stream.
            MissingExtraError: matplotlib is not installed.
        """
        options = self._with_labels(options)
        limits = FrameRange(start, ENDLESS if stop is None else stop, frame_stride).within(self.source.info.frame_count)
        wanted = range(limits.start, limits.stop, limits.stride)
        frames = [(frame, self.masks(frame.index)) for frame in self.source.frames(wanted)]
        return plot_frames(frames, ncols=ncols, **options)

    def show_video(self, output: str | Path, **options: Unpack[RenderOptions]) -> Any:  # noqa: ANN401
        """Save the film (see `save_video`) and return it as something that a notebook plays.

        Raises:
            MissingExtraError: IPython is not installed.
        """
        check_notebook()
        return play_in_notebook(self.save_video(output, **options))

    def _with_labels(self, options: PlotOptions) -> PlotOptions:
        """Checked, and with names instead of ids for the objects that have one."""
        path = options.get("output")
        if path is not None:
            check_output(Path(path), reads=reads_of(self.tracks, self.source), overwrite=True)
        if options.get("labels", True) is True:
            options["labels"] = self.tracks.labels or True
        return options

    def save_masks(self, folder: str | Path, **options: Unpack[LabelMapOptions]) -> list[Path]:
        """Write a label map for every tracked frame; options as in `outputs.save_label_maps`."""
        reads, overwrite = reads_of(self.tracks, self.source), options.get("overwrite", False)
        check_output(Path(folder), reads=reads, overwrite=overwrite, is_folder=True)
        return save_label_maps(self.tracks, folder, **options)

    def save_video(self, path: str | Path, **options: Unpack[RenderOptions]) -> Path:
        """Draw the masks over the video and write an MP4 film; options as in `rendering.render`."""
        return render(self.tracks, path, self.source, **options)
