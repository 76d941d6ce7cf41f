"""Tracks drawn over pictures of their video, many on one sheet: spread over the video, or of moments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from maskferry._palettes import Palette, check_palette
from maskferry.data import Frame, FrameMasks, Image, VideoLike
from maskferry.drawing import check_font, contact_sheet, date_text, draw_overlay, fitting_zoom, shrink
from maskferry.errors import InputError
from maskferry.files import check_output, output
from maskferry.rendering._tracked_video import pictures, reads_of, require_frames, source_of
from maskferry.tracks import Tracks
from maskferry.tracks.review import Moment

__all__ = ["render_moments", "render_sheet"]

_LONGEST_SIDE = 1920
"""Pixels of a picture that waits for its place on a sheet."""


def render_sheet(
    tracks: Tracks,
    path: str | Path,
    video: VideoLike | None = None,
    *,
    count: int = 12,
    palette: Palette = "default",
    overwrite: bool = False,
) -> Path:
    """Write a contact sheet: pictures spread evenly over the tracked frames, under their masks.

    Raises:
        InputError: there is nothing to draw yet, no such palette, or the path is something that is read: the tracks,
            the video, one of its frames, a mask that the run was given.
        SourceError: the video cannot be opened.
        OutputExistsError: the path is taken.
        OutputError: it cannot be written.
    """
    from maskferry.formats import write_pixels

    path = Path(path)
    reads = reads_of(tracks, video)
    check_output(path, reads=reads, overwrite=overwrite)
    check_palette(palette)
    check_font()
    require_frames(tracks)
    stride = max(1, -(-len(tracks) // count))
    captions: list[str] = []
    images = []
    with source_of(tracks, video) as source:
        for frame, masks in pictures(tracks, source, stride=stride):
            time = "" if frame.info.time is None else f", {frame.info.time:.2f} s"
            time = time if frame.info.date is None else f", {date_text(frame.info.date)}"
            lost = sum(not row.rle.area for row in masks)
            captions.append(f"frame {frame.index}{time}" + (f", {lost} lost" if lost else ""))
            zoom = fitting_zoom(masks.size_hw)
            labels = tracks.labels or True
            drawn = draw_overlay(frame.image, masks, labels=labels, zoom=zoom, palette=palette)
            images.append(shrink(drawn, _LONGEST_SIDE))
    with output(path, reads=reads, overwrite=overwrite) as part:
        write_pixels(part, contact_sheet(images, captions))
    return path


def render_moments(
    tracks: Tracks,
    moments: Sequence[Moment],
    path: str | Path,
    video: VideoLike | None = None,
    *,
    palette: Palette = "default",
    overwrite: bool = False,
) -> Path:
    """Write a contact sheet of moments, such as `review.worst_moments` gives, each around its object.

    Raises:
        InputError: there are no moments, no such palette, or the path is something that is read, as in `render_sheet`.
        SourceError: the video cannot be opened.
        OutputExistsError: the path is taken.
        OutputError: it cannot be written.
    """
    from maskferry.formats import write_pixels

    path = Path(path)
    reads = reads_of(tracks, video)
    check_output(path, reads=reads, overwrite=overwrite)
    check_palette(palette)
    check_font()
    if not moments:
        raise InputError("there are no moments to show")
    shown: dict[int, tuple[Frame, FrameMasks]] = {}
    with source_of(tracks, video) as source:
        for frame in source.frames(sorted({moment.frame for moment in moments})):
            shown[frame.index] = (frame, tracks[frame.index])
    draw = partial(draw_overlay, alpha=0.4, labels=tracks.labels or True, palette=palette)
    images = [_around(*shown[moment.frame], moment.object_id, draw) for moment in moments]
    with output(path, reads=reads, overwrite=overwrite) as part:
        write_pixels(part, contact_sheet(images, [str(moment) for moment in moments]))
    return path


def _around(frame: Frame, masks: FrameMasks, object_id: int, draw: Callable[..., Image]) -> Image:
    """The drawn frame, cut to three times the object's box; whole where the object is lost."""
    zoom = fitting_zoom(masks.size_hw)
    picture = draw(frame.image, masks, zoom=zoom)
    box = masks[object_id].rle.box_xyxy if object_id in masks else None
    if box is None:
        return picture
    (x1, y1, x2, y2), (height, width) = box, masks.size_hw
    across, down = max(x2 - x1, 48), max(y2 - y1, 36)
    left, top = max(0, (x1 + x2 - 3 * across) // 2), max(0, (y1 + y2 - 3 * down) // 2)
    right, bottom = min(width, left + 3 * across), min(height, top + 3 * down)
    return np.ascontiguousarray(picture[zoom * top : zoom * bottom, zoom * left : zoom * right])
