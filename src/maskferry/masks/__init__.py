"""What can be done with masks alone: numpy and OpenCV, no files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.masks._appearance import appearance as appearance
    from maskferry.masks._appearance import similarity as similarity
    from maskferry.masks._binarize import binarize as binarize
    from maskferry.masks._convert import as_mask as as_mask
    from maskferry.masks._convert import as_masks as as_masks
    from maskferry.masks._convert import resize_mask as resize_mask
    from maskferry.masks._convert import to_numpy as to_numpy
    from maskferry.masks._labels import Overlap as Overlap
    from maskferry.masks._labels import label_dtype as label_dtype
    from maskferry.masks._labels import split_labels as split_labels
    from maskferry.masks._labels import to_label_map as to_label_map
    from maskferry.masks._matching import assign as assign
    from maskferry.masks._matching import iou_matrix as iou_matrix
    from maskferry.masks._matching import share_matrix as share_matrix
    from maskferry.masks._merge import merge as merge
    from maskferry.masks._polygons import Part as Part
    from maskferry.masks._polygons import Polygon as Polygon
    from maskferry.masks._polygons import join as join
    from maskferry.masks._polygons import parts_of as parts_of
    from maskferry.masks._polygons import rasterize as rasterize
    from maskferry.masks._regions import box_xyxy as box_xyxy
    from maskferry.masks._regions import centroid_of_rle_xy as centroid_of_rle_xy
    from maskferry.masks._regions import centroid_xy as centroid_xy
    from maskferry.masks._regions import intersection_over_union as intersection_over_union
    from maskferry.masks._regions import signed_distance as signed_distance

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.masks._appearance": ("appearance", "similarity"),
        "maskferry.masks._binarize": ("binarize",),
        "maskferry.masks._convert": ("as_mask", "as_masks", "resize_mask", "to_numpy"),
        "maskferry.masks._labels": ("Overlap", "label_dtype", "split_labels", "to_label_map"),
        "maskferry.masks._matching": ("assign", "iou_matrix", "share_matrix"),
        "maskferry.masks._merge": ("merge",),
        "maskferry.masks._polygons": ("Part", "Polygon", "join", "parts_of", "rasterize"),
        "maskferry.masks._regions": (
            "box_xyxy",
            "centroid_of_rle_xy",
            "centroid_xy",
            "intersection_over_union",
            "signed_distance",
        ),
    },
)
