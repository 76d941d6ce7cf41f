"""From tracks to files that other programs read: the formats by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from maskferry.data import VideoLike
from maskferry.errors import InputError
from maskferry.files import check_free
from maskferry.formats import _binary as binary
from maskferry.formats import _coco_images as coco_images
from maskferry.formats import _cvat as cvat
from maskferry.formats import _davis as davis
from maskferry.formats import _label_studio as label_studio
from maskferry.formats import _labelme as labelme
from maskferry.formats import _mot as mot
from maskferry.formats import _mots as mots
from maskferry.formats import _parquet as parquet
from maskferry.formats import _table as table
from maskferry.formats import _youtube_vis as youtube_vis
from maskferry.formats._davis import Names
from maskferry.formats._frame_table import sidecar
from maskferry.masks._labels import Overlap
from maskferry.rendering._tracked_video import film_rate, pictures, require_frames, source_of
from maskferry.tracks._results import Tracks

__all__ = [
    "NEEDS_PICTURES",
    "Format",
    "export",
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
    require_frames(tracks)
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
    from maskferry.formats import _cutouts as cutouts

    rate = film_rate(tracks, None)
    with source_of(tracks, video) as source:
        frames = pictures(tracks, source)
        if format != "webm":
            crop = format == "cutouts-cropped"
            return cutouts.write_cutouts(tracks.video, frames, path, crop=crop, overwrite=overwrite)
        cutouts.write_webm(tracks.video, frames, path, rate=rate, overwrite=overwrite)
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
    require_frames(tracks)
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
