"""Arithmetic of maps: grids, projections, areas, outlines. Knows no files; rasterio and shapely are loaded when used.

grids         six transform numbers: pixel sizes, bounds, lattices, union and intersection
projections   points from one coordinate reference system to another
areas         what pixels measure on the ellipsoid
outlines      masks <-> polygons in map coordinates
"""
