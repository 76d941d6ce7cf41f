"""Tracks drawn over their video: a film, a sheet of frames, a sheet of moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from maskferry.data import Frame, FrameMasks, Image, Source, VideoLike
from maskferry.drawing import contact_sheet, draw_overlay, fitting_zoom
from maskferry.errors import InputError, SourceError
from maskferry.files import check_free
from maskferry.sources import open_source
from maskferry.sources._checks import parse_rate
from maskferry.tracks._tracks import Tracks
from maskferry.tracks.review import Moment

__all__ = ["film_rate", "pictures", "render", "render_moments", "render_sheet", "require_frames", "source_of"]


def render(  # noqa: PLR0913
    tracks: Tracks,
    path: str | Path,
    video: VideoLike | None = None,
    *,
    rate: float | str | Fraction | None = None,
    stride: int = 1,
    alpha: float = 0.6,
    outline: bool = True,
    labels: bool | Mapping[int, str] = True,
    zoom: int = 1,
    audio: bool = False,
    overwrite: bool = False,
) -> Path:
    """Draw tracks over their video and write an MP4 film (H.264, yuv420p).

    Args:
        tracks: what to draw; frames that were not tracked are left out.
        path: ends in .mp4.
        video: where the frames come from; by default the path that the tracks name.
        rate: frames per second; by default every frame is shown at its own time.
        stride: every stride-th of the tracked frames.
        alpha: opacity of the masks, 0 to 1.
        outline: draw contours.
        labels: write ids, names where objects have them; or {object id: name}.
        zoom: enlarge the film this many times, so that outlines and labels of a small video stay fine.
        audio: copy the sound of the video, where it has some.
        overwrite: replace a film that is there.

    Returns:
        The path.

    Raises:
        InputError: an option is wrong, or there is nothing to draw yet.
        SourceError: the video cannot be opened.
        OutputExistsError: there is a film.
        OutputError: it cannot be written.
    """
    from maskferry.formats._film import write_film

    path = Path(path)
    check_free(path, overwrite=overwrite)
    require_frames(tracks)
    if not 0 <= alpha <= 1 or zoom < 1:
        raise InputError(f"expected alpha from 0 to 1 and a zoom of at least 1, got {alpha} and {zoom}")
    frames_per_second = film_rate(tracks, rate)
    names = {**{i: str(i) for i in tracks.object_ids}, **tracks.labels} if labels is True else labels
    with source_of(tracks, video) as source:
        if audio and not (source.info.path and Path(source.info.path).is_file()):
            raise InputError(f"audio: {source.info.name} is no video file, so there is no sound to copy")
        write_film(
            tracks.video,
            pictures(tracks, source, stride=stride),
            path,
            rate=frames_per_second,
            draw=partial(draw_overlay, alpha=alpha, outline=outline, labels=names, zoom=zoom),
            audio_from=Path(source.info.path) if audio and source.info.path else None,
            overwrite=overwrite,
        )
    return path


def render_sheet(
    tracks: Tracks,
    path: str | Path,
    video: VideoLike | None = None,
    *,
    count: int = 12,
    overwrite: bool = False,
) -> Path:
    """Write a contact sheet: pictures spread evenly over the tracked frames, under their masks.

    Raises:
        InputError: there is nothing to draw yet.
        SourceError: the video cannot be opened.
        OutputExistsError: the path is taken.
        OutputError: it cannot be written.
    """
    from maskferry.formats._images import write_pixels

    path = Path(path)
    check_free(path, overwrite=overwrite)
    require_frames(tracks)
    stride = max(1, -(-len(tracks) // count))
    captions: list[str] = []
    images = []
    with source_of(tracks, video) as source:
        for frame, masks in pictures(tracks, source, stride=stride):
            time = "" if frame.info.time is None else f"   {frame.info.time:.2f} s"
            lost = sum(not row.rle.area for row in masks)
            captions.append(f"frame {frame.index}{time}" + (f"   {lost} lost" if lost else ""))
            zoom = fitting_zoom(masks.size_hw)
            images.append(draw_overlay(frame.image, masks, labels=tracks.labels or True, zoom=zoom))
    write_pixels(path, contact_sheet(images, captions), overwrite=overwrite)
    return path


def render_moments(
    tracks: Tracks,
    moments: Sequence[Moment],
    path: str | Path,
    video: VideoLike | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a contact sheet of moments, such as `review.worst_moments` gives, each around its object.

    Raises:
        InputError: there are no moments.
        SourceError: the video cannot be opened.
        OutputExistsError: the path is taken.
        OutputError: it cannot be written.
    """
    from maskferry.formats._images import write_pixels

    path = Path(path)
    check_free(path, overwrite=overwrite)
    if not moments:
        raise InputError("there are no moments to show")
    shown: dict[int, tuple[Frame, FrameMasks]] = {}
    with source_of(tracks, video) as source:
        for frame in source.frames(sorted({moment.frame for moment in moments})):
            shown[frame.index] = (frame, tracks[frame.index])
    images = [_around(*shown[moment.frame], moment.object_id, tracks.labels) for moment in moments]
    write_pixels(path, contact_sheet(images, [str(moment) for moment in moments]), overwrite=overwrite)
    return path


def _around(frame: Frame, masks: FrameMasks, object_id: int, labels: Mapping[int, str]) -> Image:
    """The drawn frame, cut to three times the object's box; whole where the object is lost."""
    zoom = fitting_zoom(masks.size_hw)
    picture = draw_overlay(frame.image, masks, alpha=0.4, labels=labels or True, zoom=zoom)
    box = masks[object_id].rle.box_xyxy if object_id in masks else None
    if box is None:
        return picture
    (x1, y1, x2, y2), (height, width) = box, masks.size_hw
    across, down = max(x2 - x1, 48), max(y2 - y1, 36)
    left, top = max(0, (x1 + x2 - 3 * across) // 2), max(0, (y1 + y2 - 3 * down) // 2)
    right, bottom = min(width, left + 3 * across), min(height, top + 3 * down)
    return np.ascontiguousarray(picture[zoom * top : zoom * bottom, zoom * left : zoom * right])


def pictures(tracks: Tracks, source: Source, *, stride: int = 1) -> Iterator[tuple[Frame, FrameMasks]]:
    """Every stride-th tracked frame, decoded, with its masks."""
    wanted = list(tracks)[::stride]
    for frame, tracked in zip(source.frames(wanted), tracks.frames(stride=stride), strict=False):
        yield frame, tracked.masks


@contextmanager
def source_of(tracks: Tracks, video: VideoLike | None) -> Iterator[Source]:
    """The frames that were tracked; closed afterwards if they were opened here."""
    video = tracks.video.path if video is None else video
    if video is None:
        raise InputError("these tracks do not name a file with their frames: pass the video too")
    source = open_source(video)
    try:
        if source.info.size_hw != tracks.video.size_hw:
            raise SourceError(
                f"{source.info.name} is {source.info.width}x{source.info.height}, but the tracks are of a video of "
                f"{tracks.video.width}x{tracks.video.height}: pass the video that was tracked"
            )
        yield source
    finally:
        if source is not video:
            source.close()


def film_rate(tracks: Tracks, rate: float | str | Fraction | None) -> Fraction | None:
    """The caller's rate, or 25 where neither frames nor video know one."""
    if rate is not None:
        return parse_rate(rate)
    timed = tracks.video.rate is not None or tracks.info(next(iter(tracks))).time is not None
    return None if timed else Fraction(25)


def require_frames(tracks: Tracks) -> None:
    """Refuse tracks in which nothing was found yet."""
    if not len(tracks):
        raise InputError("there are no results yet: add masks and call propagate first")
