"""Results of other models -> masks with names and scores, without importing these models.

`registry` says which kinds of results can be read, and how a plugin adds one. Each reader is a module with two
functions, ``matches`` and ``read``, that goes by attributes and keys alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.detections._columns import from_columns as from_columns
    from maskferry.detections._detections import Detections as Detections
    from maskferry.detections._reading import detect_kind as detect_kind
    from maskferry.detections._reading import read_detections as read_detections

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.detections._columns": ("from_columns",),
        "maskferry.detections._detections": ("Detections",),
        "maskferry.detections._reading": ("detect_kind", "read_detections"),
    },
)
