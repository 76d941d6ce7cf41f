"""From tracks to files that other programs read, one by one or as the output folder of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maskferry import _lazy

if TYPE_CHECKING:
    from maskferry.outputs._export import export as export
    from maskferry.outputs._export import save_label_maps as save_label_maps
    from maskferry.outputs._folder import Outputs as Outputs
    from maskferry.outputs._folder import WatchedTracks as WatchedTracks
    from maskferry.outputs._folder import open_tracks as open_tracks
    from maskferry.outputs._folder import tracks_file as tracks_file
    from maskferry.outputs._kinds import RENDERINGS as RENDERINGS
    from maskferry.outputs._kinds import known_kinds as known_kinds
    from maskferry.outputs._session_views import SessionViews as SessionViews
    from maskferry.outputs._watch import Silent as Silent
    from maskferry.outputs._watch import Update as Update
    from maskferry.outputs._watch import Watch as Watch

__all__, __getattr__ = _lazy.attach(
    __name__,
    {
        "maskferry.outputs._export": ("export", "save_label_maps"),
        "maskferry.outputs._folder": ("Outputs", "WatchedTracks", "open_tracks", "tracks_file"),
        "maskferry.outputs._session_views": ("SessionViews",),
        "maskferry.outputs._watch": ("Silent", "Update", "Watch"),
        "maskferry.outputs._kinds": ("RENDERINGS", "known_kinds"),
    },
)
