"""Files that masks and tracks are read from and written to; one format a module, reading and writing side by side.

    registry      the one table of formats
    given_masks   anything that ``--masks`` takes -> prompts
    given_pictures   a picture of masks, for given_masks
    given_folders    a folder of them, for given_masks
    frame_names   which frames they are of, by what they are called
    given_arrays     arrays in files of numpy, for given_masks
    mask_pictures    what a picture of masks means
    given_files   files of other tools, for given_masks
    given_vectors    polygons on the map, for given_masks
    given_rasters    rasters on other grids, for given_pictures
    given_zip     exports as they are downloaded, for given_masks
    as_coco       JSON of Datumaro, Label Studio and SA-1B -> the records of COCO
    yolo          YOLO's text of segments
    given_frames  on which frames of the video the pictures of a file are, for given_files
    identities    which masks of different pictures are one object
    outlines      boxes and ellipses -> polygons
    reading       one reading of a file: what is known beforehand, what is left out
    davis         label maps, a PNG or TIFF a frame
    binary        one black and white picture for each object
    youtube_vis   YouTube-VIS JSON: every object of a video in one file
    youtube_vis_reader   its records -> tracks
    coco_images   COCO JSON with an image for each frame and tracks, as TAO has it
    coco_reader   its records -> rows
    labelme       LabelMe JSON, a file a frame
    labelme_shapes   its shapes <-> masks
    cvat          CVAT XML 1.1: polygon tracks, or masks picture by picture
    cvat_reader   its elements -> rows
    cvat_shapes   its shapes -> masks
    mots          MOTS, as text or as 16-bit PNG
    mots_lines    the lines of its text form
    mots_numbering   whether it counts frames from 0 or from 1
    mot           MOT CSV: boxes
    label_studio  Label Studio's JSON of a video: boxes
    table         CSV, a row for each object on each frame
    parquet       the same table as Parquet
    film          MP4 with the masks drawn over the frames
    film_stream   what film and cutouts are encoded with
    cutouts       objects cut out of their frames: PNG or WebM with alpha
    supervision   a frame's objects as supervision.Detections
    geotiff       label maps on the map, a cloud-optimised GeoTIFF a date
    vectors       polygons on the map: GeoPackage and GeoJSON
    geoparquet    the same as GeoParquet
    areas         what objects measure on each date, as CSV
    raster_polygons  a raster of labels -> polygons of its values
    map_rows      objects by date, for the four above
    qgis_style    how QGIS shows them
    coco          segmentations as COCO writes them: RLE or polygons
    content       what files of tracks hold
    csv           writing CSV
    frame_table   the frame table beside files that have no place for it
    safe_xml      XML from anywhere
    sound         the sound under a film
    images        pictures on disk, for the modules above
    png           pictures on disk that are empty but for a box

Every writer takes the `VideoInfo` and an iterable of `FrameTracks` in the order of frames (`film` and `cutouts` take
the pictures too), holds one frame at a time, or what is encoded of it, and checks its options and its output path
before it asks for the first frame. What a format cannot hold is in its writer's docstring, and logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.formats._davis import VOID as VOID
    from maskferry.formats._davis import LabelMap as LabelMap
    from maskferry.formats._davis import read_label_map as read_label_map
    from maskferry.formats._given_masks import Seeds as Seeds
    from maskferry.formats._given_masks import read_seeds as read_seeds
    from maskferry.formats._images import write_pixels as write_pixels
    from maskferry.formats._raster_polygons import write_polygons as write_polygons
    from maskferry.formats._supervision import to_supervision as to_supervision

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.formats._davis": ("LabelMap", "VOID", "read_label_map"),
        "maskferry.formats._images": ("write_pixels",),
        "maskferry.formats._given_masks": ("Seeds", "read_seeds"),
        "maskferry.formats._raster_polygons": ("write_polygons",),
        "maskferry.formats._supervision": ("to_supervision",),
    },
)
