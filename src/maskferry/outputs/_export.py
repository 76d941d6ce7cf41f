"""From tracks to files that other programs read: the formats by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

import numpy as np

from maskferry.data import Frame, FrameMasks, FrameTracks, VideoInfo, VideoLike
from maskferry.errors import InputError
from maskferry.files import check_output, output
from maskferry.formats._davis import Names, write_label_maps
from maskferry.formats._frame_table import sidecar
from maskferry.formats._map_rows import check_dates, check_grid, footprints_of
from maskferry.formats.registry import FormatSpec, format_spec, load_recognizer, load_writer
from maskferry.masks import Overlap
from maskferry.rendering._tracked_video import film_rate, pictures, reads_of, require_frames, source_of
from maskferry.tracks import Tracks

__all__ = ["LabelMapOptions", "check_map", "export", "save_label_maps"]


def export(
    tracks: Tracks,
    path: str | Path,
    format: str,  # noqa: A002
    *,
    video: VideoLike | None = None,
    overwrite: bool = False,
    **options: object,
) -> list[Path]:
    """Write tracks in one of the formats.

    Args:
        tracks: what to write.
        path: a folder or a file, as the format is (`FormatSpec.is_folder`). Files that have no place for the frame
            table get it beside them, as ``<name>.frames.csv``.
        format: a name of `maskferry.formats.registry.known_formats`, such as "davis", "youtube-vis" or "csv". What it
            cannot hold is in its spec, and in the log.
        video: where the frames come from, for formats that need pictures; by default the path that the tracks name.
        overwrite: replace what an earlier export left there. Files that maskferry did not write are never replaced.
        options: what the format accepts (`FormatSpec.accepts`): ``first_frame`` of "mots" and "mots-png", the number of
            the first frame, 1 for MOTSChallenge, whose tools look at objects named "person" or "pedestrian" alone;
            ``compress`` of "youtube-vis", False for lists of run lengths, as TrackEval takes a truth.

    Returns:
        The files that were written.

    Raises:
        InputError: an unknown format or option, there is nothing to write yet, the format cannot hold it, or the path
            is the tracks file, the video, one of its frames or a mask that the run was given.
        SourceError: the video cannot be opened.
        MissingExtraError: a package that the format needs is not installed.
        OutputExistsError: the path is taken, or holds what maskferry did not write.
        RunningElsewhereError: another export is writing it.
        OutputError: it cannot be written.
    """
    spec, path = format_spec(format), Path(path)
    _check_options(options, spec, format)
    place: _Place = {
        "reads": reads_of(tracks, video),
        "overwrite": overwrite,
        "is_folder": spec.is_folder,
        "beside": [sidecar(path)] if spec.has_frame_table else [],
        "recognize": load_recognizer(format),
    }
    check_output(path, **place)
    check_map(spec, tracks.video)
    require_frames(tracks)
    write = load_writer(format)
    with output(path, **place) as part, _frames(tracks, spec, video) as frames:
        written = write(tracks.video, frames, part, overwrite=False, **_arguments(tracks, spec), **options)
    if written is None:
        written = [part, *map(part.with_name, (p.name for p in place["beside"]))]
    return [_in_place(file, part, path) for file in written]


def _check_options(options: Iterable[str], spec: FormatSpec, name: str) -> None:
    unknown = [option for option in options if option not in spec.accepts]
    if unknown:
        takes = f"expected {' or '.join(spec.accepts)}" if spec.accepts else "it takes none"
        raise InputError(f"options of the format {name!r}: {takes}, got {', '.join(unknown)}")


def check_map(spec: FormatSpec, video: VideoInfo) -> None:
    """Refuse a video that lies on no map, where a format needs one.

    Raises:
        InputError: it is so, or its frames have no dates.
    """
    if spec.needs_map:
        check_grid(video)
        if "footprints" in spec.takes:
            check_dates(video)


class _Place(TypedDict):
    """Arguments of `files.output`."""

    reads: tuple[Path, ...]
    overwrite: bool
    is_folder: bool
    beside: list[Path]
    recognize: Callable[[Path], bool] | None


def _in_place(file: Path, part: Path, path: Path) -> Path:
    """Where a file is now that was written as ``part``, in it or beside it."""
    if file == part:
        return path
    return path / file.relative_to(part) if file.is_relative_to(part) else path.with_name(file.name)


@contextmanager
def _frames(
    tracks: Tracks, spec: FormatSpec, video: VideoLike | None
) -> Iterator[Iterable[FrameTracks] | Iterable[tuple[Frame, FrameMasks]]]:
    """What the writer goes through: the tracks' frames, or decoded pictures with what is on them."""
    if not spec.needs_pictures:
        yield tracks.frames()
        return
    with source_of(tracks, video) as source:
        yield pictures(tracks, source)


def _arguments(tracks: Tracks, spec: FormatSpec) -> dict[str, Any]:
    """What the writer takes besides."""
    values: dict[str, Callable[[], object]] = {
        "labels": lambda: tracks.labels,
        "object_ids": lambda: tracks.object_ids,
        "rate": lambda: film_rate(tracks, None),
        "valid": lambda: tracks.valid,
        "footprints": lambda: footprints_of(Tracks.frames(tracks), tracks.valid),  # not what a watcher counts
    }
    return {name: values[name]() for name in spec.takes}


class LabelMapOptions(TypedDict, total=False):
    """How label maps are written, see `save_label_maps`."""

    overlap: Overlap
    names: Names
    img_ext: Literal["png", "tif"]
    dtype: str | None
    overwrite: bool


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
        overwrite: replace what an earlier export left there. Files that maskferry did not write are never replaced.

    Raises:
        InputError: an unknown option, there is nothing to write yet, or the folder is or holds what is read: the tracks
            file, the video, its frames or a mask that the run was given.
        OutputExistsError: the folder holds files.
        RunningElsewhereError: another export is writing it.
        OutputError: it cannot be written.
    """
    if dtype not in (None, "uint8", "uint16"):
        raise InputError(f'dtype: expected "uint8" or "uint16", got {dtype!r}')
    require_frames(tracks)
    folder = Path(folder)
    with output(folder, reads=reads_of(tracks), overwrite=overwrite, is_folder=True) as part:
        written = write_label_maps(
            tracks.video,
            tracks.frames(),
            part,
            overlap=overlap,
            names=names,
            img_ext=img_ext,
            dtype=np.uint16 if dtype == "uint16" else None,
            object_ids=tracks.object_ids,
        )
    return [_in_place(file, part, folder) for file in written]
