"""The one table of formats: every format that tracks are written in, by name, without importing any of them.

Command-line choices, help, the names of files in a run's folder and the tables of the documentation are made from it.
A format of another package enters by an entry point of the group ``maskferry.formats`` that loads to a `FormatSpec`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskferry._plugins import load_plugins, load_target
from maskferry.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from maskferry.data import Frame, FrameMasks, FrameTracks

    Frames = Iterable[FrameTracks] | Iterable[tuple[Frame, FrameMasks]]
    Writer = Callable[..., list[Path] | None]

__all__ = [
    "BUILT_IN",
    "FormatSpec",
    "format_spec",
    "known_formats",
    "load_recognizer",
    "load_writer",
    "require_installed",
]

ENTRY_POINT_GROUP = "maskferry.formats"


@dataclass(frozen=True, slots=True)
class FormatSpec:
    """A format that tracks are written in. Reading a spec imports nothing.

    The writer is a function ``write(video, frames, path, *, overwrite, ...)``. It gets the `VideoInfo`; an iterable of
    `FrameTracks` in the order of frames, or, with ``needs_pictures``, of ``(Frame, FrameMasks)``; a `pathlib.Path`
    that is free (an empty folder, with ``is_folder``); and what ``takes`` names. It returns the files that it wrote, or
    None where that is the path alone.

    The path is one of the right name in a folder of its own; what the writer leaves there is moved to its place when
    the writer is done, and removed when it fails. `maskferry.files.atomic_path` does the same where the writer is
    called by itself.

    Attributes:
        target: "package.module:function" of the writer.
        output: the name of the file or folder in a run's output folder.
        summary: what it is, in a few words, for help and documentation.
        loses: what it cannot hold, in a few words; "" where it holds everything.
        is_folder: it is a folder of files.
        has_frame_table: a file ``<name>.frames.csv`` with the frame table lies beside it.
        needs_pictures: the writer gets decoded frames.
        needs_map: the video must be a series that lies on a map.
        takes: which of these the writer takes as keyword arguments: "labels" ({object id: name}, of those that have
            one), "object_ids" (all of them, ascending), "rate" (frames per second as a Fraction, or None for every
            frame at its own time), "valid" (a function that gives a frame's valid pixels as `Rle`, or None),
            "footprints" ({object id: the union of its masks as `Rle`}).
        options: further keyword arguments, always the same.
        accepts: keyword arguments of the writer that whoever exports may give, such as "first_frame".
        requires: top-level packages that must be importable.
        extra: the pip extra of maskferry that brings them.
        recognizer: "package.module:function" of what says whether a file (a `pathlib.Path`) is one that the writer
            made, by its content. Only such files are replaced with ``overwrite``; without a recognizer, none are. The
            built-in formats need none.
    """

    target: str
    output: str
    summary: str
    loses: str = ""
    is_folder: bool = False
    has_frame_table: bool = False
    needs_pictures: bool = False
    needs_map: bool = False
    takes: tuple[str, ...] = ("labels",)
    options: Mapping[str, object] = field(default_factory=dict)
    accepts: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    extra: str | None = None
    recognizer: str | None = None


_NAMES_SCORES_STATES = "names, scores, states"
_FOR_AREAS = ("labels", "valid", "footprints")

BUILT_IN: dict[str, FormatSpec] = {
    "davis": FormatSpec(
        "maskferry.formats._davis:write_label_maps",
        "masks",
        "a folder with a picture for each frame, in which value n is object n (PNG, 8 or 16 bits)",
        f"one of two objects that claim a pixel; {_NAMES_SCORES_STATES}",
        is_folder=True,
        takes=("object_ids",),
    ),
    "masks": FormatSpec(
        "maskferry.formats._binary:write_masks",
        "objects",
        "a folder with a folder for each object, of black and white pictures",
        _NAMES_SCORES_STATES,
        is_folder=True,
        takes=(),
    ),
    "youtube-vis": FormatSpec(
        "maskferry.formats._youtube_vis:write",
        "tracks.json",
        "one YouTube-VIS JSON file with RLE masks",
        accepts=("compress",),
    ),
    "coco": FormatSpec(
        "maskferry.formats._coco_images:write",
        "coco.json",
        "one COCO JSON file of images and annotations, with tracks as TAO has them",
    ),
    "labelme": FormatSpec(
        "maskferry.formats._labelme:write", "labelme", "a folder of LabelMe files with polygons", is_folder=True
    ),
    "labelme-masks": FormatSpec(
        "maskferry.formats._labelme:write",
        "labelme_masks",
        "a folder of LabelMe files with masks",
        is_folder=True,
        options={"shapes": "mask"},
    ),
    "cvat": FormatSpec(
        "maskferry.formats._cvat:write",
        "cvat.xml",
        "CVAT XML with polygon tracks",
        "scores; states other than occluded and lost",
        has_frame_table=True,
    ),
    "cvat-masks": FormatSpec(
        "maskferry.formats._cvat:write",
        "cvat_masks.xml",
        "CVAT XML with masks picture by picture",
        "scores; states other than occluded and lost",
        has_frame_table=True,
        options={"shapes": "masks"},
    ),
    "mots": FormatSpec(
        "maskferry.formats._mots:write",
        "mots.txt",
        "MOTS as a text file",
        f"one of two objects that claim a pixel; {_NAMES_SCORES_STATES}",
        has_frame_table=True,
        takes=("labels", "object_ids"),
        accepts=("first_frame",),
    ),
    "mots-png": FormatSpec(
        "maskferry.formats._mots:write_folder",
        "mots",
        "MOTS as a folder of 16-bit PNGs",
        f"one of two objects that claim a pixel; {_NAMES_SCORES_STATES}",
        is_folder=True,
        takes=("labels", "object_ids"),
        accepts=("first_frame",),
    ),
    "mot": FormatSpec(
        "maskferry.formats._mot:write",
        "mot.txt",
        "boxes, as MOTChallenge has them",
        "the masks; names, states",
        has_frame_table=True,
        takes=(),
    ),
    "label-studio": FormatSpec(
        "maskferry.formats._label_studio:write",
        "label_studio.json",
        "boxes of a video in Label Studio's JSON",
        "the masks; scores frame by frame, states",
    ),
    "csv": FormatSpec(
        "maskferry.formats._table:write",
        "tracks.csv",
        "a table: box, area, centroid, state, score and time of each object on each frame",
        "the masks",
    ),
    "parquet": FormatSpec(
        "maskferry.formats._parquet:write",
        "tracks.parquet",
        "the same table as Parquet",
        "the masks",
        requires=("pyarrow",),
        extra="parquet",
    ),
    "cutouts": FormatSpec(
        "maskferry.formats._cutouts:write_cutouts",
        "cutouts",
        "objects cut out: a folder for each object, of PNGs with alpha, as large as the frame",
        f"the picture outside of masks; {_NAMES_SCORES_STATES}",
        is_folder=True,
        needs_pictures=True,
        takes=(),
    ),
    "cutouts-cropped": FormatSpec(
        "maskferry.formats._cutouts:write_cutouts",
        "cutouts_cropped",
        "the same, each picture as large as the object's box",
        f"the picture outside of masks, and where it was; {_NAMES_SCORES_STATES}",
        is_folder=True,
        needs_pictures=True,
        takes=(),
        options={"crop": True},
    ),
    "webm": FormatSpec(
        "maskferry.formats._cutouts:write_webm",
        "cutouts.webm",
        "a film with alpha (WebM) in which everything but the objects is transparent",
        f"the picture outside of masks; whose a pixel is; {_NAMES_SCORES_STATES}; exactness",
        has_frame_table=True,
        needs_pictures=True,
        takes=("rate",),
    ),
    "geotiff": FormatSpec(
        "maskferry.formats._geotiff:write_maps",
        "maps",
        "on the map: a folder with a cloud-optimised GeoTIFF for each date, in which value n is object n",
        f"one of two objects that claim a pixel; {_NAMES_SCORES_STATES}",
        is_folder=True,
        needs_map=True,
        takes=("object_ids", "valid"),
        requires=("rasterio",),
        extra="geo",
    ),
    "gpkg": FormatSpec(
        "maskferry.formats._vectors:write_gpkg",
        "objects.gpkg",
        "on the map: a GeoPackage of polygons by object and date, with areas",
        needs_map=True,
        takes=_FOR_AREAS,
        requires=("rasterio", "pyogrio", "shapely"),
        extra="geo",
    ),
    "geojson": FormatSpec(
        "maskferry.formats._vectors:write_geojson",
        "objects.geojson",
        "on the map: the same polygons as GeoJSON, in longitude and latitude",
        needs_map=True,
        takes=_FOR_AREAS,
        requires=("rasterio", "shapely"),
        extra="geo",
    ),
    "geoparquet": FormatSpec(
        "maskferry.formats._geoparquet:write",
        "objects.parquet",
        "on the map: the same polygons as GeoParquet",
        needs_map=True,
        takes=_FOR_AREAS,
        requires=("rasterio", "shapely", "pyarrow"),
        extra="geo,parquet",
    ),
    "areas": FormatSpec(
        "maskferry.formats._areas:write",
        "areas.csv",
        "on the map: a table of each object's area on each date, on the ellipsoid, and of its change",
        "the masks",
        needs_map=True,
        takes=_FOR_AREAS,
        requires=("rasterio",),
        extra="geo",
    ),
}
"""The formats that come with maskferry, in the order of the documentation."""


def known_formats() -> dict[str, FormatSpec]:
    """Every format by name: the built-in ones, then those of other packages.

    A plugin that cannot be loaded is left out, with a warning in the log; a built-in name cannot be taken over.
    """
    return BUILT_IN | load_plugins(ENTRY_POINT_GROUP, FormatSpec, frozenset(BUILT_IN))


def format_spec(name: str) -> FormatSpec:
    """The format of this name; plugins are looked for only where it is not a built-in one.

    Raises:
        InputError: there is none; the message names those that there are.
    """
    spec = BUILT_IN.get(name) or known_formats().get(name)
    if spec is None:
        raise InputError(f"format: expected one of {', '.join(known_formats())}, got {name!r}")
    return spec


def require_installed(name: str) -> None:
    """Refuse a format whose packages are not installed.

    Raises:
        InputError: there is no such format.
        MissingExtraError: the message says what to install.
    """
    spec = format_spec(name)
    missing = [package for package in spec.requires if importlib.util.find_spec(package) is None]
    if missing:
        advice = f": pip install 'maskferry[{spec.extra}]'" if spec.extra else ""
        raise MissingExtraError(f"the format {name!r} needs {', '.join(missing)}{advice}")


def load_writer(name: str) -> Writer:
    """The function that writes a format, with its options filled in.

    Raises:
        InputError: there is no such format, or its writer cannot be found.
        MissingExtraError: a package that it needs is not installed.
    """
    require_installed(name)
    spec = format_spec(name)
    writer: Any = load_target(spec.target, f"the format {name!r}")
    return partial(writer, **spec.options)


def load_recognizer(name: str) -> Callable[[Path], bool] | None:
    """The function that says whether a file is one of a format; None for the formats that come with maskferry.

    Raises:
        InputError: there is no such format, or its recognizer cannot be found.
    """
    target = format_spec(name).recognizer
    if target is None:
        return None
    function: Any = load_target(target, f"the format {name!r}")
    return lambda path: bool(function(path))
