"""maskferry: carry any model's masks through a whole video.

Importing the package imports nothing heavy: each public name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from maskferry._version import __version__

if TYPE_CHECKING:
    from maskferry.association import AssociationOptions as AssociationOptions
    from maskferry.data import BoxPrompt as BoxPrompt
    from maskferry.data import Frame as Frame
    from maskferry.data import FrameInfo as FrameInfo
    from maskferry.data import FrameMasks as FrameMasks
    from maskferry.data import FrameTracks as FrameTracks
    from maskferry.data import MaskPrompt as MaskPrompt
    from maskferry.data import ObjectMask as ObjectMask
    from maskferry.data import PointPrompt as PointPrompt
    from maskferry.data import State as State
    from maskferry.data import TextPrompt as TextPrompt
    from maskferry.data import VideoInfo as VideoInfo
    from maskferry.detections import Detections as Detections
    from maskferry.detections import read_detections as read_detections
    from maskferry.evaluation import evaluate_davis as evaluate_davis
    from maskferry.evaluation import evaluate_tracks as evaluate_tracks
    from maskferry.exporting import export as export
    from maskferry.filming import render as render
    from maskferry.formats.supervision import to_supervision as to_supervision
    from maskferry.rle import Rle as Rle
    from maskferry.sources import open_source as open_source
    from maskferry.tracker import MaskTracker as MaskTracker
    from maskferry.tracker import track as track
    from maskferry.tracks.results import Tracks as Tracks

_HOMES = {
    "maskferry.association": ("AssociationOptions",),
    "maskferry.data": (
        "BoxPrompt",
        "Frame",
        "FrameInfo",
        "FrameMasks",
        "FrameTracks",
        "MaskPrompt",
        "ObjectMask",
        "PointPrompt",
        "State",
        "TextPrompt",
        "VideoInfo",
    ),
    "maskferry.detections": ("Detections", "read_detections"),
    "maskferry.evaluation": ("evaluate_davis", "evaluate_tracks"),
    "maskferry.exporting": ("export",),
    "maskferry.filming": ("render",),
    "maskferry.formats.supervision": ("to_supervision",),
    "maskferry.rle": ("Rle",),
    "maskferry.sources": ("open_source",),
    "maskferry.tracker": ("MaskTracker", "track"),
    "maskferry.tracks.results": ("Tracks",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOME_OF:
        raise AttributeError(f"module 'maskferry' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
