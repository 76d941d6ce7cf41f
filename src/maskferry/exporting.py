"""From tracks to files that other programs read, and to a film: the formats by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from maskferry.data import Frame, FrameMasks, Image
from maskferry.errors import InputError, SourceError
from maskferry.files import check_free
from maskferry.formats import (
    binary,
    coco_images,
    cvat,
    davis,
    label_studio,
    labelme,
    mot,
    mots,
    parquet,
    table,
    youtube_vis,
)
from maskferry.formats.davis import Names
from maskferry.formats.frame_table import sidecar
from maskferry.masks.labels import Overlap
from maskferry.rendering import contact_sheet, draw_overlay, fitting_zoom
from maskferry.review import Moment
from maskferry.sources import open_source
from maskferry.sources.base import Source, VideoLike
from maskferry.sources.checks import parse_rate
from maskferry.tracks.results import Tracks

__all__ = [
    "NEEDS_PICTURES",
    "Format",
    "export",
    "render",
    "render_moments",
    "render_sheet",
    "save_label_maps",
]

Format = Literal[
    "davis",
    "masks",
    "youtube-vis",
    "coco",
    "labelme",
    "labelme-masks",
    "cvat",
    "cvat-masks",
    "mots",
    "mots-png",
    "mot",
    "label-studio",
    "csv",
    "parquet",
    "cutouts",
    "cutouts-cropped",
    "webm",
]
"""davis: a folder of label maps; masks: a folder with a folder for each object, of black and white pictures;
youtube-vis: one JSON file with RLE masks; coco: one JSON file of images and annotations, with tracks as TAO has them;
labelme: a folder of LabelMe files with polygons, or with masks (labelme-masks); cvat: CVAT XML with polygon tracks, or
with masks picture by picture (cvat-masks); mots: a text file, or a folder of 16-bit PNGs (mots-png); mot: boxes, as
MOTChallenge has them; label-studio: boxes of a video in JSON; csv, parquet: a row for each object on each frame;
cutouts: a folder with a folder for each object, of PNGs with alpha as large as the frame, or as the object's box
(cutouts-cropped); webm: a film with everything else transparent.

What a format loses is in the docstring of its writer in `formats`, and in the log."""

NEEDS_PICTURES = frozenset({"cutouts", "cutouts-cropped", "webm"})
"""The formats that need the frames of the video, beside the tracks."""


def export(
    tracks: Tracks,
    path: str | Path,
    format: Format,  # noqa: A002
    *,
    video: VideoLike | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write tracks in one of the formats.

    Args:
        tracks: what to write.
        path: a folder for "davis", "masks", "labelme", "mots-png", "cutouts" and "cutouts-cropped", a file for the
            others. Files that have no place for the frame table get it beside them, as ``<name>.frames.csv``.
        format: see `Format`.
        video: where the frames come from, for `NEEDS_PICTURES`; by default the path that the tracks name.
        overwrite: replace what is there.

    Returns:
        The files that were written.

    Raises:
        InputError: an unknown format, there is nothing to write yet, or the format cannot hold it.
        SourceError: the video cannot be opened.
        MissingExtraError: "parquet" without pyarrow.
        OutputExistsError: the path is taken.
        OutputError: it cannot be written.
    """
    if format not in get_args(Format):
        raise InputError(f"format: expected one of {', '.join(get_args(Format))}, got {format!r}")
    path = Path(path)
    check_free(path, overwrite=overwrite)
    _require_frames(tracks)
    if format == "davis":
        return save_label_maps(tracks, path, overwrite=overwrite)
    if format in NEEDS_PICTURES:
        return _export_pictures(tracks, path, format, video, overwrite=overwrite)
    if format in ("masks", "mots", "mots-png", "mot"):
        return _export_unnamed(tracks, path, format, overwrite=overwrite)
    return _export_named(tracks, path, format, overwrite=overwrite)


def _export_pictures(
    tracks: Tracks,
    path: Path,
    format: Format,  # noqa: A002
    video: VideoLike | None,
    *,
    overwrite: bool,
) -> list[Path]:
    """The formats that need the frames."""
    from maskferry.formats import cutouts

    film_rate = _film_rate(tracks, None)
    with _source(tracks, video) as source:
        frames = pictures(tracks, source)
        if format != "webm":
            crop = format == "cutouts-cropped"
            return cutouts.write_cutouts(tracks.video, frames, path, crop=crop, overwrite=overwrite)
        cutouts.write_webm(tracks.video, frames, path, rate=film_rate, overwrite=overwrite)
    return [path, sidecar(path)]


def _export_unnamed(tracks: Tracks, path: Path, format: Format, *, overwrite: bool) -> list[Path]:  # noqa: A002
    """The formats that have no place for names of objects."""
    if format == "masks":
        return binary.write_masks(tracks.video, tracks.frames(), path, overwrite=overwrite)
    if format == "mot":
        mot.write(tracks.video, tracks.frames(), path, overwrite=overwrite)
        return [path, sidecar(path)]
    ids = mots.mots_ids(tracks.object_ids, tracks.labels)
    if format == "mots-png":
        return mots.write_folder(tracks.video, tracks.frames(), path, ids=ids, overwrite=overwrite)
    mots.write(tracks.video, tracks.frames(), path, ids=ids, overwrite=overwrite)
    return [path, sidecar(path)]


def _export_named(tracks: Tracks, path: Path, format: Format, *, overwrite: bool) -> list[Path]:  # noqa: A002
    """The formats that hold names of objects."""
    writers: dict[str, Callable[..., list[Path] | None]] = {
        "youtube-vis": youtube_vis.write,
        "coco": coco_images.write,
        "labelme": labelme.write,
        "labelme-masks": partial(labelme.write, shapes="mask"),
        "cvat": cvat.write,
        "cvat-masks": partial(cvat.write, shapes="masks"),
        "label-studio": label_studio.write,
        "csv": table.write,
        "parquet": parquet.write,
    }
    written = writers[format](tracks.video, tracks.frames(), path, labels=tracks.labels, overwrite=overwrite)
    if written is not None:
        return written
    return [path, sidecar(path)] if format in ("cvat", "cvat-masks") else [path]


def save_label_maps(
    tracks: Tracks,
    folder: str | Path,
    *,
    overlap: Overlap = "smallest",
    names: Names = "index",
    img_ext: Literal["png", "tif"] = "png",
    dtype: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write a label map for every frame: 0 is background, n is object n. All files are alike.

    Args:
        tracks: what to write.
        folder: made where it is missing.
        overlap: who gets a pixel that several objects claim, see `masks.labels.Overlap`.
        names: "index", "source" (the frame's own name), or a function of `FrameInfo`.
        img_ext: "png" or "tif".
        dtype: "uint8" or "uint16"; by default, and where an id needs it, uint16 as soon as one is above 254.
        overwrite: replace files that are there.

    Raises:
        InputError: an unknown option, or there is nothing to write yet.
        OutputExistsError: the folder holds files.
        OutputError: it cannot be written.
    """
    if dtype not in (None, "uint8", "uint16"):
        raise InputError(f'dtype: expected "uint8" or "uint16", got {dtype!r}')
    _require_frames(tracks)
    wide = dtype == "uint16" or max(tracks.object_ids, default=0) >= davis.VOID
    return davis.write_label_maps(
        tracks.video,
        tracks.frames(),
        Path(folder),
        overlap=overlap,
        names=names,
        img_ext=img_ext,
        dtype=np.uint16 if wide else np.uint8,
        overwrite=overwrite,
    )


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
    from maskferry.formats.film import write_film

    path = Path(path)
    check_free(path, overwrite=overwrite)
    _require_frames(tracks)
    if not 0 <= alpha <= 1 or zoom < 1:
        raise InputError(f"expected alpha from 0 to 1 and a zoom of at least 1, got {alpha} and {zoom}")
    film_rate = _film_rate(tracks, rate)
    names = {**{i: str(i) for i in tracks.object_ids}, **tracks.labels} if labels is True else labels
    with _source(tracks, video) as source:
        if audio and not (source.info.path and Path(source.info.path).is_file()):
            raise InputError(f"audio: {source.info.name} is no video file, so there is no sound to copy")
        write_film(
            tracks.video,
            pictures(tracks, source, stride=stride),
            path,
            rate=film_rate,
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
    from maskferry.formats.images import write_pixels

    path = Path(path)
    check_free(path, overwrite=overwrite)
    _require_frames(tracks)
    stride = max(1, -(-len(tracks) // count))
    captions: list[str] = []
    images = []
    with _source(tracks, video) as source:
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
    from maskferry.formats.images import write_pixels

    path = Path(path)
    check_free(path, overwrite=overwrite)
    if not moments:
        raise InputError("there are no moments to show")
    shown: dict[int, tuple[Frame, FrameMasks]] = {}
    with _source(tracks, video) as source:
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
def _source(tracks: Tracks, video: VideoLike | None) -> Iterator[Source]:
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


def _film_rate(tracks: Tracks, rate: float | str | Fraction | None) -> Fraction | None:
    """The caller's rate, or 25 where neither frames nor video know one."""
    if rate is not None:
        return parse_rate(rate)
    timed = tracks.video.rate is not None or tracks.info(next(iter(tracks))).time is not None
    return None if timed else Fraction(25)


def _require_frames(tracks: Tracks) -> None:
    if not len(tracks):
        raise InputError("there are no results yet: add masks and call propagate first")
