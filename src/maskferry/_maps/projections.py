"""Points from one coordinate reference system to another, through the PROJ that comes with rasterio."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskferry._maps.grids import Bounds
from maskferry.errors import InputError, MissingExtraError

__all__ = ["as_crs", "densified", "is_installed", "project", "project_bounds", "rasterio", "same_crs"]

WGS84 = "OGC:CRS84"
"""Longitude before latitude."""

_ADVICE = "GeoTIFF series and map outputs need rasterio, pyogrio and shapely: pip install 'maskferry[geo]'"


def rasterio() -> Any:  # noqa: ANN401
    """The package rasterio.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import rasterio
        import rasterio.features
        import rasterio.warp
    except ModuleNotFoundError as err:
        raise MissingExtraError(_ADVICE) from err
    return rasterio


def is_installed() -> bool:
    """Whether `rasterio` finds the package."""
    try:
        rasterio()
    except MissingExtraError:
        return False
    return True


def as_crs(crs: Any, what: str) -> Any:  # noqa: ANN401
    """A coordinate reference system of rasterio from whatever names one ("EPSG:32633", WKT, a number).

    Raises:
        InputError: it names none; called ``what`` in the message.
    """
    from rasterio.errors import CRSError

    try:
        text = crs.to_wkt() if hasattr(crs, "to_wkt") else crs
        return rasterio().crs.CRS.from_user_input(text)
    except (CRSError, ValueError, TypeError) as err:
        raise InputError(f"{what}: expected a coordinate reference system such as EPSG:32633, got {crs!r:.80}") from err


def same_crs(first: Any, second: Any) -> bool:  # noqa: ANN401
    """Whether two coordinate reference systems place points alike."""
    return bool(as_crs(first, "crs") == as_crs(second, "crs"))


def project(source: Any, target: Any, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # noqa: ANN401
    """Points (N,), (N,) of one system in another one; x is east or longitude. What cannot be placed is inf.

    Raises:
        InputError: there is no way from the one to the other.
    """
    xs, ys = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not xs.size:
        return xs, ys
    try:
        found = rasterio().warp.transform(as_crs(source, "crs"), as_crs(target, "crs"), xs.ravel(), ys.ravel())
    except Exception as err:  # of PROJ and GDAL, which rasterio hands on as they are
        raise InputError(f"crs: points cannot be brought from {source!s:.60} to {target!s:.60}: {err}") from err
    return np.asarray(found[0]).reshape(xs.shape), np.asarray(found[1]).reshape(ys.shape)


def densified(bounds: Bounds, steps: int = 64) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points along the sides of a rectangle: (x, y), 4 * steps of each."""
    t = np.linspace(0, 1, steps, endpoint=False)
    left, bottom, right, top = bounds
    x = np.concatenate(
        [left + t * (right - left), np.full(steps, right), right - t * (right - left), np.full(steps, left)]
    )
    y = np.concatenate(
        [np.full(steps, bottom), bottom + t * (top - bottom), np.full(steps, top), top - t * (top - bottom)]
    )
    return x, y


def project_bounds(source: Any, target: Any, bounds: Bounds) -> Bounds:  # noqa: ANN401
    """The rectangle around what a rectangle becomes in another system, its sides followed.

    Raises:
        InputError: no part of it can be placed there.
    """
    x, y = project(source, target, *densified(bounds))
    fine = np.isfinite(x) & np.isfinite(y)
    if not fine.any():
        raise InputError(f"crs: nothing of {tuple(bounds)} can be placed in {target!s:.60}")
    x, y = x[fine], y[fine]
    return Bounds(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
