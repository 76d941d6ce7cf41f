"""Shapes that tools draw -> outlines, [x1, y1, x2, y2, ...] in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["box_outline", "ellipse_outline"]


def box_outline(box_xyxy: tuple[float, float, float, float], degrees: float = 0.0) -> NDArray[np.float64]:
    """A box, turned clockwise on the screen around its middle."""
    x1, y1, x2, y2 = box_xyxy
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], dtype=np.float64)
    return _turned(corners, ((x1 + x2) / 2, (y1 + y2) / 2), degrees) if degrees else corners.ravel()


def ellipse_outline(
    centre_xy: tuple[float, float], radii_xy: tuple[float, float], degrees: float = 0.0
) -> NDArray[np.float64]:
    """An ellipse as a polygon of 180 points, turned clockwise on the screen."""
    turn = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    points = np.array(centre_xy) + np.stack((np.cos(turn), np.sin(turn)), axis=1) * np.array(radii_xy)
    return _turned(points, centre_xy, degrees)


def _turned(points: NDArray[np.float64], around_xy: tuple[float, float], degrees: float) -> NDArray[np.float64]:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned: NDArray[np.float64] = (points - around_xy) @ np.array([[cos, sin], [-sin, cos]]) + around_xy
    return turned.ravel()
