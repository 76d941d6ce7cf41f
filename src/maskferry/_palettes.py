"""The colours of objects, the same in every picture."""

from __future__ import annotations

from typing import Literal, get_args

from maskferry.errors import InputError

__all__ = ["Color", "Palette", "check_palette", "color_of"]

Color = tuple[int, int, int]
"""RGB, 0 to 255."""

Palette = Literal["default", "safe"]
"""Colours of objects: "safe" ones can be told apart by people who see fewer colours, too."""

# matplotlib's "tab10" (Tableau 10), in its order.
_TAB10 = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
)
_LIGHTNESS = ((0, 0.0), (0, 0.4), (255, 0.5))
"""By tens of the id: (black or white, how far a colour is moved towards it)."""

# The colours of Okabe and Ito (https://jfly.uni-koeln.de/color), white instead of black, in an order that keeps
# neighbours apart.
_OKABE_ITO = (
    (230, 159, 0),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (255, 255, 255),
    (86, 180, 233),
    (240, 228, 66),
    (0, 158, 115),
)
_SAFE_LIGHTNESS = ((0, 0.0), (0, 0.3), (255, 0.3))
"""As `_LIGHTNESS`, by eights."""


def color_of(object_id: int, palette: Palette = "default") -> Color:
    """The colour of an object, the same in every picture.

    "default": ``object_id % 10`` picks the hue, as samgeo does with matplotlib's tab10; ``object_id // 10 % 3`` the
    lightness (plain, darker, lighter), so that thirty objects in a row can be told apart.

    "safe": colours of Okabe and Ito, chosen for people who see fewer colours; eight, then the same darker, then
    lighter. Under normal, protan, deutan and tritan vision the first eight are at least 16 apart (CIE 1976), and two
    ids in a row at least 26.

    >>> color_of(1), color_of(11), color_of(1, "safe")
    ((255, 127, 14), (153, 76, 8), (230, 159, 0))

    Raises:
        InputError: there is no such palette.
    """
    check_palette(palette)
    if palette == "safe":
        hue, (end, part) = _OKABE_ITO[(object_id - 1) % 8], _SAFE_LIGHTNESS[(object_id - 1) // 8 % 3]
    else:
        hue, (end, part) = _TAB10[object_id % 10], _LIGHTNESS[object_id // 10 % 3]
    red, green, blue = (round(c + (end - c) * part) for c in hue)
    return red, green, blue


def check_palette(palette: str) -> None:
    """Refuse what is no palette.

    Raises:
        InputError: it names the palettes.
    """
    if palette not in get_args(Palette):
        raise InputError(f"palette: expected {' or '.join(get_args(Palette))}, got {palette!r}")
