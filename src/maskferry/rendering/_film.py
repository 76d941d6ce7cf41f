"""Tracks drawn over their video: a film."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TypedDict

from maskferry._palettes import Palette, check_palette
from maskferry.data import FrameMasks, Image, VideoLike
from maskferry.drawing import check_font, date_text, draw_caption, draw_overlay, shrink
from maskferry.errors import InputError
from maskferry.files import check_output, output
from maskferry.rendering._tracked_video import film_rate, pictures, reads_of, require_frames, source_of
from maskferry.tracks import Tracks

__all__ = ["RenderOptions", "render"]

_LONGEST_SIDE = 3840
"""Pixels of a film of a series."""


class RenderOptions(TypedDict, total=False):
    """How a film is drawn, see `render`."""

    rate: float | str | Fraction | None
    stride: int
    alpha: float
    outline: bool
    labels: bool | Mapping[int, str]
    zoom: int
    palette: Palette
    audio: bool
    overwrite: bool


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
    palette: Palette = "default",
    audio: bool = False,
    overwrite: bool = False,
) -> Path:
    """Draw tracks over their video and write an MP4 film (H.264, yuv420p).

    Args:
        tracks: what to draw; frames that were not tracked are left out.
        path: ends in .mp4.
        video: where the frames come from; by default the path that the tracks name.
        rate: frames per second; by default every frame is shown at its own time, of a series two dates a second. Films
            of series have the dates in them, and at most 3840 pixels on their longer side.
        stride: every stride-th of the tracked frames.
        alpha: opacity of the masks, 0 to 1.
        outline: draw contours.
        labels: write ids, names where objects have them; or {object id: name}.
        zoom: enlarge the film this many times, so that outlines and labels of a small video stay fine.
        palette: colours of the objects: "safe" ones can be told apart by people who see fewer colours, too.
        audio: copy the sound of the video, where it has some.
        overwrite: replace a film that maskferry wrote there.

    Returns:
        The path.

    Raises:
        InputError: an option is wrong, there is nothing to draw yet, or the path is the video or the tracks file.
        SourceError: the video cannot be opened.
        OutputExistsError: there is a film, or a file that maskferry did not write.
        RunningElsewhereError: another export is writing it.
        OutputError: it cannot be written.
    """
    from maskferry.formats._film import write_film

    path = Path(path)
    reads = reads_of(tracks, video)
    check_output(path, reads=reads, overwrite=overwrite)
    require_frames(tracks)
    if not 0 <= alpha <= 1 or zoom < 1:
        raise InputError(f"expected alpha from 0 to 1 and a zoom of at least 1, got {alpha} and {zoom}")
    check_palette(palette)
    check_font()
    frames_per_second = film_rate(tracks, rate)
    names = {**{i: str(i) for i in tracks.object_ids}, **tracks.labels} if labels is True else labels
    with source_of(tracks, video) as source, output(path, reads=reads, overwrite=overwrite) as part:
        if audio and not (source.info.path and Path(source.info.path).is_file()):
            raise InputError(f"audio: {source.info.name} is no video file, so there is no sound to copy")
        draw: Callable[..., Image] = partial(
            draw_overlay, alpha=alpha, outline=outline, labels=names, zoom=zoom, palette=palette
        )
        write_film(
            tracks.video,
            pictures(tracks, source, stride=stride),
            part,
            rate=frames_per_second,
            draw=draw if tracks.video.recipe is None else partial(_draw_date, draw, tracks.video.dates),
            audio_from=Path(source.info.path) if audio and source.info.path else None,
        )
    return path


def _draw_date(
    draw: Callable[[Image, FrameMasks], Image], dates: Sequence[datetime] | None, image: Image, masks: FrameMasks
) -> Image:
    """A drawn frame of a series, no larger than a film may be, with its date."""
    picture = shrink(draw(image, masks), _LONGEST_SIDE)
    return picture if dates is None else draw_caption(picture, date_text(dates[masks.frame]))
