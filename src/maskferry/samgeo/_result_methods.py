"""What has been found, as samgeo shows and saves it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from maskferry import MaskTracker, Tracks, export
from maskferry.errors import InputError
from maskferry.files import output
from maskferry.formats import VOID, write_pixels
from maskferry.images import PICTURE_SUFFIXES
from maskferry.masks import to_label_map
from maskferry.outputs import SessionViews
from maskferry.rendering import play_in_notebook, reads_of
from maskferry.samgeo._lazy_views import FoundFrames, FrameOutputs, ObjectMasks, PerFrame
from maskferry.samgeo._messages import say
from maskferry.samgeo._shown_results import ShownResults

__all__ = ["ResultMethods"]

_PICTURES = frozenset({"jpg", "jpeg", "bmp", "gif", "webp", "ppm", "pgm"})
"""Kinds that other programs write label maps as."""

ShowIds = bool | Mapping[int, str]
"""Whether ids are written beside objects, or {object id: name} to write names."""


class ResultMethods:
    """The part of `SamGeo3Video` that reads results."""

    _tracker: MaskTracker
    _outputs: PerFrame[FrameOutputs] | None = None
    """Of the video; None where there is none."""

    @property
    def outputs_per_frame(self) -> PerFrame[FrameOutputs]:
        """What `propagate` returned, as far as there is something.

        It can be changed as a dict can, and assigned: what is shown and saved is what stands in it. Changes are about
        results alone: to change what is tracked, add a mask.
        """
        if self._outputs is None:
            self._outputs = PerFrame(FoundFrames(self._tracker.tracks), FrameOutputs)
        return self._outputs

    @outputs_per_frame.setter
    def outputs_per_frame(self, value: Mapping[int, Any] | None) -> None:
        outputs = self.outputs_per_frame
        if value is None:
            outputs.forget_changes()
        elif value is not outputs:
            put = dict(value)
            outputs.clear()
            outputs.update(put)

    def _start(self, *, is_started: bool) -> None:
        """Show what the run has found, without changes; on every frame of the video, where it has been started."""
        self.outputs_per_frame.forget_changes()
        if isinstance(self.outputs_per_frame.masks, FoundFrames):
            self.outputs_per_frame.masks.is_started = is_started

    def _format_outputs(self) -> PerFrame[ObjectMasks]:
        """{frame index: {object id: bool (H, W)}}, decoded when it is looked at."""
        outputs = self.outputs_per_frame
        shown = self._shown().tracks if outputs.is_changed else outputs.masks
        return PerFrame(shown, ObjectMasks)

    def _shown(self) -> SessionViews:
        """What is looked at and saved."""
        outputs = self.outputs_per_frame
        if not outputs.is_changed:
            return self._tracker
        return ShownResults(self._tracker.source, self._tracker.tracks, outputs)

    # --- looking at it ------------------------------------------------------------------------------------------

    def show_frame(
        self,
        frame_idx: int = 0,
        figsize: tuple[float, float] = (12, 8),
        alpha: float = 0.6,
        show_ids: ShowIds = True,
        axis: str = "off",
        output: str | Path | None = None,
    ) -> None:
        """Plot one frame under its masks, or without any where there are none yet. Outside of the video there is
        nothing to plot, which a line says, as in samgeo.

        Args:
            frame_idx: the frame.
            figsize: inches (width, height).
            alpha: opacity of the masks.
            show_ids: write ids, or {object id: name}.
            axis: "on" shows pixel coordinates.
            output: also save the picture there.

        Raises:
            InputError: an option is wrong.
            MissingExtraError: matplotlib is not installed.
        """
        frame_idx, count = index(frame_idx), self._tracker.source.info.frame_count
        if frame_idx < 0 or (count is not None and frame_idx >= count):
            say(f"Frame {frame_idx} is not in the outputs: the video has frames 0 to {(count or 1) - 1}.")
            return
        self._shown().show_frame(frame_idx, figsize=figsize, alpha=alpha, labels=show_ids, axis=axis, output=output)
        if output is not None:
            say(f"Saved frame {frame_idx} to {output}.")

    def show_frames(
        self,
        frame_stride: int = 10,
        ncols: int = 3,
        figsize_per_frame: tuple[float, float] = (6, 4),
        alpha: float = 0.6,
        show_ids: ShowIds = False,
    ) -> None:
        """Plot every ``frame_stride``-th frame in a grid; arguments as in `show_frame`.

        Raises:
            InputError: the stride is below 1.
            MissingExtraError: matplotlib is not installed.
        """
        tiles = math.ceil((self._tracker.source.info.frame_count or 1) / max(1, frame_stride))
        columns = max(1, min(ncols, tiles))
        width, height = figsize_per_frame
        size = (width * columns, height * math.ceil(tiles / columns))
        self._shown().show_frames(frame_stride, columns, figsize=size, alpha=alpha, labels=show_ids)

    def show_video(self, video_path: str | Path, embed: bool = True, **kwargs: Any) -> Any:  # noqa: ANN401
        """A film, such as `save_video` has written, as something that a notebook plays; options as in IPython.

        Raises:
            MissingExtraError: IPython is not installed.
        """
        return play_in_notebook(video_path, embed=embed, **kwargs)

    # --- saving it ----------------------------------------------------------------------------------------------

    def save_masks(self, output_dir: str | Path, img_ext: str = "png", dtype: str = "uint8") -> list[str]:
        """Write a label map for every frame: grey, 0 is background, n is object n.

        Those of an earlier call are replaced; files that maskferry did not write are not.

        Of a series of GeoTIFFs they are GeoTIFFs on its grid, ``<name of the file>_mask.tif``, of as many bits as the
        ids need. Others are named by the frame's index, with as many digits as the number of frames has. Where objects
        overlap, the smallest gets the pixel.

        Args:
            output_dir: made where it is missing.
            img_ext: "png" or "tif"; other kinds of pictures are saved as PNG, as some change values, and others cannot
                hold large ids.
            dtype: "uint8" or "uint16"; all files are uint16 as soon as an id is above 254.

        Returns:
            The paths, in the order of frames.

        Raises:
            InputError: an unknown option, there is nothing to save yet, or the folder is or holds the video.
            OutputExistsError: a file that maskferry did not write is in the way.
            OutputError: they cannot be written.
        """
        suffix = _kept_suffix(img_ext)
        if dtype not in ("uint8", "uint16"):
            raise InputError(f'dtype: expected "uint8" or "uint16", got {dtype!r}')
        tracks = self._shown().tracks
        if not len(tracks):
            raise InputError("there are no results yet: add masks and call propagate first")
        if tracks.video.grid is not None:
            return self._save_maps(tracks, output_dir)
        kind = np.uint16 if dtype == "uint16" or max(tracks.object_ids, default=0) >= VOID else np.uint8
        digits = len(str(tracks.video.frame_count or len(tracks)))
        names, folder = [], Path(output_dir)
        reads = reads_of(tracks, self._tracker.source)
        with output(folder, reads=reads, overwrite=True, is_folder=True) as part:
            for tracked in tracks.frames():
                names.append(f"{tracked.info.index:0{digits}d}.{suffix}")
                write_pixels(part / names[-1], to_label_map(tracked.masks, dtype=kind), info=tracked.info)
        paths = [str(folder / name) for name in names]
        say(f"Saved {len(paths)} mask files to {output_dir}.")
        return paths

    def _save_maps(self, tracks: Tracks, output_dir: str | Path) -> list[str]:
        paths = [str(path) for path in export(tracks, output_dir, "geotiff", overwrite=True)]
        say(f"Saved {len(paths)} GeoTIFFs to {output_dir}.")
        return paths

    def save_video(
        self,
        output_path: str | Path,
        fps: float | None = None,
        alpha: float = 0.6,
        dpi: int = 200,
        frame_stride: int = 1,
        show_ids: ShowIds = True,
    ) -> str:
        """Draw the masks over the video and write an MP4 film (H.264). One of an earlier call is replaced.

        Args:
            output_path: ends in .mp4; with another ending, the film gets .mp4 in its place, and a line says so.
            fps: frames per second; by default every frame is shown at its own time, two dates a second of a series.
            alpha: opacity of the masks.
            dpi: accepted and not used; the film has the size of the video.
            frame_stride: every n-th frame.
            show_ids: write ids, or {object id: name}.

        Returns:
            The path.

        Raises:
            InputError: an option is wrong, there is nothing to draw yet, or the path is the video.
            OutputExistsError: a file that maskferry did not write is in the way.
            OutputError: it cannot be written.
        """
        wanted = Path(output_path)
        if wanted.suffix.lower() in PICTURE_SUFFIXES:
            raise InputError(f"output_path: expected a film (.mp4), got the picture {wanted.name!r:.80}")
        if wanted.suffix.lower() != ".mp4":
            wanted = wanted.with_suffix(".mp4")
            say(f"Films are MP4: this one is saved as {wanted.name}.")
        path = self._shown().save_video(
            wanted, rate=fps, alpha=alpha, stride=frame_stride, labels=show_ids, overwrite=True
        )
        say(f"Saved video to {path}.")
        return str(path)


def _kept_suffix(img_ext: str) -> str:
    """The ending of label maps: a kind of picture that keeps ids exactly."""
    suffix = img_ext.lower().lstrip(".") if isinstance(img_ext, str) else ""
    if suffix in ("png", "tif", "tiff"):
        return suffix
    if suffix not in _PICTURES:
        raise InputError(f'img_ext: expected "png" or "tif", which keep ids exactly, got {img_ext!r}')
    say(f"Label maps are not saved as {suffix}, which does not keep every id: these are PNG files.")
    return "png"
