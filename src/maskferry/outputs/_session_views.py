"""What a session draws and saves of its tracks: pictures for notebooks, label maps, films."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskferry.data import Frame, FrameMasks, Source
from maskferry.errors import MissingExtraError
from maskferry.outputs._export import save_label_maps
from maskferry.rendering._film import render
from maskferry.rendering._notebook import plot_frame, plot_frames
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
    def frame(self, frame_idx: int) -> Frame:
        """Decode one frame."""

    def masks(self, frame_idx: int) -> FrameMasks:
        """What is known of one frame so far: tracked, or only given.

        Raises:
            InputError: the frame is outside the video.
        """
        frame_idx = self.source.info.check_frame(frame_idx)
        return self.tracks.get(frame_idx) or FrameMasks(frame_idx, self.source.info.size_hw)

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
