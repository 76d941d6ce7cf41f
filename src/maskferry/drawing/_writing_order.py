"""The order in which parts of a line are drawn, where a line has several fonts, or Pillow does not know the rules.

A short form of Unicode's rules (UAX #9) for names: what is written from right to left, and numbers and words in it.
"""

from __future__ import annotations

import unicodedata
from itertools import groupby

__all__ = ["clusters_of", "in_order_of_drawing", "mirrored"]

_JOINER = "\u200d"
_MIRROR = str.maketrans("()[]{}<>«»", ")(][}{><»«")
_IS_RTL = {"L": False, "EN": False, "AN": False, "R": True, "AL": True}
"""{bidirectional class of what has a direction of its own: whether that is from right to left}"""


def clusters_of(text: str) -> list[str]:
    """Characters with the marks that belong to them; what a joiner joins stays together."""
    clusters: list[str] = []
    for char in text:
        belongs = unicodedata.category(char) in ("Mn", "Mc", "Me", "Cf", "Sk") and not char.isascii()
        if clusters and (belongs or clusters[-1].endswith(_JOINER)):
            clusters[-1] += char
        else:
            clusters.append(char)
    return clusters


def in_order_of_drawing(text: str) -> list[tuple[str, bool]]:
    """Parts of a text from left to right: (the part, in the order of reading; whether it goes from right to left).

    >>> in_order_of_drawing("אב 12")
    [('12', False), ('אב ', True)]
    """
    clusters = clusters_of(text)
    own = [_IS_RTL.get(unicodedata.bidirectional(cluster[0])) for cluster in clusters]
    base = next((_IS_RTL[c] for c in map(unicodedata.bidirectional, text) if c in ("L", "R", "AL")), False)
    directions = zip(clusters, _resolved(own, base), strict=True)
    parts = [
        ("".join(cluster for cluster, _ in group), is_rtl) for is_rtl, group in groupby(directions, lambda p: p[1])
    ]
    return parts[::-1] if base else parts


def _resolved(own: list[bool | None], base: bool) -> list[bool]:
    """What has no direction takes that of its neighbours where they agree, and that of the line where they do not."""
    before: list[bool] = []
    for direction in own:
        before.append(direction if direction is not None else (before[-1] if before else base))
    after: list[bool] = []
    for direction in reversed(own):
        after.append(direction if direction is not None else (after[-1] if after else base))
    pairs = zip(before, reversed(after), strict=True)
    return [left if left == right else base for left, right in pairs]


def mirrored(text: str) -> str:
    """A text that goes from right to left, as it is drawn from left to right: brackets are turned, too."""
    return "".join(cluster.translate(_MIRROR) for cluster in reversed(clusters_of(text)))
