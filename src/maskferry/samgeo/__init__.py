"""``SamGeo3Video``, ``download_file``, ``raster_to_vector``: samgeo's names and habits, and nothing else.

A notebook that was written for samgeo runs after its import line alone has been changed:

    from maskferry.samgeo import SamGeo3Video, download_file

A mask is followed as it is given, to the pixel, not as a handful of points in it; any machine will do; results are
decoded when they are looked at. As in samgeo, saving replaces files that are there, so that a cell can be run twice,
and a short line says what was done.
"""

from __future__ import annotations

from maskferry.samgeo._download import download_file
from maskferry.samgeo._raster_to_vector import raster_to_vector
from maskferry.samgeo._samgeo3_video import SamGeo3Video

__all__ = ["SamGeo3Video", "download_file", "raster_to_vector"]
