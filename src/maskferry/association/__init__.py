"""Joining a detector's detections to tracks: options, matching, when the detector runs, scene changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.association._options import AssociationOptions as AssociationOptions
    from maskferry.association._scene_change import Thumbnail as Thumbnail
    from maskferry.association._scene_change import new_share as new_share
    from maskferry.association._scene_change import thumbnail as thumbnail

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.association._options": ("AssociationOptions",),
        "maskferry.association._scene_change": ("Thumbnail", "new_share", "thumbnail"),
    },
)
