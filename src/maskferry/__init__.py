"""maskferry: carry any model's masks through a whole video.

Importing the package imports nothing heavy: each public name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy, _moved
from maskferry._version import __version__

if TYPE_CHECKING:
    from maskferry.association._options import AssociationOptions as AssociationOptions
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
    from maskferry.formats._supervision import to_supervision as to_supervision
    from maskferry.one_call import track as track
    from maskferry.outputs._export import export as export
    from maskferry.rendering._film import render as render
    from maskferry.rle import Rle as Rle
    from maskferry.sources import open_series as open_series
    from maskferry.sources import open_source as open_source
    from maskferry.tracker import MaskTracker as MaskTracker
    from maskferry.tracks._tracks import Tracks as Tracks

_HOMES = {
    "maskferry.association._options": ("AssociationOptions",),
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
    "maskferry.outputs._export": ("export",),
    "maskferry.rendering._film": ("render",),
    "maskferry.formats._supervision": ("to_supervision",),
    "maskferry.rle": ("Rle",),
    "maskferry.sources": ("open_series", "open_source"),
    "maskferry.one_call": ("track",),
    "maskferry.tracker": ("MaskTracker",),
    "maskferry.tracks._tracks": ("Tracks",),
}

_moved.install()
_NAMES, __getattr__ = _lazy.attach(__name__, _HOMES)
__all__ = ["__version__", *_NAMES]


def __dir__() -> list[str]:
    return sorted(__all__)
