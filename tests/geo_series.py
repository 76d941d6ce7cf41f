"""Small series of georeferenced pictures for tests."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

UTM = "EPSG:32633"
TRANSFORM = (10.0, 0.0, 450_000.0, 0.0, -10.0, 5_600_000.0)


def write_tif(
    path: Path,
    samples: Any,
    *,
    crs: str | None = UTM,
    transform: tuple[float, ...] = TRANSFORM,
    nodata: float | None = None,
    mask: Any = None,
    **options: Any,
) -> Path:
    """A GeoTIFF of (bands, H, W)."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    samples = np.asarray(samples)
    samples = samples[np.newaxis] if samples.ndim == 2 else samples
    count, height, width = samples.shape
    colors = options.pop("colors", None)
    tags, names = options.pop("tags", {}), options.pop("names", ())
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=options.pop("internal_mask", True)):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", dtype=samples.dtype, count=count, height=height, width=width, crs=crs,
            transform=rasterio.Affine(*transform) if crs else None, nodata=nodata, **options,
        ) as file:  # fmt: skip
            file.write(samples)
            if mask is not None:
                file.write_mask(np.asarray(mask, np.uint8) * 255)
            if colors:
                file.colorinterp = colors
            for namespace, found in tags.items():
                file.update_tags(ns=namespace or None, **found)
            for i, name in enumerate(names, 1):
                file.set_band_description(i, name)
    return path


def land(size_hw: tuple[int, int] = (120, 160), seed: int = 0) -> Any:
    """Three bands of smooth land, uint16 (3, H, W)."""
    import cv2

    noise = np.random.default_rng(seed).random((3, *size_hw)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(band, (0, 0), 3) for band in noise])
    return (1000 + 20000 * (smooth - smooth.min())).astype(np.uint16)


def disc(size_hw: tuple[int, int], center_xy: tuple[float, float], radius: float) -> Any:
    """bool (H, W)."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    return (x - center_xy[0]) ** 2 + (y - center_xy[1]) ** 2 <= radius**2


def lake_series(folder: Path, count: int = 3, size_hw: tuple[int, int] = (120, 160)) -> list[Path]:
    """A lake on a UTM grid, one file a month from 2020-01-21 on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        samples = land(size_hw)
        samples[:, disc(size_hw, (80, 60), 30 - 4 * i)] = 200
        paths.append(write_tif(folder / f"scene_2020{i + 1:02d}21.tif", samples))
    return paths
